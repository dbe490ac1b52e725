//! Agents that are taken over from another cluster's configuration: data.

use serde::{Deserialize, Serialize};

use super::{AgentName, Role, Subnet};

/// Agents of another configuration: theirs in all but what is declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adoption {
    /// Where they are read from.
    pub source: String,
    /// A network of theirs, whose addresses are taken if they are free here.
    pub prefer: Option<Subnet>,
    /// The agents, servers first.
    pub agents: Vec<Adopted>,
    /// The agents' ports that security groups close there and nothing closes here, as `clients to
    /// servers: 4648/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed_there: Vec<String>,
}

/// An agent of another configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adopted {
    /// Its name there.
    pub name: AgentName,
    /// Its role.
    pub role: Role,
    /// Its configuration, key by key. Not written down: it may hold secrets.
    #[serde(skip)]
    pub settings: Vec<AdoptedSetting>,
    /// What is other here than there.
    pub substitutions: Vec<Substitution>,
}

/// A key of an adopted agent's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct AdoptedSetting {
    /// Its dotted path, as `plugin.raw_exec.config.enabled`.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// The file and line that says it.
    pub place: String,
}

/// A key that an adopted agent has otherwise here than there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitution {
    /// Its dotted path.
    pub key: String,
    /// What it is there; nothing where it is not set.
    pub theirs: Option<String>,
    /// What it is here; nothing where it is left out.
    pub ours: Option<String>,
    /// Why.
    pub why: String,
    /// The file and line that says it there.
    pub place: Option<String>,
}
