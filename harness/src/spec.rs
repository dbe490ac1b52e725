//! What cluster is asked for: data, and the check that it makes sense. No I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// What an agent does. A *node* in Nomad's words is a client's registration, never a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Votes in Raft, schedules.
    Server,
    /// Runs tasks.
    Client,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// `server-1`, `client-3`: the agent's name, its host name and its container's suffix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentName(pub String);

impl AgentName {
    /// Returns the name of the `number`-th (from 1) agent of a role.
    #[must_use]
    pub fn new(role: Role, number: u16) -> Self {
        Self(format!("{role}-{number}"))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A processor architecture, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
    /// IBM Z.
    S390x,
}

impl Arch {
    /// Returns this machine's architecture, `None` where it is none of ours.
    #[must_use]
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            "s390x" => Some(Self::S390x),
            _ => None,
        }
    }

    /// Returns Docker's platform, as `linux/s390x`.
    #[must_use]
    pub fn platform(self) -> String {
        format!("linux/{self}")
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::S390x => "s390x",
        })
    }
}

/// Port of the HTTP API (`nomad/config.go`: 4646).
pub const HTTP_PORT: u16 = 4646;
/// Port of RPC and Raft (4647).
pub const RPC_PORT: u16 = 4647;
/// Port of gossip, TCP and UDP, servers only (4648).
pub const SERF_PORT: u16 = 4648;

/// What cluster is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Name: lower-case letters, digits and dashes; at most 32 characters.
    pub name: String,
    /// Number of servers: 1, 3 or 5.
    pub servers: u16,
    /// Number of clients.
    pub clients: u16,
    /// Nomad region, `global` by default.
    pub region: String,
    /// Nomad datacenter, `dc1` by default.
    pub datacenter: String,
    /// Architecture of all agents.
    pub arch: Arch,
    /// Extra agent configuration, `KEY` → `VALUE`, key as a dotted path (`server.raft_multiplier`).
    pub set: BTreeMap<String, String>,
}

/// An agent of the plan: everything about it is known before anything starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentPlan {
    /// Its name.
    pub name: AgentName,
    /// Its role.
    pub role: Role,
    /// Its address in the cluster's network.
    pub address: Ipv4Addr,
    /// Its architecture.
    pub arch: Arch,
}
