//! A deployment: the rollout of one job version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Nanos;

/// Where a deployment stands. Note Nomad's spelling `cancelled` (an evaluation is `canceled`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    missing_docs,
    reason = "the variants are Nomad's, documented in its API reference"
)]
pub enum DeploymentStatus {
    #[default]
    Running,
    Paused,
    Successful,
    Failed,
    Cancelled,
}

impl DeploymentStatus {
    /// Whether the rollout still goes on.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// The rollout of one job version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Deployment {
    #[serde(rename = "ID")]
    pub id: String,
    pub namespace: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub job_version: u64,
    pub job_modify_index: u64,
    pub job_spec_modify_index: u64,
    pub job_create_index: u64,
    pub is_multiregion: bool,
    pub task_groups: BTreeMap<String, DeploymentState>,
    pub status: DeploymentStatus,
    pub status_description: String,
    pub create_index: u64,
    pub modify_index: u64,
}

/// The rollout of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct DeploymentState {
    pub auto_revert: bool,
    pub auto_promote: bool,
    pub progress_deadline: Nanos,
    /// Unix nanoseconds inside; the HTTP layer shows RFC 3339. 0 until the first placement.
    pub require_progress_by: Nanos,
    pub promoted: bool,
    pub placed_canaries: Vec<String>,
    pub desired_canaries: i64,
    pub desired_total: i64,
    pub placed_allocs: i64,
    pub healthy_allocs: i64,
    pub unhealthy_allocs: i64,
}
