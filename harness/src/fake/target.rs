//! The levers of the cluster that is not there. Every pull is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{Cluster, Defects, Shared, lock, nomad};
use crate::nomad::{Api, ApiConfig, Token};
use crate::poll;
use crate::spec::{AgentName, Arch, Role};
use crate::target::{AgentInfo, AgentState, Capability, ControlError, EngineInfo, Target};

pub(crate) struct FakeTarget {
    engine: EngineInfo,
    agents: Vec<AgentInfo>,
    pub(crate) capabilities: BTreeSet<Capability>,
    /// What reports of it say.
    pub(crate) notes: Vec<String>,
    pub(crate) cluster: Shared,
    /// What every agent's log says, where it is not its name.
    pub(crate) log: Option<String>,
}

impl FakeTarget {
    /// Three servers, `server-1` leading, three clients; answers on a port of its own.
    pub(crate) async fn start(outage: Duration, defects: Defects) -> Self {
        let mut agents = Vec::new();
        let cluster = Cluster {
            states: BTreeMap::new(),
            hanging: None,
            unaware: None,
            leader: Some(AgentName::new(Role::Server, 1)),
            election: None,
            outage,
            truth: None,
            index: 10,
            writes: 0,
            jobs: BTreeMap::new(),
            answers: 0,
            stopping: false,
            calls: Vec::new(),
            network: BTreeMap::new(),
            defects,
        };
        let cluster = Arc::new(Mutex::new(cluster));
        let port = nomad::serve(Arc::clone(&cluster)).await;
        for (role, block) in [(Role::Server, 10_u8), (Role::Client, 100)] {
            for number in 1..=3_u8 {
                let name = AgentName::new(role, u16::from(number));
                let mut table = lock(&cluster);
                table.states.insert(name.clone(), AgentState::Running);
                table
                    .network
                    .insert(name.clone(), "default via 10.0.0.1".into());
                agents.push(AgentInfo {
                    api_addr: format!("http://127.0.0.1:{port}/{name}"),
                    name,
                    role,
                    region: None,
                    address: Ipv4Addr::new(10, 0, 0, block + number),
                    arch: Arch::Amd64,
                    emulated: false,
                });
            }
        }
        Self {
            engine: EngineInfo {
                kind: "fake".into(),
                version: "0.0.0".into(),
                simulated: true,
                ..EngineInfo::default()
            },
            agents,
            capabilities: BTreeSet::from([
                Capability::Kill,
                Capability::StopStart,
                Capability::Pause,
                Capability::Isolate,
            ]),
            notes: Vec::new(),
            cluster,
            log: None,
        }
    }

    /// Returns the pulls so far, as `kill server-1`.
    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.cluster).calls.clone()
    }

    /// Has it run so many times faster, as its engine says.
    pub(crate) fn time_scale(&mut self, times: &str) {
        self.engine.time_scale = times.parse().expect("a time scale");
    }

    /// Has an emulator run all agents.
    pub(crate) fn emulate(&mut self) {
        for agent in &mut self.agents {
            agent.arch = Arch::S390x;
            agent.emulated = true;
        }
    }

    fn pull(&self, verb: &str, agent: &AgentName, state: Option<AgentState>) {
        let mut cluster = lock(&self.cluster);
        cluster.calls.push(format!("{verb} {agent}"));
        if let Some(state) = state {
            if state != AgentState::Running {
                cluster.lose_leader(agent);
            }
            cluster.states.insert(agent.clone(), state);
        }
    }
}

const ENDED: AgentState = AgentState::Exited {
    code: 137,
    oom_killed: false,
};

#[async_trait]
impl Target for FakeTarget {
    fn name(&self) -> &str {
        "fake"
    }

    fn engine(&self) -> &EngineInfo {
        &self.engine
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn agents(&self) -> &[AgentInfo] {
        &self.agents
    }

    fn capabilities(&self) -> &BTreeSet<Capability> {
        &self.capabilities
    }

    fn api(&self, agent: &AgentName) -> Api {
        let info = self.agents.iter().find(|info| info.name == *agent);
        Api::new(ApiConfig {
            addr: info.expect("an agent of ours").api_addr.clone(),
            ca_pem: String::new(),
            cert_pem: String::new(),
            key_pem: String::new(),
            token: Some(Token::new("secret")),
        })
        .expect("a plain address")
    }

    async fn state(&self, agent: &AgentName) -> Result<AgentState, ControlError> {
        Ok(lock(&self.cluster).states[agent].clone())
    }

    async fn kill(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.pull("kill", agent, Some(ENDED));
        Ok(())
    }

    async fn stop(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.pull("stop", agent, Some(ENDED));
        Ok(())
    }

    async fn start(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.pull("start", agent, Some(AgentState::Running));
        Ok(())
    }

    async fn pause(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.pull("pause", agent, Some(AgentState::Paused));
        Ok(())
    }

    async fn resume(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.pull("resume", agent, Some(AgentState::Running));
        Ok(())
    }

    async fn isolate(&self, agent: &AgentName, _: &[AgentName]) -> Result<(), ControlError> {
        self.pull("isolate", agent, None);
        let mut cluster = lock(&self.cluster);
        if let Some(state) = cluster.network.get_mut(agent) {
            state.push_str("\nblackhole 10.0.0.0/24");
        }
        Ok(())
    }

    async fn heal(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.pull("heal", agent, None);
        let mut cluster = lock(&self.cluster);
        if !cluster.defects.residue {
            let state = "default via 10.0.0.1".to_owned();
            cluster.network.insert(agent.clone(), state);
        }
        Ok(())
    }

    async fn network_state(&self, agent: &AgentName) -> Result<String, ControlError> {
        // A look takes its time, as Docker's does: what does not wait for it is seen to do so.
        poll::rest(Duration::from_millis(20)).await;
        Ok(lock(&self.cluster).network[agent].clone())
    }

    async fn restart_engine(&self) -> Result<(), ControlError> {
        let mut cluster = lock(&self.cluster);
        cluster.calls.push("restart engine".to_owned());
        for state in cluster.states.values_mut() {
            *state = ENDED;
        }
        Ok(())
    }

    fn next_version(&self) -> Option<semver::Version> {
        Some(semver::Version::new(0, 0, 1))
    }

    async fn upgrade(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.pull("upgrade", agent, Some(AgentState::Running));
        Ok(())
    }

    async fn logs(&self, agent: &AgentName, _: usize) -> Result<String, ControlError> {
        let own = || format!("the log of {agent}\n");
        Ok(self.log.clone().unwrap_or_else(own))
    }
}
