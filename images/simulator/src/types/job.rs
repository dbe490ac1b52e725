//! A job as submitted: groups, tasks, and the policies that rule their life.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Nanos;

/// What kind of work a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobType {
    /// Long running, replaced when lost.
    #[default]
    Service,
    /// Runs to completion.
    Batch,
    /// One allocation on every feasible node.
    System,
    /// One run to completion on every feasible node.
    Sysbatch,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// No allocation yet.
    #[default]
    Pending,
    /// At least one allocation is not terminal.
    Running,
    /// Stopped, or all its work is done.
    Dead,
}

/// A registered job, one version of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Job {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "ParentID")]
    pub parent_id: String,
    pub name: String,
    pub namespace: String,
    pub region: String,
    #[serde(rename = "Type")]
    pub job_type: JobType,
    pub priority: i64,
    pub all_at_once: bool,
    pub datacenters: Option<Vec<String>>,
    pub node_pool: String,
    pub constraints: Option<Vec<Constraint>>,
    pub affinities: Option<Vec<Affinity>>,
    pub spreads: Option<Vec<Spread>>,
    pub task_groups: Vec<TaskGroup>,
    pub update: Option<UpdateStrategy>,
    pub meta: Option<BTreeMap<String, String>>,
    pub stop: bool,
    pub status: JobStatus,
    pub status_description: String,
    pub stable: bool,
    pub version: u64,
    pub submit_time: Nanos,
    pub create_index: u64,
    pub modify_index: u64,
    pub job_modify_index: u64,
}

/// Tasks placed together on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct TaskGroup {
    pub name: String,
    pub count: i64,
    pub update: Option<UpdateStrategy>,
    pub migrate: Option<MigrateStrategy>,
    pub constraints: Option<Vec<Constraint>>,
    pub affinities: Option<Vec<Affinity>>,
    pub spreads: Option<Vec<Spread>>,
    pub restart_policy: Option<RestartPolicy>,
    pub reschedule_policy: Option<ReschedulePolicy>,
    pub networks: Option<Vec<Network>>,
    pub services: Option<Vec<Service>>,
    pub tasks: Vec<Task>,
    pub meta: Option<BTreeMap<String, String>>,
    pub shutdown_delay: Option<Nanos>,
}

/// One process of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Task {
    pub name: String,
    pub driver: String,
    pub user: String,
    /// The driver's own block, here `command` and `args`.
    pub config: Option<serde_json::Map<String, serde_json::Value>>,
    pub env: Option<BTreeMap<String, String>>,
    pub services: Option<Vec<Service>>,
    pub constraints: Option<Vec<Constraint>>,
    pub affinities: Option<Vec<Affinity>>,
    pub resources: Option<Resources>,
    pub restart_policy: Option<RestartPolicy>,
    pub meta: Option<BTreeMap<String, String>>,
    pub kill_timeout: Option<Nanos>,
    pub kill_signal: String,
    pub leader: bool,
    pub shutdown_delay: Nanos,
    pub log_config: Option<LogConfig>,
}

/// Rotation of a task's logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct LogConfig {
    #[serde(rename = "MaxFiles")]
    pub max_files: i64,
    #[serde(rename = "MaxFileSizeMB")]
    pub max_file_size_mb: i64,
}

/// How new versions are rolled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct UpdateStrategy {
    pub stagger: Nanos,
    pub max_parallel: i64,
    pub health_check: String,
    pub min_healthy_time: Nanos,
    pub healthy_deadline: Nanos,
    pub progress_deadline: Nanos,
    pub auto_revert: bool,
    pub auto_promote: bool,
    pub canary: i64,
}

impl Default for UpdateStrategy {
    /// Nomad's own defaults (`nomad/structs`, `DefaultUpdateStrategy`).
    fn default() -> Self {
        Self {
            stagger: 30 * super::SECOND,
            max_parallel: 1,
            health_check: "checks".to_owned(),
            min_healthy_time: 10 * super::SECOND,
            healthy_deadline: 300 * super::SECOND,
            progress_deadline: 600 * super::SECOND,
            auto_revert: false,
            auto_promote: false,
            canary: 0,
        }
    }
}

/// How allocations leave a draining node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct MigrateStrategy {
    pub max_parallel: i64,
    pub health_check: String,
    pub min_healthy_time: Nanos,
    pub healthy_deadline: Nanos,
}

/// Restarts of a task on its node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct RestartPolicy {
    pub attempts: i64,
    pub interval: Nanos,
    pub delay: Nanos,
    /// `fail` or `delay`.
    pub mode: String,
}

/// Replacement of a failed allocation on another node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct ReschedulePolicy {
    pub attempts: i64,
    pub interval: Nanos,
    pub delay: Nanos,
    /// `constant`, `exponential` or `fibonacci`.
    pub delay_function: String,
    pub max_delay: Nanos,
    pub unlimited: bool,
}

/// A hard condition on nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Constraint {
    #[serde(rename = "LTarget", default)]
    pub l_target: String,
    #[serde(rename = "RTarget", default)]
    pub r_target: String,
    #[serde(rename = "Operand", default)]
    pub operand: String,
}

/// A soft condition on nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Affinity {
    #[serde(rename = "LTarget", default)]
    pub l_target: String,
    #[serde(rename = "RTarget", default)]
    pub r_target: String,
    #[serde(rename = "Operand", default)]
    pub operand: String,
    #[serde(rename = "Weight", default)]
    pub weight: i64,
}

/// An even, or given, distribution over an attribute's values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Spread {
    pub attribute: String,
    pub weight: i64,
    pub spread_target: Option<Vec<SpreadTarget>>,
}

/// One wanted share of a [`Spread`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct SpreadTarget {
    pub value: String,
    pub percent: u8,
}

/// What a task asks of its node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
#[serde(default)]
pub struct Resources {
    /// MHz.
    #[serde(rename = "CPU")]
    pub cpu: i64,
    #[serde(rename = "MemoryMB")]
    pub memory_mb: i64,
    #[serde(rename = "DiskMB")]
    pub disk_mb: i64,
    #[serde(rename = "Networks")]
    pub networks: Option<Vec<Network>>,
}

impl Default for Resources {
    /// Nomad's defaults: 100 MHz, 300 MB (`nomad/structs`, `DefaultResources`).
    fn default() -> Self {
        Self {
            cpu: 100,
            memory_mb: 300,
            disk_mb: 0,
            networks: None,
        }
    }
}

/// Ports of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Network {
    pub mode: String,
    pub device: String,
    #[serde(rename = "IP")]
    pub ip: String,
    pub reserved_ports: Option<Vec<Port>>,
    pub dynamic_ports: Option<Vec<Port>>,
}

/// A named port; `value` 0 is dynamic and not chosen yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Port {
    pub label: String,
    pub value: u16,
    pub to: i64,
    pub host_network: String,
}

/// A service registration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Service {
    pub name: String,
    pub port_label: String,
    pub provider: String,
    pub tags: Option<Vec<String>>,
}
