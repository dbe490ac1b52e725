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
    /// The agents' ports that security groups close there, as `clients to servers: 4648/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed_there: Vec<String>,
    /// The same for every port, agent by agent: what is closed here, too. Empty where nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}

impl Adoption {
    /// Returns what an agent does not let in; nothing where all is open to it.
    pub fn filters_of(&self, agent: &AgentName) -> impl Iterator<Item = &Filter> {
        self.filters.iter().filter(move |one| one.to == *agent)
    }
}

/// What one agent does not let in from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Whom the packets are for.
    pub to: AgentName,
    /// Whose they are.
    pub from: AgentName,
    /// The ports of `to` that are closed.
    pub closed: Vec<Ports>,
}

/// Ports in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// What runs over them.
    pub transport: Transport,
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// Whether a port is one of them.
    #[must_use]
    pub fn has(&self, transport: Transport, port: u16) -> bool {
        self.transport == transport && (self.first..=self.last).contains(&port)
    }
}

/// What runs over a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Its name, as security groups have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
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
