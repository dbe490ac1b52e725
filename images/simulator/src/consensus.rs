//! The seam between the replicated log (Raft, gossip, RPC) and what is built on it (HTTP API,
//! leader's duties). The upper half sees only this trait, so its tests need no network.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::events::EventLog;
use crate::state::{Applied, Command, State};

/// Who leads, as this server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Raft term.
    pub term: u64,
    /// RPC address of the leader, if one is known.
    pub leader: Option<SocketAddr>,
    /// Whether it is this server, and it may serve: it has committed an entry of its term.
    pub is_self: bool,
}

/// A server in the Raft configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Server's UUID (`data_dir/server/node-id`).
    pub id: String,
    /// `server-1.global`, or `(unknown)` where gossip does not know it.
    pub name: String,
    /// RPC address.
    pub address: SocketAddr,
    /// Whether it votes.
    pub voter: bool,
    /// Last log index known to be on it; `None` where this server does not lead.
    pub last_index: Option<u64>,
    /// Milliseconds since the leader last heard of it; 0 for the leader itself.
    pub last_contact_ms: Option<u64>,
}

/// A server as gossip sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// `server-1.global`.
    pub name: String,
    /// Gossip address.
    pub address: SocketAddr,
    /// `alive`, `failed`, `leaving` or `left`.
    pub status: String,
    /// Nomad's tags: role, region, dc, build, id, rpc_addr, port, expect, ...
    pub tags: std::collections::BTreeMap<String, String>,
}

/// A change of the Raft configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// A server gets the log, and no vote yet.
    Add {
        /// Its ID.
        id: String,
        /// Its RPC address.
        address: SocketAddr,
    },
    /// A server that has the log gets a vote.
    Promote {
        /// Its ID.
        id: String,
    },
    /// A server, voter or not, does not belong to the cluster any more.
    Remove {
        /// Its ID.
        id: String,
    },
}

/// Something to do with the gossip keys of one server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOrder {
    /// `list`, `install`, `use` or `remove`.
    pub verb: String,
    /// The key in base64; empty for `list`.
    pub key: String,
}

impl std::fmt::Debug for KeyOrder {
    /// Without the key, so that it cannot get into a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyOrder({})", self.verb)
    }
}

/// What may be asked of this server's gossip.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Asks servers at these addresses to take this one in; returns how many answered, and
    /// what was wrong with the others.
    async fn join(&self, addresses: Vec<String>) -> (usize, Vec<String>);
    /// Takes a member that failed for one that left; with `prune` it is forgotten altogether.
    async fn leave_for(&self, name: &str, prune: bool);
    /// Reads or changes this server's gossip keys; returns those it has then, or Serf's words.
    async fn keys(&self, order: KeyOrder) -> Result<Vec<String>, String>;
}

/// Why the log did not take or confirm something.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// This server does not lead; the leader's RPC address if known.
    #[error("not the leader")]
    NotLeader(Option<SocketAddr>),
    /// No quorum answered in time; the entry may or may not be committed later.
    #[error("no quorum: {0}")]
    NoQuorum(String),
    /// The server is ending or its storage failed.
    #[error("raft: {0}")]
    Fatal(String),
}

/// The replicated state, from one server.
#[async_trait]
pub trait Consensus: Send + Sync + 'static {
    /// Returns the state as applied here: cheap, possibly behind the leader's.
    fn snapshot(&self) -> Arc<State>;
    /// Returns a watch of the last applied index, for blocking queries.
    fn applied(&self) -> watch::Receiver<u64>;
    /// Returns a watch of who leads.
    fn leadership(&self) -> watch::Receiver<Leadership>;
    /// Commits a command; on the leader only. Returns after it was applied here.
    async fn propose(&self, command: Command) -> Result<Applied, ConsensusError>;
    /// Confirms with a quorum that this server still leads and has applied all that was
    /// committed: what a default (consistent) read needs.
    async fn read_barrier(&self) -> Result<(), ConsensusError>;
    /// Changes the Raft configuration; on the leader only.
    async fn change_peers(&self, change: PeerChange) -> Result<(), ConsensusError>;
    /// Hands the lead over to the voter of this ID, and returns once this server follows it.
    async fn hand_over(&self, to: &str) -> Result<(), ConsensusError>;
    /// Returns the Raft configuration.
    fn peers(&self) -> Vec<Peer>;
    /// Returns what has changed here, for those who listen.
    fn events(&self) -> Arc<EventLog>;
    /// Returns the gossip members.
    fn members(&self) -> Vec<Member>;
}
