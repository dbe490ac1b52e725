//! Where a cluster runs, and the levers that are there. Faults and probes see a [`Target`],
//! never Docker or AWS: N faults on M targets cost N + M files.

pub mod aws;
pub mod docker;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::slowness::Slowness;
use crate::spec::{AgentName, Arch, Role};
use crate::time_scale::TimeScale;

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
    /// Lose only one way of an agent's traffic, or only one port.
    Block,
    /// Make what an agent sends late.
    Delay,
    /// Lose some of what an agent sends.
    Loss,
    /// Make what an agent sends slow.
    Rate,
    /// Remove an agent's data while it is down.
    Wipe,
    /// Give an agent other certificates and keys.
    Reconfigure,
    /// Take an agent's share of the processors away.
    Throttle,
    /// Leave an agent hardly any memory.
    Squeeze,
    /// Damage an agent's Raft log while it is down.
    Spoil,
    /// Fill the file system of an agent's data.
    Fill,
    /// Restart what the agents run on, and everybody else's containers with it.
    RestartEngine,
    /// Replace an agent's program by another version.
    Upgrade,
    /// Several regions in one gossip pool.
    Federation,
}

impl Capability {
    /// All levers that there can be.
    pub const ALL: [Self; 18] = [
        Self::Kill,
        Self::StopStart,
        Self::Pause,
        Self::Isolate,
        Self::Exec,
        Self::Block,
        Self::Delay,
        Self::Loss,
        Self::Rate,
        Self::Wipe,
        Self::Reconfigure,
        Self::Throttle,
        Self::Squeeze,
        Self::Spoil,
        Self::Fill,
        Self::RestartEngine,
        Self::Upgrade,
        Self::Federation,
    ];

    /// Returns how a target gets the lever, where that is somebody's choice.
    #[must_use]
    pub fn had_by(self) -> Option<&'static str> {
        match self {
            Self::Fill => Some("rehearse up --data-size 1GiB"),
            Self::RestartEngine => Some(
                "rehearse run --restart-engine-with 'sudo systemctl restart docker', which ends \
                 everybody's containers on that engine",
            ),
            Self::Upgrade => Some("rehearse run --upgrade-to VERSION or PATH"),
            Self::Federation => Some(
                "rehearse up --region east,west, with Nomad itself: simulated agents know one region",
            ),
            _ => None,
        }
    }

    /// Returns its name in scripts and messages, as `stop-start`.
    #[must_use]
    pub fn word(self) -> String {
        let word = serde_json::to_value(self).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }
}

/// Which program the agents run, for every line of output and every report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// `simulator`, `binary`, `release` or `image`.
    pub kind: String,
    /// Version of Nomad (for the simulator: the version whose behaviour it follows).
    pub version: String,
    /// Whether it is the built-in agent and not Nomad.
    pub simulated: bool,
    /// How many times faster than Nomad's own its timers run; the simulator's only.
    #[serde(default, skip_serializing_if = "TimeScale::is_one")]
    pub time_scale: TimeScale,
    /// How many times longer its emulated agents take, as measured when the cluster came up: all time
    /// limits are stretched by it.
    #[serde(default, skip_serializing_if = "Slowness::is_one")]
    pub slowness: Slowness,
    /// The defect that is planted in it, so that something can be seen to find it; the
    /// simulator's only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<String>,
}

impl EngineInfo {
    /// Returns how every output names the engine: a simulated one never passes for Nomad.
    #[must_use]
    pub fn label(&self) -> String {
        let label = if self.simulated {
            format!("SIMULATED agent (follows Nomad {})", self.version)
        } else {
            format!("Nomad {} ({})", self.version, self.kind)
        };
        let slower = self.emulated(&format!("time limits x{}", self.slowness));
        label + &self.deviations() + &slower
    }

    /// Returns the engine in a few words, as `SIMULATED 1.8.3` or `nomad 1.8.3`.
    #[must_use]
    pub fn tag(&self) -> String {
        let word = if self.simulated { "SIMULATED" } else { "nomad" };
        format!(
            "{word} {}{}{}",
            self.version,
            self.deviations(),
            self.emulated("")
        )
    }

    /// Returns the engine as Docker's records have it, as `simulator 1.8.3`.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{} {}{}", self.kind, self.version, self.deviations())
    }

    /// Returns that some agents are emulated, and `more` of it; empty where none is slower.
    fn emulated(&self, more: &str) -> String {
        match (self.slowness.is_one(), more) {
            (true, _) => String::new(),
            (false, "") => ", EMULATED".to_owned(),
            (false, more) => format!(", EMULATED: {more}"),
        }
    }

    /// Returns what was done to it so that it is not as Nomad is; empty for nothing.
    fn deviations(&self) -> String {
        let mut words = String::new();
        if !self.time_scale.is_one() {
            words.push_str(&format!(", at time scale {}", self.time_scale));
        }
        if let Some(defect) = &self.planted {
            words.push_str(&format!(", PLANTED DEFECT `{defect}`"));
        }
        words
    }
}

/// An agent of a running cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// `server-1`, ...
    pub name: AgentName,
    /// Server or client.
    pub role: Role,
    /// Nomad's region, where it is another than the cluster's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Address among the agents.
    pub address: Ipv4Addr,
    /// Architecture of its program.
    pub arch: Arch,
    /// Whether another architecture's emulator runs it.
    pub emulated: bool,
    /// `https://127.0.0.1:PORT`, where its HTTP API answers on this machine.
    pub api_addr: String,
}

impl AgentInfo {
    /// Returns how every output tells its architecture: an emulated one never passes for native.
    #[must_use]
    pub fn platform(&self) -> String {
        if self.emulated {
            format!("{} (emulated)", self.arch)
        } else {
            self.arch.to_string()
        }
    }

    /// Returns how errors name the agent: with what it runs on, where that is emulated.
    #[must_use]
    pub fn called(&self) -> String {
        match self.emulated {
            true => format!("`{}` on {}", self.name, self.platform()),
            false => format!("`{}`", self.name),
        }
    }
}

/// Which way packets are lost, as the agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Both.
    Both,
    /// What it sends.
    Out,
    /// What it is sent.
    In,
}

/// Which packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// All.
    All,
    /// The HTTP API's port.
    Http,
    /// The port of RPC and Raft.
    Rpc,
    /// Gossip's port, TCP and UDP.
    Gossip,
}

/// A bad line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Every packet comes so many milliseconds late.
    Late {
        /// From 1 to 4000.
        ms: u32,
    },
    /// Some packets are lost.
    Lossy {
        /// How many of a hundred.
        percent: u32,
    },
    /// Packets pass one after the other.
    Slow {
        /// How many kilobits pass in a second.
        kbit_per_s: u32,
    },
}

/// A certificate that an agent, or a caller, may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// A new one of the cluster's authority: as good as the one before.
    Own,
    /// Of the cluster's authority, and over since yesterday.
    Expired,
    /// Of another authority that calls itself the same.
    Foreign,
    /// Of the cluster's authority, for another region.
    OtherRegion,
}

/// A lever that the target does not have.
#[derive(Debug, thiserror::Error)]
#[error("this target has no such lever")]
pub struct NoLever;

/// What a command in an agent's container came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: i64,
    /// What it printed, standard error too.
    pub text: String,
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
#[error("cannot {action} {agent}")]
pub struct ControlError {
    /// The verb, as `kill`.
    pub action: &'static str,
    /// The agent, as [`AgentInfo::called`] has it.
    pub agent: String,
    /// What the target said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ControlError {
    /// The lever is not there.
    fn absent(action: &'static str, agent: &AgentName) -> Self {
        Self {
            action,
            agent: format!("`{agent}`"),
            source: Box::new(NoLever),
        }
    }
}

/// Whom a lever is about that is about all.
fn all_agents() -> AgentName {
    AgentName("the cluster".to_owned())
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
    /// Returns the agent of this name.
    fn agent(&self, name: &AgentName) -> Option<&AgentInfo> {
        self.agents().iter().find(|agent| agent.name == *name)
    }
    /// Returns how errors name an agent: see [`AgentInfo::called`].
    fn called(&self, agent: &AgentName) -> String {
        let known = self.agent(agent);
        known.map_or_else(|| format!("`{agent}`"), AgentInfo::called)
    }
    /// Returns the names of the regions, the authoritative one first; empty where they are not known.
    fn regions(&self) -> Vec<&str> {
        Vec::new()
    }
    /// Returns what every report of it has to say: in what it is not what it stands for.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
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
    /// Returns the agent's limits of processors and memory, and what fills its disk, as lines, for the
    /// residue check.
    async fn limits(&self, _: &AgentName) -> Result<String, ControlError> {
        Ok(String::new())
    }
    /// Returns the last `lines` lines of the agent's log.
    async fn logs(&self, agent: &AgentName, lines: usize) -> Result<String, ControlError>;

    /// Tries a lever that not every machine allows; returns why it is absent here.
    async fn lacks(&self, _: Capability) -> Option<String> {
        None
    }
    /// Loses some of what goes between the agent and `peers`; [`Target::heal`] undoes it.
    async fn block(
        &self,
        agent: &AgentName,
        _peers: &[AgentName],
        _way: Way,
        _traffic: Traffic,
    ) -> Result<(), ControlError> {
        Err(ControlError::absent("block", agent))
    }
    /// Makes the agent's line a bad one; [`Target::heal`] undoes it.
    async fn shape(&self, agent: &AgentName, _: Line) -> Result<(), ControlError> {
        Err(ControlError::absent("shape the line of", agent))
    }
    /// Removes the data of an ended agent.
    async fn wipe(&self, agent: &AgentName) -> Result<(), ControlError> {
        Err(ControlError::absent("wipe", agent))
    }
    /// Gives the agent a certificate, which it reads when it starts or is told to reload.
    async fn give_certificate(&self, agent: &AgentName, _: Paper) -> Result<(), ControlError> {
        Err(ControlError::absent("give a certificate to", agent))
    }
    /// Returns a certificate and key of a command line, which a caller may show.
    async fn caller_certificate(&self, _: Paper) -> Result<(String, String), ControlError> {
        let nobody = AgentName("the caller".to_owned());
        Err(ControlError::absent("make a certificate for", &nobody))
    }
    /// Tells the agent to read its files again (SIGHUP).
    async fn reload(&self, agent: &AgentName) -> Result<(), ControlError> {
        Err(ControlError::absent("reload", agent))
    }
    /// Writes a gossip key into a server's configuration, and into its keyring where `ring` says
    /// so; it is read at the start.
    async fn give_gossip_key(
        &self,
        agent: &AgentName,
        _key: &str,
        _ring: bool,
    ) -> Result<(), ControlError> {
        Err(ControlError::absent("give a gossip key to", agent))
    }
    /// Returns the gossip key that the cluster's files name.
    fn gossip_key(&self) -> Option<String> {
        None
    }
    /// Notes the gossip key that the cluster has from now on.
    async fn keep_gossip_key(&self, _: &str) -> Result<(), ControlError> {
        Err(ControlError::absent(
            "keep the gossip key of",
            &all_agents(),
        ))
    }
    /// Grants the agent only so many processors; `None` grants it all again.
    async fn throttle(&self, agent: &AgentName, _: Option<f64>) -> Result<(), ControlError> {
        Err(ControlError::absent("throttle", agent))
    }
    /// Grants the agent only so many bytes of memory more than it holds; `None` grants it all again.
    async fn squeeze(&self, agent: &AgentName, _: Option<u64>) -> Result<(), ControlError> {
        Err(ControlError::absent("leave little memory to", agent))
    }
    /// Damages the Raft log of a server that is down.
    async fn spoil_log(&self, agent: &AgentName) -> Result<(), ControlError> {
        Err(ControlError::absent("damage the Raft log of", agent))
    }
    /// Whether [`Target::spoil_log`] was done, and the data not removed since.
    async fn log_is_spoiled(&self, agent: &AgentName) -> Result<bool, ControlError> {
        Err(ControlError::absent("look at the Raft log of", agent))
    }
    /// Fills the file system of the agent's data to the last byte; [`Target::unfill`] undoes it.
    async fn fill(&self, agent: &AgentName) -> Result<(), ControlError> {
        Err(ControlError::absent("fill the disk of", agent))
    }
    /// Removes what fills the file system of the agent's data.
    async fn unfill(&self, agent: &AgentName) -> Result<(), ControlError> {
        Err(ControlError::absent("make room on the disk of", agent))
    }
    /// Restarts what the agents run on, and everybody else's containers with it; returns when it answers
    /// again.
    async fn restart_engine(&self) -> Result<(), ControlError> {
        Err(ControlError::absent("restart what runs", &all_agents()))
    }
    /// Waits until what the agents run on answers.
    async fn engine_is_back(&self) -> Result<(), ControlError> {
        Ok(())
    }
    /// Returns the version that [`Target::upgrade`] brings.
    fn next_version(&self) -> Option<Version> {
        None
    }
    /// Stops the agent and starts it as another version: same name, same address, same data.
    /// Nothing leads back.
    async fn upgrade(&self, agent: &AgentName) -> Result<(), ControlError> {
        Err(ControlError::absent("upgrade", agent))
    }
    /// Runs a command in the agent's container.
    async fn exec(&self, agent: &AgentName, _: &[String]) -> Result<Said, ControlError> {
        Err(ControlError::absent("run a command beside", agent))
    }
}
