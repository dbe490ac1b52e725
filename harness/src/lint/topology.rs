//! How many, where, how large.

use std::collections::BTreeSet;

use super::subject::{Subject, agent_site, per_place};
use super::{Hit, Rule, Severity};
use crate::spec::Role;
use crate::terraform::Number;
use crate::terraform::aws::{Fact, Machine};
use crate::terraform::source::Site;
use crate::terraform::value::Value;

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
        id: "servers-places-unknown",
        severity: Severity::Note,
        why: "whether the servers outlive a zone was not judged: their places are not known here",
        mend: "say what AWS would answer (`--assume ADDRESS=VALUE`), or name a subnet for each server",
        check: unknown_places,
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

/// The places of servers that need more than one: what is known of them, and the expressions of the rest.
struct Spread<'a> {
    known: BTreeSet<String>,
    unknown: Vec<(&'a Machine, Site, String)>,
    servers: Vec<&'a Machine>,
}

fn spread<'a>(subject: &Subject<'a>) -> Option<Spread<'a>> {
    let servers = subject.of_role(Role::Server);
    let number = subject.number_of(Role::Server)?;
    if number < 3 || servers.len() < 2 {
        return None;
    }
    let mut spread = Spread {
        known: BTreeSet::new(),
        unknown: Vec::new(),
        servers,
    };
    for server in &spread.servers {
        let site = server.place.site().unwrap_or(&server.site);
        for place in places(subject, server) {
            match place {
                Ok(place) => drop(spread.known.insert(place)),
                Err(what) => spread.unknown.push((server, site.clone(), what)),
            }
        }
    }
    Some(spread)
}

/// Where a machine, or one of a group's, may be: each place, or the expression of one that is not known.
fn places(subject: &Subject<'_>, server: &Machine) -> Vec<Result<String, String>> {
    let same = |expression: &str| {
        let expression = expression.to_owned();
        if is_one_subnet(subject, &expression) {
            Ok(expression)
        } else {
            Err(expression)
        }
    };
    let mut resources = subject.configuration.resources.iter();
    let own = resources.find(|resource| resource.address == server.address);
    let zones = ["vpc_zone_identifier", "availability_zones"];
    let listed = own.and_then(|group| zones.iter().find_map(|name| group.field(name)?.elements()));
    if let Some(listed) = listed {
        let place = |zone: &Value| match zone {
            Value::Unknown(unknown) => same(&unknown.expression),
            zone => zone.to_text().ok_or_else(|| zone.to_json().to_string()),
        };
        return listed.iter().map(place).collect();
    }
    vec![match &server.place {
        Fact::Known { value, .. } => Ok(value.clone()),
        Fact::Unknown { expression, .. } => same(expression),
        // No subnet at all: AWS puts all of them into the same default one.
        Fact::Absent => Ok("the default subnet".to_owned()),
    }]
}

/// Whether an expression is an attribute of one subnet, so that the same text is the same place.
fn is_one_subnet(subject: &Subject<'_>, expression: &str) -> bool {
    let Some((address, _)) = expression.rsplit_once('.') else {
        return false;
    };
    let mut resources = subject.configuration.resources.iter();
    resources.any(|resource| resource.id.kind == "aws_subnet" && resource.address == address)
}

fn one_zone(subject: &Subject<'_>) -> Vec<Hit> {
    let Some(spread) = spread(subject).filter(|spread| spread.unknown.is_empty()) else {
        return Vec::new();
    };
    match spread.known.first() {
        Some(place) if spread.known.len() == 1 => {
            let servers = &spread.servers;
            let site = servers[0].place.site().unwrap_or(&servers[0].site);
            vec![Hit::new(
                site,
                format!("all {} servers are in one place: {place}", servers.len()),
            )]
        }
        _ => Vec::new(),
    }
}

fn unknown_places(subject: &Subject<'_>) -> Vec<Hit> {
    let Some(spread) = spread(subject).filter(|spread| spread.known.len() < 2) else {
        return Vec::new();
    };
    per_place(spread.unknown.into_iter().map(|(server, site, what)| {
        (
            server,
            site,
            format!("where it is, is not known here (`{what}`)"),
        )
    }))
}
