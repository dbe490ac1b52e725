//! Short-lived containers beside an agent's: the built-in program as a tool, in the agent's own
//! network. The agent's image may have no shell, and its user no rights.

use futures::StreamExt as _;

use super::DockerCluster;
use crate::docker::{Attachment, ContainerPlan, DockerError, Labels, labels};
use crate::engine::BUILT_IN;
use crate::owner::Owner;
use crate::spec::AgentName;

/// A tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The image has no built-in program.
    #[error("image `{image}` has no `{BUILT_IN}`, which it takes")]
    NoTool {
        /// The image.
        image: String,
    },
    /// The tool says no.
    #[error("`{command}` ended with exit code {code}: {said}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit code.
        code: i64,
        /// What it printed.
        said: String,
    },
}

impl DockerCluster {
    /// Runs `rehearse-agent net ARGUMENTS` in the agent's network, and returns what it printed.
    pub(super) async fn net_tool(
        &self,
        agent: &AgentName,
        arguments: &[String],
    ) -> Result<String, ToolError> {
        if !self.record.tools {
            return Err(ToolError::NoTool {
                image: self.record.image.clone(),
            });
        }
        let mut command = vec![BUILT_IN.to_owned(), "net".to_owned()];
        command.extend_from_slice(arguments);
        let owner = Owner::this();
        let tags: Labels = [
            (labels::CLUSTER, self.record.spec.name.clone()),
            (labels::RUN, self.record.run.clone()),
            (labels::ROLE, "tool".to_owned()),
            (labels::AGENT, agent.to_string()),
            (labels::OWNER, owner.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let id = self
            .docker
            .create_container(&ContainerPlan {
                name: format!("{}-net-{}", self.container(agent), &unique[..8]),
                image: self.record.image.clone(),
                platform: self.record.spec.arch.platform(),
                command: command.clone(),
                env: Vec::new(),
                user: "0".to_owned(),
                hostname: String::new(),
                labels: tags,
                network: Attachment::Shared {
                    container: self.container(agent).to_owned(),
                },
                volume: None,
                ports: Vec::new(),
                init: false,
                capabilities: vec!["NET_ADMIN".to_owned()],
                sysctls: Labels::new(),
            })
            .await?;
        let outcome = self.run_tool(&id).await;
        self.docker.remove_container(&id).await?;
        let (code, said) = outcome?;
        if code == 0 {
            Ok(said)
        } else {
            Err(ToolError::Failed {
                command: command.join(" "),
                code,
                said: said.trim().to_owned(),
            })
        }
    }

    async fn run_tool(&self, id: &str) -> Result<(i64, String), DockerError> {
        self.docker.start_container(id).await?;
        let code = self.docker.wait_container(id).await?;
        let said = read_log(self.docker.logs(id, None, false)).await?;
        Ok((code, said))
    }
}

/// Reads a log that ends.
pub(super) async fn read_log(
    mut log: futures::stream::BoxStream<'static, Result<crate::docker::Output, DockerError>>,
) -> Result<String, DockerError> {
    let mut said = Vec::new();
    while let Some(piece) = log.next().await {
        said.extend_from_slice(piece?.bytes());
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}
