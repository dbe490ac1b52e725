//! Nomad's objects, as far as the harness reads them. Every field has a default: Nomad leaves out
//! what is empty, and old versions know less. The names are Nomad's own, documented in its API
//! reference; times are nanoseconds since 1970 and durations nanoseconds unless said otherwise.
#![allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// A secret ID. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Returns the secret, for a header or for the file that keeps it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// `GET agent/members`: servers only.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Members {
    pub server_name: String,
    pub server_region: String,
    #[serde(rename = "ServerDC")]
    pub server_dc: String,
    pub members: Vec<Member>,
}

impl Members {
    /// Returns those of the asked server's own region: gossip is one for all regions.
    pub fn own(&self) -> impl Iterator<Item = &Member> {
        let region = &self.server_region;
        let is_own = move |member: &&Member| {
            let other = member.tags.get("region").filter(|tag| *tag != region);
            region.is_empty() || other.is_none()
        };
        self.members.iter().filter(is_own)
    }
}

/// A server as gossip sees it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Member {
    /// `server-1.global`.
    pub name: String,
    pub addr: String,
    pub port: u16,
    pub tags: BTreeMap<String, String>,
    /// `none`, `alive`, `leaving`, `left` or `failed`.
    pub status: String,
}

/// `GET agent/self`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct AgentSelf {
    pub config: AgentSelfConfig,
    pub member: Member,
    /// All values are text, numbers too.
    pub stats: BTreeMap<String, BTreeMap<String, String>>,
}

impl AgentSelf {
    /// Returns one of the agent's own figures, as `stat("raft", "term")`.
    #[must_use]
    pub fn stat(&self, group: &str, name: &str) -> Option<&str> {
        self.stats.get(group)?.get(name).map(String::as_str)
    }
}

/// The part of the agent's configuration that is read back.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentSelfConfig {
    pub node_name: String,
    pub region: String,
    pub datacenter: String,
    pub version: VersionInfo,
}

/// Which build the agent is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionInfo {
    pub revision: String,
    pub version: String,
    pub version_prerelease: String,
    pub version_metadata: String,
}

/// `GET operator/raft/configuration`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RaftConfiguration {
    pub servers: Vec<RaftServer>,
    pub index: u64,
}

/// What `agent/keyring/...` answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GossipKeys {
    /// What servers that did not do it say, by name.
    pub messages: BTreeMap<String, String>,
    /// How many servers hold each key.
    pub keys: BTreeMap<String, u64>,
    pub num_nodes: u64,
}

/// A Raft peer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RaftServer {
    #[serde(rename = "ID")]
    pub id: String,
    /// `server-1.global`, or `(unknown)` when gossip does not know it.
    pub node: String,
    pub address: String,
    pub leader: bool,
    pub voter: bool,
    pub raft_protocol: String,
}

/// `GET operator/autopilot/health`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AutopilotHealth {
    pub healthy: bool,
    pub failure_tolerance: i64,
    pub leader: String,
    pub servers: Vec<ServerHealth>,
}

/// A server in autopilot's eyes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServerHealth {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    pub address: String,
    pub serf_status: String,
    pub version: String,
    pub leader: bool,
    /// Go's duration text, as `12.3ms`.
    pub last_contact: String,
    pub last_term: u64,
    pub last_index: u64,
    pub healthy: bool,
    pub voter: bool,
    pub stable_since: String,
}

/// An ACL token.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AclToken {
    #[serde(rename = "AccessorID")]
    pub accessor_id: String,
    #[serde(rename = "SecretID")]
    pub secret_id: Token,
    pub name: String,
    /// `client` or `management`.
    #[serde(rename = "Type")]
    pub token_type: String,
    pub policies: Vec<String>,
    pub global: bool,
    pub create_index: u64,
    pub modify_index: u64,
}

/// A node in a list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeStub {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    pub address: String,
    pub datacenter: String,
    pub node_class: String,
    pub node_pool: String,
    pub version: String,
    pub drain: bool,
    /// `eligible` or `ineligible`.
    pub scheduling_eligibility: String,
    /// `initializing`, `ready`, `down` or `disconnected`.
    pub status: String,
    pub status_description: String,
    pub drivers: BTreeMap<String, DriverInfo>,
    pub create_index: u64,
    pub modify_index: u64,
}

/// A task driver on a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverInfo {
    pub detected: bool,
    pub healthy: bool,
    pub health_description: String,
    pub attributes: BTreeMap<String, String>,
}

/// A node whole.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    pub datacenter: String,
    pub node_class: String,
    pub node_pool: String,
    #[serde(rename = "HTTPAddr")]
    pub http_addr: String,
    #[serde(rename = "TLSEnabled")]
    pub tls_enabled: bool,
    pub attributes: BTreeMap<String, String>,
    pub meta: BTreeMap<String, String>,
    pub drain: bool,
    pub drain_strategy: Option<serde_json::Value>,
    pub last_drain: Option<serde_json::Value>,
    pub scheduling_eligibility: String,
    pub status: String,
    pub status_description: String,
    /// Seconds since 1970.
    pub status_updated_at: i64,
    pub drivers: BTreeMap<String, DriverInfo>,
    pub events: Vec<NodeEvent>,
    pub create_index: u64,
    pub modify_index: u64,
}

/// What happened to a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeEvent {
    pub message: String,
    pub subsystem: String,
    /// RFC 3339.
    pub timestamp: String,
    pub details: BTreeMap<String, String>,
}

/// Reply to a change of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeUpdate {
    pub node_modify_index: u64,
    #[serde(rename = "EvalIDs")]
    pub eval_ids: Vec<String>,
    pub eval_create_index: u64,
    pub index: u64,
}

/// How a drain is to go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DrainSpec {
    /// Nanoseconds; 0 is no deadline, negative forces at once.
    pub deadline: i64,
    pub ignore_system_jobs: bool,
}

/// A job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Job {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    #[serde(rename = "Type")]
    pub job_type: String,
    pub priority: i64,
    pub datacenters: Vec<String>,
    /// `pending`, `running` or `dead`.
    pub status: String,
    pub stop: bool,
    pub stable: bool,
    pub version: u64,
    pub meta: BTreeMap<String, String>,
    pub update: Option<UpdateStrategy>,
    pub task_groups: Vec<TaskGroup>,
    pub submit_time: i64,
    pub create_index: u64,
    pub modify_index: u64,
    pub job_modify_index: u64,
}

/// A group of a job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroup {
    pub name: String,
    pub count: u32,
    pub update: Option<UpdateStrategy>,
    pub meta: BTreeMap<String, String>,
}

/// How new versions of a group are rolled out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStrategy {
    pub max_parallel: u32,
    pub min_healthy_time: i64,
    pub healthy_deadline: i64,
    pub progress_deadline: i64,
    pub canary: u32,
    pub auto_revert: bool,
    pub auto_promote: bool,
}

/// `GET job/:id/versions`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobVersions {
    pub versions: Vec<Job>,
}

/// Reply to a registration or to its opposite.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobRegistered {
    /// Empty for periodic and parameterized jobs.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub eval_create_index: u64,
    pub job_modify_index: u64,
    pub warnings: String,
    pub index: u64,
}

/// `PUT job/:id/plan`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobPlan {
    pub annotations: PlanAnnotations,
    #[serde(rename = "FailedTGAllocs")]
    pub failed_tg_allocs: BTreeMap<String, serde_json::Value>,
    pub job_modify_index: u64,
    pub diff: serde_json::Value,
    pub warnings: String,
}

/// What a plan would do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlanAnnotations {
    #[serde(rename = "DesiredTGUpdates")]
    pub desired_tg_updates: BTreeMap<String, DesiredUpdates>,
}

/// What a plan would do to one group.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DesiredUpdates {
    pub ignore: u64,
    pub place: u64,
    pub migrate: u64,
    pub stop: u64,
    pub in_place_update: u64,
    pub destructive_update: u64,
    pub canary: u64,
}

/// An allocation in a list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocStub {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// `job.group[0]`.
    pub name: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub node_name: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub job_version: u64,
    pub task_group: String,
    /// `run`, `stop` or `evict`.
    pub desired_status: String,
    pub desired_description: String,
    /// `pending`, `running`, `complete`, `failed`, `lost` or `unknown`.
    pub client_status: String,
    pub client_description: String,
    pub task_states: BTreeMap<String, TaskState>,
    pub deployment_status: Option<AllocDeploymentStatus>,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: i64,
    pub modify_time: i64,
}

impl AllocStub {
    /// Whether it runs and is meant to.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.client_status == "running" && self.desired_status == "run"
    }

    /// Whether the servers want it gone.
    #[must_use]
    pub fn is_told_to_stop(&self) -> bool {
        self.desired_status != "run"
    }

    /// Whether its deployment found it healthy.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.deployment_status
            .as_ref()
            .is_some_and(|status| status.healthy == Some(true))
    }
}

/// An allocation's place in its deployment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocDeploymentStatus {
    /// `None` while undecided.
    pub healthy: Option<bool>,
    /// RFC 3339.
    pub timestamp: String,
    pub canary: bool,
    pub modify_index: u64,
}

/// A task's life so far.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    /// `pending`, `running` or `dead`.
    pub state: String,
    pub failed: bool,
    pub restarts: u64,
    pub events: Vec<TaskEvent>,
}

/// What happened to a task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    #[serde(rename = "Type")]
    pub event_type: String,
    pub time: i64,
    pub display_message: String,
    pub details: BTreeMap<String, String>,
}

/// An allocation whole.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Allocation {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub node_name: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub task_group: String,
    pub desired_status: String,
    pub desired_description: String,
    pub client_status: String,
    pub client_description: String,
    pub task_states: BTreeMap<String, TaskState>,
    pub deployment_status: Option<AllocDeploymentStatus>,
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    pub previous_allocation: String,
    pub allocated_resources: AllocatedResources,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: i64,
    pub modify_time: i64,
}

impl Allocation {
    /// Returns where the port of this label answers. Newer versions list it in `Shared.Ports`
    /// (from 0.12), all of them in `Shared.Networks`.
    #[must_use]
    pub fn endpoint(&self, label: &str) -> Option<(Ipv4Addr, u16)> {
        let shared = &self.allocated_resources.shared;
        let mapped = shared
            .ports
            .iter()
            .find(|port| port.label == label)
            .and_then(|port| Some((port.host_ip.parse().ok()?, port.value)));
        mapped.or_else(|| {
            shared.networks.iter().find_map(|network| {
                let mut ports = network.dynamic_ports.iter().chain(&network.reserved_ports);
                let port = ports.find(|port| port.label == label)?;
                Some((network.ip.parse().ok()?, port.value))
            })
        })
    }
}

/// What an allocation was given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedResources {
    pub shared: SharedResources,
}

/// What the tasks of an allocation share.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SharedResources {
    pub networks: Vec<AllocatedNetwork>,
    pub ports: Vec<PortMapping>,
}

/// A network of an allocation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedNetwork {
    #[serde(rename = "IP")]
    pub ip: String,
    pub dynamic_ports: Vec<Port>,
    pub reserved_ports: Vec<Port>,
}

/// A named port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Port {
    pub label: String,
    pub value: u16,
}

/// A named port with its address.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortMapping {
    pub label: String,
    pub value: u16,
    #[serde(rename = "HostIP")]
    pub host_ip: String,
}

/// A deployment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Deployment {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub job_version: u64,
    pub job_modify_index: u64,
    pub task_groups: BTreeMap<String, DeploymentState>,
    /// `running`, `paused`, `successful`, `failed`, `cancelled`, ...
    pub status: String,
    pub status_description: String,
    pub create_index: u64,
    pub modify_index: u64,
}

/// One group of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentState {
    pub promoted: bool,
    pub placed_canaries: Vec<String>,
    pub desired_canaries: u32,
    pub desired_total: u32,
    pub placed_allocs: u32,
    pub healthy_allocs: u32,
    pub unhealthy_allocs: u32,
}

/// Reply to a change of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeploymentUpdate {
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    pub deployment_modify_index: u64,
    pub reverted_job_version: Option<u64>,
    pub index: u64,
}

/// An evaluation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Type")]
    pub eval_type: String,
    pub triggered_by: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    /// `blocked`, `pending`, `complete`, `failed` or `canceled`.
    pub status: String,
    pub status_description: String,
    pub blocked_eval: String,
    #[serde(rename = "FailedTGAllocs")]
    pub failed_tg_allocs: BTreeMap<String, serde_json::Value>,
    pub queued_allocations: BTreeMap<String, i64>,
    pub create_index: u64,
    pub modify_index: u64,
}
