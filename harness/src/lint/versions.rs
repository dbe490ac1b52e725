//! Versions: of Nomad, of its configuration, of its edition.

use std::sync::LazyLock;

use regex::Regex;
use semver::Version;

use super::subject::{Subject, agent_site, per_place};
use super::{Hit, Rule, Severity};
use crate::spec::Role;
use crate::terraform::aws::Machine;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "raft-protocol-unset",
        severity: Severity::Warning,
        why: "below Nomad 1.3 the default is 2: autopilot cannot tell the cluster's health, and a killed leader is thrown out of Raft",
        mend: "set `server.raft_protocol = 3`",
        check: |subject| match subject.is_before(1, 3, 0) {
            Some(said) => per_place(
                subject
                    .configured_as(Role::Server)
                    .into_iter()
                    .filter(|machine| machine.agent.get("server.raft_protocol").is_none())
                    .map(|machine| {
                        (
                            machine,
                            agent_site(machine),
                            format!(
                                "`server.raft_protocol` is not set, and Nomad {} takes 2",
                                said.version
                            ),
                        )
                    }),
            ),
            None => Vec::new(),
        },
    },
    Rule {
        id: "key-of-another-version",
        severity: Severity::Error,
        why: "Nomad ends at start with `unexpected keys` for any key that its version does not know",
        mend: "remove the key, or use a version that has it",
        check: keys,
    },
    Rule {
        id: "licence-without-enterprise",
        severity: Severity::Error,
        why: "the Community Edition takes the key and ignores it: what was paid for is not there, and nobody is told",
        mend: "install the `+ent` build, or remove the licence",
        check: |subject| {
            licence(
                subject,
                |machine, enterprise| enterprise == Some(false) && has_licence(machine),
                "a licence is configured for the Community Edition",
            )
        },
    },
    Rule {
        id: "enterprise-without-licence",
        severity: Severity::Error,
        why: "an Enterprise server without a licence does not start",
        mend: "set `server.license_path`, or `NOMAD_LICENSE` from a secret store",
        check: |subject| {
            licence(
                subject,
                |machine, enterprise| {
                    enterprise == Some(true)
                        && machine.role == Some(Role::Server)
                        && !has_licence(machine)
                },
                "Enterprise is installed without a licence",
            )
        },
    },
    Rule {
        id: "licence-not-written",
        severity: Severity::Error,
        why: "the agent looks for the licence where nothing ever puts one",
        mend: "write the file from a secret store before the agent starts",
        check: licence_file,
    },
    Rule {
        id: "version-not-fixed",
        severity: Severity::Warning,
        why: "a machine that is replaced next month gets the version of next month, and runs beside the others' old one",
        mend: "name the version: `nomad=1.11.3-1`, or the release's zip",
        check: |subject| {
            per_place(subject.machines().iter().filter_map(|machine| {
                let text = machine.user_data.text.as_deref()?;
                let line = text
                    .lines()
                    .find(|line| UNFIXED.is_match(line) && !line.trim_start().starts_with('#'))?;
                Some((
                    machine,
                    machine.user_data.site.clone(),
                    format!("installs whatever version is newest: `{}`", line.trim()),
                ))
            }))
        },
    },
    Rule {
        id: "versions-differ",
        severity: Severity::Error,
        why: "servers must not be older than clients, and a cluster of several versions is none that was tested",
        mend: "install one version on all machines",
        check: differ,
    },
    Rule {
        id: "version-withdrawn",
        severity: Severity::Error,
        why: "these versions lose state, panic, or break keys: 1.2.0, 1.2.1, 1.4.0, 1.7.0, 1.7.1, 1.9.2",
        mend: "use the next patch release",
        check: |subject| {
            let bad = [
                (1, 2, 0),
                (1, 2, 1),
                (1, 4, 0),
                (1, 7, 0),
                (1, 7, 1),
                (1, 9, 2),
            ];
            let said = subject.version.as_ref().filter(|said| {
                bad.iter().any(|(major, minor, patch)| {
                    said.version == Version::new(*major, *minor, *patch)
                })
            });
            said.map(|said| {
                Hit::new(
                    &said.site,
                    format!("Nomad {} should not be used", said.version),
                )
            })
            .into_iter()
            .collect()
        },
    },
];

static UNFIXED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:apt-get|apt|dnf|yum)\b.*\binstall\b.*\bnomad(?:-enterprise)?(?:\s|$|;|&)")
        .expect("a valid pattern")
});
static INSTALLED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)\bnomad(?:-enterprise)?[=_/]v?(\d+\.\d+\.\d+)(\+ent)?"#)
        .expect("a valid pattern")
});

/// Major, minor, patch.
type Release = (u64, u64, u64);

/// Keys that not every version knows: path, first version, last version. From the version gates of
/// Nomad's `command/agent/config.go` and `config_parse.go`.
const GATES: &[(&str, Option<Release>, Option<Release>)] = &[
    ("server.failover_heartbeat_ttl", Some((1, 2, 0)), None),
    ("client.min_dynamic_port", Some((1, 2, 0)), None),
    ("client.max_dynamic_port", Some((1, 2, 0)), None),
    ("ui", Some((1, 2, 4)), None),
    ("client.nomad_service_discovery", Some((1, 3, 0)), None),
    ("server.raft_boltdb", Some((1, 3, 0)), None),
    ("server.plan_rejection_tracker", Some((1, 3, 2)), None),
    ("server.root_key_gc_interval", Some((1, 4, 0)), None),
    ("server.acl_token_gc_threshold", Some((1, 4, 0)), None),
    ("server.raft_snapshot_threshold", Some((1, 5, 0)), None),
    ("server.raft_snapshot_interval", Some((1, 5, 0)), None),
    ("server.job_default_priority", Some((1, 5, 0)), None),
    ("client.drain_on_shutdown", Some((1, 5, 4)), None),
    ("client.node_pool", Some((1, 6, 0)), None),
    ("server.oidc_issuer", Some((1, 7, 0)), None),
    ("reporting", Some((1, 7, 0)), None),
    ("client.users", Some((1, 8, 0)), None),
    ("client.alloc_mounts_dir", Some((1, 8, 0)), None),
    ("keyring", Some((1, 8, 3)), None),
    ("server.start_timeout", Some((1, 10, 1)), None),
    ("server.client_introduction", Some((1, 11, 0)), None),
    ("server.raft_logstore", Some((2, 0, 0)), None),
    (
        "tls.tls_prefer_server_cipher_suites",
        None,
        Some((1, 8, u64::MAX)),
    ),
    (
        "plugin.raw_exec.config.no_cgroups",
        None,
        Some((1, 7, u64::MAX)),
    ),
    ("vault.allow_unauthenticated", None, Some((1, 9, u64::MAX))),
    ("vault.task_token_ttl", None, Some((1, 9, u64::MAX))),
];

fn keys(subject: &Subject<'_>) -> Vec<Hit> {
    let Some(said) = &subject.version else {
        return Vec::new();
    };
    let release = (said.version.major, said.version.minor, said.version.patch);
    let mut hits = Vec::new();
    for machine in subject.configured() {
        for setting in machine.agent.settings() {
            let gate = GATES.iter().find(|(path, ..)| {
                setting.key == *path || setting.key.starts_with(&format!("{path}."))
            });
            let problem = match gate {
                Some((path, Some(first), _)) if release < *first => format!(
                    "`{path}` came with Nomad {}.{}.{}, this is {}",
                    first.0, first.1, first.2, said.version
                ),
                Some((path, _, Some(last))) if release > *last => format!(
                    "`{path}` is gone after Nomad {}.{}, this is {}",
                    last.0, last.1, said.version
                ),
                _ => continue,
            };
            hits.push((machine, setting.site, problem));
        }
    }
    per_place(hits)
}

fn has_licence(machine: &Machine) -> bool {
    let text = machine.user_data.text.as_deref().unwrap_or_default();
    machine.agent.get("server.license_path").is_some() || text.contains("NOMAD_LICENSE")
}

/// Which edition a machine installs; `None` if its user data does not tell.
fn enterprise(subject: &Subject<'_>, machine: &Machine) -> Option<bool> {
    let text = machine.user_data.text.as_deref()?;
    if text.contains("+ent") || text.contains("nomad-enterprise") {
        return Some(true);
    }
    let installs = INSTALLED.is_match(text) || UNFIXED.is_match(text) || text.contains("/nomad/");
    (installs && subject.version.as_ref().is_none_or(|said| !said.enterprise)).then_some(false)
}

fn licence(
    subject: &Subject<'_>,
    wrong: impl Fn(&Machine, Option<bool>) -> bool,
    what: &str,
) -> Vec<Hit> {
    per_place(
        subject
            .configured()
            .into_iter()
            .filter(|machine| wrong(machine, enterprise(subject, machine)))
            .map(|machine| {
                let site = machine
                    .agent
                    .get("server.license_path")
                    .map_or_else(|| agent_site(machine), |setting| setting.site);
                (machine, site, what.to_owned())
            }),
    )
}

fn licence_file(subject: &Subject<'_>) -> Vec<Hit> {
    per_place(subject.configured().into_iter().filter_map(|machine| {
        let setting = machine.agent.get("server.license_path")?;
        let path = setting.value.to_text()?;
        let text = machine.user_data.text.as_deref()?;
        // Named a second time, by whatever command puts it there.
        (text.matches(path.as_str()).count() < 2)
            .then(|| (machine, setting.site, format!("nothing writes `{path}`")))
    }))
}

fn differ(subject: &Subject<'_>) -> Vec<Hit> {
    let mut first: Option<(String, &Machine)> = None;
    let mut hits = Vec::new();
    for machine in subject.machines() {
        let Some(found) = machine
            .user_data
            .text
            .as_deref()
            .and_then(|text| INSTALLED.captures(text))
        else {
            continue;
        };
        let version = found[1].to_owned();
        match &first {
            None => first = Some((version, machine)),
            Some((expected, other)) if *expected != version => {
                hits.push((
                    machine,
                    machine.user_data.site.clone(),
                    format!(
                        "installs Nomad {version}, `{}` installs {expected}",
                        other.name
                    ),
                ));
            }
            Some(_) => {}
        }
    }
    per_place(hits)
}
