//! A cluster for `cargo test`: the code behind `rehearse up`, with a handle per agent.
//!
//! ```no_run
//! use nomad_harness::{Cluster, engine::EngineKind};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::builder().engine(EngineKind::Simulator).start().await?;
//! let leader = cluster.leader().await?;
//! leader.kill().await?;
//! let other = cluster.servers().find(|server| server.name() != leader.name());
//! let nodes = other.expect("there are three").api().nodes().await?;
//! assert_eq!(nodes.len(), 3);
//! leader.start().await?;
//! cluster.tear_down().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Such a cluster belongs to the process that made it: what a crashed test leaves is garbage as
//! soon as that process is gone, and the next `start`, `rehearse ls` or `rehearse sweep` removes
//! it. Dropping the value removes nothing (that would take a runtime which may be gone).

use std::sync::Arc;
use std::time::Duration;

use crate::docker::{self, ConnectError};
use crate::engine::{EngineKind, EngineRequest};
use crate::environment::Environment;
use crate::nomad::{Api, ApiError};
use crate::progress::Progress;
use crate::spec::{AgentName, Arch, ClusterSpec, DataSize, Role};
use crate::target::docker::{DockerCluster, LifecycleError, Options, UpError, bring_up};
use crate::target::{AgentInfo, AgentState, ControlError, EngineInfo, Target};
use crate::time_scale::TimeScale;

/// A cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine's architecture is none of ours, and none was named.
    #[error("this machine's architecture is not supported (expected amd64, arm64 or s390x)")]
    Arch,
    /// There is no Docker engine.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It did not come up.
    #[error(transparent)]
    Up(#[from] UpError),
}

/// What cluster to start. The default: three servers, three clients, the automatic engine, a
/// name of its own.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct ClusterBuilder {
    name: Option<String>,
    servers: u16,
    clients: u16,
    region: String,
    further_regions: Vec<String>,
    datacenter: String,
    arch: Option<Arch>,
    role_archs: Vec<(Role, Arch)>,
    engine: EngineRequest,
    settings: Vec<(String, String)>,
    data_size: Option<DataSize>,
    timeout: Option<Duration>,
    environment: Environment,
    progress: Progress,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            name: None,
            servers: 3,
            clients: 3,
            region: "global".to_owned(),
            further_regions: Vec::new(),
            datacenter: "dc1".to_owned(),
            arch: None,
            role_archs: Vec::new(),
            engine: EngineRequest::default(),
            settings: Vec::new(),
            data_size: None,
            timeout: None,
            environment: Environment::of_process(),
            progress: Progress::silent(),
        }
    }
}

impl ClusterBuilder {
    /// Names the cluster; otherwise it gets a name that no other has.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the number of servers in each region: 1, 3 or 5.
    pub fn servers(mut self, servers: u16) -> Self {
        self.servers = servers;
        self
    }

    /// Sets the number of clients in each region.
    pub fn clients(mut self, clients: u16) -> Self {
        self.clients = clients;
        self
    }

    /// Sets Nomad's region.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = region.into();
        self
    }

    /// Federates the region, which is then the authoritative one, with others; each has as many servers and
    /// clients. Nomad itself does that, simulated agents do not.
    pub fn federated_with<R: Into<String>>(mut self, others: impl IntoIterator<Item = R>) -> Self {
        self.further_regions = others.into_iter().map(Into::into).collect();
        self
    }

    /// Sets Nomad's datacenter.
    pub fn datacenter(mut self, datacenter: impl Into<String>) -> Self {
        self.datacenter = datacenter.into();
        self
    }

    /// Sets the agents' architecture; this machine's otherwise.
    pub fn arch(mut self, arch: Arch) -> Self {
        self.arch = Some(arch);
        self
    }

    /// Gives all servers, or all clients, another architecture than the rest.
    pub fn role_arch(mut self, role: Role, arch: Arch) -> Self {
        self.role_archs.push((role, arch));
        self
    }

    /// Sets where the agents' program comes from.
    pub fn engine(mut self, kind: EngineKind) -> Self {
        self.engine.kind = kind;
        self
    }

    /// Sets where the agents' program comes from, with a version, a binary or an image.
    pub fn engine_request(mut self, request: EngineRequest) -> Self {
        self.engine = request;
        self
    }

    /// Makes Nomad's timers run so many times faster; the simulator's alone.
    pub fn time_scale(mut self, scale: TimeScale) -> Self {
        self.engine.time_scale = scale;
        self
    }

    /// Plants a defect in the agents, so that a test which claims to find it can be seen to find
    /// it; the simulator's alone. Every output then names it.
    pub fn plant(mut self, defect: impl Into<String>) -> Self {
        self.engine.plant = Some(defect.into());
        self
    }

    /// Adds agent configuration, as `("server.raft_multiplier", "2")`.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Gives each agent's data a file system of this size, in memory, so that it can be filled; `None`
    /// leaves them on the engine's disk.
    pub fn data_size(mut self, size: Option<DataSize>) -> Self {
        self.data_size = size;
        self
    }

    /// Sets how long the cluster may take until it is ready.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets whom to tell on the way.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Sets the surroundings: folders, the Docker engine's address.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Brings the cluster up, and returns it when it is ready.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left then.
    pub async fn start(self) -> Result<Cluster, StartError> {
        let arch = self.arch.or_else(Arch::host).ok_or(StartError::Arch)?;
        let unique = || format!("test-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let mut spec = ClusterSpec::new(self.name.unwrap_or_else(unique), arch);
        spec.servers = self.servers;
        spec.clients = self.clients;
        spec.region = self.region;
        spec.further_regions = self.further_regions;
        for (role, arch) in self.role_archs {
            spec.set_role_arch(role, arch);
        }
        spec.datacenter = self.datacenter;
        spec.data_size = self.data_size;
        spec.set = self.settings.into_iter().collect();
        let docker = Arc::new(docker::connect(&self.environment).await?);
        let options = Options {
            timeout: self.timeout,
            keep: false,
            ephemeral: true,
        };
        let inner = bring_up(
            &spec,
            &self.engine,
            &options,
            &self.environment,
            docker,
            &self.progress,
            Box::pin(std::future::pending()),
        )
        .await?;
        Ok(Cluster { inner })
    }
}

/// A running cluster that belongs to this process.
#[derive(Debug)]
pub struct Cluster {
    inner: DockerCluster,
}

impl Cluster {
    /// Begins to say what cluster to start.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Returns the cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Returns the program that the agents run.
    #[must_use]
    pub fn engine(&self) -> &EngineInfo {
        self.inner.engine()
    }

    /// Returns the cluster as faults, probes and scenarios see it.
    #[must_use]
    pub fn target(&self) -> &DockerCluster {
        &self.inner
    }

    /// Returns all agents, servers first.
    pub fn agents(&self) -> impl Iterator<Item = Agent<'_>> {
        let cluster = &self.inner;
        let agent = move |info| Agent { cluster, info };
        self.inner.agents().iter().map(agent)
    }

    /// Returns the servers.
    pub fn servers(&self) -> impl Iterator<Item = Agent<'_>> {
        self.agents().filter(|agent| agent.role() == Role::Server)
    }

    /// Returns the clients.
    pub fn clients(&self) -> impl Iterator<Item = Agent<'_>> {
        self.agents().filter(|agent| agent.role() == Role::Client)
    }

    /// Returns the agent of that name, as `server-1`.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<Agent<'_>> {
        self.agents().find(|agent| agent.name().as_str() == name)
    }

    /// Returns the server that leads its region (the first, where there are several), as the first of its
    /// servers that answers has it.
    ///
    /// # Errors
    /// The last server's, when none answers.
    ///
    /// # Panics
    /// When the leader is none of the cluster's servers.
    pub async fn leader(&self) -> Result<Agent<'_>, ApiError> {
        let mut refusal = None;
        let here = |server: &Agent<'_>| server.info.region.is_none();
        for server in self.servers().filter(here) {
            match server.api().leader().await {
                Ok(address) => {
                    let address = address.unwrap_or_default();
                    let host = address.split(':').next().unwrap_or_default().to_owned();
                    let leads = |agent: &Agent<'_>| agent.info.address.to_string() == host;
                    let found = self.servers().find(leads);
                    return Ok(found.expect("only servers of the cluster lead it"));
                }
                Err(error) => refusal = Some(error),
            }
        }
        Err(refusal.expect("a cluster has a server"))
    }

    /// Removes the cluster whole: containers, network, volumes, folder.
    ///
    /// # Errors
    /// [`LifecycleError`]; what is left is garbage for the next sweep.
    pub async fn tear_down(self) -> Result<(), LifecycleError> {
        self.inner.tear_down(&Progress::silent()).await
    }
}

/// One agent of a running cluster.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    cluster: &'a DockerCluster,
    info: &'a AgentInfo,
}

impl Agent<'_> {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &AgentName {
        &self.info.name
    }

    /// Returns its role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.info.role
    }

    /// Returns what is known of it.
    #[must_use]
    pub fn info(&self) -> &AgentInfo {
        self.info
    }

    /// Returns the client of its HTTP API, with the management token.
    #[must_use]
    pub fn api(&self) -> Api {
        self.cluster.api(self.name())
    }

    /// Returns what became of its process.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn state(&self) -> Result<AgentState, ControlError> {
        self.cluster.state(self.name()).await
    }

    /// Ends its process with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn kill(&self) -> Result<(), ControlError> {
        self.cluster.kill(self.name()).await
    }

    /// Ends its process with SIGTERM.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn stop(&self) -> Result<(), ControlError> {
        self.cluster.stop(self.name()).await
    }

    /// Starts it again: same address, same data.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn start(&self) -> Result<(), ControlError> {
        self.cluster.start(self.name()).await
    }

    /// Freezes it; its connections stay open.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.cluster.pause(self.name()).await
    }

    /// Thaws it.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.cluster.resume(self.name()).await
    }

    /// Cuts it off from all other agents, both ways.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn isolate(&self) -> Result<(), ControlError> {
        let others = self.cluster.agents().iter().map(|agent| &agent.name);
        let others: Vec<AgentName> = others
            .filter(|name| *name != self.name())
            .cloned()
            .collect();
        self.isolate_from(&others).await
    }

    /// Cuts it off from some agents, both ways.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn isolate_from(&self, peers: &[AgentName]) -> Result<(), ControlError> {
        self.cluster.isolate(self.name(), peers).await
    }

    /// Undoes [`Agent::isolate`] whole.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn heal(&self) -> Result<(), ControlError> {
        self.cluster.heal(self.name()).await
    }

    /// Returns the last `lines` lines of its log.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn logs(&self, lines: usize) -> Result<String, ControlError> {
        self.cluster.logs(self.name(), lines).await
    }
}
