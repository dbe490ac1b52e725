//! An allocation: one group placed on one node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Job, Nanos};

/// What the servers want of an allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum AllocDesiredStatus {
    #[default]
    Run,
    Stop,
    Evict,
}

/// What the client says of an allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum AllocClientStatus {
    #[default]
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
    Unknown,
}

impl AllocClientStatus {
    /// Whether the client will do nothing more for it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Lost)
    }
}

/// A group placed on a node. Serialised whole in the log; the HTTP layer drops empty fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Allocation {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// `job.group[index]`.
    pub name: String,
    pub namespace: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub node_name: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The job version that it runs.
    pub job: Option<Job>,
    pub task_group: String,
    /// Host ports given to the group's labels.
    pub ports: Vec<AllocatedPort>,
    /// MHz, summed over the tasks.
    pub cpu: i64,
    /// MiB, summed over the tasks.
    pub memory_mb: i64,
    pub desired_status: AllocDesiredStatus,
    pub desired_description: String,
    pub desired_transition: DesiredTransition,
    pub client_status: AllocClientStatus,
    pub client_description: String,
    pub task_states: BTreeMap<String, TaskState>,
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    pub deployment_status: Option<AllocDeploymentStatus>,
    pub previous_allocation: String,
    pub next_allocation: String,
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: String,
    /// Earlier reschedules in this chain, oldest first.
    pub reschedules: Vec<RescheduleEvent>,
    /// Since when ([`Nanos`] since the epoch) nothing is known of it; 0 otherwise. Kept after it
    /// is heard of again until the scheduler has decided which side stays.
    pub unknown_since: Nanos,
    pub metrics: Option<AllocMetrics>,
    pub create_index: u64,
    pub modify_index: u64,
    /// Changes when the servers (not the client) change it.
    pub alloc_modify_index: u64,
    pub create_time: Nanos,
    pub modify_time: Nanos,
}

impl Allocation {
    /// Whether neither side will run it any more.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.desired_status != AllocDesiredStatus::Run || self.client_status.is_terminal()
    }

    /// The version of its job, 0 where the job is absent.
    #[must_use]
    pub fn job_version(&self) -> u64 {
        self.job.as_ref().map_or(0, |job| job.version)
    }
}

/// One reschedule, as the replacement remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct RescheduleEvent {
    /// [`Nanos`] since the epoch.
    pub reschedule_time: Nanos,
    #[serde(rename = "PrevAllocID")]
    pub prev_alloc_id: String,
    #[serde(rename = "PrevNodeID")]
    pub prev_node_id: String,
    pub delay: Nanos,
}

/// A port of the group on the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct AllocatedPort {
    pub label: String,
    pub value: u16,
    pub to: i64,
    #[serde(rename = "HostIP")]
    pub host_ip: String,
}

/// A move that the servers ask of the scheduler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct DesiredTransition {
    pub migrate: Option<bool>,
    pub reschedule: Option<bool>,
    pub force_reschedule: Option<bool>,
}

/// Health of an allocation within its deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct AllocDeploymentStatus {
    pub healthy: Option<bool>,
    /// RFC 3339.
    pub timestamp: String,
    pub canary: bool,
    pub modify_index: u64,
}

/// State of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum TaskStateKind {
    #[default]
    Pending,
    Running,
    Dead,
}

/// What happened to a task so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct TaskState {
    pub state: TaskStateKind,
    pub failed: bool,
    pub restarts: u64,
    /// RFC 3339 or empty.
    pub last_restart: String,
    /// RFC 3339 or empty.
    pub started_at: String,
    /// RFC 3339 or empty.
    pub finished_at: String,
    pub events: Vec<TaskEvent>,
}

/// One event of a task; the newest ten are kept, as in Nomad.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct TaskEvent {
    #[serde(rename = "Type")]
    pub event_type: String,
    pub time: Nanos,
    pub display_message: String,
    pub details: BTreeMap<String, String>,
}

/// How the placement was decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct AllocMetrics {
    pub nodes_evaluated: i64,
    pub nodes_filtered: i64,
    pub nodes_exhausted: i64,
    pub nodes_available: BTreeMap<String, i64>,
    pub class_filtered: Option<BTreeMap<String, i64>>,
    pub constraint_filtered: Option<BTreeMap<String, i64>>,
    pub class_exhausted: Option<BTreeMap<String, i64>>,
    pub dimension_exhausted: Option<BTreeMap<String, i64>>,
    pub score_meta_data: Option<Vec<NodeScoreMeta>>,
    pub allocation_time: Nanos,
    pub coalesced_failures: i64,
}

/// The score of one candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct NodeScoreMeta {
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub scores: BTreeMap<String, f64>,
    pub norm_score: f64,
}
