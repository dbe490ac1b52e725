//! The configuration that an agent of the cluster really has: its file, as it is in the container.

use std::io::Read as _;

use super::DockerCluster;
use crate::agent_config::{CONFIG_DIR, CONFIG_FILE};
use crate::docker::{DockerError, EngineSaid, Trouble};
use crate::spec::AgentName;

impl DockerCluster {
    /// Returns the text of the agent's configuration file; it holds the gossip key. The agent need not
    /// run.
    ///
    /// # Errors
    /// When the engine refuses, or the file is not there.
    pub async fn configuration(&self, agent: &AgentName) -> Result<String, DockerError> {
        let path = format!("{CONFIG_DIR}/{CONFIG_FILE}");
        let container = self.container(agent);
        let tar = self.docker.download(container, &path).await?;
        let mut text = String::new();
        let mut archive = tar::Archive::new(tar.as_ref());
        let read = archive
            .entries()
            .and_then(|mut entries| match entries.next() {
                Some(entry) => entry?.read_to_string(&mut text),
                None => Ok(0),
            });
        match read {
            Ok(bytes) if bytes > 0 => Ok(text),
            _ => Err(DockerError {
                action: "read the configuration in",
                object: container.to_owned(),
                trouble: Trouble::Other,
                source: EngineSaid(format!("`{path}` is no text there")),
            }),
        }
    }
}
