//! The machine itself: metadata service, disks, files, identity.

use super::key_files::readable;
use super::subject::{Subject, per_place};
use super::{Hit, Rule, Severity};
use crate::terraform::aws::{Fact, Machine};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "metadata-v1",
        severity: Severity::Error,
        why: "version 1 of the metadata service hands the machine's credentials to whoever can make any of its programs fetch a page",
        mend: "set `metadata_options { http_tokens = \"required\" }`",
        check: metadata,
    },
    Rule {
        id: "metadata-hops",
        severity: Severity::Warning,
        why: "with more than one hop, tasks behind a bridge reach the metadata service and borrow the machine's role",
        mend: "set `metadata_options { http_put_response_hop_limit = 1 }`",
        check: |subject| {
            per_place(subject.machines().iter().filter_map(
                |machine| match &machine.metadata.hops {
                    Fact::Known { value, site } if *value > 1 => Some((
                        machine,
                        site.clone(),
                        format!("{value} hops to the metadata service are allowed"),
                    )),
                    _ => None,
                },
            ))
        },
    },
    Rule {
        id: "disk-not-encrypted",
        severity: Severity::Error,
        why: "the servers' disks hold the Raft log, tokens and keys; snapshots and retired disks hold them, too",
        mend: "set `encrypted = true` on every disk",
        check: disks,
    },
    Rule {
        id: "key-readable-by-others",
        severity: Severity::Error,
        why: "a private key that every user of the machine can read is every task's key",
        mend: "write it with mode 0600 (`umask 077` before, or `install -m 0600`), owned by who runs the agent",
        check: key_modes,
    },
    Rule {
        id: "ssh-key-in-configuration",
        severity: Severity::Warning,
        why: "a shared SSH key outlives the people who had it, and needs port 22 open",
        mend: "use Session Manager: `AmazonSSMManagedInstanceCore` on the role, no key, no port",
        check: |subject| {
            let keys = subject
                .configuration
                .resources
                .iter()
                .filter(|resource| !resource.id.data && resource.id.kind == "aws_key_pair");
            keys.map(|key| {
                Hit::new(
                    &key.site,
                    format!("`{}` gives all machines one SSH key", key.address),
                )
            })
            .collect()
        },
    },
];

/// Whether a machine's own block writes something of this name of which it is not known what it says.
fn is_unknown(subject: &Subject<'_>, machine: &Machine, name: &str) -> bool {
    let mut resources = subject.configuration.resources.iter();
    let own = resources.find(|resource| resource.address == machine.address);
    let said = own.and_then(|resource| resource.value.attributes.get(name));
    said.is_some_and(|value| {
        let mut unknowns = Vec::new();
        value.unknowns(&mut unknowns);
        !unknowns.is_empty()
    })
}

fn metadata(subject: &Subject<'_>) -> Vec<Hit> {
    per_place(subject.machines().iter().filter_map(|machine| {
        let metadata = &machine.metadata;
        if metadata
            .endpoint
            .known()
            .is_some_and(|endpoint| endpoint == "disabled")
        {
            return None;
        }
        match &metadata.tokens {
            Fact::Known { value, .. } if value == "required" => None,
            Fact::Known { value, site } => Some((
                machine,
                site.clone(),
                format!("the metadata service of version 1 answers (`http_tokens` is `{value}`)"),
            )),
            Fact::Absent if is_unknown(subject, machine, "metadata_options") => None,
            Fact::Absent => Some((
                machine,
                machine.site.clone(),
                "the metadata service of version 1 answers (`http_tokens` is not set)".to_owned(),
            )),
            Fact::Unknown { .. } => None,
        }
    }))
}

fn disks(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for machine in subject.machines() {
        if machine.disks.is_empty() && !is_unknown(subject, machine, "root_block_device") {
            hits.push((
                machine,
                machine.site.clone(),
                "the root disk is not declared, and not encrypted unless the account's default is"
                    .to_owned(),
            ));
        }
        for disk in &machine.disks {
            match &disk.encrypted {
                Fact::Known { value: true, .. } | Fact::Unknown { .. } => {}
                Fact::Known { value: false, site } => hits.push((
                    machine,
                    site.clone(),
                    format!("disk `{}` is not encrypted", disk.device),
                )),
                Fact::Absent => hits.push((
                    machine,
                    disk.site.clone(),
                    format!(
                        "disk `{}` is not encrypted unless the account's default is",
                        disk.device
                    ),
                )),
            }
        }
    }
    per_place(hits)
}

fn key_modes(subject: &Subject<'_>) -> Vec<Hit> {
    per_place(subject.machines().iter().flat_map(|machine| {
        let said = readable(&machine.user_data).into_iter();
        said.map(move |said| (machine, machine.user_data.site.clone(), said))
    }))
}
