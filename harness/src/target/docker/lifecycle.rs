//! A cluster after it came up: `down`, `stop`, `start`.

use std::time::Duration;

use futures::future::{join_all, try_join_all};

use super::DockerCluster;
use super::conditions::{self, Unready};
use super::control::STOP_GRACE_SECS;
use super::folder::{FolderError, StateRoot};
use super::sweep::{self, SweepError, Swept};
use super::tool::ToolError;
use crate::docker::{DockerEngine, DockerError, Trouble, labels};
use crate::nomad::ApiError;
use crate::poll::{Look, eventually};
use crate::progress::{Event, Progress};
use crate::spec::{AgentName, Role};
use crate::target::Target as _;

/// How long clients wait for servers that are started with them.
const LISTENS_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at a server that starts.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

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
    #[error("cannot {action} `{agent}` of cluster `{cluster}`")]
    Agent {
        /// The verb.
        action: &'static str,
        /// The cluster.
        cluster: String,
        /// The agent.
        agent: AgentName,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// What an agent's security groups close could not be closed: it waits for that.
    #[error("cannot close what the security groups of `{agent}` close")]
    Ports {
        /// The agent.
        agent: AgentName,
        /// Why.
        #[source]
        source: ToolError,
    },
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
            } if source.trouble == Trouble::NotFound => Some(format!(
                "rehearse down {cluster} && rehearse up {cluster}    # makes it anew"
            )),
            Self::Docker(error) | Self::Agent { source: error, .. } => error.hint(),
            Self::Sweep(error) => error.hint(),
            Self::NotReady { name, unready } => {
                let agent = unready.missing.iter().find_map(|m| m.agent.as_ref())?;
                Some(format!("rehearse logs {name} {agent}"))
            }
            Self::NoAgent { .. } | Self::InUse { .. } | Self::Ports { .. } => None,
        }
    }
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
    /// data. One that runs goes on.
    ///
    /// # Errors
    /// [`LifecycleError::Agent`], the first of them.
    pub async fn start_agents(&self, agents: &[AgentName]) -> Result<(), LifecycleError> {
        let is_server = |name: &&AgentName| {
            let mut all = self.agents.iter();
            all.any(|agent| agent.name == **name && agent.role == Role::Server)
        };
        let (servers, clients): (Vec<&AgentName>, Vec<&AgentName>) =
            agents.iter().partition(is_server);
        self.start_these(&servers).await?;
        if !clients.is_empty() {
            // A client whose first registration is refused waits 15 to 30 s with the next.
            let listen = servers
                .iter()
                .map(|server| self.listens(server, LISTENS_MAX));
            join_all(listen).await;
        }
        self.start_these(&clients).await
    }

    /// Waits until an agent answers on its HTTP API, whatever it answers: its RPC listens then,
    /// too. One that never does is found by whoever waits for the cluster.
    pub(super) async fn listens(&self, agent: &AgentName, within: Duration) {
        let api = self.api(agent).stale();
        let look = || async {
            match api.leader().await {
                Ok(_) | Err(ApiError::Status { .. } | ApiError::TimedOut { .. }) => Look::Done(()),
                Err(error) => Look::NotYet(error.to_string()),
            }
        };
        drop(eventually(within, LOOK_AGAIN, "an answer", look).await);
    }

    async fn start_these(&self, agents: &[&AgentName]) -> Result<(), LifecycleError> {
        let start = agents.iter().map(|agent| self.start_container(agent));
        let outcomes = join_all(start).await;
        self.first(agents.iter().copied(), outcomes, "start")
    }

    fn first<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a AgentName>,
        outcomes: Vec<Result<(), impl Into<ToolError>>>,
        action: &'static str,
    ) -> Result<(), LifecycleError> {
        for (agent, outcome) in agents.into_iter().zip(outcomes) {
            let agent = agent.clone();
            outcome.map_err(|error| match error.into() {
                ToolError::Docker(source) => LifecycleError::Agent {
                    action,
                    cluster: self.record.spec.name.clone(),
                    agent,
                    source,
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
