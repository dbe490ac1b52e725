//! TLS, gossip encryption, ACLs: off, or half on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::subject::{Subject, agent_site, nothing_writes, per_place};
use super::{Hit, Rule, Severity};
use crate::spec::Role;
use crate::terraform::aws::{Machine, Unreadable};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "tls-off",
        severity: Severity::Error,
        why: "without TLS everybody in the network reads tokens and job files, and can take an agent's place",
        mend: "set `tls { http = true, rpc = true, ca_file, cert_file, key_file, verify_server_hostname = true, verify_https_client = true }` on every agent",
        check: tls_off,
    },
    Rule {
        id: "tls-half-on",
        severity: Severity::Error,
        why: "with one of the two, the other port still speaks in clear",
        mend: "set both `tls.http` and `tls.rpc`",
        check: tls_half,
    },
    Rule {
        id: "tls-hostname-unverified",
        severity: Severity::Error,
        why: "every certificate of the authority, a client's too, then passes for a server's and may take part in Raft",
        mend: "set `tls.verify_server_hostname = true`",
        check: |subject| {
            unset(
                subject,
                "tls.verify_server_hostname",
                "any certificate of the authority passes for a server's",
            )
        },
    },
    Rule {
        id: "tls-clients-unverified",
        severity: Severity::Warning,
        why: "the API then answers who has no certificate; a token alone stands between the network and the cluster",
        mend: "set `tls.verify_https_client = true`, and give the operator the `cli` certificate",
        check: |subject| {
            unset(
                subject,
                "tls.verify_https_client",
                "the API answers callers without certificate",
            )
        },
    },
    Rule {
        id: "tls-files-missing",
        severity: Severity::Error,
        why: "an agent with TLS on and without its files, or with empty ones, ends at once, and the boot script does not notice",
        mend: "name `ca_file`, `cert_file` and `key_file`, write them before the agent starts, and make sure that what writes them fails when it has nothing to write; of files that come with the image say so: `# rehearse:ignore tls-files-missing ...`",
        check: tls_files,
    },
    Rule {
        id: "gossip-off",
        severity: Severity::Error,
        why: "without a key, everybody who reaches port 4648 can join the servers' gossip and read or disturb it",
        mend: "set `server.encrypt` on every server (`rehearse pki create` makes a key)",
        check: |subject| {
            let without = subject
                .configured_as(Role::Server)
                .into_iter()
                .filter(|machine| machine.agent.get("server.encrypt").is_none());
            per_place(without.map(|machine| {
                (
                    machine,
                    agent_site(machine),
                    "gossip is not encrypted: `server.encrypt` is not set".to_owned(),
                )
            }))
        },
    },
    Rule {
        id: "gossip-key-invalid",
        severity: Severity::Error,
        why: "Nomad takes standard base64 of 16, 24 or 32 bytes and refuses to start with anything else",
        mend: "make a key with `rehearse pki create`, or `nomad operator gossip keyring generate`",
        check: gossip_key,
    },
    Rule {
        id: "acl-off",
        severity: Severity::Error,
        why: "without ACLs everybody who reaches the API may run anything on the clients",
        mend: "set `acl { enabled = true }` on servers and clients, and bootstrap once",
        check: |subject| acl(subject, Role::Server),
    },
    Rule {
        id: "acl-off-on-clients",
        severity: Severity::Error,
        why: "a client without ACLs serves its own part of the API (logs, files of tasks) to everybody",
        mend: "set `acl { enabled = true }` on clients, too",
        check: |subject| acl(subject, Role::Client),
    },
    Rule {
        id: "agent-configuration-invalid",
        severity: Severity::Error,
        why: "an agent with a file that does not parse ends at once: Nomad reads HCL 1 there, without expressions, whatever the version",
        mend: "correct the file, and try it before it goes into user data (`nomad config validate`, from Nomad 1.3 on)",
        check: invalid,
    },
    Rule {
        id: "agent-configuration-unseen",
        severity: Severity::Note,
        why: "what the user data does not write is not checked: TLS, gossip, ACLs and joining of these machines are not judged",
        mend: "lint the directory where it is a plan that does not tell; else write the agent's configuration in the user data, or check the image that holds it",
        check: unseen,
    },
];

fn unseen(subject: &Subject<'_>) -> Vec<Hit> {
    // One without a role is none of Nomad's (a bastion), unless no machine has one: then nothing
    // is judged, which must not look like praise.
    let machines = subject.machines();
    let nobody = machines.iter().all(|machine| machine.role.is_none());
    let unseen = machines.iter().filter(|machine| {
        let agent = &machine.agent;
        let none = agent.is_empty() && agent.edited.is_empty();
        none && (machine.role.is_some() || nobody)
    });
    let said = if nobody {
        "neither servers nor clients are told apart here, and no agent's configuration was found"
    } else {
        "the agent's configuration was not found in the user data"
    };
    let unseen = unseen.map(|machine| {
        let data = &machine.user_data;
        let said = if data.text.is_none() && data.sha1.is_some() {
            "the plan carries only the SHA-1 of the user data, not its text: lint the directory that it is a plan of"
        } else {
            said
        };
        (machine, data.site.clone(), said.to_owned())
    });
    let unread = unreadable(machines, false).map(|(machine, file)| {
        let said = format!("`{}` was not read: {}", file.path, file.reason);
        (machine, file.site.clone(), said)
    });
    let edited = machines.iter().flat_map(|machine| {
        machine.agent.edited.iter().map(move |(path, line, site)| {
            let said = format!(
                "`{path}` is edited later by line {line} of the user data, and was not read: nothing of this \
                 agent's configuration is judged by what is absent"
            );
            (machine, site.clone(), said)
        })
    });
    per_place(unseen.chain(unread).chain(edited))
}

/// The agents' files that do not parse, by whether an agent is sure to get them like this.
fn unreadable(machines: &[Machine], sure: bool) -> impl Iterator<Item = (&Machine, &Unreadable)> {
    machines.iter().flat_map(move |machine| {
        let known = machine.user_data.unknown.is_empty();
        let files = machine.agent.unreadable.iter();
        files
            .filter(move |file| (known && file.whole) == sure)
            .map(move |file| (machine, file))
    })
}

fn invalid(subject: &Subject<'_>) -> Vec<Hit> {
    let invalid = unreadable(subject.machines(), true).map(|(machine, file)| {
        let said = format!("`{}` does not parse: {}", file.path, file.reason);
        (machine, file.site.clone(), said)
    });
    per_place(invalid)
}

fn has_tls(machine: &Machine) -> bool {
    machine.agent.flag("tls.http") == Some(true) || machine.agent.flag("tls.rpc") == Some(true)
}

fn tls_off(subject: &Subject<'_>) -> Vec<Hit> {
    let without = subject
        .configured()
        .into_iter()
        .filter(|machine| machine.role.is_some() && !has_tls(machine));
    per_place(without.map(|machine| {
        let site = machine
            .agent
            .get("tls.http")
            .map_or_else(|| agent_site(machine), |setting| setting.site);
        (machine, site, "TLS is off".to_owned())
    }))
}

fn tls_half(subject: &Subject<'_>) -> Vec<Hit> {
    let half = subject
        .configured()
        .into_iter()
        .filter(|machine| has_tls(machine))
        .filter_map(|machine| {
            let missing = ["tls.http", "tls.rpc"]
                .into_iter()
                .find(|key| machine.agent.flag(key) != Some(true))?;
            let site = machine
                .agent
                .get(missing)
                .or_else(|| machine.agent.get("tls.http"))
                .or_else(|| machine.agent.get("tls.rpc"))?
                .site;
            Some((
                machine,
                site,
                format!("`{missing}` is not on, the other is"),
            ))
        });
    per_place(half)
}

fn unset(subject: &Subject<'_>, key: &str, consequence: &str) -> Vec<Hit> {
    let without = subject
        .configured()
        .into_iter()
        .filter(|machine| has_tls(machine) && machine.agent.flag(key) != Some(true))
        .filter(|machine| {
            // What the shell fills in is not known here.
            machine
                .agent
                .get(key)
                .is_none_or(|setting| setting.value.as_bool().is_some())
        });
    per_place(without.map(|machine| {
        let site = machine
            .agent
            .get(key)
            .or_else(|| machine.agent.get("tls.rpc"))
            .or_else(|| machine.agent.get("tls.http"))
            .map_or_else(|| agent_site(machine), |setting| setting.site);
        (machine, site, format!("`{key}` is not on: {consequence}"))
    }))
}

fn tls_files(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for machine in subject
        .configured()
        .into_iter()
        .filter(|machine| has_tls(machine))
    {
        for key in ["tls.ca_file", "tls.cert_file", "tls.key_file"] {
            let Some(setting) = machine.agent.get(key) else {
                let site = machine
                    .agent
                    .get("tls.rpc")
                    .or_else(|| machine.agent.get("tls.http"))
                    .map_or_else(|| agent_site(machine), |setting| setting.site);
                hits.push((machine, site, format!("`{key}` is not set")));
                continue;
            };
            let path = setting.value.to_text().unwrap_or_default();
            let written: Vec<_> = machine
                .user_data
                .files
                .iter()
                .filter(|file| file.path == path)
                .collect();
            if !written.is_empty() && written.iter().all(|file| file.content.trim().is_empty()) {
                hits.push((machine, setting.site, format!("`{path}` is written empty")));
            } else if written.is_empty() && nothing_writes(machine, &path) {
                let said = format!("nothing writes `{path}`, which `{key}` names");
                hits.push((machine, setting.site, said));
            }
        }
    }
    per_place(hits)
}

fn gossip_key(subject: &Subject<'_>) -> Vec<Hit> {
    let wrong = subject
        .configured_as(Role::Server)
        .into_iter()
        .filter_map(|machine| {
            let setting = machine.agent.get("server.encrypt")?;
            let text = setting.value.to_text()?;
            // Filled in by the shell or by a value that is not known here.
            if text.contains('$') || text.contains('<') {
                return None;
            }
            let problem = match STANDARD.decode(&text) {
                Ok(key) if [16, 24, 32].contains(&key.len()) => return None,
                Ok(key) => format!(
                    "the gossip key has {} bytes; 16, 24 or 32 are allowed",
                    key.len()
                ),
                Err(_) => "the gossip key is no standard base64".to_owned(),
            };
            Some((machine, setting.site, problem))
        });
    per_place(wrong)
}

fn acl(subject: &Subject<'_>, role: Role) -> Vec<Hit> {
    let without = subject
        .configured_as(role)
        .into_iter()
        .filter(|machine| machine.agent.flag("acl.enabled") != Some(true));
    per_place(without.map(|machine| {
        let site = machine
            .agent
            .get("acl.enabled")
            .map_or_else(|| agent_site(machine), |setting| setting.site);
        (machine, site, "ACLs are off".to_owned())
    }))
}
