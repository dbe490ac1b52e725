//! The machine itself: metadata service, disks, files, identity.

use super::subject::{Subject, per_place};
use super::{Hit, Rule, Severity};
use crate::terraform::aws::Fact;

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
        if machine.disks.is_empty() {
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
    let mut hits = Vec::new();
    for machine in subject.machines() {
        let text = machine.user_data.text.as_deref().unwrap_or_default();
        let umask = text
            .lines()
            .any(|line| ["umask 077", "umask 0077", "umask 177"].contains(&line.trim()));
        for file in machine
            .user_data
            .files
            .iter()
            .filter(|file| file.path.ends_with("key.pem") || file.path.ends_with(".key"))
        {
            let narrowed = text.lines().any(|line| {
                let named = line.contains(&file.path)
                    || file
                        .path
                        .rsplit_once('/')
                        .is_some_and(|(dir, _)| line.contains(&format!("{dir}/*")));
                named
                    && (line.contains("chmod") || line.contains("install "))
                    && [
                        " 600", " 0600", " 400", " 0400", " 640", " 0640", "-m0600", "go-", "u=rw,",
                    ]
                    .iter()
                    .any(|mode| line.contains(mode))
            });
            let by_command = file
                .mode
                .as_deref()
                .is_some_and(|mode| mode.ends_with("00") || mode.ends_with("40"));
            if !umask && !narrowed && !by_command {
                hits.push((
                    machine,
                    machine.user_data.site.clone(),
                    format!("`{}` is written readable by everybody", file.path),
                ));
            }
        }
    }
    per_place(hits)
}
