//! How many, where, how large.

use std::collections::BTreeSet;

use super::subject::{Subject, agent_site, per_place};
use super::{Hit, Rule, Severity};
use crate::spec::Role;
use crate::terraform::Number;
use crate::terraform::aws::Fact;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "even-servers",
        severity: Severity::Error,
        why: "an even number of servers tolerates no more failures than the odd one below it, and a split in halves stops both",
        mend: "use 3 or 5 servers",
        check: |subject| match (
            subject.number_of(Role::Server),
            subject.of_role(Role::Server).first(),
        ) {
            (Some(number), Some(server)) if number > 0 && number % 2 == 0 => {
                vec![Hit::new(&server.site, format!("{number} servers"))]
            }
            _ => Vec::new(),
        },
    },
    Rule {
        id: "single-server",
        severity: Severity::Warning,
        why: "when the only server stops, nothing is scheduled; when its disk is lost, the cluster's memory is",
        mend: "use 3 or 5 servers",
        check: |subject| match (
            subject.number_of(Role::Server),
            subject.of_role(Role::Server).first(),
        ) {
            (Some(1), Some(server)) => vec![Hit::new(&server.site, "one server")],
            _ => Vec::new(),
        },
    },
    Rule {
        id: "expect-mismatch",
        severity: Severity::Error,
        why: "servers wait for exactly `bootstrap_expect` of them before they elect a first leader: too high and they wait forever, too low and two clusters may form",
        mend: "set `server.bootstrap_expect` to the number of servers",
        check: expect,
    },
    Rule {
        id: "servers-in-one-zone",
        severity: Severity::Warning,
        why: "when the zone fails, so does the majority, and the cluster with it",
        mend: "spread servers over three availability zones",
        check: one_zone,
    },
    Rule {
        id: "server-also-client",
        severity: Severity::Warning,
        why: "tasks on a server compete with Raft for disk and memory, and whoever escapes a task is on a server",
        mend: "run servers and clients on machines of their own",
        check: |subject| {
            let both = subject.configured().into_iter().filter(|machine| {
                machine.agent.flag("server.enabled") == Some(true)
                    && machine.agent.flag("client.enabled") == Some(true)
            });
            per_place(both.map(|machine| {
                let site = machine
                    .agent
                    .get("client.enabled")
                    .map_or_else(|| agent_site(machine), |setting| setting.site);
                (machine, site, "is server and client at once".to_owned())
            }))
        },
    },
    Rule {
        id: "mixed-architectures",
        severity: Severity::Warning,
        why: "a job whose image or artifact is of one architecture fails on nodes of the other",
        mend: "use one architecture, or constrain jobs by `${attr.cpu.arch}`",
        check: |subject| {
            let archs: BTreeSet<_> = subject
                .of_role(Role::Client)
                .iter()
                .filter_map(|client| client.arch)
                .collect();
            let names: Vec<String> = archs.iter().map(ToString::to_string).collect();
            match subject.of_role(Role::Client).last() {
                Some(client) if archs.len() > 1 => vec![Hit::new(
                    &client.site,
                    format!("clients are of {}", names.join(" and ")),
                )],
                _ => Vec::new(),
            }
        },
    },
];

fn expect(subject: &Subject<'_>) -> Vec<Hit> {
    let Some(number) = subject.number_of(Role::Server) else {
        return Vec::new();
    };
    per_place(
        subject
            .configured_as(Role::Server)
            .into_iter()
            .filter_map(|machine| {
                let Some(setting) = machine.agent.get("server.bootstrap_expect") else {
                    return Some((
                        machine,
                        agent_site(machine),
                        "`bootstrap_expect` is not set: no first leader is elected".to_owned(),
                    ));
                };
                let expected = setting.value.as_number().and_then(Number::as_usize)?;
                (expected != number).then(|| {
                    (
                        machine,
                        setting.site,
                        format!("`bootstrap_expect` is {expected}, and there are {number} servers"),
                    )
                })
            }),
    )
}

fn one_zone(subject: &Subject<'_>) -> Vec<Hit> {
    let servers = subject.of_role(Role::Server);
    if subject
        .number_of(Role::Server)
        .is_none_or(|number| number < 3)
        || servers.len() < 2
    {
        return Vec::new();
    }
    let mut places = BTreeSet::new();
    for server in &servers {
        match &server.place {
            Fact::Known { value, .. }
            | Fact::Unknown {
                expression: value, ..
            } => places.insert(value.clone()),
            // No subnet at all: AWS puts all of them into the same default one.
            Fact::Absent => places.insert("the default subnet".to_owned()),
        };
    }
    match places.first() {
        Some(place) if places.len() == 1 => {
            let site = servers[0].place.site().unwrap_or(&servers[0].site);
            vec![Hit::new(
                site,
                format!("all {} servers are in one place: {place}", servers.len()),
            )]
        }
        _ => Vec::new(),
    }
}
