//! Short-lived containers beside an agent's: the built-in program as a tool, in the agent's own
//! network or with its data. The agent's image may have no shell, and its user no rights.

use futures::StreamExt as _;

use super::DockerCluster;
use crate::agent_config::DATA_DIR;
use crate::docker::{
    Attachment, ContainerFacts, ContainerPlan, ContainerState, DockerEngine, DockerError, Labels,
    VolumePlan, labels,
};
use crate::engine::{AGENT_USER, BUILT_IN};
use crate::owner::Owner;
use crate::spec::{AgentName, DataSize, Filter, Ports};

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
    /// The agents' data were in memory.
    #[error("the agents' data were in memory, and nothing keeps them any more")]
    DataGone,
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
        let mut plan = self.tool_plan(agent, "net", arguments)?;
        plan.network = Attachment::Shared {
            container: self.container(agent).to_owned(),
        };
        plan.capabilities = vec!["NET_ADMIN".to_owned()];
        self.use_tool(&plan).await
    }

    /// Starts the agent's container, and closes to it what its security groups close: it waits for that.
    pub(super) async fn start_container(&self, agent: &AgentName) -> Result<(), ToolError> {
        self.data_are_kept().await?;
        self.docker.start_container(self.container(agent)).await?;
        self.close_ports(agent).await
    }

    /// Closes what the security groups of an adopted agent close, in its network as it is now: a
    /// container that starts again has a new one.
    pub(super) async fn close_ports(&self, agent: &AgentName) -> Result<(), ToolError> {
        let adoption = self.record.spec.adoption.iter();
        let closed: Vec<String> = adoption
            .flat_map(|one| one.filters_of(agent))
            .filter_map(|filter| self.closed_words(filter))
            .collect();
        if closed.is_empty() {
            return Ok(());
        }
        let mut arguments = vec!["filter".to_owned(), AGENT_USER.to_string()];
        arguments.extend(closed);
        self.net_tool(agent, &arguments).await.map(drop)
    }

    /// Writes `10.20.0.11=tcp:1-4645,udp:1-65535`.
    fn closed_words(&self, filter: &Filter) -> Option<String> {
        let from = self.agents.iter().find(|agent| agent.name == filter.from)?;
        let range = |ports: &Ports| {
            let transport = ports.transport.name();
            format!("{transport}:{}-{}", ports.first, ports.last)
        };
        let ranges: Vec<String> = filter.closed.iter().map(range).collect();
        Some(format!("{}={}", from.address, ranges.join(",")))
    }

    /// Where the agents' data are in memory, sees whether they are still there.
    pub(super) async fn data_are_kept(&self) -> Result<(), ToolError> {
        if self.record.spec.data_size.is_none() {
            return Ok(());
        }
        let filter = [
            (labels::RUN, Some(self.record.run.as_str())),
            (labels::ROLE, Some(labels::KEEPER)),
        ];
        let found = self.docker.containers(&filter).await?;
        let runs = |keeper: &ContainerFacts| keeper.state == ContainerState::Running;
        if found.iter().any(runs) {
            Ok(())
        } else {
            Err(ToolError::DataGone)
        }
    }

    /// Runs `rehearse-agent data VERB` on the folder of the agent's data, and returns what it printed.
    pub(super) async fn data_tool(
        &self,
        agent: &AgentName,
        verb: &str,
    ) -> Result<String, ToolError> {
        let size = self.record.spec.data_size.map(DataSize::bytes);
        let mut arguments = vec![verb.to_owned(), DATA_DIR.to_owned()];
        arguments.extend(size.filter(|_| verb == "fill").map(|size| size.to_string()));
        let mut plan = self.tool_plan(agent, "data", &arguments)?;
        plan.volumes = vec![VolumePlan {
            name: self.container(agent).to_owned(),
            path: DATA_DIR.to_owned(),
            labels: Labels::new(),
            size,
        }];
        self.use_tool(&plan).await
    }

    fn tool_plan(
        &self,
        agent: &AgentName,
        tool: &str,
        arguments: &[String],
    ) -> Result<ContainerPlan, ToolError> {
        let Some(tools) = &self.record.tools else {
            return Err(ToolError::NoTool {
                image: self.image_of(agent).to_owned(),
            });
        };
        let mut command = vec![BUILT_IN.to_owned(), tool.to_owned()];
        command.extend_from_slice(arguments);
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{}-{tool}-{}", self.container(agent), &unique[..8]);
        let platform = tools.arch.platform();
        let mut plan = ContainerPlan::alone(name, tools.image.clone(), platform, command);
        plan.user = "0".to_owned();
        plan.labels = [
            (labels::CLUSTER, self.record.spec.name.clone()),
            (labels::RUN, self.record.run.clone()),
            (labels::ROLE, labels::TOOL.to_owned()),
            (labels::AGENT, agent.to_string()),
            (labels::OWNER, Owner::this().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        Ok(plan)
    }

    async fn use_tool(&self, plan: &ContainerPlan) -> Result<String, ToolError> {
        let id = self.docker.create_container(plan).await?;
        let outcome = self.run_tool(&id).await;
        self.docker.remove_container(&id).await?;
        let (code, said) = outcome?;
        if code == 0 {
            Ok(said)
        } else {
            Err(ToolError::Failed {
                command: plan.command.join(" "),
                code,
                said: said.trim().to_owned(),
            })
        }
    }

    fn image_of(&self, agent: &AgentName) -> &str {
        let mut all = self.record.agents.iter();
        let found = all.find(|one| one.plan.name == *agent);
        found.map_or("", |one| &one.image)
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

/// Lines of an agent's log that an error shows.
const LOG_LINES: usize = 12;

/// Returns the last lines of a container's log, or why they cannot be read.
pub(super) async fn log_end(docker: &dyn DockerEngine, container: &str) -> String {
    let log = docker.logs(container, Some(LOG_LINES), false);
    let read = read_log(log).await;
    read.unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
}
