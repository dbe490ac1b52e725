//! Cutting an agent off: a route per peer that leads to the loopback, where such packets are
//! dropped without a word. What comes in from the peer is dropped, too, since agents' containers
//! run with strict reverse-path filtering: the way back would be another than the way in. So one
//! side's routes cut both ways, and nobody gets an error at once: it is as if the cable were out.
//!
//! Finer cuts, one way or one port, are made by `rules`; lines that are only bad by `queue`.
//!
//! Spoken to the kernel directly (rtnetlink): the container has no `ip`. Routes and rules carry a
//! protocol number of their own, by which `heal` finds exactly them.
//!
//! `net cut IP...`, `net block WAY UID TRAFFIC IP...`, `net shape LINE NUMBER`, `net try-block`,
//! `net try-shape LINE NUMBER`, `net heal`, `net state`; for ports that are closed for good
//! `net filter UID IP=tcp:FIRST-LAST,udp:...`; and `net reach IP:PORT...`, which tries connections.

mod kernel;
mod queue;
mod reach;
mod routes;
mod rules;

use std::net::Ipv4Addr;

use nix::errno::Errno;

use kernel::Kernel;

/// Marks the routes and rules that are ours (numbers from 4 on are free; 82 is no known routing
/// daemon's).
const PROTOCOL: u8 = 82;

/// Marks those that no heal removes; the number of their table, too.
const FILTER: u8 = 83;

/// The tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetError {
    #[error(
        "expected `net cut IP...`, `net block both|out|in UID all|PORT/tcp,... IP...`, `net shape \
         delay|loss|rate NUMBER`, `net try-block`, `net try-shape delay|loss|rate NUMBER`, `net filter \
         UID IP=tcp:FIRST-LAST,udp:...`, `net reach IP:PORT...`, `net heal` or `net state`, not \
         `net {0}`"
    )]
    Usage(String),
    #[error("`/proc/sys/net/ipv4/ip_local_port_range` says `{0}`, expected two ports")]
    ChosenPorts(String),
    #[error("`{0}` is no IPv4 address")]
    Address(String),
    #[error("this machine's kernel has no `{0}` (sch_{0})")]
    NoQueue(String),
    #[error("this kernel does not say what it does with packets of {peer}")]
    Backwards { peer: Ipv4Addr },
    #[error("there is no loopback interface")]
    NoLoopback,
    #[error("cannot {action}: {reason}")]
    Kernel { action: String, reason: Errno },
    #[error("cannot {action}: the kernel's reply makes no sense")]
    Reply { action: String },
}

pub(super) fn run(args: &[String]) -> Result<String, NetError> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let usage = || NetError::Usage(args.join(" "));
    match words.as_slice() {
        ["cut", peers @ ..] if !peers.is_empty() => {
            routes::cut(&Kernel::open()?, &addresses(peers)?)
        }
        ["block", way, user, traffic, peers @ ..] if !peers.is_empty() => {
            let block = rules::Block::read(way, user, traffic).ok_or_else(usage)?;
            rules::block(&Kernel::open()?, &block, &addresses(peers)?)
        }
        ["filter", user, closed @ ..] if !closed.is_empty() => {
            let user = user.parse().map_err(|_| usage())?;
            let closed: Option<Vec<_>> =
                closed.iter().map(|one| rules::Closed::read(one)).collect();
            rules::filter(&Kernel::open()?, user, &closed.ok_or_else(usage)?)
        }
        ["reach", listeners @ ..] if !listeners.is_empty() => {
            let parsed: Result<Vec<_>, _> = listeners.iter().map(|one| one.parse()).collect();
            Ok(reach::reach(&parsed.map_err(|_| usage())?))
        }
        ["try-block"] => rules::try_block(&Kernel::open()?),
        [verb @ ("shape" | "try-shape"), line, number] => {
            let line = queue::Line::read(line, number).ok_or_else(usage)?;
            let kernel = Kernel::open()?;
            match *verb {
                "shape" => queue::shape(&kernel, line),
                _ => queue::try_shape(&kernel, line),
            }
        }
        ["heal"] => {
            let kernel = Kernel::open()?;
            // The rules first: what leads nowhere must not be led to.
            let healed = rules::heal(&kernel)? + &routes::heal(&kernel)?;
            Ok(healed + &queue::heal(&kernel)?)
        }
        ["state"] => {
            let kernel = Kernel::open()?;
            Ok(routes::state(&kernel)? + &rules::state(&kernel)? + &queue::state(&kernel)?)
        }
        _ => Err(usage()),
    }
}

/// Whether the ports of this network that are closed for good are closed by now.
pub(super) fn is_filtered() -> Result<bool, NetError> {
    rules::is_filtered(&Kernel::open()?)
}

fn addresses(peers: &[&str]) -> Result<Vec<Ipv4Addr>, NetError> {
    let parse = |peer: &&str| {
        let address: Result<Ipv4Addr, _> = peer.parse();
        address.map_err(|_| NetError::Address((*peer).to_owned()))
    };
    peers.iter().map(parse).collect()
}

/// By name: in a container that was started again an interface has the same name with another
/// number. The number where there is none.
fn interface_name(index: u32) -> String {
    let found = nix::net::if_::if_indextoname(index);
    let name = found.map(|name| name.to_string_lossy().into_owned());
    // For an interface that is not there, `nix` has an empty name and no error.
    let name = name.ok().filter(|name| !name.is_empty());
    name.unwrap_or_else(|| index.to_string())
}

/// Puts lines into an order of their own.
fn sorted(mut lines: Vec<String>) -> String {
    lines.sort();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_routes_and_rules_without_any_rights() {
        let text = run(&["state".to_owned()]).unwrap();
        assert!(
            text.lines()
                .all(|line| line.starts_with("route ") || line.starts_with("rule ")),
            "{text}"
        );
        // Every namespace has the loopback's own route.
        assert!(text.contains("route 127.0.0.1/32"), "{text}");
    }

    #[test]
    fn a_wrong_word_is_told() {
        for (words, told) in [
            (vec!["cut"], "not `net cut`"),
            (vec!["cut", "server-1"], "`server-1` is no IPv4 address"),
            (vec!["mend"], "not `net mend`"),
            (
                vec!["block", "up", "1", "all", "10.0.0.1"],
                "not `net block up",
            ),
            (
                vec!["block", "in", "x", "all", "10.0.0.1"],
                "not `net block in",
            ),
            (
                vec!["block", "in", "1", "4647/sctp", "10.0.0.1"],
                "not `net block",
            ),
            (vec!["block", "in", "1", "all"], "not `net block in 1 all`"),
            (vec!["shape", "loss", "101"], "not `net shape loss 101`"),
            (vec!["filter", "1"], "not `net filter 1`"),
            (vec!["reach", "10.0.0.1"], "not `net reach 10.0.0.1`"),
            (vec!["filter", "1", "10.0.0.1"], "not `net filter 1 10"),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let error = run(&words).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
