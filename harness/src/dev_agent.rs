//! A single development agent as a `testcontainers` image: server and client in one container,
//! without TLS and ACLs, gone with the test. For people who want just an API to talk to; a cluster
//! as it is in production is [`Cluster`](crate::Cluster).
//!
//! ```no_run
//! use nomad_harness::dev_agent::DevAgent;
//! use testcontainers::runners::AsyncRunner as _;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let image = DevAgent::simulator().await?;
//! let container = image.request().start().await?;
//! let api = image.api(&container).await?;
//! assert_eq!(api.nodes().await?.len(), 1);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use testcontainers::bollard::models::PortBinding;
use testcontainers::core::{ContainerPort, CopyToContainer, WaitFor};
use testcontainers::{ContainerAsync, ContainerRequest, Image, ImageExt as _, TestcontainersError};

use crate::agent_config::{CONFIG_DIR, DATA_DIR};
use crate::docker::{self, ConnectError};
use crate::engine::{self, AGENT_USER, EngineError, EngineKind, EngineRequest, Program};
use crate::environment::Environment;
use crate::nomad::{Api, ApiConfig, ApiError};
use crate::poll::{Look, PollError, eventually};
use crate::progress::Progress;
use crate::spec::{Arch, HTTP_PORT};
use crate::target::EngineInfo;

/// How long a development agent may take until it leads itself and its node is ready: Nomad's
/// election takes 1 to 2 s, and a client's first heartbeat comes after 0 to 10 s more.
const READY_WITHIN: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(25);

/// A development agent cannot be had, or does not become ready.
#[derive(Debug, thiserror::Error)]
pub enum DevAgentError {
    /// This machine's architecture is none of ours.
    #[error("this machine's architecture is not supported (expected amd64, arm64 or s390x)")]
    Arch,
    /// There is no Docker engine.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no program for it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The container does not tell its port.
    #[error(transparent)]
    Container(#[from] TestcontainersError),
    /// No client of the HTTP API can be made.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It was not ready in time.
    #[error(transparent)]
    NotReady(#[from] PollError),
}

/// The image of a development agent. Start it by [`DevAgent::request`], which publishes the API
/// on 127.0.0.1 only; started by itself it is published as `testcontainers` does, on every address.
#[derive(Clone, Debug)]
pub struct DevAgent {
    program: Program,
    name: String,
    tag: String,
    files: Vec<CopyToContainer>,
}

impl DevAgent {
    /// Gets the simulated agent, and has its image taken in by the Docker engine.
    ///
    /// # Errors
    /// [`DevAgentError`].
    pub async fn simulator() -> Result<Self, DevAgentError> {
        let request = EngineRequest {
            kind: EngineKind::Simulator,
            ..EngineRequest::default()
        };
        Self::of(&request, &Environment::of_process()).await
    }

    /// Gets any engine's program: Nomad itself where one can be had.
    ///
    /// # Errors
    /// [`DevAgentError`].
    pub async fn of(
        request: &EngineRequest,
        environment: &Environment,
    ) -> Result<Self, DevAgentError> {
        let arch = Arch::host().ok_or(DevAgentError::Arch)?;
        let docker = docker::connect(environment).await?;
        let silent = Progress::silent();
        let program = engine::provide(request, arch, environment, &docker, &silent).await?;
        let (name, tag) = program
            .image
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .unwrap_or((&program.image, "latest"));
        let file = format!("{CONFIG_DIR}/nomad.hcl");
        Ok(Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
            files: vec![CopyToContainer::new(configuration().into_bytes(), file)],
            program,
        })
    }

    /// Returns what runs in the container: whoever prints results says so with them.
    #[must_use]
    pub fn engine(&self) -> &EngineInfo {
        &self.program.info
    }

    /// Returns the request that starts it as an ordinary user, its API on a free port of
    /// 127.0.0.1.
    pub fn request(&self) -> ContainerRequest<Self> {
        self.clone()
            .with_user(AGENT_USER.to_string())
            .with_hostname("dev-1")
            .with_host_config_modifier(|host| {
                let port = PortBinding {
                    host_ip: Some("127.0.0.1".to_owned()),
                    host_port: None,
                };
                let ports = [(format!("{HTTP_PORT}/tcp"), Some(vec![port]))];
                host.port_bindings = Some(ports.into());
                host.publish_all_ports = Some(false);
            })
    }

    /// Waits until the started agent leads itself and its node is ready; returns its API.
    ///
    /// # Errors
    /// [`DevAgentError::NotReady`] after 60 s, with what was last seen.
    pub async fn api(&self, container: &ContainerAsync<Self>) -> Result<Api, DevAgentError> {
        let port = container.get_host_port_ipv4(HTTP_PORT).await?;
        let api = Api::new(ApiConfig {
            addr: format!("http://127.0.0.1:{port}"),
            ca_pem: String::new(),
            cert_pem: String::new(),
            key_pem: String::new(),
            token: None,
        })?;
        eventually(
            READY_WITHIN,
            INTERVAL,
            "the agent's node is ready",
            || async {
                match api.nodes().await {
                    Ok(nodes) if nodes.iter().any(|node| node.status == "ready") => Look::Done(()),
                    Ok(nodes) => Look::NotYet(match nodes.first() {
                        Some(node) => format!("its node is {}", node.status),
                        None => "no node has registered".to_owned(),
                    }),
                    // Until it listens its port only refuses.
                    Err(error) => Look::NotYet(error.to_string()),
                }
            },
        )
        .await?;
        Ok(api)
    }
}

impl Image for DevAgent {
    fn name(&self) -> &str {
        &self.name
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        vec![WaitFor::message_on_either_std("Nomad agent started!")]
    }

    fn env_vars(
        &self,
    ) -> impl IntoIterator<
        Item = (
            impl Into<std::borrow::Cow<'_, str>>,
            impl Into<std::borrow::Cow<'_, str>>,
        ),
    > {
        let pairs = self.program.env.iter();
        pairs.filter_map(|pair| pair.split_once('='))
    }

    fn copy_to_sources(&self) -> impl IntoIterator<Item = &CopyToContainer> {
        &self.files
    }

    fn entrypoint(&self) -> Option<&str> {
        self.program.command.first().map(String::as_str)
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<std::borrow::Cow<'_, str>>> {
        self.program.command.iter().skip(1).map(String::as_str)
    }

    fn expose_ports(&self) -> &[ContainerPort] {
        &[ContainerPort::Tcp(HTTP_PORT)]
    }
}

/// The agent's configuration, read by every Nomad from 1.1 on and by the simulator.
fn configuration() -> String {
    format!(
        r#"data_dir = "{DATA_DIR}"
disable_update_check = true
server {{
  enabled          = true
  bootstrap_expect = 1
}}
client {{
  enabled           = true
  network_interface = "eth0"
  cpu_total_compute = 4000
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
"#
    )
}
