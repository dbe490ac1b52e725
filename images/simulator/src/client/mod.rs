//! A client: registers its node, keeps its heartbeat, runs the allocations placed on it.
//!
//! `registration.rs` keeps the node known, `allocs.rs` follows what the servers want, with a
//! `runner.rs` for each allocation and a `task.rs` for each of its tasks; `updates.rs` reports
//! back, `store.rs` remembers over a restart.
//!
//! `files/` and `usage.rs` show what is on the node.
//!
//! Missing: garbage collection of ended allocations that the servers still list, `exec`.

mod allocs;
mod checks;
mod events;
pub mod files;
mod fingerprint;
mod health;
mod identity;
mod lifecycle;
mod registration;
mod restarts;
mod runner;
mod store;
mod task;
mod taskenv;
pub mod template;
mod templates;
mod updates;
pub(crate) mod usage;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use allocs::OrderError;
pub use checks::CheckResult;
pub use runner::View;

use allocs::Allocs;
use identity::Identity;
use registration::Registration;
use store::Store;

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
    identity: Identity,
    alloc_root: PathBuf,
    allocs: Arc<Allocs>,
    stats: Arc<Mutex<ClientStats>>,
    /// Speed of a core.
    mhz: f64,
    loops: Vec<tokio::task::JoinHandle<()>>,
}

impl Client {
    /// Reads (or makes) the node's identity, then registers and runs in the background. Must
    /// be called within a tokio runtime.
    ///
    /// # Errors
    /// Where `data_dir` is not usable.
    pub fn start(config: ClientConfig, servers: Arc<dyn Servers>) -> Result<Self, StartError> {
        let client_dir = config.data_dir.join("client");
        let identity = Identity::load(&client_dir)?;
        let alloc_root = config.data_dir.join("alloc");
        let store_dir = client_dir.join("allocs");
        identity::make_dir(&alloc_root)?;
        identity::make_dir(&store_dir)?;
        let node = Arc::new(fingerprint::node(&config, &identity));
        let speed = node.attributes.get("cpu.frequency");
        let mhz = speed.and_then(|mhz| mhz.parse().ok()).unwrap_or(0.0);
        let stats = Arc::new(Mutex::new(ClientStats::default()));
        let (updates, sending) = updates::channel(Arc::clone(&servers), identity.clone());
        let mut allocs = Allocs::new(
            identity.clone(),
            Arc::clone(&servers),
            Arc::clone(&node),
            config.region.clone(),
            alloc_root.clone(),
            Store::new(&store_dir),
            updates,
        );
        let heard = Arc::clone(&stats);
        allocs.heard = Arc::new(move || {
            let stats = heard.lock().unwrap_or_else(PoisonError::into_inner);
            stats.last_heartbeat
        });
        let allocs = Arc::new(allocs);
        tracing::info!(target: "client", node_id = identity.node_id, "started client");
        let ready = watch::Sender::new(false);
        let mut registered = ready.subscribe();
        let registration = Registration {
            identity: identity.clone(),
            servers,
            node,
            stats: Arc::clone(&stats),
            ready,
        };
        let following = Arc::clone(&allocs);
        let follow = async move {
            following.take_up();
            // An error means that the client ends.
            if registered.wait_for(|ready| *ready).await.is_ok() {
                following.follow().await;
            }
        };
        let loops = vec![
            tokio::spawn(registration.keep()),
            tokio::spawn(sending),
            tokio::spawn(follow),
        ];
        Ok(Self {
            identity,
            alloc_root,
            allocs,
            stats,
            mhz,
            loops,
        })
    }

    /// The node's UUID.
    #[must_use]
    pub fn node_id(&self) -> &str {
        &self.identity.node_id
    }

    /// What `agent/self` shows.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        ClientStats {
            num_allocations: self.allocs.count(),
            ..stats.clone()
        }
    }

    /// Where an allocation's files are (`alloc/logs/<task>.stdout.0`, `<task>/local`, ...).
    #[must_use]
    pub fn alloc_dir(&self, alloc_id: &str) -> PathBuf {
        self.alloc_root.join(alloc_id)
    }

    /// What is known of an allocation here; `None` where it is not on this node.
    #[must_use]
    pub fn allocation(&self, alloc_id: &str) -> Option<View> {
        self.allocs.view(alloc_id)
    }

    /// What the checks of an allocation's services found last, by their IDs; `None` where it is
    /// not on this node.
    #[must_use]
    pub fn checks(&self, alloc_id: &str) -> Option<BTreeMap<String, CheckResult>> {
        Some(self.allocs.view(alloc_id)?.checks)
    }

    /// What an allocation's tasks use, as Nomad's `AllocResourceUsage`; `None` where it is not
    /// on this node.
    #[must_use]
    pub fn usage(&self, alloc_id: &str) -> Option<serde_json::Value> {
        let view = self.allocs.view(alloc_id)?;
        let running = view
            .processes
            .iter()
            .map(|(task, pid)| (task.as_str(), *pid));
        Some(usage::allocation(running, self.mhz))
    }

    /// What the machine uses, as Nomad's `HostStats`.
    #[must_use]
    pub fn host_usage(&self) -> serde_json::Value {
        usage::host(&self.alloc_root)
    }

    /// The node's secret, which proves to servers whose connection it is.
    #[must_use]
    pub fn secret_id(&self) -> &str {
        &self.identity.secret_id
    }

    /// Restarts a task, or all running tasks, or all tasks (`ended_too`), of an allocation.
    ///
    /// # Errors
    /// Where there is no such allocation or task here, or it has ended.
    pub fn restart(
        &self,
        alloc_id: &str,
        task: Option<&str>,
        ended_too: bool,
    ) -> Result<(), OrderError> {
        let message = |task| runner::Message::Restart { task, ended_too };
        self.allocs.order(alloc_id, task, message)
    }

    /// Signals a task, or all tasks, of an allocation; the name as `SIGHUP` or `HUP`, and
    /// SIGINT for one that there is not.
    ///
    /// # Errors
    /// As [`Client::restart`].
    pub fn signal(&self, alloc_id: &str, task: Option<&str>, name: &str) -> Result<(), OrderError> {
        self.allocs.signal(alloc_id, task, name)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for task in &self.loops {
            task.abort();
        }
    }
}

#[cfg(test)]
mod asked;
#[cfg(test)]
mod hooks;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod whole;
