//! The levers of a cluster on Docker.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::DockerCluster;
use super::tool::read_log;
use crate::docker::{ContainerState, DockerError, Trouble};
use crate::nomad::Api;
use crate::spec::AgentName;
use crate::target::{AgentInfo, AgentState, Capability, ControlError, EngineInfo, Target};

/// How long an agent may take to end itself before it is killed.
pub(super) const STOP_GRACE_SECS: u32 = 10;

fn failed<E>(action: &'static str, agent: &AgentName) -> impl FnOnce(E) -> ControlError
where
    E: std::error::Error + Send + Sync + 'static,
{
    let agent = agent.clone();
    move |source| ControlError {
        action,
        agent,
        source: Box::new(source),
    }
}

/// The lever does not fit what the agent is doing.
#[derive(Debug, thiserror::Error)]
#[error("its container is {seen}, expected {expected}")]
struct WrongState {
    seen: String,
    expected: &'static str,
}

impl DockerCluster {
    /// Checks that a lever fits, so that pulling it twice does not pass for success.
    async fn expect(
        &self,
        action: &'static str,
        agent: &AgentName,
        expected: AgentState,
    ) -> Result<(), ControlError> {
        let seen = self.state(agent).await?;
        if seen == expected {
            return Ok(());
        }
        let expected = match expected {
            AgentState::Paused => "paused",
            _ => "running",
        };
        let seen = match seen {
            AgentState::Running => "running".to_owned(),
            AgentState::Paused => "paused".to_owned(),
            AgentState::Exited { code, .. } => format!("ended (exit code {code})"),
            AgentState::Gone => "gone".to_owned(),
        };
        Err(failed(action, agent)(WrongState { seen, expected }))
    }

    /// Returns the container's state in the target's words.
    async fn look(&self, agent: &AgentName) -> Result<AgentState, DockerError> {
        match self.docker.container(self.container(agent)).await {
            Ok(found) => Ok(match found.state {
                ContainerState::Running => AgentState::Running,
                ContainerState::Paused => AgentState::Paused,
                ContainerState::Created => AgentState::Exited {
                    code: 0,
                    oom_killed: false,
                },
                ContainerState::Exited { code, oom_killed } => {
                    AgentState::Exited { code, oom_killed }
                }
            }),
            Err(error) if error.trouble == Trouble::NotFound => Ok(AgentState::Gone),
            Err(error) => Err(error),
        }
    }

    fn addresses(&self, peers: &[AgentName]) -> Vec<String> {
        let named = |agent: &&AgentInfo| peers.contains(&agent.name);
        let address = |agent: &AgentInfo| agent.address.to_string();
        self.agents.iter().filter(named).map(address).collect()
    }
}

#[async_trait]
impl Target for DockerCluster {
    fn name(&self) -> &str {
        &self.record.spec.name
    }

    fn engine(&self) -> &EngineInfo {
        &self.record.engine
    }

    fn agents(&self) -> &[AgentInfo] {
        &self.agents
    }

    fn capabilities(&self) -> &BTreeSet<Capability> {
        &self.capabilities
    }

    fn api(&self, agent: &AgentName) -> Api {
        let api = self.apis.get(agent);
        api.expect("agents are named from the cluster's own list")
            .clone()
    }

    async fn state(&self, agent: &AgentName) -> Result<AgentState, ControlError> {
        self.look(agent).await.map_err(failed("look at", agent))
    }

    async fn kill(&self, agent: &AgentName) -> Result<(), ControlError> {
        let act = async {
            let container = self.container(agent);
            self.docker.kill_container(container).await?;
            self.docker.wait_container(container).await
        };
        act.await.map(drop).map_err(failed("kill", agent))
    }

    async fn stop(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.expect("stop", agent, AgentState::Running).await?;
        let container = self.container(agent);
        let outcome = self.docker.stop_container(container, STOP_GRACE_SECS).await;
        outcome.map_err(failed("stop", agent))
    }

    async fn start(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.docker.start_container(self.container(agent)).await;
        outcome.map_err(failed("start", agent))
    }

    async fn pause(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.expect("pause", agent, AgentState::Running).await?;
        let outcome = self.docker.pause_container(self.container(agent)).await;
        outcome.map_err(failed("pause", agent))
    }

    async fn resume(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.expect("resume", agent, AgentState::Paused).await?;
        let outcome = self.docker.unpause_container(self.container(agent)).await;
        outcome.map_err(failed("resume", agent))
    }

    async fn isolate(&self, agent: &AgentName, peers: &[AgentName]) -> Result<(), ControlError> {
        self.expect("isolate", agent, AgentState::Running).await?;
        let mut arguments = vec!["cut".to_owned()];
        arguments.extend(self.addresses(peers));
        let outcome = self.net_tool(agent, &arguments).await;
        outcome.map(drop).map_err(failed("isolate", agent))
    }

    async fn heal(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.net_tool(agent, &["heal".to_owned()]).await;
        outcome.map(drop).map_err(failed("heal", agent))
    }

    async fn network_state(&self, agent: &AgentName) -> Result<String, ControlError> {
        let outcome = self.net_tool(agent, &["state".to_owned()]).await;
        outcome.map_err(failed("read the network state of", agent))
    }

    async fn logs(&self, agent: &AgentName, lines: usize) -> Result<String, ControlError> {
        let log = self.docker.logs(self.container(agent), Some(lines), false);
        let outcome = read_log(log).await;
        outcome.map_err(failed("read the log of", agent))
    }
}
