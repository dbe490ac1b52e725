//! Services that allocations registered with the servers (`provider = "nomad"`).

use serde::{Deserialize, Serialize};

/// One instance of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct ServiceInstance {
    #[serde(rename = "ID")]
    pub id: String,
    pub service_name: String,
    pub namespace: String,
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub datacenter: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    #[serde(rename = "AllocID")]
    pub alloc_id: String,
    pub tags: Option<Vec<String>>,
    pub address: String,
    pub port: u64,
    pub create_index: u64,
    pub modify_index: u64,
}
