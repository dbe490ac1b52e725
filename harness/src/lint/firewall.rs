//! Security groups: too open, or too closed.

use std::collections::BTreeSet;

use super::subject::Subject;
use super::{Hit, Rule, Severity};
use crate::spec::{HTTP_PORT, RPC_PORT, Role, SERF_PORT};
use crate::terraform::Number;
use crate::terraform::aws::{Direction, Machine, Peer, Rule as Opening};

/// A port of an agent's: the key of its configuration, and the usual number.
type Listener = (&'static str, u16);
const HTTP: Listener = ("ports.http", HTTP_PORT);
const RPC: Listener = ("ports.rpc", RPC_PORT);
const SERF: Listener = ("ports.serf", SERF_PORT);

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "agent-port-open-to-world",
        severity: Severity::Error,
        why: "the agents' ports are the cluster: scanners find an open 4646 within hours",
        mend: "open 4646 to the operator's network, 4647 and 4648 to the cluster's own groups alone",
        check: |subject| {
            let opens = |rule: &Opening| {
                let machines = subject.machines().iter();
                let members = machines.filter(|machine| machine.groups.contains(&rule.group));
                let mut ports = members
                    .flat_map(|machine| [HTTP, RPC, SERF].map(|one| number(machine, one)))
                    .flatten();
                ports.any(|port| rule.covers("tcp", port.into()) || rule.covers("udp", port.into()))
            };
            world(subject, opens, "the agents' ports")
        },
    },
    Rule {
        id: "ssh-open-to-world",
        severity: Severity::Error,
        why: "SSH of the whole internet is tried all day long",
        mend: "use Session Manager, or open port 22 to the operator's network",
        check: |subject| world(subject, |rule| rule.covers("tcp", 22), "SSH"),
    },
    Rule {
        id: "servers-cannot-talk",
        severity: Severity::Error,
        why: "servers need each other on 4647 (RPC, Raft) and 4648 (gossip, TCP and UDP): without, they elect no leader",
        mend: "open these ports from the servers' group to itself",
        check: |subject| {
            closed(
                subject,
                Role::Server,
                Role::Server,
                &[("tcp", RPC), ("tcp", SERF)],
            )
        },
    },
    Rule {
        id: "gossip-udp-closed",
        severity: Severity::Warning,
        why: "gossip probes over UDP first: without it, servers are called failed and alive in turn",
        mend: "open 4648 for UDP as well as for TCP, between servers",
        check: |subject| closed(subject, Role::Server, Role::Server, &[("udp", SERF)]),
    },
    Rule {
        id: "clients-cannot-reach-servers",
        severity: Severity::Error,
        why: "clients register and send heartbeats to the servers' 4647: without, no node becomes ready",
        mend: "open 4647 of the servers' group to the clients' group",
        check: |subject| closed(subject, Role::Client, Role::Server, &[("tcp", RPC)]),
    },
    Rule {
        id: "api-unreachable",
        severity: Severity::Warning,
        why: "nobody outside the cluster can use `nomad`, and `rehearse --target aws` cannot attach",
        mend: "open 4646 of the servers' group to the operator's network",
        check: api_unreachable,
    },
    Rule {
        id: "gossip-open-to-clients",
        severity: Severity::Warning,
        why: "clients take no part in gossip: a task that reaches 4648 can only do harm there",
        mend: "open 4648 from the servers' group alone",
        check: gossip_to_clients,
    },
];

/// The number of a machine's port; `None` where its configuration says one that is not known here.
fn number(machine: &Machine, (key, usual): Listener) -> Option<u16> {
    let Some(setting) = machine.agent.get(key) else {
        return Some(usual);
    };
    let said = setting.value.as_number().and_then(Number::as_usize)?;
    u16::try_from(said).ok()
}

fn world(subject: &Subject<'_>, covers: impl Fn(&Opening) -> bool, what: &str) -> Vec<Hit> {
    let used: BTreeSet<&String> = subject
        .machines()
        .iter()
        .flat_map(|machine| &machine.groups)
        .collect();
    let rules = subject.cluster.rules.iter();
    rules
        .filter(|rule| {
            rule.direction == Direction::Ingress
                && rule.is_world()
                && used.contains(&rule.group)
                && covers(rule)
        })
        .map(|rule| {
            Hit::new(
                &rule.site,
                format!("`{}` opens {what} to the whole internet", rule.group),
            )
        })
        .collect()
}

fn closed(subject: &Subject<'_>, from: Role, to: Role, ports: &[(&str, Listener)]) -> Vec<Hit> {
    let (Some(sender), Some(receiver)) = (
        subject.of_role(from).into_iter().next(),
        subject.of_role(to).into_iter().next(),
    ) else {
        return Vec::new();
    };
    if !subject.cluster.knows_rules_of(sender)
        || !subject.cluster.knows_rules_of(receiver)
        || (from == to && subject.number_of(to) == Some(1))
    {
        return Vec::new();
    }
    let cluster = subject.cluster;
    let site = |machine: &Machine| {
        let group = machine.groups.first();
        let site = group.and_then(|group| cluster.groups.get(group));
        site.unwrap_or(&machine.site).clone()
    };
    let closed = |(protocol, listener): &(&str, Listener)| {
        let port = number(receiver, *listener)?;
        if !cluster.opens(sender, receiver, protocol, port) {
            let what = format!("no rule lets {from}s reach {to}s on {port}/{protocol}");
            Some(Hit::new(&site(receiver), what))
        } else if !cluster.lets_out(sender, receiver, protocol, port) {
            let what = format!("no rule lets {from}s send to {to}s on {port}/{protocol}");
            Some(Hit::new(&site(sender), what))
        } else {
            None
        }
    };
    ports.iter().filter_map(closed).collect()
}

fn api_unreachable(subject: &Subject<'_>) -> Vec<Hit> {
    let Some(server) = subject
        .of_role(Role::Server)
        .into_iter()
        .next()
        .filter(|server| subject.cluster.knows_rules_of(server))
    else {
        return Vec::new();
    };
    let Some(port) = number(server, HTTP) else {
        return Vec::new();
    };
    let own: BTreeSet<&String> = subject
        .machines()
        .iter()
        .flat_map(|machine| &machine.groups)
        .collect();
    let open = subject.cluster.rules.iter().any(|rule| {
        let outside = !matches!(&rule.peer, Peer::Group(group) if own.contains(group));
        rule.direction == Direction::Ingress
            && server.groups.contains(&rule.group)
            && rule.covers("tcp", port.into())
            && outside
    });
    if open {
        return Vec::new();
    }
    let site = server
        .groups
        .first()
        .and_then(|group| subject.cluster.groups.get(group))
        .unwrap_or(&server.site);
    vec![Hit::new(
        site,
        format!("nothing outside the cluster reaches the servers' API on {port}"),
    )]
}

fn gossip_to_clients(subject: &Subject<'_>) -> Vec<Hit> {
    let clients = subject.of_role(Role::Client);
    let servers = subject.of_role(Role::Server);
    // The gossip port that a rule opens, of the servers whose group it is of.
    let opened = |rule: &Opening| {
        let members = servers
            .iter()
            .filter(|one| one.groups.contains(&rule.group));
        let mut ports = members.filter_map(|one| number(one, SERF));
        ports.find(|port| rule.covers("tcp", (*port).into()))
    };
    let lets_in = |rule: &&Opening| {
        clients.iter().any(|client| match &rule.peer {
            Peer::Group(group) => client.groups.contains(group),
            // The whole internet is `agent-port-open-to-world`'s.
            Peer::Cidr(_) => !rule.is_world() && rule.is_network_of(client),
            Peer::Unknown(_) => false,
        })
    };
    let rules = subject.cluster.rules.iter();
    rules
        .filter(|rule| rule.direction == Direction::Ingress)
        .filter(lets_in)
        .filter_map(|rule| {
            let port = opened(rule)?;
            let by = match &rule.peer {
                Peer::Cidr(cidr) => format!(": their subnets are in `{cidr}`"),
                Peer::Group(_) | Peer::Unknown(_) => String::new(),
            };
            let said = format!("`{}` opens gossip ({port}) to clients{by}", rule.group);
            Some(Hit::new(&rule.site, said))
        })
        .collect()
}
