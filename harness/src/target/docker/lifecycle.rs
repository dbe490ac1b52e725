//! A cluster after it came up: `down`, `stop`, `start`.

use std::time::Duration;

use futures::future::{join_all, try_join_all};

use super::DockerCluster;
use super::bring_up::{log_text, signal};
use super::conditions::{self, Unready};
use super::control::STOP_GRACE_SECS;
use super::folder::{FolderError, StateRoot};
use super::sweep::{self, SweepError, Swept};
use super::tool::{ToolError, log_end};
use crate::docker::{ContainerState, DockerEngine, DockerError, Trouble, labels};
use crate::emulation::{self, NotWorking, ProbeError};
use crate::nomad::ApiError;
use crate::poll::{Look, eventually};
use crate::progress::{Event, Progress};
use crate::spec::{AgentName, Arch, Role};
use crate::target::Target as _;

/// How long an agent of this machine's own architecture may take from its start to its first answer:
/// real Nomad takes a second or two.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// Time between two looks at an agent that starts.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A cluster could not be stopped, started or removed.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// There is no such cluster.
    #[error("there is no cluster `{name}`")]
    Absent {
        /// The name.
        name: String,
    },
    /// There is no such agent.
    #[error("cluster `{cluster}` has no agent `{agent}` (it has {known})")]
    NoAgent {
        /// The cluster.
        cluster: String,
        /// As given.
        agent: String,
        /// Its agents.
        known: String,
    },
    /// An `up` is at work on it.
    #[error("cluster `{name}` is {state}")]
    InUse {
        /// The name.
        name: String,
        /// How it is.
        state: String,
    },
    /// An agent cannot be stopped or started.
    #[error("cannot {action} {agent} of cluster `{cluster}`")]
    Agent {
        /// The verb.
        action: &'static str,
        /// The cluster.
        cluster: String,
        /// The agent, with what it runs on where that is emulated.
        agent: String,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// The agents' data were in memory (`--data-size`) and went with an end of Docker, or of the machine.
    #[error("the data of cluster `{cluster}` were in memory (`--data-size`), and are gone")]
    DataGone {
        /// The cluster.
        cluster: String,
    },
    /// An agent that was started ended.
    #[error(
        "{called} of cluster `{cluster}` ended with exit code {code}{} after its start{}{}",
        signal(*.code),
        .emulation.as_ref().map(|why| format!(": {why}")).unwrap_or_default(),
        log_text(.agent, .log)
    )]
    Ended {
        /// The cluster.
        cluster: String,
        /// The agent.
        agent: AgentName,
        /// It, with what it runs on where that is emulated.
        called: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
        /// What is wrong with its emulation, which was tried once more.
        emulation: Option<NotWorking>,
    },
    /// What an agent's security groups close could not be closed: it waits for that.
    #[error("cannot close what the security groups of {agent} close")]
    Ports {
        /// The agent, with what it runs on where that is emulated.
        agent: String,
        /// Why.
        #[source]
        source: ToolError,
    },
    /// What answers in AWS's place does not.
    #[error("EC2 and the metadata service cannot be answered here")]
    Responder(#[source] ToolError),
    /// It did not become ready again.
    #[error("cluster `{name}` is not ready {:.1} s after its start{}", .unready.after.as_secs_f64(), missing(.unready))]
    NotReady {
        /// The cluster.
        name: String,
        /// What is missing.
        unready: Unready,
    },
    /// Its folder is of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// Its objects could not be removed.
    #[error(transparent)]
    Sweep(#[from] SweepError),
}

fn anew(cluster: &str) -> String {
    format!("rehearse down {cluster} && rehearse up {cluster}    # makes it anew")
}

fn missing(unready: &Unready) -> String {
    let line = |missing: &conditions::Missing| format!("\n  missing: {missing}");
    unready.missing.iter().map(line).collect()
}

impl LifecycleError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Absent { .. } => Some("rehearse ls".to_owned()),
            Self::Folder(error) => error.hint(),
            // Its data went with its container: only a new cluster has that agent again.
            Self::Agent {
                source, cluster, ..
            } if source.trouble == Trouble::NotFound => Some(anew(cluster)),
            Self::DataGone { cluster } => Some(anew(cluster)),
            Self::Docker(error) | Self::Agent { source: error, .. } => error.hint(),
            Self::Sweep(error) => error.hint(),
            Self::Ended {
                emulation: Some(_), ..
            } => Some("rehearse doctor    # says what mends emulation here".to_owned()),
            Self::Ended { cluster, agent, .. } => Some(format!("rehearse logs {cluster} {agent}")),
            Self::NotReady { name, unready } => {
                let agent = unready.missing.iter().find_map(|m| m.agent.as_ref())?;
                Some(format!("rehearse logs {name} {agent}"))
            }
            Self::NoAgent { .. } | Self::InUse { .. } | Self::Ports { .. } | Self::Responder(_) => {
                None
            }
        }
    }
}

/// Why an agent will not answer.
enum Gone {
    /// It ended, with this exit code.
    Ended(i64),
    /// The engine does not tell.
    Unknown(DockerError),
}

/// Removes every object of one run.
pub(super) async fn remove_run(docker: &dyn DockerEngine, run: &str) -> Result<(), SweepError> {
    for found in sweep::collect(docker, &[(labels::RUN, Some(run))]).await? {
        sweep::remove_objects(docker, found).await?;
    }
    Ok(())
}

/// Removes a cluster whole, however much of it is left: containers, network, volumes, folder.
/// Works from labels alone.
///
/// # Errors
/// [`LifecycleError`]; `Absent` when there is nothing of that name.
pub async fn tear_down(
    name: &str,
    docker: &dyn DockerEngine,
    root: &StateRoot,
    progress: &Progress,
) -> Result<Vec<Swept>, LifecycleError> {
    let _lock = root.lock(name)?;
    let runs = sweep::collect(docker, &[(labels::CLUSTER, Some(name))]).await?;
    let folder = root.cluster(name);
    if runs.is_empty() && !folder.exists() {
        return Err(LifecycleError::Absent {
            name: name.to_owned(),
        });
    }
    progress.tell(Event::TearingDown {
        cluster: name.to_owned(),
    });
    let removals = runs.into_iter().map(|run| run.remove(docker));
    let swept = try_join_all(removals).await?;
    folder.remove()?;
    Ok(swept)
}

impl DockerCluster {
    /// Returns the agents of these names; all of them when none is named.
    ///
    /// # Errors
    /// [`LifecycleError::NoAgent`].
    pub fn named(&self, names: &[String]) -> Result<Vec<AgentName>, LifecycleError> {
        let all: Vec<AgentName> = self.agents.iter().map(|agent| agent.name.clone()).collect();
        if names.is_empty() {
            return Ok(all);
        }
        let find = |name: &String| {
            let found = all.iter().find(|agent| agent.as_str() == name);
            found.cloned().ok_or_else(|| LifecycleError::NoAgent {
                cluster: self.record.spec.name.clone(),
                agent: name.clone(),
                known: all
                    .iter()
                    .map(|a| format!("`{a}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        };
        names.iter().map(find).collect()
    }

    /// Stops agents, all at the same time: SIGTERM, and SIGKILL after 10 s. One that is stopped
    /// already stays so.
    ///
    /// # Errors
    /// [`LifecycleError::Agent`], the first of them.
    pub async fn stop_agents(&self, agents: &[AgentName]) -> Result<(), LifecycleError> {
        let stop = |agent: &AgentName| {
            let container = self.container(agent).to_owned();
            let docker = self.docker.clone();
            async move { docker.stop_container(&container, STOP_GRACE_SECS).await }
        };
        let outcomes = join_all(agents.iter().map(stop)).await;
        self.first(agents, outcomes, "stop")
    }

    /// Starts agents, servers before clients, all of a kind at the same time: same addresses, same
    /// data. One that runs goes on. Waits until each answers; returns who runs and does not, as a
    /// client that waits for servers.
    ///
    /// # Errors
    /// [`LifecycleError::Agent`] and [`LifecycleError::Ended`], the first of them.
    pub async fn start_agents(
        &self,
        agents: &[AgentName],
    ) -> Result<Vec<AgentName>, LifecycleError> {
        let is_server = |name: &&AgentName| {
            let agent = self.agent(name);
            agent.is_some_and(|agent| agent.role == Role::Server)
        };
        let (servers, clients): (Vec<&AgentName>, Vec<&AgentName>) =
            agents.iter().partition(is_server);
        self.start_responder()
            .await
            .map_err(LifecycleError::Responder)?;
        // A client whose first registration is refused waits 15 to 30 s with the next.
        let mut silent = self.start_these(&servers).await?;
        silent.extend(self.start_these(&clients).await?);
        Ok(silent)
    }

    /// Waits until an agent answers on its HTTP API, whatever it answers: its RPC listens then,
    /// too. Returns whether it does.
    async fn answers(&self, agent: &AgentName) -> Result<bool, LifecycleError> {
        let api = self.api(agent).stale();
        let look = || async {
            let error = match api.leader().await {
                Ok(_) | Err(ApiError::Status { .. } | ApiError::TimedOut { .. }) => {
                    return Look::Done(Ok(()));
                }
                Err(error) => error,
            };
            match self.docker.container(self.container(agent)).await {
                Ok(found) => match found.state {
                    ContainerState::Exited { code, .. } => Look::Done(Err(Gone::Ended(code))),
                    _ => Look::NotYet(error.to_string()),
                },
                Err(error) => Look::Done(Err(Gone::Unknown(error))),
            }
        };
        let within = self.record.engine.slowness.allowed(ANSWERS_WITHIN);
        match eventually(within, LOOK_AGAIN, "an answer", look).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(Gone::Ended(code))) => Err(self.ended(agent, code).await),
            Ok(Err(Gone::Unknown(error))) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// Says of an agent that ended what its log says.
    async fn ended(&self, agent: &AgentName, code: i64) -> LifecycleError {
        let container = self.container(agent);
        // Where the engine has not written the last lines down, yet.
        drop(self.docker.wait_container(container).await);
        let log = log_end(self.docker.as_ref(), container).await;
        let emulation = match self.agent(agent).filter(|info| info.emulated) {
            Some(info) => self.emulation_fault(info.arch).await,
            None => None,
        };
        LifecycleError::Ended {
            cluster: self.record.spec.name.clone(),
            agent: agent.clone(),
            called: self.called(agent),
            code,
            log,
            emulation,
        }
    }

    /// Tries whether programs of the architecture still work: an emulation may go at any time.
    async fn emulation_fault(&self, arch: Arch) -> Option<NotWorking> {
        let own = labels::of_tool(&self.record.run);
        match emulation::probe(self.docker.as_ref(), arch, &own).await {
            Err(ProbeError::NotWorking(why)) => Some(why),
            // Docker's own trouble is no verdict about emulation.
            Ok(_) | Err(_) => None,
        }
    }

    /// Starts these, and returns who of them does not answer.
    async fn start_these(&self, agents: &[&AgentName]) -> Result<Vec<AgentName>, LifecycleError> {
        let start = agents.iter().map(|agent| self.start_container(agent));
        let outcomes = join_all(start).await;
        self.first(agents.iter().copied(), outcomes, "start")?;
        let answers = try_join_all(agents.iter().map(|agent| self.answers(agent))).await?;
        let silent = agents.iter().zip(answers).filter(|(_, answers)| !answers);
        Ok(silent.map(|(agent, _)| (*agent).clone()).collect())
    }

    fn first<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a AgentName>,
        outcomes: Vec<Result<(), impl Into<ToolError>>>,
        action: &'static str,
    ) -> Result<(), LifecycleError> {
        for (agent, outcome) in agents.into_iter().zip(outcomes) {
            let agent = self.called(agent);
            outcome.map_err(|error| match error.into() {
                ToolError::Docker(source) => LifecycleError::Agent {
                    action,
                    cluster: self.record.spec.name.clone(),
                    agent,
                    source,
                },
                ToolError::DataGone => LifecycleError::DataGone {
                    cluster: self.record.spec.name.clone(),
                },
                source => LifecycleError::Ports { agent, source },
            })?;
        }
        Ok(())
    }

    /// Waits until the cluster is ready, as after `up`.
    ///
    /// # Errors
    /// [`LifecycleError::NotReady`] with all that is missing.
    pub async fn wait_ready(
        &self,
        timeout: Duration,
        progress: &Progress,
    ) -> Result<(), LifecycleError> {
        let token = self.folder.read_token()?;
        conditions::again(self, &token, timeout, progress)
            .await
            .map_err(|unready| LifecycleError::NotReady {
                name: self.record.spec.name.clone(),
                unready,
            })
    }

    /// Removes the cluster whole.
    ///
    /// # Errors
    /// [`LifecycleError`].
    pub async fn tear_down(self, progress: &Progress) -> Result<(), LifecycleError> {
        let name = self.record.spec.name.clone();
        let root = StateRoot::new(self.folder.path().parent().unwrap_or(self.folder.path()));
        tear_down(&name, self.docker.as_ref(), &root, progress)
            .await
            .map(drop)
    }
}
