//! Keys of the agents' configuration that their Nomad does not read.

use super::subject::{Subject, per_place};
use super::{Hit, Rule, Severity};
use crate::agent_config::{KeyFault, KeyFaultKind, fault};
use crate::terraform::aws::Setting;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "key-unknown",
        severity: Severity::Error,
        why: "Nomad ends at start with `unexpected keys` for any key that it does not know",
        mend: "spell it as Nomad's documentation does, in the block where it belongs, or remove it",
        check: |subject| {
            keys(subject, |fault| {
                fault.fatal && fault.kind == KeyFaultKind::Unknown
            })
        },
    },
    Rule {
        id: "key-of-another-version",
        severity: Severity::Error,
        why: "Nomad ends at start with `unexpected keys` for any key that its version does not know",
        mend: "remove the key, or use a version that has it",
        check: |subject| {
            keys(subject, |fault| {
                fault.fatal && fault.kind == KeyFaultKind::OtherVersion
            })
        },
    },
    Rule {
        id: "key-without-effect",
        severity: Severity::Warning,
        why: "in this block Nomad takes what it does not know without a word, and does not do what it says",
        mend: "spell it as Nomad's documentation of this version does, or remove it",
        check: |subject| keys(subject, |fault| !fault.fatal),
    },
];

fn keys(subject: &Subject<'_>, of_rule: impl Fn(&KeyFault) -> bool) -> Vec<Hit> {
    let mut hits = Vec::new();
    // A key of one file stands for itself, whatever the others say.
    for machine in subject.machines() {
        let said = subject.version_of(machine);
        let version = said.as_ref().map(|said| &said.version);
        for (path, settings) in machine.agent.by_file() {
            if !is_agents_own(path, &settings) {
                continue;
            }
            for setting in settings {
                if let Some(fault) = fault(&setting.key, version).filter(&of_rule) {
                    hits.push((machine, setting.site, fault.message));
                }
            }
            for (block, site) in machine.agent.empty_blocks(path) {
                // What would be in it makes it a block in the words of the fault.
                let inner = format!("{block}.x");
                let known = fault(&block, version).is_none();
                if let Some(fault) = fault(&inner, version).filter(|one| !known && of_rule(one)) {
                    hits.push((machine, site, fault.message));
                }
            }
        }
    }
    per_place(hits)
}

/// Whether an agent reads a file for sure: job files and policies lie about under the same names.
fn is_agents_own(path: &str, settings: &[Setting]) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let says = |begin: &str| {
        settings
            .iter()
            .any(|setting| setting.key.starts_with(begin))
    };
    folder.ends_with("/nomad.d") || ["data_dir", "server.", "client."].into_iter().any(says)
}
