//! Certificates and gossip keys of a cluster that is there: signed and written anew, for rotations
//! and for rehearsals of what happens when one is wrong.

use time::{Duration, OffsetDateTime};

use super::DockerCluster;
use super::folder::FolderError;
use super::plan::FilesError;
use crate::agent_config::{self, CONFIG_DIR, CONFIG_FILE, DATA_DIR, Secrets, TLS_DIR};
use crate::docker::{DockerError, archive};
use crate::engine::AGENT_USER;
use crate::nomad::Token;
use crate::spec::{AgentName, AgentPlan, Role};
use crate::target::Paper;
use crate::tls::{self, Authority, Pair};

/// How long ago a certificate began that is over: its life of a year, and a day.
const OVER: Duration = Duration::days(366);

/// A certificate or key could not be made or handed over.
#[derive(Debug, thiserror::Error)]
pub enum PaperError {
    /// It could not be made.
    #[error(transparent)]
    Made(#[from] FilesError),
    /// The cluster's folder is of no use.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

impl From<tls::TlsError> for PaperError {
    fn from(error: tls::TlsError) -> Self {
        Self::Made(error.into())
    }
}

impl DockerCluster {
    /// Returns an authority whose leaves are as asked for.
    pub(super) fn authority(&self, paper: Paper) -> Result<Authority, PaperError> {
        let region = self.record.spec.region.as_str();
        let now = OffsetDateTime::now_utc();
        let own = || self.folder.read_authority();
        Ok(match paper {
            Paper::Own => Authority::reopen(region, own()?, now)?,
            Paper::Expired => Authority::reopen(region, own()?, now - OVER)?,
            Paper::Foreign => Authority::new(region, now)?,
            Paper::OtherRegion => Authority::reopen("elsewhere", own()?, now)?,
        })
    }

    pub(super) fn caller_leaf(&self, paper: Paper) -> Result<Pair, PaperError> {
        Ok(self.authority(paper)?.cli_leaf()?)
    }

    pub(super) async fn put_leaf(&self, agent: &AgentName, paper: Paper) -> Result<(), PaperError> {
        let plan = self.plan(agent);
        let mut signed = plan.clone();
        if paper == Paper::OtherRegion {
            signed.region = None;
        }
        let leaf = self.authority(paper)?.agent_leaf(&signed)?;
        let region = self.record.spec.region_of(plan);
        let (certificate, key) = tls::leaf_files(region, plan.role.into());
        let files = [
            (
                format!("{TLS_DIR}/{certificate}"),
                leaf.certificate.as_str(),
            ),
            (format!("{TLS_DIR}/{key}"), leaf.key.as_str()),
        ];
        self.put_files(agent, &files).await
    }

    pub(super) async fn put_gossip_key(
        &self,
        agent: &AgentName,
        key: &str,
        ring: bool,
    ) -> Result<(), PaperError> {
        let plans: Vec<AgentPlan> = self.record.agents.iter().map(|a| a.plan.clone()).collect();
        let record = &self.record;
        let own = self.plan(agent);
        let token = self.replication_token(own)?;
        let secrets = Secrets {
            gossip_key: key,
            replication_token: token.as_ref().map(Token::secret),
        };
        let config = agent_config::render(&record.spec, &plans, own, &record.version, secrets)
            .map_err(FilesError::from)?;
        // As Serf keeps it: a list of keys, the one in use first.
        let keyring = serde_json::json!([key]).to_string();
        let mut files = vec![(format!("{CONFIG_DIR}/{CONFIG_FILE}"), config.as_str())];
        if ring {
            files.push((format!("{DATA_DIR}/server/serf.keyring"), keyring.as_str()));
        }
        self.put_files(agent, &files).await
    }

    /// Returns the token by which a server of a further region copies access control.
    pub(super) fn replication_token(
        &self,
        agent: &AgentPlan,
    ) -> Result<Option<Token>, FolderError> {
        let further = agent.region.is_some() && agent.role == Role::Server;
        further.then(|| self.folder.read_token()).transpose()
    }

    async fn put_files(
        &self,
        agent: &AgentName,
        files: &[(String, &str)],
    ) -> Result<(), PaperError> {
        let tar = archive::upload(AGENT_USER, &[], files);
        Ok(self.docker.upload(self.container(agent), tar).await?)
    }

    fn plan(&self, agent: &AgentName) -> &AgentPlan {
        let found = self.record.agents.iter().find(|a| a.plan.name == *agent);
        &found
            .expect("agents are named from the cluster's own list")
            .plan
    }
}
