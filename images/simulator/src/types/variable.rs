//! Variables: small secrets and settings by path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Nanos;

/// A variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Variable {
    pub namespace: String,
    pub path: String,
    pub create_index: u64,
    pub modify_index: u64,
    pub create_time: Nanos,
    pub modify_time: Nanos,
    /// Kept as given: nothing here is encrypted.
    pub items: BTreeMap<String, String>,
}
