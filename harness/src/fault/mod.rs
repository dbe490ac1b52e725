//! Faults: what can be done to an agent, each with the way to undo it. They see a [`Target`],
//! never Docker.
//!
//! Healing is safe to do twice and safe to do on an agent that the fault never reached: the
//! runner heals whatever it tried to inject, also when the attempt failed half-way.
//!
//! Missing: clocks.

mod block;
mod certificate;
mod corrupt_log;
mod detach;
mod full_disk;
mod gossip_key;
mod isolate;
mod kill;
mod little_memory;
mod node;
mod partition;
mod pause;
mod restart;
mod restart_engine;
mod shape;
mod starve;
mod stop;
mod wipe;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::spec::AgentName;
use crate::target::{AgentInfo, AgentState, Capability, ControlError, Target};

pub use node::drain;

/// A fault by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL; healed by a start.
    Kill,
    /// SIGTERM; healed by a start.
    Stop,
    /// Frozen with its connections open; healed by a thaw.
    Pause,
    /// Stopped and started at once; nothing to heal unless it stays down.
    Restart,
    /// Cut off from all other agents, both ways; healed by undoing the cut.
    Isolate,
    /// Cut off, as a group, from all others; healed by undoing the cut.
    Partition,
    /// Cut off from the servers; healed by undoing the cut.
    Detach,
    /// What it sends is lost; healed by undoing the cut.
    Mute,
    /// What it is sent is lost; healed by undoing the cut.
    Deafen,
    /// Cut off at the HTTP API's port; healed by undoing the cut.
    BlockHttp,
    /// Cut off at the port of RPC and Raft; healed by undoing the cut.
    BlockRpc,
    /// Cut off at gossip's port; healed by undoing the cut.
    BlockGossip,
    /// What it sends comes late; healed by undoing that.
    Delay,
    /// Some of what it sends is lost; healed by undoing that.
    Loss,
    /// What it sends passes slowly; healed by undoing that.
    Rate,
    /// Killed, its data gone; healed by a start.
    Wipe,
    /// Killed, its Raft log damaged, started; healed by removing its data and a start.
    CorruptLog,
    /// It shows a certificate of another authority; healed by a good one.
    ForeignCertificate,
    /// It shows a certificate that is over; healed by a good one.
    ExpiredCertificate,
    /// It has a gossip key of its own; healed by the cluster's.
    WrongGossipKey,
    /// It has hardly any processor; healed by giving it back.
    Starve,
    /// It has hardly any memory more than it holds; healed by giving it all.
    LittleMemory,
    /// The file system of its data is full; healed by making room, and a start where it ended.
    FullDisk,
    /// The engine below all of them is restarted; healed by a start of what ended.
    RestartEngine,
    /// Its node takes no new work; healed by making it eligible.
    Ineligible,
    /// Its node is drained; healed by ending that and making it eligible.
    Drain,
}

/// Every fault, for scripts, messages and references.
pub const FAULTS: [Fault; 26] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Pause,
    Fault::Restart,
    Fault::Isolate,
    Fault::Partition,
    Fault::Detach,
    Fault::Mute,
    Fault::Deafen,
    Fault::BlockHttp,
    Fault::BlockRpc,
    Fault::BlockGossip,
    Fault::Delay,
    Fault::Loss,
    Fault::Rate,
    Fault::Wipe,
    Fault::CorruptLog,
    Fault::ForeignCertificate,
    Fault::ExpiredCertificate,
    Fault::WrongGossipKey,
    Fault::Starve,
    Fault::LittleMemory,
    Fault::FullDisk,
    Fault::RestartEngine,
    Fault::Ineligible,
    Fault::Drain,
];

/// What there is to know of a fault before it is injected.
struct Sheet {
    /// As scripts name it.
    name: &'static str,
    /// What it does, in a line.
    about: &'static str,
    /// The lever that the target must have; `None` where the HTTP API does it.
    needs: Option<Capability>,
    /// Whether the agent's process is not expected to run while the fault is in.
    takes_down: bool,
}

/// A fault's two halves, and its sheet.
#[async_trait]
trait Lever: Send + Sync {
    fn sheet(&self) -> Sheet;
    /// `together` are all that are hit at once, `agent` among them.
    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        together: &[AgentName],
    ) -> Result<(), ControlError>;
    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError>;
}

impl Fault {
    fn lever(self) -> &'static dyn Lever {
        match self {
            Self::Kill => &kill::Kill,
            Self::Stop => &stop::Stop,
            Self::Pause => &pause::Pause,
            Self::Restart => &restart::Restart,
            Self::Isolate => &isolate::Isolate,
            Self::Partition => &partition::Partition,
            Self::Detach => &detach::Detach,
            Self::Mute => &block::MUTE,
            Self::Deafen => &block::DEAFEN,
            Self::BlockHttp => &block::HTTP,
            Self::BlockRpc => &block::RPC,
            Self::BlockGossip => &block::GOSSIP,
            Self::Delay => &shape::DELAY,
            Self::Loss => &shape::LOSS,
            Self::Rate => &shape::RATE,
            Self::Wipe => &wipe::Wipe,
            Self::CorruptLog => &corrupt_log::CorruptLog,
            Self::ForeignCertificate => &certificate::FOREIGN,
            Self::ExpiredCertificate => &certificate::EXPIRED,
            Self::WrongGossipKey => &gossip_key::WrongGossipKey,
            Self::Starve => &starve::Starve,
            Self::LittleMemory => &little_memory::LittleMemory,
            Self::FullDisk => &full_disk::FullDisk,
            Self::RestartEngine => &restart_engine::RestartEngine,
            Self::Ineligible => &node::Ineligible,
            Self::Drain => &node::Drain,
        }
    }

    /// Returns its name, as `kill`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.lever().sheet().name
    }

    /// Returns what it does, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.lever().sheet().about
    }

    /// Returns the fault of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        FAULTS.into_iter().find(|fault| fault.name() == name)
    }

    /// Returns the lever that the target must have; `None` where the HTTP API does it.
    #[must_use]
    pub fn needs(self) -> Option<Capability> {
        self.lever().sheet().needs
    }

    /// Whether the agent's process may be found ended while the fault is in.
    #[must_use]
    pub fn takes_down(self) -> bool {
        self.lever().sheet().takes_down
    }

    /// Does it to one agent, `together` with others.
    ///
    /// # Errors
    /// The lever's own.
    pub async fn inject(
        self,
        target: &dyn Target,
        agent: &AgentName,
        together: &[AgentName],
    ) -> Result<(), ControlError> {
        self.lever().inject(target, agent, together).await
    }

    /// Undoes it. An agent that is not touched by it stays as it is.
    ///
    /// # Errors
    /// The lever's own.
    pub async fn heal(self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        self.lever().heal(target, agent).await
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the names of the agents that are so.
fn agents(target: &dyn Target, are: impl Fn(&AgentInfo) -> bool) -> Vec<AgentName> {
    let agents = target.agents().iter().filter(|info| are(info));
    agents.map(|info| info.name.clone()).collect()
}

/// Starts an agent whose process has ended; leaves one that runs alone.
async fn start_if_ended(target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
    match target.state(agent).await? {
        AgentState::Running => Ok(()),
        AgentState::Paused => target.resume(agent).await,
        AgentState::Exited { .. } | AgentState::Gone => target.start(agent).await,
    }
}

/// Stops an agent whose process runs; leaves one that has ended alone.
async fn stop_if_running(target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
    match target.state(agent).await? {
        AgentState::Running => target.stop(agent).await,
        AgentState::Paused => target.kill(agent).await,
        AgentState::Exited { .. } | AgentState::Gone => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        for fault in FAULTS {
            let json = serde_json::to_string(&fault).expect("plain data");
            assert_eq!(json, format!("\"{}\"", fault.name()));
        }
    }
}
