//! A cluster on AWS that Terraform made: attached to, never made or removed here.
//!
//! A *stop* is the machine's (EC2), and takes a minute; *kill*, *pause* and *isolate* are scripts on it
//! (Systems Manager), and absent where that does not reach every machine. Nothing is done that is not in
//! the heal journal first.
//!
//! Missing: loss of one way or one port, wiped data, other certificates and keys, processors taken
//! away. Whether the process of an agent ended unasked is not seen, only whether its machine did.

mod attachment;
mod discovery;
mod journal;
mod levers;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::aws::{Instance, InstanceState};
use crate::nomad::{Api, ApiConfig, ApiError, Place, Token};
use crate::poll::{self, Look};
use crate::spec::{AgentName, Arch, HTTP_PORT, Role};
use crate::target::{AgentInfo, AgentState, Capability, ControlError, EngineInfo, Said, Target};

pub use attachment::{Access, AttachedAgent, Attachment, AttachmentError};
pub use discovery::{Discovery, Refused, Row, Seen, discover};
pub use journal::{Done, Entry, Journal, JournalError};
pub use levers::{LeverError, Machines, Waits};

/// For how long what EC2 said of the machines counts: it is asked for all at once.
const FRESH: Duration = Duration::from_secs(2);

/// The way to Nomad's API is not open.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file is not there.
    #[error("cannot read the {what} `{}`", .path.display())]
    File {
        /// `authority's certificate`, `token`, ...
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key is none.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A machine has no address that this one can reach.
    #[error("`{agent}` has no public address (its machine is {state})")]
    NoAddress {
        /// The agent.
        agent: AgentName,
        /// What its machine does.
        state: String,
    },
}

impl AccessError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File { what: "token", .. } => {
                "scripts/bootstrap-acl.sh    # in the Terraform folder".to_owned()
            }
            Self::File { .. } => "rehearse pki show --dir pki".to_owned(),
            Self::NoAddress { .. } => "rehearse heal --target aws --attach FILE".to_owned(),
            Self::Api(_) => return None,
        })
    }
}

/// A running cluster on AWS.
pub struct LiveCluster {
    machines: Machines,
    engine: EngineInfo,
    agents: Vec<AgentInfo>,
    apis: BTreeMap<AgentName, Api>,
    places: BTreeMap<AgentName, Place>,
    capabilities: BTreeSet<Capability>,
    without_ssm: Option<String>,
    looked: tokio::sync::Mutex<Option<(Instant, BTreeMap<String, Instance>)>>,
    /// Agents whose processes were ended or frozen on purpose while their machines run.
    processes: Mutex<BTreeMap<AgentName, AgentState>>,
}

impl std::fmt::Debug for LiveCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveCluster")
            .field("machines", &self.machines)
            .finish_non_exhaustive()
    }
}

impl LiveCluster {
    /// Puts together what was found. Talks to nobody yet.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn new(machines: Machines, discovery: &Discovery) -> Result<Self, AccessError> {
        let attachment = machines.attachment();
        let access = Files::read(&attachment.access)?;
        let mut agents = Vec::new();
        let (mut apis, mut places) = (BTreeMap::new(), BTreeMap::new());
        for agent in &attachment.agents {
            let instance = discovery.instance(&agent.name);
            let public = instance.and_then(|one| one.public_ip);
            let public = public.ok_or_else(|| AccessError::NoAddress {
                agent: agent.name.clone(),
                state: instance.map_or("gone".to_owned(), |one| one.state.to_string()),
            })?;
            let place = Place::new(address(public));
            let api = Api::at(access.config(agent.role), place.clone())?;
            let arch = instance.and_then(|one| one.architecture.parse().ok());
            agents.push(AgentInfo {
                name: agent.name.clone(),
                role: agent.role,
                region: None,
                address: agent.private_ip,
                arch: arch.unwrap_or(Arch::Amd64),
                emulated: false,
                api_addr: format!("https://{public}:{HTTP_PORT}"),
            });
            apis.insert(agent.name.clone(), api);
            places.insert(agent.name.clone(), place);
        }
        let without_ssm = discovery.without_ssm();
        let mut capabilities = BTreeSet::from([Capability::StopStart]);
        if without_ssm.is_none() {
            capabilities.extend([
                Capability::Kill,
                Capability::Pause,
                Capability::Isolate,
                Capability::Exec,
            ]);
        }
        Ok(Self {
            engine: EngineInfo {
                kind: "aws".to_owned(),
                version: attachment.nomad_version.clone(),
                ..EngineInfo::default()
            },
            machines,
            agents,
            apis,
            places,
            capabilities,
            without_ssm,
            looked: tokio::sync::Mutex::default(),
            processes: Mutex::default(),
        })
    }

    /// Returns the machines.
    #[must_use]
    pub fn machines(&self) -> &Machines {
        &self.machines
    }

    /// Returns why the levers of Systems Manager are absent.
    #[must_use]
    pub fn without_ssm(&self) -> Option<&str> {
        self.without_ssm.as_deref()
    }

    fn note(&self, agent: &AgentName, state: Option<AgentState>) {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => drop(processes.insert(agent.clone(), state)),
            None => drop(processes.remove(agent)),
        }
    }

    /// What a process was made to be, if its machine runs.
    fn noted(&self, agent: &AgentName) -> Option<AgentState> {
        let processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        processes.get(agent).cloned()
    }

    /// What EC2 says of an agent's machine, seldom asked.
    async fn instance(&self, agent: &AgentName) -> Result<Option<Instance>, ControlError> {
        let mut looked = self.looked.lock().await;
        if looked
            .as_ref()
            .is_none_or(|(when, _)| when.elapsed() > FRESH)
        {
            let found = self
                .machines
                .look()
                .await
                .map_err(failed("look at", agent))?;
            *looked = Some((Instant::now(), found));
        }
        let attached = self.machines.attachment().agent(agent);
        let id = attached
            .map(|one| one.instance_id.as_str())
            .unwrap_or_default();
        Ok(looked
            .as_ref()
            .and_then(|(_, found)| found.get(id).cloned()))
    }

    async fn forget_look(&self) {
        *self.looked.lock().await = None;
    }

    /// Waits until an agent answers at its API: a machine that runs is not yet an agent that does.
    async fn answers(&self, agent: &AgentName) -> Result<(), ControlError> {
        let waits = self.machines.waits();
        let what = format!("`{agent}` answers at its API");
        let api = &self.apis[agent];
        poll::eventually(waits.agent, waits.interval, &what, || async {
            match api.agent_self().await {
                Ok(_) => Look::Done(()),
                Err(error) if error.is_retryable() => Look::NotYet(error.to_string()),
                // Whatever it says, it says something.
                Err(error) if error.status().is_some() => Look::Done(()),
                Err(error) => Look::Never(error.to_string()),
            }
        })
        .await
        .map_err(failed("start", agent))
    }

    fn peers(&self, names: &[AgentName]) -> Vec<Ipv4Addr> {
        let of = |name: &AgentName| {
            self.machines
                .attachment()
                .agent(name)
                .map(|one| one.private_ip)
        };
        names.iter().filter_map(of).collect()
    }
}

fn address(ip: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip), HTTP_PORT)
}

fn failed<E>(action: &'static str, agent: &AgentName) -> impl FnOnce(E) -> ControlError
where
    E: std::error::Error + Send + Sync + 'static,
{
    let agent = format!("`{agent}`");
    move |source| ControlError {
        action,
        agent,
        source: Box::new(source),
    }
}

/// What the files of [`Access`] hold.
struct Files {
    ca: String,
    certificate: String,
    key: String,
    token: String,
    server_name: String,
}

impl Files {
    fn read(access: &Access) -> Result<Self, AccessError> {
        let read = |what: &'static str, path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| AccessError::File {
                what,
                path: path.clone(),
                source,
            })
        };
        Ok(Self {
            ca: read("authority's certificate", &access.ca_file)?,
            certificate: read("operator's certificate", &access.cert_file)?,
            key: read("operator's key", &access.key_file)?,
            token: read("token", &access.token_file)?.trim().to_owned(),
            server_name: access.tls_server_name.clone(),
        })
    }

    fn config(&self, role: Role) -> ApiConfig {
        // `server.global.nomad`, `client.global.nomad`.
        let region = self
            .server_name
            .split_once('.')
            .map_or("global.nomad", |(_, rest)| rest);
        ApiConfig {
            addr: format!("https://{role}.{region}:{HTTP_PORT}"),
            ca_pem: self.ca.clone(),
            cert_pem: self.certificate.clone(),
            key_pem: self.key.clone(),
            token: Some(Token::new(self.token.clone())),
        }
    }
}

const KILLED: AgentState = AgentState::Exited {
    code: 137,
    oom_killed: false,
};
const OFF: AgentState = AgentState::Exited {
    code: 0,
    oom_killed: false,
};

#[async_trait]
impl Target for LiveCluster {
    fn name(&self) -> &str {
        &self.machines.attachment().name
    }

    fn engine(&self) -> &EngineInfo {
        &self.engine
    }

    fn agents(&self) -> &[AgentInfo] {
        &self.agents
    }

    fn capabilities(&self) -> &BTreeSet<Capability> {
        &self.capabilities
    }

    fn api(&self, agent: &AgentName) -> Api {
        self.apis[agent].clone()
    }

    async fn lacks(&self, capability: Capability) -> Option<String> {
        let by_ssm = [
            Capability::Kill,
            Capability::Pause,
            Capability::Isolate,
            Capability::Exec,
        ];
        self.without_ssm
            .clone()
            .filter(|_| by_ssm.contains(&capability))
    }

    async fn state(&self, agent: &AgentName) -> Result<AgentState, ControlError> {
        let state = self.instance(agent).await?.map(|instance| instance.state);
        Ok(match state {
            Some(InstanceState::Running) => self.noted(agent).unwrap_or(AgentState::Running),
            Some(InstanceState::Terminated | InstanceState::ShuttingDown) | None => {
                AgentState::Gone
            }
            Some(_) => OFF,
        })
    }

    async fn kill(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.note(agent, Some(KILLED));
        let killed = self.machines.kill(agent).await;
        // Also where that failed: healing then starts it, which does no harm.
        killed.map_err(failed("kill", agent))
    }

    async fn stop(&self, agent: &AgentName) -> Result<(), ControlError> {
        let stopped = self.machines.stop(agent).await;
        self.forget_look().await;
        stopped.map_err(failed("stop", agent))
    }

    async fn start(&self, agent: &AgentName) -> Result<(), ControlError> {
        let started = self.machines.start(agent).await;
        self.forget_look().await;
        let machine = started.map_err(failed("start", agent))?;
        self.note(agent, None);
        // A machine that was stopped comes back with another public address.
        if let (Some(ip), Some(place)) = (machine.public_ip, self.places.get(agent)) {
            place.move_to(address(ip));
        }
        self.answers(agent).await
    }

    async fn pause(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.note(agent, Some(AgentState::Paused));
        let paused = self.machines.pause(agent).await;
        paused.map_err(failed("pause", agent))
    }

    async fn resume(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.machines
            .resume(agent)
            .await
            .map_err(failed("resume", agent))?;
        self.note(agent, None);
        Ok(())
    }

    async fn isolate(&self, agent: &AgentName, peers: &[AgentName]) -> Result<(), ControlError> {
        let peers = self.peers(peers);
        let isolated = self.machines.isolate(agent, &peers).await;
        isolated.map_err(failed("isolate", agent))
    }

    async fn heal(&self, agent: &AgentName) -> Result<(), ControlError> {
        self.machines
            .rejoin(agent)
            .await
            .map_err(failed("heal", agent))
    }

    async fn network_state(&self, agent: &AgentName) -> Result<String, ControlError> {
        let ran = self.machines.run(agent, scripts::NETWORK).await;
        ran.map(|ran| ran.output)
            .map_err(failed("read the network of", agent))
    }

    async fn logs(&self, agent: &AgentName, lines: usize) -> Result<String, ControlError> {
        let ran = self.machines.run(agent, &scripts::logs(lines)).await;
        ran.map(|ran| ran.output)
            .map_err(failed("read the log of", agent))
    }

    async fn reload(&self, agent: &AgentName) -> Result<(), ControlError> {
        let ran = self.machines.run(agent, scripts::RELOAD).await;
        ran.map(drop).map_err(failed("reload", agent))
    }

    async fn exec(&self, agent: &AgentName, words: &[String]) -> Result<Said, ControlError> {
        let ran = self.machines.exec(agent, &scripts::exec(words)).await;
        let ran = ran.map_err(failed("run a command beside", agent))?;
        Ok(Said {
            code: ran.code,
            text: ran.output,
        })
    }
}
