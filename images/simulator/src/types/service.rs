//! Services, and those that allocations registered with the servers (`provider = "nomad"`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Nanos;

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

/// A service as a job asks for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Service {
    pub name: String,
    pub task_name: String,
    pub port_label: String,
    pub provider: String,
    pub tags: Option<Vec<String>>,
    /// `require_healthy`, or `ignore`: what its checks are for, unless they say so themselves.
    pub on_update: String,
    pub checks: Option<Vec<ServiceCheck>>,
}

/// A question that is put to a service again and again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct ServiceCheck {
    pub name: String,
    /// `http` or `tcp`.
    #[serde(rename = "Type")]
    pub check_type: String,
    pub path: String,
    pub protocol: String,
    pub method: String,
    pub header: Option<BTreeMap<String, Vec<String>>>,
    pub body: String,
    /// The service's own where it is empty.
    pub port_label: String,
    pub task_name: String,
    pub interval: Nanos,
    pub timeout: Nanos,
    pub on_update: String,
}

impl ServiceCheck {
    /// Whether a deployment goes on whatever it finds.
    #[must_use]
    pub fn is_readiness(&self) -> bool {
        self.on_update == "ignore"
    }
}
