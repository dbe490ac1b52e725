//! Rules of security groups, in the three ways that the provider has for them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::addresses;
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
    /// Whether it lets a port through.
    #[must_use]
    pub fn covers(&self, protocol: &str, port: i64) -> bool {
        let protocol_fits = self.protocol == "-1"
            || self.protocol.eq_ignore_ascii_case(protocol)
            || (self.protocol == "6" && protocol == "tcp")
            || (self.protocol == "17" && protocol == "udp");
        protocol_fits
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
    let unknown_blocks = of_kind(configuration, "aws_security_group")
        .any(|group| matches!(group.field("ingress"), Some(Value::Unknown(_))));
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
