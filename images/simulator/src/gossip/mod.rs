//! Membership of servers: SWIM by foca over UDP, every datagram sealed with the cluster's key.
//!
//! Serf's place in Nomad. The protocol on the wire is foca's, not memberlist's: servers of the
//! simulator understand only each other. What is Nomad's are the timings (memberlist's WAN
//! profile: a dead server is `failed` after 30 to 45 s), the tags, and the statuses.
//!
//! Missing: leaving on purpose when an agent ends. A member is `left` only where an operator or
//! autopilot says so, and they say it to every server.

mod codec;
mod engine;
mod identity;
mod keyring;
mod orders;
mod seal;

use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use foca::{Config, PeriodicParams};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::clock;
use crate::consensus::Member;
use engine::Engine;
pub use identity::Identity;
pub use keyring::{Keyring, KeyringError};
pub use orders::GossipHandle;
pub use seal::{KeyError, Seal};

/// What this server tells of itself, and how it finds the others.
#[derive(Clone, Debug)]
pub struct GossipSettings {
    /// Address to listen on.
    pub bind: SocketAddr,
    /// Address that the others are told.
    pub advertise: SocketAddr,
    /// `server-1.global`.
    pub name: String,
    /// Region.
    pub region: String,
    /// Datacenter.
    pub datacenter: String,
    /// Server's ID.
    pub id: Uuid,
    /// Advertised RPC address.
    pub rpc: SocketAddr,
    /// `bootstrap_expect`.
    pub expect: u64,
    /// Servers to join: `host` or `host:port`.
    pub join: Vec<String>,
    /// Port of those without one.
    pub port: u16,
    /// The cluster's keys; without them datagrams are plain.
    pub keyring: Option<Keyring>,
    /// How many times faster than Nomad's the timers run; 1 outside tests.
    pub speed: f64,
}

/// Gossip cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}` for gossip")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// This server's membership; it ends when dropped.
#[derive(Debug)]
pub struct Gossip {
    members: watch::Receiver<Vec<Member>>,
    handle: GossipHandle,
    task: tokio::task::JoinHandle<()>,
}

impl Gossip {
    /// Starts listening and looking for the others.
    ///
    /// # Errors
    /// Where the address is taken or not this machine's.
    pub async fn start(settings: GossipSettings) -> Result<Self, GossipError> {
        let socket = UdpSocket::bind(settings.bind)
            .await
            .map_err(|source| GossipError::Bind {
                address: settings.bind,
                source,
            })?;
        let (sender, members) = watch::channel(Vec::new());
        let (orders, taken) = mpsc::channel(16);
        let engine = Engine::new(settings, Arc::new(socket), sender, taken);
        Ok(Self {
            members,
            handle: GossipHandle(orders),
            task: tokio::spawn(engine.run()),
        })
    }

    /// The members, by name, this server among them; changes with them.
    #[must_use]
    pub fn members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.clone()
    }

    /// What may be asked of it.
    #[must_use]
    pub fn handle(&self) -> GossipHandle {
        self.handle.clone()
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Memberlist's WAN profile (`DefaultWANConfig`), and Serf's reconnecting every 30 s to members
/// that failed, for 72 h.
fn timing(speed: f64) -> Config {
    let timer = |seconds: f64| clock::scaled(Duration::from_secs_f64(seconds).div_f64(speed));
    let few = NonZeroUsize::new(4).expect("four is not zero");
    let every = |seconds: f64| {
        Some(PeriodicParams {
            frequency: timer(seconds),
            num_members: few,
        })
    };
    Config {
        probe_period: timer(5.0),
        probe_rtt: timer(3.0),
        num_indirect_probes: few,
        max_transmissions: NonZeroU8::new(6).expect("six is not zero"),
        suspect_to_down_after: timer(30.0),
        remove_down_after: timer(72.0 * 3600.0),
        // Below the usual 1500 of Ethernet, with room for headers and seal.
        max_packet_size: NonZeroUsize::new(1400).expect("not zero"),
        notify_down_members: true,
        periodic_announce: every(60.0),
        periodic_announce_to_down_members: every(30.0),
        periodic_gossip: every(0.5),
    }
}

#[cfg(test)]
mod tests;
