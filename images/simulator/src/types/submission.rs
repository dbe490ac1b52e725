//! What a job was made of: the file as its author wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The source of one version of a job, kept beside it for whoever wants to see or edit it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct JobSubmission {
    pub source: String,
    /// `hcl1`, `hcl2` or `json`.
    pub format: String,
    pub variable_flags: Option<BTreeMap<String, String>>,
    pub variables: String,
    pub namespace: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub version: u64,
    pub job_modify_index: u64,
}

impl JobSubmission {
    /// Bytes of what its author wrote.
    #[must_use]
    pub fn size(&self) -> usize {
        let flags = self.variable_flags.iter().flatten();
        let flags: usize = flags.map(|(key, value)| key.len() + value.len()).sum();
        self.source.len() + self.variables.len() + flags
    }
}
