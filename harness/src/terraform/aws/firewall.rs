//! Rules of security groups, in the three ways that the provider has for them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{AwsCluster, Machine, addresses};
use crate::spec::{HTTP_PORT, Ports, RPC_PORT, Role, SERF_PORT, Subnet, Transport};
use crate::terraform::resource::Resource;
use crate::terraform::source::Site;
use crate::terraform::value::{Value, Why};
use crate::terraform::{Configuration, Number, Unevaluated};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the group's members.
    Ingress,
    /// From the group's members.
    Egress,
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// A network, as `10.0.0.0/8`.
    Cidr(String),
    /// Members of a group, by its address in the configuration.
    Group(String),
    /// Something that is not known here.
    Unknown(String),
}

/// What a rule lets through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Address of the security group.
    pub group: String,
    /// Which way.
    pub direction: Direction,
    /// `tcp`, `udp`, `icmp`, `-1` for all.
    pub protocol: String,
    /// First port; `None` for all.
    pub from_port: Option<i64>,
    /// Last port; `None` for all.
    pub to_port: Option<i64>,
    /// The other side.
    pub peer: Peer,
    /// Where it stands.
    pub site: Site,
}

impl Rule {
    fn fits(&self, protocol: &str) -> bool {
        self.protocol == "-1"
            || self.protocol.eq_ignore_ascii_case(protocol)
            || (self.protocol == "6" && protocol == "tcp")
            || (self.protocol == "17" && protocol == "udp")
    }

    /// Returns the ports that it opens; `None` for none of this transport.
    fn opened(&self, transport: Transport) -> Option<(u16, u16)> {
        if !self.fits(transport.name()) {
            return None;
        }
        let Some((first, last)) = self.ports() else {
            return Some((0, u16::MAX));
        };
        let clamped = |port: i64| u16::try_from(port.clamp(0, u16::MAX.into())).unwrap_or_default();
        Some((clamped(first), clamped(last)))
    }

    /// Whether it lets a port through.
    #[must_use]
    pub fn covers(&self, protocol: &str, port: i64) -> bool {
        self.fits(protocol)
            && self
                .ports()
                .is_none_or(|(first, last)| (first..=last).contains(&port))
    }

    /// Returns first and last port, `None` for all.
    #[must_use]
    pub fn ports(&self) -> Option<(i64, i64)> {
        // For protocol -1 and for 0-0 of it, all ports are meant.
        if self.protocol == "-1" {
            None
        } else {
            self.from_port.zip(self.to_port)
        }
    }

    /// Whether the other side is the whole internet.
    #[must_use]
    pub fn is_world(&self) -> bool {
        matches!(&self.peer, Peer::Cidr(cidr) if cidr.ends_with("/0"))
    }

    /// Whether the other side is a network with addresses of a machine's subnets, as far as those are known.
    #[must_use]
    pub fn is_network_of(&self, machine: &Machine) -> bool {
        let known = !machine.networks.is_empty();
        matches!(&self.peer, Peer::Cidr(cidr) if known && may_hold(cidr, machine))
    }
}

impl AwsCluster {
    /// Whether a machine's groups are all declared, and all their rules known, so that what they do not
    /// open is closed.
    #[must_use]
    pub fn knows_rules_of(&self, machine: &Machine) -> bool {
        let declared = |group: &String| self.groups.contains_key(group);
        self.rules_are_whole && !machine.groups.is_empty() && machine.groups.iter().all(declared)
    }

    /// Whether a rule lets one machine reach another's port. A rule for a network counts: addresses are
    /// chosen by AWS, and any network may hold them.
    #[must_use]
    pub fn opens(&self, from: &Machine, to: &Machine, protocol: &str, port: u16) -> bool {
        self.between(Direction::Ingress, to, from, |_| true)
            .any(|rule| rule.covers(protocol, port.into()))
    }

    /// Whether a rule lets one machine send to another's port. A rule for a network counts where that may hold
    /// the other one.
    #[must_use]
    pub fn lets_out(&self, from: &Machine, to: &Machine, protocol: &str, port: u16) -> bool {
        self.between(Direction::Egress, from, to, |cidr| may_hold(cidr, to))
            .any(|rule| rule.covers(protocol, port.into()))
    }

    /// Returns the rules of one way that a machine has for another one; `holds` says whether a network may
    /// hold that other one.
    fn between<'a>(
        &'a self,
        direction: Direction,
        own: &'a Machine,
        other: &'a Machine,
        holds: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| {
            let for_other = match &rule.peer {
                Peer::Group(group) => other.groups.contains(group),
                Peer::Cidr(cidr) => holds(cidr),
                Peer::Unknown(_) => true,
            };
            rule.direction == direction && own.groups.contains(&rule.group) && for_other
        })
    }

    /// Returns the ports of `to` that `from` does not reach: those that no rule lets in there, and those
    /// that no rule lets out here. `None` where not all rules of both are known.
    #[must_use]
    pub fn closed_ports(&self, from: &Machine, to: &Machine) -> Option<Vec<Ports>> {
        if !self.knows_rules_of(from) || !self.knows_rules_of(to) {
            return None;
        }
        let closed = |transport| {
            let open = |direction, own, other| {
                let rules = self.between(direction, own, other, |cidr| may_hold(cidr, other));
                rules.filter_map(|rule| rule.opened(transport)).collect()
            };
            let mut closed = gaps(open(Direction::Ingress, to, from));
            closed.extend(gaps(open(Direction::Egress, from, to)));
            let ports = move |(first, last)| Ports {
                transport,
                first,
                last,
            };
            merged(closed).into_iter().map(ports)
        };
        Some(Transport::ALL.into_iter().flat_map(closed).collect())
    }

    /// Returns which of the agents' ports are closed between which roles, as `servers to clients: 4646,
    /// 4647`; where not all rules are known, nothing is said.
    #[must_use]
    pub fn closed(&self) -> Vec<String> {
        let ports = [
            (Transport::Tcp, HTTP_PORT),
            (Transport::Tcp, RPC_PORT),
            (Transport::Tcp, SERF_PORT),
            (Transport::Udp, SERF_PORT),
        ];
        let roles = [Role::Server, Role::Client];
        let pairs = roles
            .iter()
            .flat_map(|from| roles.iter().map(move |to| (*from, *to)));
        let mut closed = Vec::new();
        for (from, to) in pairs {
            let (Some(sender), Some(receiver)) =
                (self.of_role(from).next(), self.of_role(to).next())
            else {
                continue;
            };
            let Some(ranges) = self.closed_ports(sender, receiver) else {
                continue;
            };
            let shut: Vec<String> = ports
                .iter()
                .filter(|(transport, port)| ranges.iter().any(|one| one.has(*transport, *port)))
                .map(|(transport, port)| format!("{port}/{}", transport.name()))
                .collect();
            if !shut.is_empty() {
                closed.push(format!("{from}s to {to}s: {}", shut.join(", ")));
            }
        }
        closed
    }
}

/// Puts ranges in order, and makes one of those that touch.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Returns the ports that no range has; port 0 is none.
fn gaps(ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let mut gaps = Vec::new();
    let mut next = Some(1);
    for (first, last) in merged(ranges) {
        if let Some(begin) = next.filter(|begin| *begin < first) {
            gaps.push((begin, first - 1));
        }
        next = next.and_then(|begin| last.checked_add(1).map(|after| after.max(begin)));
    }
    gaps.extend(next.map(|begin| (begin, u16::MAX)));
    gaps
}

/// Whether a network may hold a machine's address: where its subnets are known, those decide; else any
/// private address may be its own.
fn may_hold(cidr: &str, machine: &Machine) -> bool {
    match cidr.parse::<Subnet>() {
        Ok(cidr) if !machine.networks.is_empty() => {
            machine.networks.iter().any(|own| own.overlaps(cidr))
        }
        _ => may_hold_machines(cidr),
    }
}

/// Whether a network may hold a machine's address among the machines: those are private ones.
fn may_hold_machines(cidr: &str) -> bool {
    let Some((address, bits)) = cidr.split_once('/') else {
        return true;
    };
    match (address.parse::<IpAddr>(), bits) {
        (_, "0") | (Err(_), _) => true,
        (Ok(IpAddr::V4(ip)), _) => {
            ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64)
        }
        (Ok(IpAddr::V6(_)), _) => false,
    }
}

/// Returns the security groups and where they stand.
pub(super) fn groups(configuration: &Configuration) -> BTreeMap<String, Site> {
    of_kind(configuration, "aws_security_group")
        .chain(of_kind(configuration, "aws_default_security_group"))
        .map(|group| (group.address.clone(), group.site.clone()))
        .collect()
}

/// Whether every rule is known, so that what is not opened is closed.
pub(super) fn is_whole(configuration: &Configuration) -> bool {
    let unread = |open: &Unevaluated| {
        let several = open.address.ends_with("[*]")
            && (open.address.contains("security_group") || open.address.contains("module."));
        several || open.cause.why == Why::RemoteModule
    };
    let unknown = |group: &Resource, way: &str| matches!(group.field(way), Some(Value::Unknown(_)));
    let unknown_blocks = of_kind(configuration, "aws_security_group")
        .any(|group| unknown(group, "ingress") || unknown(group, "egress"));
    !unknown_blocks && !configuration.unevaluated.iter().any(unread)
}

fn of_kind<'a>(
    configuration: &'a Configuration,
    kind: &'a str,
) -> impl Iterator<Item = &'a Resource> {
    configuration
        .resources
        .iter()
        .filter(move |resource| !resource.id.data && resource.id.kind == kind)
}

/// Returns all rules of all groups.
pub(super) fn rules(configuration: &Configuration) -> Vec<Rule> {
    let mut rules = Vec::new();
    for kind in ["aws_security_group", "aws_default_security_group"] {
        for group in of_kind(configuration, kind) {
            inline(group, Direction::Ingress, &mut rules);
            inline(group, Direction::Egress, &mut rules);
        }
    }
    for rule in of_kind(configuration, "aws_security_group_rule") {
        let direction = match rule.field("type").and_then(Value::as_str) {
            Some("egress") => Direction::Egress,
            _ => Direction::Ingress,
        };
        let group = addresses(rule.field("security_group_id"))
            .into_iter()
            .next()
            .unwrap_or_default();
        add(
            &rule.value.attributes,
            &group,
            direction,
            &rule.site,
            &mut rules,
        );
    }
    for (kind, direction) in [
        ("aws_vpc_security_group_ingress_rule", Direction::Ingress),
        ("aws_vpc_security_group_egress_rule", Direction::Egress),
    ] {
        for rule in of_kind(configuration, kind) {
            let group = addresses(rule.field("security_group_id"))
                .into_iter()
                .next()
                .unwrap_or_default();
            add(
                &rule.value.attributes,
                &group,
                direction,
                &rule.site,
                &mut rules,
            );
        }
    }
    rules
}

fn inline(group: &Resource, direction: Direction, into: &mut Vec<Rule>) {
    let name = if direction == Direction::Ingress {
        "ingress"
    } else {
        "egress"
    };
    for (index, block) in group
        .field(name)
        .and_then(Value::elements)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        if let Some(attributes) = block.attributes() {
            add(
                attributes,
                &group.address,
                direction,
                &group.site_of(&format!("{name}[{index}]")),
                into,
            );
        }
    }
}

/// Adds one rule per other side that the attributes name.
fn add(
    attributes: &BTreeMap<String, Value>,
    group: &str,
    direction: Direction,
    site: &Site,
    into: &mut Vec<Rule>,
) {
    let port = |name: &str| {
        attributes
            .get(name)
            .and_then(Value::as_number)
            .and_then(Number::as_i64)
    };
    let protocol = attributes
        .get("protocol")
        .or(attributes.get("ip_protocol"))
        .and_then(Value::to_text);
    let mut peers = Vec::new();
    for name in ["cidr_blocks", "ipv6_cidr_blocks", "cidr_ipv4", "cidr_ipv6"] {
        peers.extend(cidrs(attributes.get(name)));
    }
    for name in [
        "security_groups",
        "source_security_group_id",
        "referenced_security_group_id",
    ] {
        let value = attributes
            .get(name)
            .filter(|value| !matches!(value, Value::Null));
        peers.extend(addresses(value).into_iter().map(Peer::Group));
    }
    if attributes.get("self").and_then(Value::as_bool) == Some(true) {
        peers.push(Peer::Group(group.to_owned()));
    }
    for list in ["prefix_list_ids", "prefix_list_id"] {
        let value = attributes
            .get(list)
            .filter(|value| !matches!(value, Value::Null));
        peers.extend(addresses(value).into_iter().map(Peer::Unknown));
    }
    let protocol = protocol.map_or_else(
        || "-1".to_owned(),
        |protocol| {
            if protocol == "all" {
                "-1".to_owned()
            } else {
                protocol
            }
        },
    );
    into.extend(peers.into_iter().map(|peer| Rule {
        group: group.to_owned(),
        direction,
        protocol: protocol.clone(),
        from_port: port("from_port"),
        to_port: port("to_port"),
        peer,
        site: site.clone(),
    }));
}

fn cidrs(value: Option<&Value>) -> Vec<Peer> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(cidr)) => vec![Peer::Cidr(cidr.clone())],
        Some(Value::Unknown(unknown)) => vec![Peer::Unknown(
            unknown
                .partial
                .clone()
                .unwrap_or_else(|| unknown.expression.clone()),
        )],
        Some(value) => value
            .elements()
            .unwrap_or_default()
            .iter()
            .flat_map(|element| cidrs(Some(element)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_open_ports_is_closed() {
        assert_eq!(gaps(vec![]), [(1, 65535)]);
        assert_eq!(gaps(vec![(0, 65535)]), []);
        assert_eq!(gaps(vec![(1, 65535), (22, 22)]), []);
        assert_eq!(
            gaps(vec![(4648, 4648), (4646, 4646), (4647, 4647)]),
            [(1, 4645), (4649, 65535)]
        );
        assert_eq!(
            gaps(vec![(20000, 32000), (22, 22), (21000, 21001)]),
            [(1, 21), (23, 19999), (32001, 65535)]
        );
        assert_eq!(
            merged(vec![(5, 9), (1, 4), (8, 20), (30, 30)]),
            [(1, 20), (30, 30)]
        );
    }

    #[test]
    fn a_network_that_cannot_hold_machines_opens_nothing_to_them() {
        assert!(may_hold_machines("0.0.0.0/0") && may_hold_machines("10.0.0.0/8"));
        assert!(!may_hold_machines("198.51.100.7/32") && !may_hold_machines("2001:db8::/32"));
    }
}
