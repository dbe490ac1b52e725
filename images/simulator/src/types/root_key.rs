//! Keys of the servers' root keyring.

use serde::{Deserialize, Serialize};

use super::Nanos;

/// What is told of a root key. There is no key behind it: nothing is encrypted or signed here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct RootKey {
    #[serde(rename = "KeyID")]
    pub key_id: String,
    pub algorithm: String,
    pub create_time: Nanos,
    pub publish_time: Nanos,
    /// `active` or `inactive`.
    pub state: String,
    pub create_index: u64,
    pub modify_index: u64,
}
