//! A node: one client's registration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Unix seconds (not nanoseconds), as in Nomad.
    pub status_updated_at: i64,
    pub events: Vec<NodeEvent>,
    pub create_index: u64,
    pub modify_index: u64,
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
