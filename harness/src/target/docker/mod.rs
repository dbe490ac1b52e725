//! A cluster on the local Docker: one bridge network, one container and one volume per agent.
//! Docker's labels and the cluster's folder are all that is kept of it.

mod bring_up;
mod conditions;
mod configuration;
mod control;
mod engine_restart;
mod folder;
mod lifecycle;
mod papers;
mod plan;
mod responder;
mod sweep;
#[cfg(test)]
mod tests;
mod tool;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::docker::{DockerEngine, DockerError};
use crate::nomad::{Api, ApiConfig, ApiError, Token};
use crate::spec::AgentName;
use crate::target::{AgentInfo, Capability, EngineInfo};

pub use bring_up::{Options, UpError, bring_up};
pub use conditions::{Missing, Unready};
pub use engine_restart::RestartError;
pub use folder::{AgentRecord, CliFiles, Folder, FolderError, Lock, Phase, Record, StateRoot};
pub use lifecycle::{LifecycleError, tear_down};
pub use papers::PaperError;
pub use sweep::{ClusterSummary, Health, Sweep, SweepError, Swept, list, sweep};
pub use upgrade::UpgradeError;

/// A running cluster on the local Docker.
pub struct DockerCluster {
    docker: Arc<dyn DockerEngine>,
    record: Record,
    folder: Folder,
    agents: Vec<AgentInfo>,
    apis: BTreeMap<AgentName, Api>,
    capabilities: BTreeSet<Capability>,
    /// The command that restarts the engine, where somebody gave one.
    restart_engine_with: Option<String>,
}

impl std::fmt::Debug for DockerCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerCluster")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// A cluster that is there cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder is of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It never came up whole.
    #[error("cluster `{name}` never came up whole")]
    HalfMade {
        /// Its name.
        name: String,
    },
    /// It runs on another Docker engine.
    #[error("cluster `{name}` runs on another Docker engine (its ID is `{engine}`)")]
    OtherDocker {
        /// Its name.
        name: String,
        /// The engine.
        engine: String,
    },
    /// Its certificates are of no use.
    #[error("the certificates of cluster `{name}` are of no use")]
    Api {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: ApiError,
    },
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

impl OpenError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(error) => error.hint(),
            Self::HalfMade { name } | Self::Api { name, .. } => {
                Some(format!("rehearse down {name} && rehearse up {name}"))
            }
            Self::OtherDocker { .. } => {
                Some("docker context ls    # and DOCKER_HOST: use the one of that `up`".to_owned())
            }
            Self::Docker(error) => error.hint(),
        }
    }
}

impl DockerCluster {
    /// Opens a cluster that came up earlier, whatever its agents do now.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        name: &str,
        root: &StateRoot,
        docker: Arc<dyn DockerEngine>,
    ) -> Result<Self, OpenError> {
        let folder = root.cluster(name);
        let record = folder.read()?;
        if record.phase == Phase::ComingUp {
            return Err(OpenError::HalfMade {
                name: name.to_owned(),
            });
        }
        let engine = docker.facts().await?.id;
        if engine != record.docker {
            return Err(OpenError::OtherDocker {
                name: name.to_owned(),
                engine: record.docker,
            });
        }
        let token = match record.phase {
            Phase::Kept if !folder.has_token() => None,
            _ => Some(folder.read_token()?),
        };
        Self::assemble(docker, record, folder, token).map_err(|error| match error {
            OpenOrFolder::Folder(error) => OpenError::Folder(error),
            OpenOrFolder::Api(source) => OpenError::Api {
                name: name.to_owned(),
                source,
            },
        })
    }

    /// Puts the value together from what the folder has.
    fn assemble(
        docker: Arc<dyn DockerEngine>,
        record: Record,
        folder: Folder,
        token: Option<Token>,
    ) -> Result<Self, OpenOrFolder> {
        let (ca_pem, cli) = folder
            .read_cli(&record.spec.region)
            .map_err(OpenOrFolder::Folder)?;
        let agents: Vec<AgentInfo> = record.agents.iter().map(AgentRecord::info).collect();
        let mut apis = BTreeMap::new();
        for agent in &agents {
            let api = Api::new(ApiConfig {
                addr: agent.api_addr.clone(),
                ca_pem: ca_pem.clone(),
                cert_pem: cli.certificate.clone(),
                key_pem: cli.key.clone(),
                token: token.clone(),
            });
            apis.insert(agent.name.clone(), api.map_err(OpenOrFolder::Api)?);
        }
        let mut capabilities = BTreeSet::from([
            Capability::Kill,
            Capability::StopStart,
            Capability::Pause,
            Capability::Exec,
        ]);
        capabilities.extend([
            Capability::Reconfigure,
            Capability::Throttle,
            Capability::Squeeze,
        ]);
        if !record.spec.further_regions.is_empty() {
            capabilities.insert(Capability::Federation);
        }
        if record.next.is_some() {
            capabilities.insert(Capability::Upgrade);
        }
        if record.tools.is_some() {
            capabilities.extend([Capability::Isolate, Capability::Block]);
            capabilities.extend([Capability::Wipe, Capability::Spoil]);
            capabilities.extend(record.spec.data_size.map(|_| Capability::Fill));
            capabilities.extend([Capability::Delay, Capability::Loss, Capability::Rate]);
        }
        Ok(Self {
            docker,
            record,
            folder,
            agents,
            apis,
            capabilities,
            restart_engine_with: None,
        })
    }

    /// Takes the management token over into every client.
    fn set_token(&mut self, token: &Token) {
        for api in self.apis.values_mut() {
            *api = api.with_token(token.clone());
        }
    }

    /// Returns what is known of the cluster.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Returns the cluster's folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns the Docker engine.
    #[must_use]
    pub fn docker(&self) -> &Arc<dyn DockerEngine> {
        &self.docker
    }

    /// Returns the program that the agents run.
    #[must_use]
    pub fn engine_info(&self) -> &EngineInfo {
        &self.record.engine
    }

    /// Returns an agent's container.
    ///
    /// # Panics
    /// When there is no such agent: names come from [`Record::agents`].
    #[must_use]
    pub fn container(&self, agent: &AgentName) -> &str {
        let record = self.record.agents.iter().find(|a| a.plan.name == *agent);
        &record
            .expect("agents are named from the cluster's own list")
            .container
    }
}

enum OpenOrFolder {
    Folder(FolderError),
    Api(ApiError),
}
