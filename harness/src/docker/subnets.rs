//! Where a cluster's network can be: addresses that neither another Docker network nor a route
//! of this machine uses. A virtual private network whose routes are shadowed by a bridge is the
//! classic way in which a local cluster breaks somebody's day.

use std::net::Ipv4Addr;

use super::NetworkFacts;
use crate::spec::Subnet;

/// Bits of a cluster's network: 254 addresses.
const PREFIX: u8 = 24;
/// The pools are walked in this order: large ones that Docker itself does not take from first
/// (its own defaults are 172.17.0.0/12 and 192.168.0.0/16).
const POOLS: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 208, 0, 0), 12),
    (Ipv4Addr::new(10, 96, 0, 0), 11),
    (Ipv4Addr::new(172, 16, 0, 0), 16),
];
/// Networks offered before giving up: more than a host has networks.
const OFFERS_MAX: usize = 64;
/// Distance between two offers. Whatever takes one network unseen (a route in the virtual
/// machine of the engine, say) may well take its neighbours; odd, so that all are reached.
const STRIDE: u32 = 379;

/// What is taken already.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    taken: Vec<Subnet>,
}

impl Surroundings {
    /// Collects what is taken: by Docker networks, and by the routes of this machine (the text of
    /// `/proc/net/route`, where there is such a file).
    #[must_use]
    pub fn new(networks: &[NetworkFacts], routes: Option<&str>) -> Self {
        let docker = networks.iter().flat_map(|network| network.subnets.clone());
        let host = routes.map(read_routes).unwrap_or_default();
        Self {
            taken: docker.chain(host).collect(),
        }
    }

    pub(crate) fn is_free(&self, subnet: Subnet) -> bool {
        !self.taken.iter().any(|taken| taken.overlaps(subnet))
    }
}

/// Returns the destinations of a routing table, the default route left out.
fn read_routes(table: &str) -> Vec<Subnet> {
    let read = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        // The kernel prints network byte order as a host number.
        let number = |text: &str| {
            let number = u32::from_str_radix(text, 16).ok()?;
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        let destination = number(columns.next()?)?;
        let mask = number(columns.nth(5)?)?;
        let prefix = u32::from(mask).leading_ones();
        Subnet::new(destination, u8::try_from(prefix).ok()?).filter(|s| s.prefix() > 0)
    };
    table.lines().skip(1).filter_map(read).collect()
}

/// There is no network left.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no free network of {PREFIX} bits in 10.208.0.0/12, 10.96.0.0/11 and 172.16.0.0/16")]
pub struct SubnetTaken;

impl SubnetTaken {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("docker network prune    # or: rehearse sweep".to_owned())
    }
}

/// Returns free networks to try in turn: somebody else may take one between this look and the
/// making. Where the walk starts depends on `seed`, so that neighbours seldom meet.
///
/// # Errors
/// When all of them are taken.
pub fn free_subnets(around: &Surroundings, seed: &str) -> Result<Vec<Subnet>, SubnetTaken> {
    let start = seed.bytes().fold(2_166_136_261_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
    });
    let free: Vec<Subnet> = POOLS
        .iter()
        .flat_map(|(base, bits)| {
            let count = 1_u32 << (PREFIX - bits);
            (0..count).map(move |step| {
                let number = start.wrapping_add(step.wrapping_mul(STRIDE)) % count;
                let address = u32::from(*base) + (number << (32 - PREFIX));
                Subnet::new(Ipv4Addr::from(address), PREFIX).expect("24 bits are at most 32")
            })
        })
        .filter(|subnet| around.is_free(*subnet))
        .take(OFFERS_MAX)
        .collect();
    if free.is_empty() {
        Err(SubnetTaken)
    } else {
        Ok(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(subnet: &str) -> NetworkFacts {
        NetworkFacts {
            id: subnet.to_owned(),
            name: subnet.to_owned(),
            subnets: vec![subnet.parse().unwrap()],
            labels: super::super::Labels::new(),
        }
    }

    fn little_endian(address: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(address))
    }

    #[test]
    fn no_offer_touches_what_is_taken() {
        let table = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             tun0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n",
            little_endian([10, 208, 0, 0]),
            little_endian([255, 240, 0, 0]),
        );
        let networks = [network("10.96.0.0/12"), network("172.17.0.0/16")];
        let around = Surroundings::new(&networks, Some(&table));
        assert_eq!(around.taken.len(), 3, "the default route takes nothing");
        let offers = free_subnets(&around, "demo").unwrap();
        assert_eq!(offers.len(), OFFERS_MAX);
        let rest: Subnet = "10.112.0.0/12".parse().unwrap();
        assert!(
            offers.iter().all(|offer| rest.overlaps(*offer)),
            "{offers:?}"
        );
    }

    #[test]
    fn two_names_start_at_different_places() {
        let around = Surroundings::default();
        let first = |seed| free_subnets(&around, seed).unwrap()[0];
        assert_ne!(first("demo"), first("other"));
        assert_eq!(first("demo"), first("demo"));
    }

    #[test]
    fn a_full_host_is_told_so() {
        let around = Surroundings::new(&[network("0.0.0.0/0")], None);
        assert_eq!(free_subnets(&around, "demo"), Err(SubnetTaken));
    }
}
