//! An agent's program replaced by another version: a new container from another image, with the
//! old one's data, address, name and port.

use std::sync::{Mutex, PoisonError};

use super::DockerCluster;
use super::control::STOP_GRACE_SECS;
use super::folder::{AgentRecord, FolderError};
use super::papers::PaperError;
use super::plan::{self, Common, FilesError};
use super::tool::ToolError;
use crate::agent_config::Secrets;
use crate::docker::{DockerError, EngineSaid, Trouble, labels};
use crate::engine::Next;
use crate::nomad::Token;
use crate::spec::AgentName;
use crate::target::Paper;

/// Agents may be upgraded side by side, and all stand in one file.
static RECORD: Mutex<()> = Mutex::new(());

/// An agent could not be upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// There is nothing to upgrade to.
    #[error("the cluster has no second version")]
    NoVersion,
    /// Its files could not be made.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The cluster's certificates are of no use.
    #[error(transparent)]
    Papers(#[from] PaperError),
    /// The cluster's folder is of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What its security groups close could not be closed.
    #[error(transparent)]
    Ports(#[from] ToolError),
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

impl DockerCluster {
    /// Stops the agent and starts it as the cluster's second version.
    pub(super) async fn replace_program(&self, agent: &AgentName) -> Result<(), UpgradeError> {
        let next = self.record.next.as_ref().ok_or(UpgradeError::NoVersion)?;
        let own = self.agent_record(agent);
        let program = &next.programs[&own.plan.arch];
        // All that can fail without having changed anything comes first.
        let mut record = self.record.clone();
        record.version = program.version.clone();
        let gossip_key = self.folder.read_gossip_key()?;
        let authority = self.authority(Paper::Own)?;
        let license = self.folder.read_license()?;
        let license = license.as_deref();
        let token = self.replication_token(&own.plan)?;
        let secrets = Secrets {
            gossip_key: &gossip_key,
            replication_token: token.as_ref().map(Token::secret),
        };
        let files = plan::files(&record, &own.plan, &authority, secrets, license)?;
        let labels = self.docker.container(&own.container).await?.labels;
        let common = Common {
            cluster: record.spec.name.clone(),
            run: record.run.clone(),
            labels,
        };
        let network = self.network().await?;
        let container = plan::container(&common, program, own, &record, &network);

        let docker = &self.docker;
        docker
            .stop_container(&own.container, STOP_GRACE_SECS)
            .await?;
        // Its volume has a name, and stays.
        docker.remove_container(&own.container).await?;
        let id = docker.create_container(&container).await?;
        docker.upload(&id, files).await?;
        self.start_container(agent).await?;
        Ok(self.note_upgrade(agent, &program.image)?)
    }

    /// Returns what agents can be upgraded to.
    pub(super) fn next(&self) -> Option<&Next> {
        self.record.next.as_ref()
    }

    /// Returns the first agent that was upgraded already.
    pub(super) fn upgraded(&self) -> Option<AgentName> {
        // Read anew: it changes while the cluster is open.
        let record = self.folder.read().ok()?;
        let mut agents = record.agents.into_iter();
        agents.find(|one| one.upgraded).map(|one| one.plan.name)
    }

    fn note_upgrade(&self, agent: &AgentName, image: &str) -> Result<(), FolderError> {
        let _alone = RECORD.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = self.folder.read()?;
        for one in &mut record.agents {
            if one.plan.name == *agent {
                one.upgraded = true;
                image.clone_into(&mut one.image);
            }
        }
        self.folder.write(&record)
    }

    fn agent_record(&self, agent: &AgentName) -> &AgentRecord {
        let found = self.record.agents.iter().find(|a| a.plan.name == *agent);
        found.expect("agents are named from the cluster's own list")
    }

    /// Returns the ID of the cluster's network: names need not be unique.
    async fn network(&self) -> Result<String, DockerError> {
        let networks = self.docker.networks().await?;
        let run = Some(self.record.run.as_str());
        let own = networks
            .into_iter()
            .find(|network| labels::get(&network.labels, labels::RUN) == run);
        own.map(|network| network.id).ok_or_else(|| DockerError {
            action: "find the network of",
            object: self.record.spec.name.clone(),
            trouble: Trouble::NotFound,
            source: EngineSaid("no network carries the cluster's label".to_owned()),
        })
    }
}
