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
//!
//! Ports that are closed for good (`filter`: security groups) are rules of the last kind, with marks and a
//! table of their own: no fault and no heal touches them. Replies come in at ports of the kernel's own
//! choice, which therefore stay open: rules know no connections.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::kernel::{
    ACK, CREATE, DUMP, EXCLUSIVE, Kernel, REQUEST, attribute, attributes, message, u16_at,
};
use super::routes::{self, TABLE_MAIN, TCP};
use super::{FILTER, NetError, PROTOCOL, sorted};

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
const UDP: u8 = 17;

/// Length of a rule's fixed part.
const RULE: usize = 12;
/// The table that leads nowhere.
const NOWHERE: u8 = 82;
/// Before the table `main` (32766); first those who pass, then those who do not.
const PASS_FIRST: u32 = 82;
const LOSE: u32 = 83;
/// Behind them what is closed for good, in the same order, and a mark that all of it is in.
const FILTER_PASS: u32 = 84;
const FILTER_LOSE: u32 = 85;
const FILTER_WHOLE: u32 = 86;
/// An address for documentation (RFC 5737) that nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 82);
/// The last port that a rule can name (`fib_rule_port_range_valid`).
const PORT_MAX: u16 = 65534;
/// From which ports the kernel chooses for outgoing connections, in this network.
const CHOSEN_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

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
            Some((transport(protocol)?, port.parse().ok()?))
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
            owner: PROTOCOL,
        };
        let ports: Vec<Option<Port>> = if self.ports.is_empty() {
            vec![None]
        } else {
            let sides = self.ports.iter().flat_map(|(protocol, number)| {
                [FRA_SPORT_RANGE, FRA_DPORT_RANGE].map(|side| Port {
                    protocol: *protocol,
                    side,
                    first: *number,
                    last: *number,
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

/// Which of a packet's ports the kernel takes for which when it looks a packet that comes in up
/// backwards. Older kernels leave them as they are, newer ones swap them as the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backwards {
    AsTheyAre,
    Swapped,
}

impl Backwards {
    /// Where the backward lookup has the port of ours that a packet is for.
    fn own_side(self) -> u16 {
        match self {
            Self::AsTheyAre => FRA_DPORT_RANGE,
            Self::Swapped => FRA_SPORT_RANGE,
        }
    }
}

/// Ports that are closed for good to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    peer: Ipv4Addr,
    /// Protocol, first and last port.
    ports: Vec<(u8, u16, u16)>,
}

impl Closed {
    /// Reads `10.0.0.2=tcp:1-4645,udp:1-65535`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (peer, list) = text.split_once('=')?;
        let ports = |text: &str| {
            let (protocol, range) = text.split_once(':')?;
            let (first, last) = range.split_once('-')?;
            let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
            (first > 0 && first <= last).then_some((transport(protocol)?, first, last))
        };
        Some(Self {
            peer: peer.parse().ok()?,
            ports: list.split(',').map(ports).collect::<Option<_>>()?,
        })
    }

    /// Returns the rules that lose what comes in at these ports, but for the kernel's own choice.
    fn rules(&self, user: u32, chosen: (u16, u16), backwards: Backwards) -> Vec<Rule> {
        let rule = |priority, table, user, port| Rule {
            peer: self.peer,
            priority,
            table,
            user,
            port,
            owner: FILTER,
        };
        let below = |first, last: u16| (first, last.min(chosen.0.saturating_sub(1)));
        let above = |first: u16, last: u16| {
            let behind = chosen.1.saturating_add(1);
            (first.max(behind), last.min(PORT_MAX))
        };
        let mut rules = vec![rule(FILTER_PASS, TABLE_MAIN, Some(user), None)];
        for (protocol, first, last) in &self.ports {
            for (first, last) in [below(*first, *last), above(*first, *last)] {
                if first > last {
                    continue;
                }
                let port = Port {
                    protocol: *protocol,
                    side: backwards.own_side(),
                    first,
                    last,
                };
                rules.push(rule(FILTER_LOSE, FILTER, None, Some(port)));
            }
        }
        rules
    }
}

fn transport(name: &str) -> Option<u8> {
    match name {
        "tcp" => Some(TCP),
        "udp" => Some(UDP),
        _ => None,
    }
}

/// Ports on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Port {
    protocol: u8,
    /// [`FRA_SPORT_RANGE`] or [`FRA_DPORT_RANGE`].
    side: u16,
    first: u16,
    last: u16,
}

/// A rule of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    peer: Ipv4Addr,
    priority: u32,
    table: u8,
    user: Option<u32>,
    port: Option<Port>,
    /// Whose it is: [`PROTOCOL`] or [`FILTER`].
    owner: u8,
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
        attribute(&mut body, FRA_PROTOCOL, &[self.owner]);
        if let Some(user) = self.user {
            let range = [user.to_ne_bytes(), user.to_ne_bytes()].concat();
            attribute(&mut body, FRA_UID_RANGE, &range);
        }
        if let Some(port) = self.port {
            attribute(&mut body, FRA_IP_PROTO, &[port.protocol]);
            let range = [port.first.to_ne_bytes(), port.last.to_ne_bytes()].concat();
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
    routes::nowhere(kernel, NOWHERE, PROTOCOL)?;
    let mut text = String::new();
    for peer in peers {
        for rule in block.rules(*peer) {
            rule.put(kernel)?;
        }
        writeln!(text, "blocked {peer}").expect("a string takes any text");
    }
    Ok(text)
}

/// Loses for good what comes in at closed ports; `user` is the agent's. Twice is as good as once.
pub(super) fn filter(kernel: &Kernel, user: u32, closed: &[Closed]) -> Result<String, NetError> {
    if is_filtered(kernel)? {
        return Ok("it is filtered already\n".to_owned());
    }
    // One that was killed half-way.
    remove(kernel, FILTER)?;
    routes::nowhere(kernel, FILTER, FILTER)?;
    let chosen = chosen_ports()?;
    let backwards = match closed.first() {
        Some(one) => backwards(kernel, one.peer)?,
        None => Backwards::AsTheyAre,
    };
    let mut text = String::new();
    for one in closed {
        for rule in one.rules(user, chosen, backwards) {
            rule.put(kernel)?;
        }
        writeln!(text, "filtered {}", one.peer).expect("a string takes any text");
    }
    whole().put(kernel)?;
    Ok(text)
}

/// Finds out how this kernel looks backwards, before any filter is in: closes one port to a peer, and asks
/// the kernel what it would do with a packet from there to that port.
fn backwards(kernel: &Kernel, peer: Ipv4Addr) -> Result<Backwards, NetError> {
    const OURS: u16 = 7;
    const THEIRS: u16 = 40_000;
    let admitted = || routes::admits(kernel, peer, (THEIRS, OURS));
    let undecided = || NetError::Backwards { peer };
    // It must be let in as long as nothing is closed, or nothing is learned from that it is not.
    if !admitted()? {
        return Err(undecided());
    }
    for backwards in [Backwards::AsTheyAre, Backwards::Swapped] {
        let port = Port {
            protocol: TCP,
            side: backwards.own_side(),
            first: OURS,
            last: OURS,
        };
        let trial = Rule {
            peer,
            priority: FILTER_LOSE,
            table: FILTER,
            user: None,
            port: Some(port),
            owner: FILTER,
        };
        trial.put(kernel)?;
        let still = admitted();
        remove(kernel, FILTER)?;
        if !still? {
            return Ok(backwards);
        }
    }
    Err(undecided())
}

/// Whether all of a filter is in.
pub(super) fn is_filtered(kernel: &Kernel) -> Result<bool, NetError> {
    Ok(all(kernel)?.iter().any(|body| is_whole(body)))
}

/// The kernel has its attributes in an order of its own.
fn is_whole(body: &[u8]) -> bool {
    let found = attributes(body, RULE);
    let last = FILTER_WHOLE.to_ne_bytes();
    found.contains(&(FRA_PROTOCOL, &[FILTER])) && found.contains(&(FRA_PRIORITY, &last))
}

/// What a filter ends with.
fn whole() -> Rule {
    Rule {
        peer: NOBODY,
        priority: FILTER_WHOLE,
        table: FILTER,
        user: None,
        port: None,
        owner: FILTER,
    }
}

fn chosen_ports() -> Result<(u16, u16), NetError> {
    let text = std::fs::read_to_string(CHOSEN_PORTS).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok((first, last)),
        _ => Err(NetError::ChosenPorts(text)),
    }
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
    remove(kernel, PROTOCOL)
}

fn remove(kernel: &Kernel, owner: u8) -> Result<String, NetError> {
    let mut text = String::new();
    for body in all(kernel)?.iter().filter(|body| is_of(body, owner)) {
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

fn is_of(body: &[u8], owner: u8) -> bool {
    attributes(body, RULE)
        .iter()
        .any(|(kind, value)| *kind == FRA_PROTOCOL && *value == [owner])
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
            FRA_SPORT_RANGE => ports(value).map(|ports| format!(" from port {ports}")),
            FRA_DPORT_RANGE => ports(value).map(|ports| format!(" to port {ports}")),
            _ => None,
        };
        words.push_str(&word.unwrap_or_default());
    }
    format!("rule{words} table {table}\n")
}

/// Writes `4646` or `1-4645`.
fn ports(value: &[u8]) -> Option<String> {
    match (u16_at(value, 0)?, u16_at(value, 2)?) {
        (first, last) if first == last => Some(first.to_string()),
        (first, last) => Some(format!("{first}-{last}")),
    }
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
    fn what_is_closed_for_good_spares_replies_and_the_agents_own_words() {
        let closed = Closed::read("10.0.0.2=tcp:1-4645,tcp:4649-65535,udp:40000-50000").unwrap();
        let written = |chosen| -> Vec<String> {
            let rules = closed.rules(10001, chosen, Backwards::AsTheyAre);
            rules.iter().map(|rule| line(&rule.body())).collect()
        };
        let pass = "rule to 10.0.0.2 priority 84 protocol 83 of one user table 254\n";
        let lose = "rule to 10.0.0.2 priority 85 protocol 83 transport 6 to port";
        assert_eq!(
            written((32768, 60999)),
            [
                pass.to_owned(),
                format!("{lose} 1-4645 table 83\n"),
                format!("{lose} 4649-32767 table 83\n"),
                format!("{lose} 61000-65534 table 83\n"),
            ]
        );
        assert_eq!(
            written((1024, 65535)),
            [pass.to_owned(), format!("{lose} 1-1023 table 83\n")]
        );
        let swapped = closed.rules(1, (32768, 60999), Backwards::Swapped);
        assert!(line(&swapped[1].body()).contains("transport 6 from port 1-4645"));
        for wrong in [
            "10.0.0.2",
            "10.0.0.2=",
            "x=tcp:1-2",
            "10.0.0.2=tcp:2-1",
            "10.0.0.2=tcp:0-1",
            "10.0.0.2=icmp:1-2",
            "10.0.0.2=tcp:1-65536",
        ] {
            assert_eq!(Closed::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_heal_leaves_alone_what_is_closed_for_good() {
        let closed = Closed::read("10.0.0.2=tcp:1-4645").unwrap();
        let rules = closed.rules(1, (32768, 60999), Backwards::AsTheyAre);
        assert!(rules.iter().all(|rule| !is_of(&rule.body(), PROTOCOL)));
        assert!(!is_of(&whole().body(), PROTOCOL) && is_whole(&whole().body()));
        assert!(rules.iter().all(|rule| !is_whole(&rule.body())));
    }

    #[test]
    fn only_rules_of_ours_are_ours() {
        let rule = &Block::read("out", "1", "all").unwrap().rules(NOBODY)[0];
        assert!(is_of(&rule.body(), PROTOCOL));
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
        assert!(!is_of(&other, PROTOCOL));
    }
}
