//! Finer cuts: only one way, or only one port. Policy rules send what is to be lost to a table of
//! its own, whose one route leads to the loopback; no packet filter is needed.
//!
//! The kernel looks a packet that comes in up backwards, too (reverse-path filtering), and drops it
//! where the way back is not the way in. That lookup runs the same rules with the ports of the
//! packet, but with no user, where a lookup for a packet of the agent's has the agent's user. So:
//!
//! - a rule for all users loses both ways,
//! - a rule for the agent's user loses what the agent sends, and lets in what others send,
//! - a rule for all users behind one that lets the agent's user pass loses only what comes in.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::kernel::{
    ACK, CREATE, DUMP, EXCLUSIVE, Kernel, REQUEST, attribute, attributes, message, u16_at,
};
use super::routes::{self, TABLE_MAIN};
use super::{NetError, PROTOCOL, sorted};

// From linux/rtnetlink.h and linux/fib_rules.h.
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const FRA_DST: u16 = 1;
const FRA_PRIORITY: u16 = 6;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const ACTION_TO_TABLE: u8 = 1;
const AF_INET: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Length of a rule's fixed part.
const RULE: usize = 12;
/// The table that leads nowhere.
const NOWHERE: u8 = 82;
/// Before the table `main` (32766); first those who pass, then those who do not.
const PASS_FIRST: u32 = 82;
const LOSE: u32 = 83;
/// An address for documentation (RFC 5737) that nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 82);

/// Which way packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Both,
    Out,
    In,
}

/// A cut that is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    way: Way,
    /// The agent's user.
    user: u32,
    /// Protocol and port on either side; none for everything.
    ports: Vec<(u8, u16)>,
}

impl Block {
    /// Reads `both|out|in`, the agent's user and `all` or `4648/tcp,4648/udp`.
    pub(super) fn read(way: &str, user: &str, traffic: &str) -> Option<Self> {
        let way = match way {
            "both" => Way::Both,
            "out" => Way::Out,
            "in" => Way::In,
            _ => return None,
        };
        let port = |text: &str| {
            let (port, protocol) = text.split_once('/')?;
            let protocol = match protocol {
                "tcp" => TCP,
                "udp" => UDP,
                _ => return None,
            };
            Some((protocol, port.parse().ok()?))
        };
        let ports = match traffic {
            "all" => Vec::new(),
            list => list.split(',').map(port).collect::<Option<_>>()?,
        };
        let user = user.parse().ok()?;
        Some(Self { way, user, ports })
    }

    /// Returns the rules for one peer.
    fn rules(&self, peer: Ipv4Addr) -> Vec<Rule> {
        let rule = |priority, table, user, port| Rule {
            peer,
            priority,
            table,
            user,
            port,
        };
        let ports: Vec<Option<Port>> = if self.ports.is_empty() {
            vec![None]
        } else {
            let sides = self.ports.iter().flat_map(|(protocol, number)| {
                [FRA_SPORT_RANGE, FRA_DPORT_RANGE].map(|side| Port {
                    protocol: *protocol,
                    side,
                    number: *number,
                })
            });
            sides.map(Some).collect()
        };
        let of_port = |port: Option<Port>| match self.way {
            Way::Both => vec![rule(LOSE, NOWHERE, None, port)],
            Way::Out => vec![rule(LOSE, NOWHERE, Some(self.user), port)],
            Way::In => vec![
                rule(PASS_FIRST, TABLE_MAIN, Some(self.user), port),
                rule(LOSE, NOWHERE, None, port),
            ],
        };
        ports.into_iter().flat_map(of_port).collect()
    }
}

/// A port on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Port {
    protocol: u8,
    /// [`FRA_SPORT_RANGE`] or [`FRA_DPORT_RANGE`].
    side: u16,
    number: u16,
}

/// A rule of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    peer: Ipv4Addr,
    priority: u32,
    table: u8,
    user: Option<u32>,
    port: Option<Port>,
}

impl Rule {
    fn body(&self) -> Vec<u8> {
        let mut body = vec![
            AF_INET,
            32,
            0,
            0,
            self.table,
            0,
            0,
            ACTION_TO_TABLE,
            0,
            0,
            0,
            0,
        ];
        attribute(&mut body, FRA_DST, &self.peer.octets());
        attribute(&mut body, FRA_PRIORITY, &self.priority.to_ne_bytes());
        attribute(&mut body, FRA_PROTOCOL, &[PROTOCOL]);
        if let Some(user) = self.user {
            let range = [user.to_ne_bytes(), user.to_ne_bytes()].concat();
            attribute(&mut body, FRA_UID_RANGE, &range);
        }
        if let Some(port) = self.port {
            attribute(&mut body, FRA_IP_PROTO, &[port.protocol]);
            let range = [port.number.to_ne_bytes(), port.number.to_ne_bytes()].concat();
            attribute(&mut body, port.side, &range);
        }
        body
    }

    fn put(&self, kernel: &Kernel) -> Result<(), NetError> {
        let flags = REQUEST | ACK | CREATE | EXCLUSIVE;
        let request = message(RTM_NEWRULE, flags, &self.body());
        match kernel.ask(&request, &format!("block {}", self.peer)) {
            // It is there already: as wanted.
            Err(NetError::Kernel {
                reason: nix::errno::Errno::EEXIST,
                ..
            }) => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

/// Loses what `block` says between the agent and these peers.
pub(super) fn block(
    kernel: &Kernel,
    block: &Block,
    peers: &[Ipv4Addr],
) -> Result<String, NetError> {
    routes::nowhere(kernel, NOWHERE)?;
    let mut text = String::new();
    for peer in peers {
        for rule in block.rules(*peer) {
            rule.put(kernel)?;
        }
        writeln!(text, "blocked {peer}").expect("a string takes any text");
    }
    Ok(text)
}

/// Whether this kernel has such rules: makes one for an address that nobody has, and removes it.
pub(super) fn try_block(kernel: &Kernel) -> Result<String, NetError> {
    let one = Block {
        way: Way::Out,
        user: 1,
        ports: vec![(TCP, 1)],
    };
    let made = block(kernel, &one, &[NOBODY]);
    let removed = heal(kernel).and_then(|_| routes::heal(kernel));
    made?;
    removed?;
    Ok("this kernel can block one way and by port\n".to_owned())
}

pub(super) fn heal(kernel: &Kernel) -> Result<String, NetError> {
    let mut text = String::new();
    for body in all(kernel)?.iter().filter(|body| is_ours(body)) {
        // A rule is removed by what it says.
        let line = line(body);
        let request = message(RTM_DELRULE, REQUEST | ACK, body);
        kernel.ask(&request, &format!("remove {line}"))?;
        write!(text, "removed {line}").expect("a string takes any text");
    }
    Ok(text)
}

/// Writes rules one a line.
pub(super) fn state(kernel: &Kernel) -> Result<String, NetError> {
    Ok(sorted(all(kernel)?.iter().map(|body| line(body)).collect()))
}

/// Returns all rules for IPv4; none where the kernel has no such thing.
fn all(kernel: &Kernel) -> Result<Vec<Vec<u8>>, NetError> {
    let mut body = vec![0; RULE];
    body[0] = AF_INET;
    let request = message(RTM_GETRULE, REQUEST | DUMP, &body);
    match kernel.ask(&request, "list rules") {
        Err(NetError::Kernel {
            reason: nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::EAFNOSUPPORT,
            ..
        }) => Ok(Vec::new()),
        outcome => outcome,
    }
}

fn is_ours(body: &[u8]) -> bool {
    attributes(body, RULE)
        .iter()
        .any(|(kind, value)| *kind == FRA_PROTOCOL && *value == [PROTOCOL])
}

/// Writes what a rule is about; what is not ours need only be told apart.
fn line(body: &[u8]) -> String {
    let table = body.get(4).copied().unwrap_or_default();
    let mut words = String::new();
    for (kind, value) in attributes(body, RULE) {
        let number = || <[u8; 4]>::try_from(value).map(u32::from_ne_bytes);
        let word = match kind {
            FRA_DST => <[u8; 4]>::try_from(value)
                .map(|octets| format!(" to {}", Ipv4Addr::from(octets)))
                .ok(),
            FRA_PRIORITY => number().map(|n| format!(" priority {n}")).ok(),
            FRA_UID_RANGE => Some(" of one user".to_owned()),
            FRA_PROTOCOL => value.first().map(|n| format!(" protocol {n}")),
            FRA_IP_PROTO => value.first().map(|n| format!(" transport {n}")),
            FRA_SPORT_RANGE => u16_at(value, 0).map(|n| format!(" from port {n}")),
            FRA_DPORT_RANGE => u16_at(value, 0).map(|n| format!(" to port {n}")),
            _ => None,
        };
        words.push_str(&word.unwrap_or_default());
    }
    format!("rule{words} table {table}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(way: &str, traffic: &str) -> Vec<String> {
        let block = Block::read(way, "10001", traffic).unwrap();
        let rules = block.rules([10, 0, 0, 2].into());
        rules.iter().map(|rule| line(&rule.body())).collect()
    }

    #[test]
    fn one_way_is_told_by_the_agents_user() {
        let lose = "rule to 10.0.0.2 priority 83 protocol 82";
        assert_eq!(lines("both", "all"), [format!("{lose} table 82\n")]);
        assert_eq!(
            lines("out", "all"),
            [format!("{lose} of one user table 82\n")]
        );
        assert_eq!(
            lines("in", "all"),
            [
                "rule to 10.0.0.2 priority 82 protocol 82 of one user table 254\n".to_owned(),
                format!("{lose} table 82\n"),
            ]
        );
    }

    #[test]
    fn a_port_is_lost_on_whichever_side_it_is() {
        let lose = "rule to 10.0.0.2 priority 83 protocol 82 transport";
        assert_eq!(
            lines("both", "4648/tcp,4648/udp"),
            [
                format!("{lose} 6 from port 4648 table 82\n"),
                format!("{lose} 6 to port 4648 table 82\n"),
                format!("{lose} 17 from port 4648 table 82\n"),
                format!("{lose} 17 to port 4648 table 82\n"),
            ]
        );
    }

    #[test]
    fn only_rules_of_ours_are_ours() {
        let rule = &Block::read("out", "1", "all").unwrap().rules(NOBODY)[0];
        assert!(is_ours(&rule.body()));
        let mut other = vec![
            AF_INET,
            0,
            0,
            0,
            TABLE_MAIN,
            0,
            0,
            ACTION_TO_TABLE,
            0,
            0,
            0,
            0,
        ];
        attribute(&mut other, FRA_PROTOCOL, &[2]);
        assert!(!is_ours(&other));
    }
}
