//! The levers of a cluster on Docker.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use semver::Version;
use tokio::time::Instant;

use super::DockerCluster;
use super::tool::read_log;
use crate::docker::{ContainerState, DockerError, Trouble};
use crate::engine::AGENT_USER;
use crate::nomad::Api;
use crate::poll::rest;
use crate::spec::{Adoption, AgentName, HTTP_PORT, RPC_PORT, SERF_PORT};
use crate::target::{
    AgentInfo, AgentState, Capability, ControlError, EngineInfo, Line, Paper, Said, Target,
    Traffic, Way, all_agents,
};

/// How long an agent may take to end itself before it is killed.
pub(super) const STOP_GRACE_SECS: u32 = 10;

/// For how long freezing an agent is tried: one that waits for its disk cannot be frozen meanwhile.
pub(super) const FREEZE_WITHIN: Duration = Duration::from_secs(10);

/// The rest between two tries.
const FREEZE_AGAIN: Duration = Duration::from_millis(50);

/// The lever does not fit what the agent is doing.
#[derive(Debug, thiserror::Error)]
#[error("its container is {seen}, expected {expected}")]
struct WrongState {
    seen: String,
    expected: &'static str,
}

impl DockerCluster {
    fn failed<E>(
        &self,
        action: &'static str,
        agent: &AgentName,
    ) -> impl FnOnce(E) -> ControlError + use<E>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let agent = self.called(agent);
        move |source| ControlError {
            action,
            agent,
            source: Box::new(source),
        }
    }

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
        Err(self.failed(action, agent)(WrongState { seen, expected }))
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

    /// Tries whether this machine's kernel makes such a line.
    async fn cannot_shape(&self, agent: &AgentName, line: Line) -> Result<(), String> {
        let arguments = shape_arguments("try-shape", line);
        let tried = self.net_tool(agent, &arguments).await;
        tried.map(drop).map_err(|error| error.to_string())
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

    fn regions(&self) -> Vec<&str> {
        self.record.spec.regions().collect()
    }

    fn notes(&self) -> Vec<String> {
        let adoption = self.record.spec.adoption.iter();
        adoption.map(Adoption::note).collect()
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
        self.look(agent)
            .await
            .map_err(self.failed("look at", agent))
    }

    async fn kill(&self, agent: &AgentName) -> Result<(), ControlError> {
        let act = async {
            let container = self.container(agent);
            self.docker.kill_container(container).await?;
            self.docker.wait_container(container).await
        };
        act.await.map(drop).map_err(self.failed("kill", agent))
    }

    async fn stop(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.expect("stop", agent, AgentState::Running).await?;
        let container = self.container(agent);
        let outcome = self.docker.stop_container(container, STOP_GRACE_SECS).await;
        outcome.map_err(self.failed("stop", agent))
    }

    async fn start(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.start_container(agent).await;
        outcome.map_err(self.failed("start", agent))
    }

    async fn pause(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.expect("pause", agent, AgentState::Running).await?;
        let started = Instant::now();
        loop {
            match self.docker.pause_container(self.container(agent)).await {
                Err(error)
                    if error.trouble == Trouble::NotFrozen && started.elapsed() < FREEZE_WITHIN =>
                {
                    rest(FREEZE_AGAIN).await;
                }
                outcome => return outcome.map_err(self.failed("pause", agent)),
            }
        }
    }

    async fn resume(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.expect("resume", agent, AgentState::Paused).await?;
        let outcome = self.docker.unpause_container(self.container(agent)).await;
        outcome.map_err(self.failed("resume", agent))
    }

    async fn isolate(&self, agent: &AgentName, peers: &[AgentName]) -> Result<(), ControlError> {
        self.expect("isolate", agent, AgentState::Running).await?;
        let mut arguments = vec!["cut".to_owned()];
        arguments.extend(self.addresses(peers));
        let outcome = self.net_tool(agent, &arguments).await;
        outcome.map(drop).map_err(self.failed("isolate", agent))
    }

    async fn heal(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.net_tool(agent, &["heal".to_owned()]).await;
        outcome.map(drop).map_err(self.failed("heal", agent))
    }

    async fn network_state(&self, agent: &AgentName) -> Result<String, ControlError> {
        let outcome = self.net_tool(agent, &["state".to_owned()]).await;
        outcome.map_err(self.failed("read the network state of", agent))
    }

    async fn limits(&self, agent: &AgentName) -> Result<String, ControlError> {
        let found = self.docker.container(self.container(agent)).await;
        let limits = found
            .map_err(self.failed("read the limits of", agent))?
            .limits;
        let cpus = limits.cpus.map(|cpus| format!("{cpus} processors\n"));
        let memory = limits
            .memory
            .map(|bytes| format!("{bytes} bytes of memory\n"));
        let filler = match self.record.spec.data_size {
            Some(_) => {
                let told = self.data_tool(agent, "filled").await;
                Some(told.map_err(self.failed("look at the disk of", agent))?)
            }
            None => None,
        };
        Ok(cpus.into_iter().chain(memory).chain(filler).collect())
    }

    async fn logs(&self, agent: &AgentName, lines: usize) -> Result<String, ControlError> {
        let log = self.docker.logs(self.container(agent), Some(lines), false);
        let outcome = read_log(log).await;
        outcome.map_err(self.failed("read the log of", agent))
    }

    async fn lacks(&self, capability: Capability) -> Option<String> {
        let agent = &self.agents.first()?.name;
        let told: Result<(), String> = match capability {
            Capability::Block => {
                let tried = self.net_tool(agent, &["try-block".to_owned()]).await;
                tried.map(drop).map_err(|error| error.to_string())
            }
            Capability::Delay => self.cannot_shape(agent, Line::Late { ms: 1 }).await,
            Capability::Loss => self.cannot_shape(agent, Line::Lossy { percent: 1 }).await,
            Capability::Rate => {
                self.cannot_shape(agent, Line::Slow { kbit_per_s: 1000 })
                    .await
            }
            // Granting all that is granted already changes nothing, and tells whether it works.
            Capability::Throttle => {
                let tried = self.docker.limit_cpus(self.container(agent), None).await;
                tried.map_err(|error| with_source(&error))
            }
            Capability::Squeeze => {
                let tried = self.docker.limit_memory(self.container(agent), None).await;
                tried.map_err(|error| with_source(&error))
            }
            Capability::Fill => {
                let kept = self.data_are_kept().await;
                kept.map_err(|error| error.to_string())
            }
            Capability::RestartEngine => self.bears_a_restart_of_the_engine(),
            Capability::Upgrade => match self.upgraded() {
                Some(agent) => Err(format!(
                    "`{agent}` was upgraded already, and nothing leads back"
                )),
                None => Ok(()),
            },
            _ => Ok(()),
        };
        told.err()
    }

    async fn block(
        &self,
        agent: &AgentName,
        peers: &[AgentName],
        way: Way,
        traffic: Traffic,
    ) -> Result<(), ControlError> {
        self.expect("block", agent, AgentState::Running).await?;
        let way = match way {
            Way::Both => "both",
            Way::Out => "out",
            Way::In => "in",
        };
        let traffic = match traffic {
            Traffic::All => "all".to_owned(),
            Traffic::Http => format!("{HTTP_PORT}/tcp"),
            Traffic::Rpc => format!("{RPC_PORT}/tcp"),
            Traffic::Gossip => format!("{SERF_PORT}/tcp,{SERF_PORT}/udp"),
        };
        let user = AGENT_USER.to_string();
        let words = ["block".to_owned(), way.to_owned(), user, traffic];
        let mut arguments: Vec<String> = words.into();
        arguments.extend(self.addresses(peers));
        let outcome = self.net_tool(agent, &arguments).await;
        outcome.map(drop).map_err(self.failed("block", agent))
    }

    async fn shape(&self, agent: &AgentName, line: Line) -> Result<(), ControlError> {
        self.expect("shape the line of", agent, AgentState::Running)
            .await?;
        let arguments = shape_arguments("shape", line);
        let outcome = self.net_tool(agent, &arguments).await;
        outcome
            .map(drop)
            .map_err(self.failed("shape the line of", agent))
    }

    async fn wipe(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.data_tool(agent, "wipe").await;
        outcome
            .map(drop)
            .map_err(self.failed("wipe the data of", agent))
    }

    async fn give_certificate(&self, agent: &AgentName, paper: Paper) -> Result<(), ControlError> {
        let outcome = self.put_leaf(agent, paper).await;
        outcome.map_err(self.failed("give a certificate to", agent))
    }

    async fn caller_certificate(&self, paper: Paper) -> Result<(String, String), ControlError> {
        let caller = AgentName("the caller".to_owned());
        let leaf = self.caller_leaf(paper);
        leaf.map(|pair| (pair.certificate, pair.key))
            .map_err(self.failed("make a certificate for", &caller))
    }

    async fn reload(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.expect("reload", agent, AgentState::Running).await?;
        let container = self.container(agent);
        let outcome = self.docker.signal_container(container, "HUP").await;
        outcome.map_err(self.failed("reload", agent))
    }

    async fn give_gossip_key(
        &self,
        agent: &AgentName,
        key: &str,
        ring: bool,
    ) -> Result<(), ControlError> {
        let outcome = self.put_gossip_key(agent, key, ring).await;
        outcome.map_err(self.failed("give a gossip key to", agent))
    }

    fn gossip_key(&self) -> Option<String> {
        self.folder.read_gossip_key().ok()
    }

    async fn keep_gossip_key(&self, key: &str) -> Result<(), ControlError> {
        let outcome = self.folder.write_gossip_key(key);
        outcome.map_err(self.failed("keep the gossip key of", &all_agents()))
    }

    async fn throttle(&self, agent: &AgentName, cpus: Option<f64>) -> Result<(), ControlError> {
        let outcome = self.docker.limit_cpus(self.container(agent), cpus).await;
        outcome.map_err(self.failed("throttle", agent))
    }

    async fn squeeze(&self, agent: &AgentName, spare: Option<u64>) -> Result<(), ControlError> {
        let container = self.container(agent);
        let act = async {
            let limit = match spare {
                Some(spare) => Some(self.docker.memory_held(container).await? + spare),
                None => None,
            };
            self.docker.limit_memory(container, limit).await
        };
        act.await
            .map_err(self.failed("leave little memory to", agent))
    }

    async fn spoil_log(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.data_tool(agent, "spoil").await;
        outcome
            .map(drop)
            .map_err(self.failed("damage the Raft log of", agent))
    }

    async fn log_is_spoiled(&self, agent: &AgentName) -> Result<bool, ControlError> {
        let outcome = self.data_tool(agent, "spoiled").await;
        outcome
            .map(|said| said.trim() == "yes")
            .map_err(self.failed("look at the Raft log of", agent))
    }

    async fn fill(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.data_tool(agent, "fill").await;
        outcome
            .map(drop)
            .map_err(self.failed("fill the disk of", agent))
    }

    async fn unfill(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.data_tool(agent, "unfill").await;
        outcome
            .map(drop)
            .map_err(self.failed("make room on the disk of", agent))
    }

    async fn restart_engine(&self) -> Result<(), ControlError> {
        let outcome = self.end_and_start_engine().await;
        outcome.map_err(self.failed("restart the engine of", &all_agents()))
    }

    async fn engine_is_back(&self) -> Result<(), ControlError> {
        let outcome = self.engine_answers().await;
        outcome.map_err(self.failed("reach the engine of", &all_agents()))
    }

    fn next_version(&self) -> Option<Version> {
        self.next().map(|next| next.version.clone())
    }

    async fn upgrade(&self, agent: &AgentName) -> Result<(), ControlError> {
        let outcome = self.replace_program(agent).await;
        outcome.map_err(self.failed("upgrade", agent))
    }

    async fn exec(&self, agent: &AgentName, command: &[String]) -> Result<Said, ControlError> {
        let ran = async {
            let running = self.docker.exec(self.container(agent), command).await?;
            let text = read_log(running.output).await?;
            let code = self.docker.exec_code(&running.id).await?;
            Ok::<_, DockerError>(Said { code, text })
        };
        ran.await
            .map_err(self.failed("run a command beside", agent))
    }
}

fn shape_arguments(verb: &str, line: Line) -> [String; 3] {
    let (kind, number) = match line {
        Line::Late { ms } => ("delay", ms),
        Line::Lossy { percent } => ("loss", percent),
        Line::Slow { kbit_per_s } => ("rate", kbit_per_s),
    };
    [verb.to_owned(), kind.to_owned(), number.to_string()]
}

/// Returns what was done, and the engine's own words.
fn with_source(error: &DockerError) -> String {
    format!("{error}: {}", error.source)
}
