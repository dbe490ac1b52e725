//! Cutting an agent off: a route per peer that leads to the loopback, where such packets are
//! dropped without a word. What comes in from the peer is dropped, too, since agents' containers
//! run with strict reverse-path filtering: the way back would be another than the way in. So one
//! side's routes cut both ways, and nobody gets an error at once: it is as if the cable were out.
//!
//! Spoken to the kernel directly (rtnetlink, `man 7 rtnetlink`): the container has no `ip`. The
//! routes carry a protocol number of their own, by which `heal` finds exactly them.
//!
//! `net cut IP...`, `net heal`, `net state`.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

/// Marks the routes that are ours (numbers from 4 on are free; 82 is no known routing daemon's).
const PROTOCOL: u8 = 82;

// From linux/netlink.h and linux/rtnetlink.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const AF_INET: u8 = 2;
const TABLE_MAIN: u8 = 254;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;

/// Length of a message's head.
const HEAD: usize = 16;
/// Length of a route's fixed part.
const ROUTE: usize = 12;

/// The tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetError {
    #[error("expected `net cut IP...`, `net heal` or `net state`, not `net {0}`")]
    Usage(String),
    #[error("`{0}` is no IPv4 address")]
    Address(String),
    #[error("there is no loopback interface")]
    NoLoopback,
    #[error("cannot {action}: {reason}")]
    Kernel { action: String, reason: Errno },
    #[error("cannot {action}: the kernel's reply makes no sense")]
    Reply { action: String },
}

pub(super) fn run(args: &[String]) -> Result<String, NetError> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cut", peers @ ..] if !peers.is_empty() => cut(peers),
        ["heal"] => heal(),
        ["state"] => Ok(state(&Kernel::open()?.routes()?)),
        _ => Err(NetError::Usage(args.join(" "))),
    }
}

fn cut(peers: &[&str]) -> Result<String, NetError> {
    let parse = |peer: &&str| {
        let address: Result<Ipv4Addr, _> = peer.parse();
        address.map_err(|_| NetError::Address((*peer).to_owned()))
    };
    let addresses: Vec<Ipv4Addr> = peers.iter().map(parse).collect::<Result<_, _>>()?;
    let loopback = nix::net::if_::if_nametoindex("lo").map_err(|_| NetError::NoLoopback)?;
    let kernel = Kernel::open()?;
    let mut text = String::new();
    for address in addresses {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let action = format!("cut {address}");
        kernel.change(RTM_NEWROUTE, flags, address, loopback, &action)?;
        writeln!(text, "cut {address}").expect("a string takes any text");
    }
    Ok(text)
}

fn heal() -> Result<String, NetError> {
    let kernel = Kernel::open()?;
    let mut text = String::new();
    for route in kernel.routes()?.iter().filter(|r| r.protocol == PROTOCOL) {
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let action = format!("heal {}", route.address);
        kernel.change(RTM_DELROUTE, flags, route.address, route.interface, &action)?;
        writeln!(text, "healed {}", route.address).expect("a string takes any text");
    }
    Ok(text)
}

/// Writes routes one a line, in an order of their own.
fn state(routes: &[Route]) -> String {
    let mut lines: Vec<String> = routes.iter().map(Route::line).collect();
    lines.sort();
    lines.concat()
}

/// A route as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    address: Ipv4Addr,
    prefix: u8,
    table: u8,
    kind: u8,
    protocol: u8,
    interface: u32,
    gateway: Option<Ipv4Addr>,
}

impl Route {
    fn line(&self) -> String {
        let gateway = self
            .gateway
            .map(|g| format!(" via {g}"))
            .unwrap_or_default();
        // By name: a container that was started again has the same name with another number.
        let interface = nix::net::if_::if_indextoname(self.interface).map_or_else(
            |_| self.interface.to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        format!(
            "route {}/{}{gateway} interface {interface} table {} type {} protocol {}\n",
            self.address, self.prefix, self.table, self.kind, self.protocol
        )
    }

    /// Reads the body of a route message; `None` where it is cut short.
    fn read(body: &[u8]) -> Option<Self> {
        let mut route = Self {
            address: Ipv4Addr::UNSPECIFIED,
            prefix: *body.get(1)?,
            table: *body.get(4)?,
            protocol: *body.get(5)?,
            kind: *body.get(7)?,
            interface: 0,
            gateway: None,
        };
        let mut rest = body.get(ROUTE..)?;
        while rest.len() >= 4 {
            let length = usize::from(u16_at(rest, 0)?);
            let value = rest.get(4..length)?;
            let number = || <[u8; 4]>::try_from(value).ok();
            match u16_at(rest, 2)? {
                // Addresses travel as they do on the wire, numbers as the machine has them.
                RTA_DST => route.address = number()?.into(),
                RTA_OIF => route.interface = u32::from_ne_bytes(number()?),
                RTA_GATEWAY => route.gateway = Some(number()?.into()),
                _ => {}
            }
            rest = rest.get(aligned(length)..).unwrap_or_default();
        }
        Some(route)
    }
}

/// A conversation with the kernel's router.
struct Kernel {
    socket: OwnedFd,
}

impl Kernel {
    fn open() -> Result<Self, NetError> {
        let failed = |reason| NetError::Kernel {
            action: "talk to the kernel's router".to_owned(),
            reason,
        };
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .map_err(failed)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(failed)?;
        Ok(Self { socket })
    }

    /// Adds or removes a host route.
    fn change(
        &self,
        kind: u16,
        flags: u16,
        address: Ipv4Addr,
        interface: u32,
        action: &str,
    ) -> Result<(), NetError> {
        let mut body = vec![
            AF_INET,
            32,
            0,
            0,
            TABLE_MAIN,
            PROTOCOL,
            SCOPE_LINK,
            TYPE_UNICAST,
            0,
            0,
            0,
            0,
        ];
        attribute(&mut body, RTA_DST, address.octets());
        attribute(&mut body, RTA_OIF, interface.to_ne_bytes());
        self.ask(&message(kind, flags, &body), action).map(drop)
    }

    /// Returns all IPv4 routes.
    fn routes(&self) -> Result<Vec<Route>, NetError> {
        let mut body = vec![0; ROUTE];
        body[0] = AF_INET;
        let request = message(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, &body);
        let bodies = self.ask(&request, "list routes")?;
        let read = |body: &Vec<u8>| {
            Route::read(body).ok_or_else(|| NetError::Reply {
                action: "list routes".to_owned(),
            })
        };
        bodies.iter().map(read).collect()
    }

    /// Sends a request and returns the bodies of its replies, up to the last.
    fn ask(&self, request: &[u8], action: &str) -> Result<Vec<Vec<u8>>, NetError> {
        let failed = |reason| NetError::Kernel {
            action: action.to_owned(),
            reason,
        };
        let nonsense = || NetError::Reply {
            action: action.to_owned(),
        };
        let fd = self.socket.as_raw_fd();
        send(fd, request, MsgFlags::empty()).map_err(failed)?;
        let mut bodies = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = recv(fd, &mut buffer, MsgFlags::empty()).map_err(failed)?;
            let mut rest = &buffer[..length];
            while rest.len() >= HEAD {
                let whole = u32_at(rest, 0).ok_or_else(nonsense)? as usize;
                let body = rest.get(HEAD..whole).ok_or_else(nonsense)?;
                match u16_at(rest, 4).ok_or_else(nonsense)? {
                    NLMSG_DONE => return Ok(bodies),
                    NLMSG_ERROR => {
                        let code = u32_at(body, 0).ok_or_else(nonsense)?;
                        let code = i32::from_ne_bytes(code.to_ne_bytes());
                        return match code {
                            0 => Ok(bodies),
                            code => Err(failed(Errno::from_raw(-code))),
                        };
                    }
                    _ => bodies.push(body.to_vec()),
                }
                rest = rest.get(aligned(whole)..).unwrap_or_default();
            }
        }
    }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEAD + body.len()).expect("a few dozen bytes");
    let mut message = Vec::with_capacity(HEAD + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and port: one request at a time, answered by the kernel.
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: [u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

fn aligned(length: usize) -> usize {
    length.max(1).next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_ne_bytes(pair))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(four))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_routes_without_any_rights() {
        let text = run(&["state".to_owned()]).unwrap();
        assert!(
            text.lines().all(|line| line.starts_with("route ")),
            "{text}"
        );
        // Every namespace has the loopback's own route.
        assert!(text.contains("route 127.0.0.1/32"), "{text}");
    }

    #[test]
    fn a_route_is_read_back_as_it_was_written() {
        let mut body = vec![
            AF_INET, 32, 0, 0, TABLE_MAIN, PROTOCOL, SCOPE_LINK, 1, 0, 0, 0, 0,
        ];
        attribute(&mut body, RTA_DST, [10, 84, 3, 12]);
        attribute(&mut body, RTA_OIF, 1_u32.to_ne_bytes());
        let route = Route::read(&body).unwrap();
        assert_eq!(
            route.line(),
            "route 10.84.3.12/32 interface lo table 254 type 1 protocol 82\n"
        );
        assert_eq!(Route::read(&body[..14]), Route::read(&body[..12]));
        assert_eq!(Route::read(&body[..5]), None);
    }

    #[test]
    fn a_wrong_word_is_told() {
        for (words, told) in [
            (vec!["cut"], "not `net cut`"),
            (vec!["cut", "server-1"], "`server-1` is no IPv4 address"),
            (vec!["mend"], "not `net mend`"),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let error = run(&words).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
