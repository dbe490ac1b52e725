//! Tokens, policies, and roles.

use serde::{Deserialize, Serialize};

use super::Nanos;

/// Power of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// Only what its policies allow.
    #[default]
    Client,
    /// Everything.
    Management,
}

/// A token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct AclToken {
    #[serde(rename = "AccessorID")]
    pub accessor_id: String,
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    pub name: String,
    #[serde(rename = "Type")]
    pub token_type: TokenType,
    pub policies: Option<Vec<String>>,
    /// Only their IDs are kept: a role can be renamed.
    pub roles: Option<Vec<RoleLink>>,
    pub global: bool,
    /// RFC 3339.
    pub create_time: String,
    /// 0 never expires.
    pub expiration_time: Nanos,
    /// What was asked for, 0 where an expiration time was.
    #[serde(rename = "ExpirationTTL")]
    pub expiration_ttl: Nanos,
    pub create_index: u64,
    pub modify_index: u64,
}

impl AclToken {
    /// Whether it is worth nothing any more.
    #[must_use]
    pub fn has_expired(&self, now: Nanos) -> bool {
        self.expiration_time != 0 && self.expiration_time <= now
    }
}

/// A named set of rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct AclPolicy {
    pub name: String,
    pub description: String,
    /// HCL, as Nomad takes it.
    pub rules: String,
    pub create_index: u64,
    pub modify_index: u64,
}

/// A named set of policies, for tokens to have in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct AclRole {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    pub description: String,
    pub policies: Option<Vec<PolicyLink>>,
    pub create_index: u64,
    pub modify_index: u64,
}

impl AclRole {
    /// Names of its policies.
    pub fn policy_names(&self) -> impl Iterator<Item = &str> {
        self.policies
            .iter()
            .flatten()
            .map(|link| link.name.as_str())
    }
}

/// A role's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct PolicyLink {
    pub name: String,
}

/// A token's role, named by either.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct RoleLink {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
}
