//! What the HTTP API and the leader's duties are given by the agent that holds them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;

use crate::client::Client;
use crate::consensus::{Consensus, KeyOrder, Membership};
use crate::leader::{AutopilotConfig, LeaderState};
use crate::rpc::Reverse;

/// Header of a request that a server passed on to the leader: it is served there or refused,
/// never passed on a second time. Honoured only together with [`Forwarded`].
pub const HOP_HEADER: &str = "x-rehearse-hop";

/// Header of the refusal which says that the receiver of a passed-on request does not lead, so
/// the sender may look for the leader again.
pub const NOT_LEADER_HEADER: &str = "x-rehearse-not-leader";

/// Request extension that the RPC listener adds: the request came from another agent, so
/// [`HOP_HEADER`] may be believed.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded;

/// A request could not be passed on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ForwardError(
    /// Nomad's words: `failed to get conn: dial tcp ...: connect: connection refused`, `EOF`.
    pub String,
);

/// Passes requests on to another server's RPC address.
#[async_trait]
pub trait Forward: Send + Sync + 'static {
    /// Sends `request` (path and query under `/v1` or `/client`) and hands back the reply with
    /// its body still streaming. It has no time limit of its own: blocking queries take minutes.
    ///
    /// # Errors
    /// Where the server could not be reached or broke off before its reply's head.
    async fn forward(
        &self,
        to: SocketAddr,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, ForwardError>;
}

/// What `agent/self` and `agent/members` tell of this agent.
#[derive(Clone, Debug)]
pub struct AgentInfo {
    /// Name of the agent, without region (`server-1`).
    pub name: String,
    /// Region.
    pub region: String,
    /// Datacenter.
    pub datacenter: String,
    /// Version of Nomad that is followed ([`crate::FOLLOWS`]).
    pub version: String,
    /// Advertised RPC address.
    pub rpc_addr: SocketAddr,
    /// Advertised HTTP address.
    pub http_addr: SocketAddr,
    /// `bootstrap_expect`, 0 on a client.
    pub bootstrap_expect: u64,
    /// The agent's configuration in Nomad's JSON (`config` of `agent/self`); `Version` is
    /// added to it here.
    pub config: serde_json::Value,
    /// Keys of its files that the simulator knows and does not act on.
    pub inert: Vec<String>,
    /// Whether its gossip is encrypted.
    pub gossip_encrypted: bool,
}

/// Nomad's timers and switches, unscaled: `clock::scaled` is applied where they are used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `acl { enabled }`.
    pub acl_enabled: bool,
    /// `min_heartbeat_ttl`.
    pub min_heartbeat_ttl: Duration,
    /// `heartbeat_grace`.
    pub heartbeat_grace: Duration,
    /// `max_heartbeats_per_second`.
    pub max_heartbeats_per_second: f64,
    /// `failover_heartbeat_ttl`.
    pub failover_heartbeat_ttl: Duration,
    /// How long a request waits for a leader (Nomad's `RPCHoldTimeout`).
    pub rpc_hold: Duration,
    /// `autopilot { ... }`: what the first leader stores.
    pub autopilot: AutopilotConfig,
    /// `default_scheduler_config { ... }` in the API's JSON: what the first leader stores.
    pub scheduler: Option<serde_json::Value>,
}

impl Default for Settings {
    /// Nomad's defaults (`nomad/config.go`).
    fn default() -> Self {
        Self {
            acl_enabled: false,
            min_heartbeat_ttl: Duration::from_secs(10),
            heartbeat_grace: Duration::from_secs(10),
            max_heartbeats_per_second: 50.0,
            failover_heartbeat_ttl: Duration::from_secs(300),
            rpc_hold: Duration::from_secs(5),
            autopilot: AutopilotConfig::default(),
            scheduler: None,
        }
    }
}

/// Everything that a server's handlers and leader share; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The replicated state.
    pub consensus: Arc<dyn Consensus>,
    /// The way to other servers.
    pub forward: Arc<dyn Forward>,
    /// This agent.
    pub agent: Arc<AgentInfo>,
    /// Timers and switches.
    pub settings: Arc<Settings>,
    /// What may be asked of gossip.
    pub membership: Arc<dyn Membership>,
    /// What only a leader knows: heartbeat deadlines, autopilot's history. Empty elsewhere.
    pub leader: Arc<LeaderState>,
    /// The way to clients.
    pub clients: Reverse,
}

impl Context {
    /// Puts the parts together; the same context must be given to [`super::router`],
    /// [`crate::leader::start`] and [`crate::leader::rpc_routes`].
    #[must_use]
    pub fn new(
        consensus: Arc<dyn Consensus>,
        forward: Arc<dyn Forward>,
        agent: AgentInfo,
        settings: Settings,
    ) -> Self {
        Self {
            consensus,
            forward,
            agent: Arc::new(agent),
            settings: Arc::new(settings),
            membership: Arc::new(NoGossip),
            leader: Arc::new(LeaderState::default()),
            clients: Reverse::default(),
        }
    }

    /// The same with gossip; without it there is nobody to join and there are no keys.
    #[must_use]
    pub fn with_membership(mut self, membership: Arc<dyn Membership>) -> Self {
        self.membership = membership;
        self
    }
}

/// A server without gossip.
struct NoGossip;

#[async_trait]
impl Membership for NoGossip {
    async fn join(&self, addresses: Vec<String>) -> (usize, Vec<String>) {
        let failed = |address: String| format!("Failed to join {address}: no gossip");
        (0, addresses.into_iter().map(failed).collect())
    }

    async fn leave_for(&self, _name: &str, _prune: bool) {}

    async fn keys(&self, _order: KeyOrder) -> Result<Vec<String>, String> {
        Err("Keyring is empty (encryption not enabled)".to_owned())
    }
}

/// What a client agent's HTTP API needs: it answers for itself and passes the rest on.
#[derive(Clone)]
pub struct ClientContext {
    /// RPC addresses of the servers known now.
    pub servers: Arc<dyn Fn() -> Vec<SocketAddr> + Send + Sync>,
    /// The way to them.
    pub forward: Arc<dyn Forward>,
    /// This agent.
    pub agent: Arc<AgentInfo>,
    /// The client itself.
    pub client: Arc<Client>,
    /// `acl { enabled }`.
    pub acl_enabled: bool,
}
