//! Where a cluster runs, and the levers that are there. Faults and probes see a [`Target`],
//! never Docker or AWS: N faults on M targets cost N + M files.

pub mod docker;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::spec::{AgentName, Arch, Role};

/// A lever that a target may have. A scenario that needs one which is absent is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// End an agent with SIGKILL.
    Kill,
    /// End an agent with SIGTERM, start it again.
    StopStart,
    /// Freeze an agent with its connections open.
    Pause,
    /// Cut an agent off from the others, both ways.
    Isolate,
    /// Run a command beside an agent.
    Exec,
}

impl Capability {
    /// All levers that there can be.
    pub const ALL: [Self; 5] = [
        Self::Kill,
        Self::StopStart,
        Self::Pause,
        Self::Isolate,
        Self::Exec,
    ];

    /// Returns its name in scripts and messages, as `stop-start`.
    #[must_use]
    pub fn word(self) -> String {
        let word = serde_json::to_value(self).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }
}

/// Which program the agents run, for every line of output and every report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// `simulator`, `binary`, `release` or `image`.
    pub kind: String,
    /// Version of Nomad (for the simulator: the version whose behaviour it follows).
    pub version: String,
    /// Whether it is the built-in agent and not Nomad.
    pub simulated: bool,
}

impl EngineInfo {
    /// Returns how every output names the engine: a simulated one never passes for Nomad.
    #[must_use]
    pub fn label(&self) -> String {
        if self.simulated {
            format!("SIMULATED agent (follows Nomad {})", self.version)
        } else {
            format!("Nomad {} ({})", self.version, self.kind)
        }
    }
}

/// An agent of a running cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// `server-1`, ...
    pub name: AgentName,
    /// Server or client.
    pub role: Role,
    /// Address among the agents.
    pub address: Ipv4Addr,
    /// Architecture of its program.
    pub arch: Arch,
    /// Whether another architecture's emulator runs it.
    pub emulated: bool,
    /// `https://127.0.0.1:PORT`, where its HTTP API answers on this machine.
    pub api_addr: String,
}

/// What became of an agent's process, as the target (not Nomad) sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum AgentState {
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Its process ended.
    Exited {
        /// Exit code.
        code: i64,
        /// Whether the kernel killed it for want of memory.
        oom_killed: bool,
    },
    /// There is no such container or machine any more.
    Gone,
}

/// A lever failed: what was pulled, on whom, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{agent}`")]
pub struct ControlError {
    /// The verb, as `kill`.
    pub action: &'static str,
    /// The agent.
    pub agent: AgentName,
    /// What the target said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A running cluster, wherever it runs.
#[async_trait]
pub trait Target: Send + Sync {
    /// Returns the cluster's name.
    fn name(&self) -> &str;
    /// Returns the program that the agents run.
    fn engine(&self) -> &EngineInfo;
    /// Returns the agents, servers first.
    fn agents(&self) -> &[AgentInfo];
    /// Returns the levers that are there.
    fn capabilities(&self) -> &BTreeSet<Capability>;
    /// Returns the client of one agent's HTTP API, with the management token.
    fn api(&self, agent: &AgentName) -> crate::nomad::Api;

    /// Returns what became of the agent's process.
    async fn state(&self, agent: &AgentName) -> Result<AgentState, ControlError>;
    /// Ends the agent's process with SIGKILL and waits until it is gone.
    async fn kill(&self, agent: &AgentName) -> Result<(), ControlError>;
    /// Ends the agent's process with SIGTERM, waiting at most 10 s before SIGKILL.
    async fn stop(&self, agent: &AgentName) -> Result<(), ControlError>;
    /// Starts an ended agent again: same address, same data.
    async fn start(&self, agent: &AgentName) -> Result<(), ControlError>;
    /// Freezes the agent; its connections stay open.
    async fn pause(&self, agent: &AgentName) -> Result<(), ControlError>;
    /// Thaws a frozen agent.
    async fn resume(&self, agent: &AgentName) -> Result<(), ControlError>;
    /// Cuts the agent off from `peers`, both ways; the path from this machine stays.
    async fn isolate(&self, agent: &AgentName, peers: &[AgentName]) -> Result<(), ControlError>;
    /// Undoes [`Target::isolate`] whole.
    async fn heal(&self, agent: &AgentName) -> Result<(), ControlError>;
    /// Returns the agent's network state (routes, filters) as text, for the residue check.
    async fn network_state(&self, agent: &AgentName) -> Result<String, ControlError>;
    /// Returns the last `lines` lines of the agent's log.
    async fn logs(&self, agent: &AgentName, lines: usize) -> Result<String, ControlError>;
}
