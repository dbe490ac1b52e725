//! Versions: of Nomad, of its configuration, of its edition.

use std::sync::LazyLock;

use regex::Regex;
use semver::Version;

use super::subject::{Subject, agent_site, nothing_writes, per_place};
use super::{Hit, Rule, Severity};
use crate::spec::Role;
use crate::terraform::aws::Machine;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "raft-protocol-unset",
        severity: Severity::Warning,
        why: "below Nomad 1.3 the default is 2: autopilot cannot tell the cluster's health, and a killed leader is thrown out of Raft",
        mend: "set `server.raft_protocol = 3`",
        check: |subject| {
            let servers = subject.configured_as(Role::Server).into_iter();
            let unset =
                servers.filter(|machine| machine.agent.get("server.raft_protocol").is_none());
            per_place(unset.filter_map(|machine| {
                let version = subject.is_before(machine, (1, 3, 0))?;
                let said =
                    format!("`server.raft_protocol` is not set, and Nomad {version} takes 2");
                Some((machine, agent_site(machine), said))
            }))
        },
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
                let text = machine.user_data.run.as_deref()?;
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

fn has_licence(machine: &Machine) -> bool {
    let text = machine.user_data.run.as_deref().unwrap_or_default();
    machine.agent.get("server.license_path").is_some() || text.contains("NOMAD_LICENSE")
}

/// Which edition a machine installs; `None` if its user data does not tell.
fn enterprise(subject: &Subject<'_>, machine: &Machine) -> Option<bool> {
    let text = machine.user_data.run.as_deref()?;
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
        nothing_writes(machine, &path)
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
