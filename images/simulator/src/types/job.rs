//! A job as submitted: groups, tasks, and the policies that rule their life.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Nanos, Service};

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
    pub periodic: Option<Periodic>,
    pub parameterized_job: Option<Parameterized>,
    /// Of a dispatched job, in base64.
    pub payload: Option<String>,
    pub dispatched: bool,
    pub dispatch_idempotency_token: String,
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

impl Job {
    /// Whether it is launched by its calendar, and never runs itself.
    #[must_use]
    pub fn is_periodic(&self) -> bool {
        self.periodic.is_some()
    }

    /// Whether it is a template for dispatched jobs, and never runs itself.
    #[must_use]
    pub fn is_parameterized(&self) -> bool {
        self.parameterized_job.is_some() && !self.dispatched
    }
}

/// A calendar by which a job is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Periodic {
    pub enabled: bool,
    pub spec: String,
    pub specs: Option<Vec<String>>,
    /// `cron`.
    pub spec_type: String,
    pub prohibit_overlap: bool,
    /// An IANA name; Nomad's default is `UTC`.
    pub time_zone: String,
}

impl Default for Periodic {
    /// Nomad's own defaults (`api/jobs.go`).
    fn default() -> Self {
        Self {
            enabled: true,
            spec: String::new(),
            specs: None,
            spec_type: "cron".to_owned(),
            prohibit_overlap: false,
            time_zone: "UTC".to_owned(),
        }
    }
}

/// What a dispatch of a parameterized job must and may carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Parameterized {
    /// `optional`, `required` or `forbidden`.
    pub payload: String,
    pub meta_required: Option<Vec<String>>,
    pub meta_optional: Option<Vec<String>>,
}

impl Default for Parameterized {
    /// Nomad's own default (`DispatchPayloadOptional`).
    fn default() -> Self {
        Self {
            payload: "optional".to_owned(),
            meta_required: None,
            meta_optional: None,
        }
    }
}

/// Bounds for a group's count, and what an autoscaler notes for itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Scaling {
    #[serde(rename = "Type")]
    pub scaling_type: String,
    pub min: Option<i64>,
    pub max: Option<i64>,
    pub enabled: Option<bool>,
    pub policy: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            scaling_type: "horizontal".to_owned(),
            min: None,
            max: None,
            enabled: None,
            policy: None,
        }
    }
}

/// One change of a group's count by way of `scale` (or a note there).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct ScalingEvent {
    pub time: Nanos,
    pub previous_count: i64,
    pub count: Option<i64>,
    pub message: String,
    pub error: bool,
    pub meta: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(rename = "EvalID")]
    pub eval_id: Option<String>,
    pub create_index: u64,
}

/// When a task of a group has its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum Hook {
    #[default]
    Prestart,
    Poststart,
    Poststop,
}

/// Makes a task one that prepares, accompanies or cleans up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Lifecycle {
    pub hook: Hook,
    pub sidecar: bool,
}

/// What becomes of a group's allocations while their client is not heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Disconnect {
    pub lost_after: Option<Nanos>,
    pub stop_on_client_after: Option<Nanos>,
    /// Nomad's default is true.
    pub replace: Option<bool>,
    /// `best_score`, `keep_original`, `keep_replacement` or `longest_running`.
    pub reconcile: String,
}

/// A file, or variables, made of a text with functions in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Template {
    /// A file of the task's; not simulated.
    pub source_path: String,
    pub dest_path: String,
    pub embedded_tmpl: String,
    /// What a change of the data does; nothing that is simulated changes.
    pub change_mode: String,
    pub change_signal: String,
    pub splay: Nanos,
    /// In octal digits.
    pub perms: String,
    pub left_delim: String,
    pub right_delim: String,
    pub envvars: bool,
}

impl Default for Template {
    /// Nomad's own defaults (`DefaultTemplate`).
    fn default() -> Self {
        Self {
            source_path: String::new(),
            dest_path: String::new(),
            embedded_tmpl: String::new(),
            change_mode: "restart".to_owned(),
            change_signal: String::new(),
            splay: 5 * super::SECOND,
            perms: "0644".to_owned(),
            left_delim: "{{".to_owned(),
            right_delim: "}}".to_owned(),
            envvars: false,
        }
    }
}

/// Where a dispatched job's task finds the payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct DispatchPayload {
    /// In the task's `local` directory.
    pub file: String,
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
    pub scaling: Option<Scaling>,
    pub disconnect: Option<Disconnect>,
    pub max_client_disconnect: Option<Nanos>,
    pub stop_after_client_disconnect: Option<Nanos>,
    pub prevent_reschedule_on_lost: bool,
    pub meta: Option<BTreeMap<String, String>>,
    pub shutdown_delay: Option<Nanos>,
}

impl TaskGroup {
    /// How long its allocations may be unknown before they are lost.
    #[must_use]
    pub fn lost_after(&self) -> Option<Nanos> {
        let own = self.disconnect.as_ref().and_then(|d| d.lost_after);
        own.or(self.max_client_disconnect).filter(|t| *t > 0)
    }

    /// How long a client that hears of no server keeps its allocations.
    #[must_use]
    pub fn stop_on_client_after(&self) -> Option<Nanos> {
        let own = self
            .disconnect
            .as_ref()
            .and_then(|d| d.stop_on_client_after);
        own.or(self.stop_after_client_disconnect).filter(|t| *t > 0)
    }

    /// Whether allocations are replaced while nothing is known of them.
    #[must_use]
    pub fn replaces_disconnected(&self) -> bool {
        let own = self.disconnect.as_ref().and_then(|d| d.replace);
        own.unwrap_or(!self.prevent_reschedule_on_lost)
    }

    /// Which side stays when a client is heard of again.
    #[must_use]
    pub fn reconcile(&self) -> &str {
        let own = self.disconnect.as_ref().map(|d| d.reconcile.as_str());
        own.filter(|own| !own.is_empty()).unwrap_or("best_score")
    }
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
    pub dispatch_payload: Option<DispatchPayload>,
    pub lifecycle: Option<Lifecycle>,
    pub templates: Option<Vec<Template>>,
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
