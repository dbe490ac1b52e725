//! The boot script itself.

use std::sync::LazyLock;

use regex::Regex;

use super::subject::{Subject, per_place};
use super::{Hit, Rule, Severity};
use crate::terraform::aws::Machine;

/// AWS's limit, before base64 (EC2 User Guide, "Instance user data").
const USER_DATA_BYTES_MAX: usize = 16 * 1024;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "user-data-too-large",
        severity: Severity::Error,
        why: "AWS refuses user data of more than 16 KiB: the plan fails, or the first start does",
        mend: "fetch certificates and large files at boot instead of embedding them",
        check: |subject| {
            per_place(subject.machines().iter().filter_map(|machine| {
                let size = machine
                    .user_data
                    .text
                    .as_ref()
                    .map(String::len)
                    .filter(|size| *size > USER_DATA_BYTES_MAX)?;
                Some((
                    machine,
                    machine.user_data.site.clone(),
                    format!("user data has {size} bytes; {USER_DATA_BYTES_MAX} are allowed"),
                ))
            }))
        },
    },
    Rule {
        id: "script-ignores-errors",
        severity: Severity::Warning,
        why: "a script that goes on after a failed command ends well on a machine where nothing works",
        mend: "begin with `set -euo pipefail`",
        check: |subject| {
            shell(subject, |text| {
                let strict = text.lines().take(60).any(|line| {
                    let line = line.trim();
                    line.starts_with("set -")
                        && line
                            .split_whitespace()
                            .nth(1)
                            .is_some_and(|flags| flags.contains('e'))
                        || line == "set -o errexit"
                        || (line.starts_with("#!") && line.contains(" -e"))
                });
                (!strict).then(|| "the boot script goes on after a failed command".to_owned())
            })
        },
    },
    Rule {
        id: "script-swallows-errors",
        severity: Severity::Warning,
        why: "`set +e` and everything after it takes every error for success, and the first sign of trouble is a cluster that does not come up",
        mend: "handle the one command that may fail (`if ! command; then ...`), and leave `set -e` on",
        check: |subject| {
            shell(subject, |text| {
                let off = text.lines().any(|line| line.trim() == "set +e");
                if off {
                    return Some("the boot script turns error handling off (`set +e`)".to_owned());
                }
                let whole = text.replace("\\\n", " ");
                let swallowed = whole.lines().find_map(swallowed)?;
                Some(format!(
                    "takes every error of this for success: `{swallowed}`"
                ))
            })
        },
    },
    Rule {
        id: "acl-bootstrap-at-boot",
        severity: Severity::Error,
        why: "every server's boot races to bootstrap the ACLs: one wins, the token lies on whichever it was, and an error of any kind looks like having lost",
        mend: "bootstrap once from the operator's side, with a token that is saved before it is sent (`scripts/bootstrap-acl.sh`)",
        check: |subject| {
            shell(subject, |text| {
                text.lines()
                    .any(|line| {
                        !line.trim_start().starts_with('#') && line.contains("nomad acl bootstrap")
                    })
                    .then(|| "bootstraps the ACLs at boot".to_owned())
            })
        },
    },
    Rule {
        id: "download-piped-to-shell",
        severity: Severity::Error,
        why: "whatever the address serves that day runs as root, half of it if the connection breaks",
        mend: "download to a file, check its SHA-256, run it then",
        check: |subject| {
            shell(subject, |text| {
                PIPED
                    .find(text)
                    .map(|found| format!("runs a download unseen: `{}`", found.as_str().trim()))
            })
        },
    },
    Rule {
        id: "download-not-verified",
        severity: Severity::Warning,
        why: "a program that is not checked is whatever the mirror, or somebody before it, makes of it",
        mend: "compare the SHA-256 sum (`sha256sum --check`), or install a signed package",
        check: |subject| {
            shell(subject, |text| {
                let zip = text.lines().find(|line| {
                    (line.contains("curl") || line.contains("wget"))
                        && line.contains("releases.hashicorp.com")
                        && line.contains(".zip")
                })?;
                (!text.contains("sha256sum")
                    && !text.contains("shasum")
                    && !text.contains("gpg --verify"))
                .then(|| format!("does not check what it downloads: `{}`", zip.trim()))
            })
        },
    },
    Rule {
        id: "script-not-repeatable",
        severity: Severity::Warning,
        why: "a second run (a rebuilt image, a repaired boot) stops at this command, because its file is there already",
        mend: "make it repeatable: `gpg --yes`, `mkdir -p`, `ln -sfn`, `useradd` only if `id` fails",
        check: not_repeatable,
    },
];

/// The command of a line whose failure is taken for success, and without which there is no agent: what installs,
/// downloads, unpacks, checks or starts. What asks, or removes, may fail.
fn swallowed(line: &str) -> Option<&str> {
    let line = line.trim();
    let at = [line.find("|| true"), line.find("|| :")]
        .into_iter()
        .flatten()
        .min()?;
    let before = line[..at].trim_end();
    // In `$(...)` it is the value that counts.
    let inside = before.rfind("$(") > before.rfind(')');
    if inside || line.starts_with('#') {
        return None;
    }
    let command = before.rsplit(['&', ';', '|']).next()?.trim();
    let mut words = command
        .split_whitespace()
        .skip_while(|word| ["sudo", "then", "do", "else", "{"].contains(word));
    let program = words.next()?;
    let says = |wanted: &[&str]| words.clone().any(|word| wanted.contains(&word));
    let here = ["127.0.0.1", "localhost", "169.254."];
    let matters = match program {
        "unzip" | "tar" | "sha256sum" | "install" => true,
        "apt-get" | "apt" | "dnf" | "yum" => says(&["install"]),
        "systemctl" => says(&["start", "restart", "enable"]),
        "aws" => says(&["get-parameter", "get-secret-value", "cp", "sync"]),
        "curl" | "wget" => !here.iter().any(|host| command.contains(host)),
        _ => false,
    };
    matters.then_some(command)
}

static PIPED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^[^#\n]*\b(?:curl|wget)\b[^|\n]*\|\s*(?:sudo\s+)?(?:ba)?sh\b.*$")
        .expect("a valid pattern")
});
static GPG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bgpg\b.*(?:--dearmor|-o\b|--output)").expect("a valid pattern"));

fn is_shell(machine: &Machine) -> Option<&str> {
    machine.user_data.run.as_deref().filter(|text| {
        text.starts_with("#!") && text.lines().next().is_some_and(|line| line.contains("sh"))
    })
}

fn shell(subject: &Subject<'_>, problem: impl Fn(&str) -> Option<String>) -> Vec<Hit> {
    per_place(subject.machines().iter().filter_map(|machine| {
        Some((
            machine,
            machine.user_data.site.clone(),
            problem(is_shell(machine)?)?,
        ))
    }))
}

fn not_repeatable(subject: &Subject<'_>) -> Vec<Hit> {
    shell(subject, |text| {
        let commands = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'));
        let bad = commands.clone().find(|line| {
            let unprotected = !line.contains("||") && !line.starts_with("if ");
            let gpg = GPG.is_match(line) && !line.contains("--yes") && !line.contains("--batch");
            let mkdir = line.trim_start_matches("sudo ").starts_with("mkdir /")
                || line.contains("&& mkdir /");
            let link = line.trim_start_matches("sudo ").starts_with("ln -s /");
            unprotected && (gpg || mkdir || link)
        })?;
        Some(format!("a second run fails at `{bad}`"))
    })
}
