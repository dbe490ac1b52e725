//! Routes to the loopback.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::kernel::{ACK, CREATE, DUMP, Kernel, REPLACE, REQUEST, attribute, attributes, message};
use super::{NetError, PROTOCOL, interface_name, sorted};

// From linux/rtnetlink.h.
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_IP_PROTO: u16 = 27;
const RTA_SPORT: u16 = 28;
const RTA_DPORT: u16 = 29;
pub(super) const TCP: u8 = 6;
const AF_INET: u8 = 2;
pub(super) const TABLE_MAIN: u8 = 254;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;

/// Length of a route's fixed part.
const ROUTE: usize = 12;

/// Leads everything for these addresses to the loopback.
pub(super) fn cut(kernel: &Kernel, addresses: &[Ipv4Addr]) -> Result<String, NetError> {
    let interface = loopback()?;
    let mut text = String::new();
    for address in addresses {
        let route = Route::made(PROTOCOL, *address, 32, TABLE_MAIN, interface);
        route.put(kernel)?;
        writeln!(text, "cut {address}").expect("a string takes any text");
    }
    Ok(text)
}

/// Fills a table of ours with one route: all to the loopback.
pub(super) fn nowhere(kernel: &Kernel, table: u8, owner: u8) -> Result<(), NetError> {
    Route::made(owner, Ipv4Addr::UNSPECIFIED, 0, table, loopback()?).put(kernel)
}

pub(super) fn heal(kernel: &Kernel) -> Result<String, NetError> {
    let mut text = String::new();
    for route in all(kernel)?.iter().filter(|r| r.protocol == PROTOCOL) {
        let request = message(RTM_DELROUTE, REQUEST | ACK, &route.body());
        kernel.ask(&request, &format!("heal {}", route.address))?;
        writeln!(text, "healed {}", route.address).expect("a string takes any text");
    }
    Ok(text)
}

/// Whether the kernel would take in a TCP packet of a peer on the same network, for an address of ours: it
/// looks the packet up as if it came (`ip route get OURS from PEER iif INTERFACE ipproto tcp sport N dport M`).
pub(super) fn admits(
    kernel: &Kernel,
    peer: Ipv4Addr,
    (from_port, to_port): (u16, u16),
) -> Result<bool, NetError> {
    let unknown = || NetError::Backwards { peer };
    let (own, interface) = own_side(kernel, peer)?.ok_or_else(unknown)?;
    let mut body = vec![AF_INET, 32, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    attribute(&mut body, RTA_DST, &own.octets());
    attribute(&mut body, RTA_SRC, &peer.octets());
    attribute(&mut body, RTA_IIF, &interface.to_ne_bytes());
    attribute(&mut body, RTA_IP_PROTO, &[TCP]);
    // Ports travel as they do on the wire.
    attribute(&mut body, RTA_SPORT, &from_port.to_be_bytes());
    attribute(&mut body, RTA_DPORT, &to_port.to_be_bytes());
    match kernel.ask(
        &message(RTM_GETROUTE, REQUEST | ACK, &body),
        "look a packet up",
    ) {
        Ok(_) => Ok(true),
        // So the kernel says that the way back is another one; newer ones with the second word.
        Err(NetError::Kernel {
            reason: nix::errno::Errno::EXDEV | nix::errno::Errno::EINVAL,
            ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the address and the interface by which a peer on the same network is spoken to.
fn own_side(kernel: &Kernel, peer: Ipv4Addr) -> Result<Option<(Ipv4Addr, u32)>, NetError> {
    let mut body = vec![AF_INET, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    attribute(&mut body, RTA_DST, &peer.octets());
    let bodies = kernel.ask(
        &message(RTM_GETROUTE, REQUEST | ACK, &body),
        "look a peer up",
    )?;
    let found = bodies.first().map(|body| attributes(body, ROUTE));
    let four = |wanted| -> Option<[u8; 4]> {
        let (_, value) = found.iter().flatten().find(|(kind, _)| *kind == wanted)?;
        (*value).try_into().ok()
    };
    let own = four(RTA_PREFSRC).map(Ipv4Addr::from);
    Ok(own.zip(four(RTA_OIF).map(u32::from_ne_bytes)))
}

/// Writes routes one a line.
pub(super) fn state(kernel: &Kernel) -> Result<String, NetError> {
    Ok(sorted(all(kernel)?.iter().map(Route::line).collect()))
}

pub(super) fn loopback() -> Result<u32, NetError> {
    nix::net::if_::if_nametoindex("lo").map_err(|_| NetError::NoLoopback)
}

/// Returns all IPv4 routes, of every table.
fn all(kernel: &Kernel) -> Result<Vec<Route>, NetError> {
    let mut body = vec![0; ROUTE];
    body[0] = AF_INET;
    let request = message(RTM_GETROUTE, REQUEST | DUMP, &body);
    let bodies = kernel.ask(&request, "list routes")?;
    let read = |body: &Vec<u8>| {
        Route::read(body).ok_or_else(|| NetError::Reply {
            action: "list routes".to_owned(),
        })
    };
    bodies.iter().map(read).collect()
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
    fn made(protocol: u8, address: Ipv4Addr, prefix: u8, table: u8, interface: u32) -> Self {
        Self {
            address,
            prefix,
            table,
            kind: TYPE_UNICAST,
            protocol,
            interface,
            gateway: None,
        }
    }

    fn put(&self, kernel: &Kernel) -> Result<(), NetError> {
        let flags = REQUEST | ACK | CREATE | REPLACE;
        let request = message(RTM_NEWROUTE, flags, &self.body());
        let action = format!("cut {}", self.address);
        kernel.ask(&request, &action).map(drop)
    }

    /// Writes a route without a gateway.
    fn body(&self) -> Vec<u8> {
        let mut body = vec![
            AF_INET,
            self.prefix,
            0,
            0,
            self.table,
            self.protocol,
            SCOPE_LINK,
            self.kind,
            0,
            0,
            0,
            0,
        ];
        if self.prefix > 0 {
            attribute(&mut body, RTA_DST, &self.address.octets());
        }
        attribute(&mut body, RTA_OIF, &self.interface.to_ne_bytes());
        body
    }

    fn line(&self) -> String {
        let gateway = self
            .gateway
            .map(|g| format!(" via {g}"))
            .unwrap_or_default();
        let interface = interface_name(self.interface);
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
        body.get(..ROUTE)?;
        for (kind, value) in attributes(body, ROUTE) {
            let number = || <[u8; 4]>::try_from(value).ok();
            match kind {
                // Addresses travel as they do on the wire, numbers as the machine has them.
                RTA_DST => route.address = number()?.into(),
                RTA_OIF => route.interface = u32::from_ne_bytes(number()?),
                RTA_GATEWAY => route.gateway = Some(number()?.into()),
                _ => {}
            }
        }
        Some(route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_back_as_it_was_written() {
        let route = Route::made(PROTOCOL, [10, 84, 3, 12].into(), 32, TABLE_MAIN, 1);
        let body = route.body();
        let read = Route::read(&body).unwrap();
        assert_eq!(
            read.line(),
            "route 10.84.3.12/32 interface lo table 254 type 1 protocol 82\n"
        );
        assert_eq!(Route::read(&body[..14]), Route::read(&body[..12]));
        assert_eq!(Route::read(&body[..5]), None);
    }
}
