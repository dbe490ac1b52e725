//! A client: registers its node, keeps its heartbeat, runs the allocations placed on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::types::{Allocation, Node, NodeStatus};

/// What a client is told; filled by the agent from its configuration files.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `data_dir`; the client keeps `client/` and `alloc/` in it.
    pub data_dir: PathBuf,
    /// Node name.
    pub name: String,
    /// Region.
    pub region: String,
    /// Datacenter.
    pub datacenter: String,
    /// `node_class`.
    pub node_class: String,
    /// `node_pool`.
    pub node_pool: String,
    /// `meta`.
    pub meta: BTreeMap<String, String>,
    /// `options`.
    pub options: BTreeMap<String, String>,
    /// MHz (`cpu_total_compute`), `None` to take the machine's.
    pub cpu_total: Option<i64>,
    /// MiB (`memory_total_mb`), `None` to take the machine's.
    pub memory_mb: Option<i64>,
    /// Lowest dynamic port.
    pub min_dynamic_port: u16,
    /// Highest dynamic port.
    pub max_dynamic_port: u16,
    /// Address that tasks get, of `network_interface`.
    pub ip: std::net::Ipv4Addr,
    /// Advertised HTTP address.
    pub http_addr: SocketAddr,
    /// Whether HTTP speaks TLS.
    pub tls_enabled: bool,
    /// Whether `plugin "raw_exec" { config { enabled = true } }`.
    pub raw_exec: bool,
    /// Version of Nomad that the simulator follows.
    pub version: String,
}

/// What the servers answer to a registration or heartbeat.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// How long the node stays ready without another heartbeat.
    pub ttl: Duration,
    /// RPC addresses of all servers known to gossip.
    pub servers: Vec<SocketAddr>,
}

/// The servers did not answer as wanted.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// No server could be reached, or none knows a leader.
    #[error("{0}")]
    Unavailable(String),
    /// A server refused: its text is Nomad's (`node not found`, `No cluster leader`, ...).
    #[error("{0}")]
    Refused(String),
}

/// What a client asks of the servers, over RPC.
#[async_trait]
pub trait Servers: Send + Sync + 'static {
    /// Registers the node (again).
    async fn register(&self, node: &Node) -> Result<HeartbeatReply, ServersError>;
    /// Heartbeat: sets the node's status.
    async fn heartbeat(
        &self,
        node_id: &str,
        secret_id: &str,
        status: NodeStatus,
    ) -> Result<HeartbeatReply, ServersError>;
    /// Blocks until an allocation of the node changed after `index` (by the servers' side:
    /// `alloc_modify_index`) or `wait` passed. Returns the new index and all its allocations.
    async fn allocs(
        &self,
        node_id: &str,
        secret_id: &str,
        index: u64,
        wait: Duration,
    ) -> Result<(u64, Vec<Allocation>), ServersError>;
    /// Reports client-side changes of allocations.
    async fn update_allocs(
        &self,
        node_id: &str,
        secret_id: &str,
        allocs: Vec<Allocation>,
    ) -> Result<(), ServersError>;
}

/// The client could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of its own could not be read or written.
    #[error("client state: cannot {action} `{}`", path.display())]
    State {
        /// `read`, `write` or `create`.
        action: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What the agent's `stats` show of its client.
#[derive(Clone, Debug, Default)]
pub struct ClientStats {
    /// RPC addresses of the servers that answered last.
    pub known_servers: Vec<SocketAddr>,
    /// Allocations that are on this node and not garbage.
    pub num_allocations: usize,
    /// When a server last took a heartbeat ([`crate::types::Nanos`] since the epoch), 0 before.
    pub last_heartbeat: crate::types::Nanos,
    /// Granted by the last heartbeat.
    pub heartbeat_ttl: Duration,
}

/// A running client; dropping it ends its loops (but not the tasks' processes).
pub struct Client {
    node_id: String,
}

impl Client {
    /// Reads (or makes) the node's identity, then registers and runs in the background.
    ///
    /// # Errors
    /// Where `data_dir` is not usable.
    pub fn start(_config: ClientConfig, _servers: Arc<dyn Servers>) -> Result<Self, StartError> {
        Ok(Self {
            node_id: String::new(),
        })
    }

    /// The node's UUID.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// What `agent/self` shows.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        ClientStats::default()
    }

    /// Where an allocation's files are (`alloc/logs/<task>.stdout.0`, `<task>/local`, ...).
    #[must_use]
    pub fn alloc_dir(&self, alloc_id: &str) -> PathBuf {
        PathBuf::from(alloc_id)
    }
}
