//! Networks in CIDR notation, of both versions of IP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Entry, Needs, texts};
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("cidrhost", Needs::Everything, |args| {
        let network = Network::parse(&args.text(0)?)?;
        Ok(Value::String(network.host(args.whole(1)?)?.to_string()))
    }),
    ("cidrnetmask", Needs::Everything, |args| {
        let network = Network::parse(&args.text(0)?)?;
        if network.bits != 32 {
            return Err("only IPv4 networks have a netmask".to_owned());
        }
        Ok(Value::String(
            Network {
                address: u128::from(u32::MAX),
                ..network
            }
            .masked()
            .ip()
            .to_string(),
        ))
    }),
    ("cidrsubnet", Needs::Everything, |args| {
        let network = Network::parse(&args.text(0)?)?;
        Ok(Value::String(
            network.subnet(args.whole(1)?, args.whole(2)?)?.to_string(),
        ))
    }),
    ("cidrsubnets", Needs::Everything, |args| {
        let network = Network::parse(&args.text(0)?)?;
        let mut next = network.masked().address;
        let mut subnets = Vec::new();
        for index in 1..args.values.len() {
            let prefix = network.longer(args.whole(index)?)?;
            let size = 1_u128 << (network.bits - prefix);
            // The next multiple of the subnet's size.
            let start = next.div_ceil(size) * size;
            let subnet = Network {
                address: start,
                prefix,
                ..network
            };
            if !network.contains(start) {
                return Err(format!(
                    "`{network}` has no room for a subnet of length {prefix}"
                ));
            }
            subnets.push(subnet.to_string());
            next = start + size;
        }
        Ok(texts(subnets))
    }),
];

#[derive(Clone, Copy)]
struct Network {
    address: u128,
    prefix: u32,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no network in CIDR notation, as 10.0.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let (address, bits) = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let prefix = prefix
            .parse()
            .ok()
            .filter(|prefix| *prefix <= bits)
            .ok_or_else(wrong)?;
        Ok(Self {
            address,
            prefix,
            bits,
        }
        .masked())
    }

    fn host_bits(self) -> u32 {
        self.bits - self.prefix
    }

    fn host_mask(self) -> u128 {
        1_u128
            .checked_shl(self.host_bits())
            .map_or(u128::MAX, |size| size - 1)
    }

    fn masked(self) -> Self {
        Self {
            address: self.address & !self.host_mask(),
            ..self
        }
    }

    fn contains(self, address: u128) -> bool {
        Self { address, ..self }.masked().address == self.address
    }

    fn ip(self) -> IpAddr {
        match u32::try_from(self.address) {
            Ok(address) if self.bits == 32 => Ipv4Addr::from(address).into(),
            _ => Ipv6Addr::from(self.address).into(),
        }
    }

    fn host(self, number: i64) -> Result<IpAddr, String> {
        let offset = u128::from(number.unsigned_abs());
        let beyond = || format!("`{self}` has no host {number}");
        let address = if number >= 0 {
            if offset > self.host_mask() {
                return Err(beyond());
            }
            self.address + offset
        } else {
            let from_end = offset - 1;
            if from_end > self.host_mask() {
                return Err(beyond());
            }
            self.address + (self.host_mask() - from_end)
        };
        Ok(Self { address, ..self }.ip())
    }

    fn longer(self, bits: i64) -> Result<u32, String> {
        u32::try_from(bits)
            .ok()
            .map(|bits| self.prefix + bits)
            .filter(|prefix| *prefix <= self.bits)
            .ok_or_else(|| format!("`{self}` cannot be {bits} bits longer"))
    }

    fn subnet(self, bits: i64, number: i64) -> Result<Self, String> {
        let prefix = self.longer(bits)?;
        let number =
            u128::try_from(number).map_err(|_| "a negative number of a subnet".to_owned())?;
        let count = 1_u128
            .checked_shl(prefix - self.prefix)
            .unwrap_or(u128::MAX);
        if number >= count {
            return Err(format!(
                "`{self}` has {count} subnets of {bits} more bits, not one of number {number}"
            ));
        }
        let shifted = number.checked_shl(self.bits - prefix).unwrap_or(0);
        Ok(Self {
            address: self.address | shifted,
            prefix,
            ..self
        })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ip(), self.prefix)
    }
}
