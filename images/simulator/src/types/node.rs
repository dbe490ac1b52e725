//! A node: one client's registration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Nanos;

/// Whether a node takes work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum NodeStatus {
    #[default]
    Initializing,
    Ready,
    Down,
    Disconnected,
}

/// Whether the scheduler may use a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum NodeEligibility {
    #[default]
    Eligible,
    Ineligible,
}

/// A registered client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Node {
    #[serde(rename = "ID")]
    pub id: String,
    /// Proves that later calls come from the same client; blanked in replies.
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    pub name: String,
    pub datacenter: String,
    pub node_class: String,
    pub node_pool: String,
    /// `ip:port` of the client's HTTP API.
    #[serde(rename = "HTTPAddr")]
    pub http_addr: String,
    #[serde(rename = "TLSEnabled")]
    pub tls_enabled: bool,
    pub attributes: BTreeMap<String, String>,
    pub meta: BTreeMap<String, String>,
    pub links: BTreeMap<String, String>,
    pub drivers: BTreeMap<String, DriverInfo>,
    pub node_resources: NodeResources,
    pub status: NodeStatus,
    pub status_description: String,
    pub scheduling_eligibility: NodeEligibility,
    pub drain: bool,
    pub drain_strategy: Option<DrainStrategy>,
    pub last_drain: Option<LastDrain>,
    /// Unix seconds (not nanoseconds), as in Nomad.
    pub status_updated_at: i64,
    pub events: Vec<NodeEvent>,
    pub create_index: u64,
    pub modify_index: u64,
}

/// How a node is being emptied. Kept flat; the HTTP layer shows times as RFC 3339.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct DrainStrategy {
    /// How long it may take as asked for: 0 is for ever, a negative time is none at all.
    pub deadline: Nanos,
    pub ignore_system_jobs: bool,
    /// [`Nanos`] since the epoch (unscaled `deadline` after its start, scaled); 0 for none.
    pub force_deadline: Nanos,
    /// [`Nanos`] since the epoch.
    pub started_at: Nanos,
}

/// Where a drain stands. Note Nomad's spelling `canceled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum DrainStatus {
    #[default]
    Draining,
    Complete,
    Canceled,
}

/// A node's last drain, the running one too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct LastDrain {
    /// [`Nanos`] since the epoch.
    pub started_at: Nanos,
    /// [`Nanos`] since the epoch.
    pub updated_at: Nanos,
    pub status: DrainStatus,
    #[serde(rename = "AccessorID")]
    pub accessor_id: String,
    pub meta: Option<BTreeMap<String, String>>,
}

/// Health of one task driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct DriverInfo {
    pub attributes: BTreeMap<String, String>,
    pub detected: bool,
    pub healthy: bool,
    pub health_description: String,
    /// RFC 3339.
    pub update_time: String,
}

/// What a node offers. Kept flat inside; the HTTP layer shows it in Nomad's nested shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeResources {
    /// MHz.
    pub cpu_total: i64,
    /// MiB.
    pub memory_mb: i64,
    /// MiB.
    pub disk_mb: i64,
    /// Lowest dynamic port (Nomad's default: 20000).
    pub min_dynamic_port: u16,
    /// Highest dynamic port (Nomad's default: 32000).
    pub max_dynamic_port: u16,
    /// Address that tasks get.
    pub ip: String,
}

/// One entry of a node's history; the newest ten are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct NodeEvent {
    pub message: String,
    pub subsystem: String,
    /// RFC 3339.
    pub timestamp: String,
    pub details: Option<BTreeMap<String, String>>,
    pub create_index: u64,
}
