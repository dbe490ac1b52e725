//! Ports: static ones as the job says, dynamic ones free and random, none given twice.

use std::collections::BTreeSet;

use super::ids::Chance;
use crate::plant::{self, Plant};
use crate::types::{AllocatedPort, Allocation, Node, Port, TaskGroup};

/// Random picks before Nomad searches from the bottom (`maxRandPortAttempts`).
const RANDOM_TRIES: usize = 20;

/// Gives the group its ports on a node.
///
/// # Errors
/// The dimension that is exhausted, in Nomad's words.
pub(super) fn assign<'a>(
    group: &TaskGroup,
    node: &Node,
    present: impl Iterator<Item = &'a Allocation>,
    chance: &mut Chance,
) -> Result<Vec<AllocatedPort>, String> {
    let mut used: BTreeSet<u16> = present
        .flat_map(|alloc| alloc.ports.iter().map(|port| port.value))
        .collect();
    let mut given = Vec::new();
    for network in group.networks.iter().flatten() {
        for port in network.reserved_ports.iter().flatten() {
            if !used.insert(port.value) && !plant::is(Plant::PortGivenTwice) {
                return Err(format!(
                    "network: reserved port collision {}={}",
                    port.label, port.value
                ));
            }
            given.push(allocated(port, port.value, node));
        }
    }
    for network in group.networks.iter().flatten() {
        for port in network.dynamic_ports.iter().flatten() {
            let value = dynamic(node, &used, chance)
                .ok_or_else(|| "network: dynamic port selection failed".to_owned())?;
            used.insert(value);
            given.push(allocated(port, value, node));
        }
    }
    Ok(given)
}

fn allocated(port: &Port, value: u16, node: &Node) -> AllocatedPort {
    AllocatedPort {
        label: port.label.clone(),
        value,
        // -1 means the same port inside.
        to: if port.to == -1 {
            i64::from(value)
        } else {
            port.to
        },
        host_ip: node.node_resources.ip.clone(),
    }
}

fn dynamic(node: &Node, used: &BTreeSet<u16>, chance: &mut Chance) -> Option<u16> {
    let (low, high) = range(node);
    for _ in 0..RANDOM_TRIES {
        let value = chance.between(low, high);
        if !used.contains(&value) {
            return Some(value);
        }
    }
    (low..=high).find(|value| !used.contains(value))
}

/// The node's dynamic range; Nomad's default where it does not say.
fn range(node: &Node) -> (u16, u16) {
    match (
        node.node_resources.min_dynamic_port,
        node.node_resources.max_dynamic_port,
    ) {
        (0, _) | (_, 0) => (20_000, 32_000),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Network, NodeResources};

    fn node(low: u16, high: u16) -> Node {
        Node {
            node_resources: NodeResources {
                min_dynamic_port: low,
                max_dynamic_port: high,
                ip: "10.0.0.1".to_owned(),
                ..NodeResources::default()
            },
            ..Node::default()
        }
    }

    fn group(fixed: &[u16], dynamic: &[&str]) -> TaskGroup {
        let port = |label: &str, value| Port {
            label: label.to_owned(),
            value,
            ..Port::default()
        };
        TaskGroup {
            networks: Some(vec![Network {
                reserved_ports: Some(fixed.iter().map(|v| port(&format!("p{v}"), *v)).collect()),
                dynamic_ports: Some(dynamic.iter().map(|l| port(l, 0)).collect()),
                ..Network::default()
            }]),
            ..TaskGroup::default()
        }
    }

    #[test]
    fn a_dynamic_port_is_never_given_twice() {
        let node = node(20_000, 20_009);
        let mut chance = Chance::new("e", 1, 1);
        let mut present: Vec<Allocation> = Vec::new();
        for i in 0..10 {
            let ports = assign(&group(&[], &["a"]), &node, present.iter(), &mut chance)
                .unwrap_or_else(|e| panic!("port {i}: {e}"));
            present.push(Allocation {
                ports,
                ..Allocation::default()
            });
        }
        let values: BTreeSet<u16> = present.iter().map(|a| a.ports[0].value).collect();
        assert_eq!(values, (20_000..=20_009).collect());
        assert_eq!(
            assign(&group(&[], &["a"]), &node, present.iter(), &mut chance),
            Err("network: dynamic port selection failed".to_owned())
        );
    }

    #[test]
    fn a_static_port_goes_to_one_allocation_a_node() {
        let node = node(20_000, 20_009);
        let mut chance = Chance::new("e", 1, 1);
        let first = assign(&group(&[8080], &[]), &node, std::iter::empty(), &mut chance);
        let first = Allocation {
            ports: first.expect("the port is free"),
            ..Allocation::default()
        };
        assert_eq!(
            assign(
                &group(&[8080], &[]),
                &node,
                [&first].into_iter(),
                &mut chance
            ),
            Err("network: reserved port collision p8080=8080".to_owned())
        );
    }
}
