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
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
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
        let route = Route::ours(*address, 32, TABLE_MAIN, interface);
        route.put(kernel)?;
        writeln!(text, "cut {address}").expect("a string takes any text");
    }
    Ok(text)
}

/// Fills a table of ours with one route: all to the loopback.
pub(super) fn nowhere(kernel: &Kernel, table: u8) -> Result<(), NetError> {
    Route::ours(Ipv4Addr::UNSPECIFIED, 0, table, loopback()?).put(kernel)
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
    fn ours(address: Ipv4Addr, prefix: u8, table: u8, interface: u32) -> Self {
        Self {
            address,
            prefix,
            table,
            kind: TYPE_UNICAST,
            protocol: PROTOCOL,
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
        let route = Route::ours([10, 84, 3, 12].into(), 32, TABLE_MAIN, 1);
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
