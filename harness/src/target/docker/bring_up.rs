//! `up`: plan, make, wait. Whatever goes wrong on the way, what was made is removed again: errors,
//! an interrupt, a panic. What a SIGKILL leaves is found by its labels later.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::{BoxFuture, try_join_all};
use rand::RngCore as _;
use semver::Version;
use time::OffsetDateTime;

use super::conditions::{self, Unready};
use super::folder::{AgentRecord, Folder, FolderError, Lock, Phase, Record, StateRoot, ToolImage};
use super::plan::{self, Common, FilesError};
use super::sweep::{self, InTheWay, SweepError};
use super::tool::{ToolError, log_end};
use super::{DockerCluster, OpenOrFolder, lifecycle, responder};
use crate::agent_config::{self, ConfigError, Secrets};
use crate::causes::with_causes;
use crate::docker::{
    Death, DockerEngine, DockerError, EngineFacts, NetworkPlan, SubnetTaken, Surroundings, Trouble,
    free_subnets, labels,
};
use crate::emulation::{self, Place, ProbeError, Rates};
use crate::engine::{self, EngineError, EngineKind, EngineRequest, License, Next, Program};
use crate::environment::Environment;
use crate::nomad::{ApiError, Token};
use crate::owner::{Owner, now_secs};
use crate::progress::{Event, Progress};
use crate::slowness::Slowness;
use crate::spec::{AgentName, AgentPlan, Arch, CloudJoin, ClusterSpec, Role, SpecError, Subnet};
use crate::tls::{Authority, TlsError};

/// Starts of one container with another port each time, before giving up.
const PORT_TRIES_MAX: usize = 5;

/// How long a cluster of this machine's architecture may take to be ready, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How a cluster is to be brought up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How long it may take until it is ready, the engine's download left out; 60 s unless it is
    /// said, and accordingly more where its agents are emulated.
    pub timeout: Option<Duration>,
    /// Whether what was made stays when it does not come up, to be looked at.
    pub keep: bool,
    /// Whether the cluster is garbage as soon as this process ends (tests).
    pub ephemeral: bool,
}

/// A cluster did not come up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Simulated agents know one region.
    #[error("{engine} does not federate regions: expected Nomad itself for `{}`", regions.join("`, `"))]
    NoFederation {
        /// The engine.
        engine: String,
        /// The regions asked for.
        regions: Vec<String>,
    },
    /// Extra settings that the agents' version does not read.
    #[error("{}", lines(.0))]
    Settings(Vec<ConfigError>),
    /// There is a cluster of that name.
    #[error("there is a cluster `{name}` already ({state})")]
    NameTaken {
        /// The name.
        name: String,
        /// What is there.
        state: String,
    },
    /// The folder is of no use, or another process works on the same cluster.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is no program for the agents.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The agents' architecture does not work here.
    #[error("{source}")]
    Emulation {
        /// What is wrong.
        source: ProbeError,
        /// The command against it, here.
        hint: Option<String>,
    },
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// There is no free network.
    #[error(transparent)]
    Subnet(#[from] SubnetTaken),
    /// Leftovers of an earlier `up` could not be removed.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// Certificates could not be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An agent's files could not be made.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A client of the HTTP API could not be made.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Data of a fixed size are kept by the built-in program.
    #[error("data of a fixed size take the built-in program, which the agents' image has not")]
    NoKeeper,
    /// What an agent's security groups close could not be closed.
    #[error("cannot close what the security groups of {agent} close: {source}")]
    Ports {
        /// The agent, with what it runs on where that is emulated.
        agent: String,
        /// Why.
        source: ToolError,
    },
    /// What answers in AWS's place cannot be had.
    #[error("EC2 and the metadata service cannot be answered here: {0}")]
    Responder(#[source] ToolError),
    /// An agent ended while the others came up.
    #[error(
        "{called} of cluster `{cluster}` ended with exit code {code}{} while the cluster came up{}",
        signal(*.code),
        log_text(.agent, .log)
    )]
    Died {
        /// The cluster.
        cluster: String,
        /// The agent.
        agent: AgentName,
        /// It, with what it runs on where that is emulated.
        called: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
    },
    /// It was not ready in time.
    #[error(
        "{}{}{}",
        unready_text(.cluster, .unready, .agent.as_ref(), .log),
        closed_text(.closed),
        told_text(.told)
    )]
    NotReady {
        /// The cluster.
        cluster: String,
        /// What is missing.
        unready: Unready,
        /// Which of the agents' ports security groups close, as `clients to servers: 4648/tcp`.
        closed: Vec<String>,
        /// What EC2's stand-in told the agents, as `` `server-1`: found: nobody``.
        told: Vec<String>,
        /// The agent whose log is shown.
        agent: Option<AgentName>,
        /// The end of its log.
        log: String,
        /// Whether it was kept.
        kept: bool,
    },
    /// The user, or the system, asked to end.
    #[error("interrupted while cluster `{cluster}` came up; what was made was removed")]
    Interrupted {
        /// The cluster.
        cluster: String,
    },
}

impl UpError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Spec(error) => error.hint(),
            Self::NameTaken { name, .. } => Some(format!(
                "rehearse down {name}    # or: rehearse up OTHER_NAME"
            )),
            Self::Folder(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Emulation { hint, .. } => hint.clone(),
            Self::NoFederation { .. } => Some(
                "rehearse up --region REGION    # or --engine binary, release, image".to_owned(),
            ),
            Self::Docker(error) => error.hint(),
            Self::Subnet(error) => error.hint(),
            Self::Sweep(error) => error.hint(),
            Self::NoKeeper => {
                Some("rehearse up ...    # without --data-size, or without --image".to_owned())
            }
            Self::Ports { .. } => Some(
                "rehearse up ... --open-ports    # stands the agents up without packet filters"
                    .to_owned(),
            ),
            Self::Responder(_) => Some(
                "rehearse up ... --static-join    # the servers' addresses in the place of `provider=aws`"
                    .to_owned(),
            ),
            Self::NotReady {
                cluster,
                agent: Some(agent),
                kept: true,
                ..
            } => Some(format!("rehearse logs {cluster} {agent}")),
            Self::NotReady { cluster, .. } | Self::Died { cluster, .. } => Some(format!(
                "rehearse up {cluster} --keep    # leaves it there, for rehearse logs {cluster} AGENT"
            )),
            _ => None,
        }
    }
}

/// What an exit code tells beyond its number: 128 and a signal.
pub(super) fn signal(code: i64) -> &'static str {
    match code {
        137 => " (SIGKILL: by somebody, or by the kernel for want of memory)",
        139 => " (SIGSEGV)",
        143 => " (SIGTERM)",
        _ => "",
    }
}

fn lines(errors: &[ConfigError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

pub(super) fn log_text(agent: &AgentName, log: &str) -> String {
    if log.trim().is_empty() {
        return format!("\n  `{agent}` logged nothing");
    }
    let mut text = format!("\n  last lines of `{agent}`:");
    for line in log.lines() {
        text.push_str("\n    ");
        text.push_str(line);
    }
    text
}

fn unready_text(cluster: &str, unready: &Unready, agent: Option<&AgentName>, log: &str) -> String {
    let secs = unready.after.as_secs_f64();
    let verb = if unready.hopeless {
        "cannot become"
    } else {
        "was not"
    };
    let mut text = format!("cluster `{cluster}` {verb} ready within {secs:.1} s");
    for missing in &unready.missing {
        text.push_str(&format!("\n  missing: {missing}"));
    }
    if let Some(agent) = agent {
        text.push_str(&log_text(agent, log));
    }
    text
}

fn closed_text(closed: &[String]) -> String {
    if closed.is_empty() {
        return String::new();
    }
    format!(
        "\n  closed by the security groups, there and here: {}",
        closed.join("; ")
    )
}

/// Lines of what EC2's stand-in told that an error shows.
const TOLD_LINES: usize = 8;

fn told_text(told: &[String]) -> String {
    let line = |one: &String| format!("\n  EC2, answered here, told {one}");
    told.iter().take(TOLD_LINES).map(line).collect()
}

/// Brings a cluster up, and returns it when it is ready.
///
/// `interrupt` ends the attempt when it comes about: pass a future that waits for signals, or
/// one that never ends.
///
/// # Errors
/// [`UpError`]; nothing is left then, unless [`Options::keep`].
pub async fn bring_up(
    spec: &ClusterSpec,
    request: &EngineRequest,
    options: &Options,
    environment: &Environment,
    docker: Arc<dyn DockerEngine>,
    progress: &Progress,
    interrupt: BoxFuture<'_, ()>,
) -> Result<DockerCluster, UpError> {
    spec.validate()?;
    let root = StateRoot::new(&environment.state_root);
    let lock = root.lock(&spec.name)?;
    let folder = root.cluster(&spec.name);
    let common = Common::new(spec, folder.path(), options.ephemeral);
    let attempt = Attempt {
        spec,
        request,
        options,
        environment,
        docker: docker.clone(),
        progress,
        folder: &folder,
        common: &common,
        began: AtomicBool::new(false),
        token: Mutex::new(None),
        lock: &lock,
    };
    let work = AssertUnwindSafe(attempt.run()).catch_unwind();
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = interrupt => Ok(Err(UpError::Interrupted { cluster: spec.name.clone() })),
    };
    let keep = options.keep && !matches!(outcome, Ok(Err(UpError::Interrupted { .. })));
    match outcome {
        Ok(Ok(cluster)) => Ok(cluster),
        Ok(Err(error)) => {
            if keep {
                attempt.keep().await;
            } else {
                attempt.undo().await;
            }
            Err(error)
        }
        Err(panic) => {
            attempt.undo().await;
            std::panic::resume_unwind(panic)
        }
    }
}

/// One `up`.
struct Attempt<'a> {
    spec: &'a ClusterSpec,
    request: &'a EngineRequest,
    options: &'a Options,
    environment: &'a Environment,
    docker: Arc<dyn DockerEngine>,
    progress: &'a Progress,
    folder: &'a Folder,
    common: &'a Common,
    /// Whether anything was made yet.
    began: AtomicBool,
    /// The management token, once it is known.
    token: Mutex<Option<Token>>,
    #[expect(dead_code, reason = "held, so that no other `up` of the name runs")]
    lock: &'a Lock,
}

/// Writes down what adopted agents have otherwise here, now that version and addresses are known.
fn declared(spec: &ClusterSpec, version: &Version, plan: &[AgentPlan]) -> ClusterSpec {
    let mut declared = spec.clone();
    let mut adoption = declared.adoption.as_mut();
    if let Some(adoption) = &mut adoption {
        adoption.runs(version);
    }
    for adopted in adoption.into_iter().flat_map(|one| &mut one.agents) {
        if let Some(agent) = plan.iter().find(|agent| agent.name == adopted.name) {
            let changes = agent_config::substitutions(adopted, spec, plan, agent, version);
            adopted.substitutions = changes;
        }
    }
    declared
}

/// What keeps an `up` together once it is planned.
struct Planned {
    record: Record,
    programs: BTreeMap<Arch, Program>,
    authority: Authority,
    gossip_key: String,
    license: Option<License>,
}

/// What else a cluster gets besides its agents' programs.
#[derive(Clone)]
struct Extras {
    tools: Option<ToolImage>,
    next: Option<Next>,
    license: Option<License>,
    cloud: Option<CloudJoin>,
}

/// The program that speaks for all: they are of one kind and version.
fn main_program(programs: &BTreeMap<Arch, Program>) -> &Program {
    let mut all = programs.values();
    all.next().expect("a cluster has a server")
}

/// Says how much longer emulated programs take, and what follows from it.
fn emulation_text(arch: Arch, rates: &Rates, native: &Rates, slowness: Slowness) -> String {
    let pieces = rates.times_slower_than(native);
    let pieces = pieces.map(|(what, times)| format!("{what} x{times:.1}"));
    format!(
        "{arch} programs work here, emulated: {}; time limits x{slowness}",
        pieces.join(", ")
    )
}

/// How waiting beside the starting containers ended.
enum Waited {
    /// All is ready.
    Ready(Token),
    /// Ports had to be changed: the clients point to wrong ones.
    Moved(Vec<u16>),
}

impl Attempt<'_> {
    async fn run(&self) -> Result<DockerCluster, UpError> {
        let ((facts, slowness), mut programs) = futures::try_join!(
            async {
                let facts = self.docker.facts().await?;
                self.clear_name(&facts.id).await?;
                let slowness = self.prove_emulation(&facts).await?;
                Ok::<_, UpError>((facts, slowness))
            },
            async { Ok(self.provide().await?) },
        )?;
        for program in programs.values_mut() {
            program.info.slowness = slowness;
        }
        self.check_federation(main_program(&programs))?;
        let version = &main_program(&programs).version;
        agent_config::check_settings(self.spec, version).map_err(UpError::Settings)?;
        let tools = self.tools(&facts, &programs).await?;
        let cloud = self.cloud_join(&programs, tools.is_some()).await?;
        let license = engine::license(self.request, version, self.environment)?;
        let extras = Extras {
            tools,
            license,
            next: self.next(&programs).await?,
            cloud,
        };
        let (network, planned) = self.lay_out(&facts, programs, extras).await?;
        let deaths = self.docker.deaths(&[(labels::RUN, Some(&self.common.run))]);
        let mut ends = deaths.filter(|death| {
            // A tool beside an agent names it, too, and is meant to end.
            std::future::ready(labels::is_agent(&death.labels))
        });
        tokio::select! {
            biased;
            outcome = self.make_and_wait(&network, &planned) => outcome,
            Some(death) = ends.next() => Err(self.died(&planned.record, &death).await),
        }
    }

    fn check_federation(&self, program: &Program) -> Result<(), UpError> {
        if program.info.simulated && !self.spec.further_regions.is_empty() {
            return Err(UpError::NoFederation {
                engine: program.info.label(),
                regions: self.spec.regions().map(str::to_owned).collect(),
            });
        }
        Ok(())
    }

    async fn provide(&self) -> Result<BTreeMap<Arch, Program>, EngineError> {
        let docker = self.docker.as_ref();
        let archs = self.spec.archs();
        engine::provide_each(
            self.request,
            &archs,
            self.environment,
            docker,
            self.progress,
        )
        .await
    }

    /// Returns how adopted agents find their servers: by asking AWS where they do and can.
    async fn cloud_join(
        &self,
        programs: &BTreeMap<Arch, Program>,
        tools: bool,
    ) -> Result<Option<CloudJoin>, UpError> {
        let cloud = self
            .spec
            .adoption
            .as_ref()
            .and_then(|one| one.cloud.clone());
        if !matches!(cloud, Some(CloudJoin::Answered(_))) {
            return Ok(cloud);
        }
        let replaced = |why: String| Ok(Some(CloudJoin::Replaced(why)));
        if !tools {
            let why = "no image here has the built-in program, which would answer in AWS's place";
            return replaced(why.to_owned());
        }
        for (arch, program) in programs {
            let label = program.info.label();
            let docker = self.docker.as_ref();
            match engine::asks_aws(program, *arch, self.environment, docker).await? {
                Some(true) => {}
                Some(false) => {
                    return replaced(format!("{label} is built without go-discover's `aws`"));
                }
                None => return replaced(format!("whether {label} can ask AWS cannot be tried")),
            }
        }
        Ok(cloud)
    }

    /// Gets what scenarios may upgrade the agents to.
    async fn next(&self, programs: &BTreeMap<Arch, Program>) -> Result<Option<Next>, EngineError> {
        engine::provide_next(
            self.request,
            programs,
            self.environment,
            self.docker.as_ref(),
            self.progress,
        )
        .await
    }

    /// Returns where tools that work beside an agent come from: an image of the engine's own
    /// architecture, since an emulator garbles netlink and makes everything slow.
    async fn tools(
        &self,
        facts: &EngineFacts,
        programs: &BTreeMap<Arch, Program>,
    ) -> Result<Option<ToolImage>, UpError> {
        let of = |(arch, program): (&Arch, &Program)| {
            program.tools.then(|| ToolImage {
                image: program.image.clone(),
                arch: *arch,
            })
        };
        let foreign = programs.iter().find_map(of);
        let Ok(native) = facts.arch.parse::<Arch>() else {
            return Ok(foreign);
        };
        if let Some(program) = programs.get(&native) {
            return Ok(of((&native, program)).or(foreign));
        }
        let simulator = EngineRequest {
            kind: EngineKind::Simulator,
            ..EngineRequest::default()
        };
        let docker = self.docker.as_ref();
        let silent = Progress::silent();
        let own = engine::provide(&simulator, native, self.environment, docker, &silent).await;
        match own {
            Ok(program) => Ok(of((&native, &program))),
            Err(EngineError::Docker(error)) => Err(error.into()),
            Err(_) => Ok(foreign),
        }
    }

    /// Where agents are to be emulated: tries a program of their architecture first, since an
    /// emulator may be registered and break every agent all the same. Returns how much longer the
    /// slowest of them takes than a program of the engine's own architecture, tried beside it.
    async fn prove_emulation(&self, facts: &EngineFacts) -> Result<Slowness, UpError> {
        let own = facts.arch.parse::<Arch>().ok();
        let archs = self.spec.archs();
        let foreign: Vec<Arch> = archs
            .into_iter()
            .filter(|arch| own != Some(*arch))
            .collect();
        if foreign.is_empty() {
            return Ok(Slowness::default());
        }
        // One after the other: side by side each would be measured on a part of a busy machine.
        let mut tried = Vec::new();
        for arch in foreign {
            tried.push((arch, self.probe(arch, facts).await?));
        }
        // Where there is no program of the engine's own architecture, nothing is compared.
        let native = match own {
            Some(own) => Some(self.probe(own, facts).await?),
            None => None,
        };
        let slow = tried
            .iter()
            .map(|(arch, rates)| self.tell_emulation(*arch, rates, native));
        Ok(slow.max().unwrap_or_default())
    }

    async fn probe(&self, arch: Arch, facts: &EngineFacts) -> Result<Rates, UpError> {
        let mut own = self.common.labels.clone();
        own.insert(labels::ROLE.to_owned(), labels::TOOL.to_owned());
        let place = Place::find("", facts.local, self.environment.github_actions);
        let working = emulation::probe(self.docker.as_ref(), arch, &own).await;
        working
            .map(|working| working.rates)
            .map_err(|error| UpError::Emulation {
                hint: error.hint(place),
                source: error,
            })
    }

    /// Says what emulating an architecture costs; returns it as what time limits are stretched by.
    fn tell_emulation(&self, arch: Arch, rates: &Rates, native: Option<Rates>) -> Slowness {
        let slowness = native.map_or_else(Slowness::default, |native| {
            let slowness = Slowness::of_ratio(rates.slowness_beside(&native));
            let text = emulation_text(arch, rates, &native, slowness);
            self.progress.tell(Event::Note(text));
            slowness
        });
        let servers = self.spec.archs_of(Role::Server);
        if servers.contains(&arch) && !self.spec.set.contains_key(plan::RAFT_MULTIPLIER) {
            self.progress.tell(Event::Note(format!(
                "emulated servers get `{}` = {}: elections take that many times as long",
                plan::RAFT_MULTIPLIER,
                plan::EMULATED_MULTIPLIER
            )));
        }
        slowness
    }

    /// Removes what earlier attempts left, everywhere; refuses a name that is in use.
    async fn clear_name(&self, engine: &str) -> Result<(), UpError> {
        let told = |what: String| self.progress.tell(Event::Note(what));
        let docker = self.docker.as_ref();
        match sweep::clear_for(docker, self.folder, engine, &told).await? {
            InTheWay::Nothing => Ok(()),
            InTheWay::Cluster(state) => Err(UpError::NameTaken {
                name: self.spec.name.clone(),
                state,
            }),
        }
    }

    /// Fixes all names, addresses, ports and certificates, writes the folder, makes the network.
    async fn lay_out(
        &self,
        facts: &EngineFacts,
        programs: BTreeMap<Arch, Program>,
        extras: Extras,
    ) -> Result<(String, Planned), UpError> {
        let routes = facts
            .local
            .then(|| std::fs::read_to_string("/proc/net/route").ok());
        let networks = self.docker.networks().await?;
        let around = Surroundings::new(&networks, routes.flatten().as_deref());
        let offers = free_subnets(&around, &format!("{} {}", self.spec.name, self.common.run))?;
        let preferred = self.spec.adoption.as_ref().and_then(|one| one.prefer);
        let preferred = preferred.filter(|subnet| around.is_free(*subnet));
        let offers = preferred.into_iter().chain(offers);
        let authority = Authority::new(&self.spec.region, OffsetDateTime::now_utc())?;
        let cli = authority.cli_leaf()?;
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        let gossip_key = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key);
        let mut refusal = None;
        for subnet in offers {
            let record = self.record(facts, &programs, extras.clone(), subnet);
            if refusal.is_none() {
                self.began.store(true, Ordering::Relaxed);
                // The folder comes first: it is the one trace that even a kill before Docker's
                // first answer leaves.
                self.folder.write(&record)?;
                let region = &self.spec.region;
                self.folder
                    .write_secrets(region, &authority, &cli, &gossip_key)?;
                if let Some(license) = &extras.license {
                    self.folder.write_license(license.text())?;
                }
            }
            let plan = NetworkPlan {
                name: self.common.network(),
                subnet,
                labels: self.common.labels.clone(),
            };
            match self.docker.create_network(&plan).await {
                Ok(network) => {
                    self.folder.write(&record)?;
                    let planned = Planned {
                        record,
                        programs,
                        authority,
                        gossip_key,
                        license: extras.license,
                    };
                    return Ok((network, planned));
                }
                Err(error) if error.trouble == Trouble::SubnetTaken => refusal = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(refusal.map_or(UpError::Subnet(SubnetTaken), UpError::Docker))
    }

    fn record(
        &self,
        facts: &EngineFacts,
        programs: &BTreeMap<Arch, Program>,
        extras: Extras,
        subnet: Subnet,
    ) -> Record {
        let plan = self.spec.plan(subnet);
        let ports = plan::free_ports(plan.len());
        let native: Option<Arch> = facts.arch.parse().ok();
        let agents: Vec<AgentRecord> = plan
            .iter()
            .cloned()
            .zip(ports)
            .map(|(plan, api_port)| AgentRecord {
                container: self.common.container(&plan),
                image: programs[&plan.arch].image.clone(),
                emulated: native != Some(plan.arch),
                upgraded: false,
                plan,
                api_port,
            })
            .collect();
        let main = main_program(programs);
        let mut asked = self.spec.clone();
        if let Some(adoption) = &mut asked.adoption {
            adoption.cloud = extras.cloud;
        }
        let mut spec = declared(&asked, &main.version, &plan);
        let slow = |agent: &AgentRecord| agent.emulated && agent.plan.role == Role::Server;
        if agents.iter().any(slow) {
            plan::slow_down(&mut spec);
        }
        if extras.license.is_some() {
            plan::point_to_license(&mut spec);
        }
        Record {
            schema: Record::schema(),
            run: self.common.run.clone(),
            owner: Owner::this().to_string(),
            phase: Phase::ComingUp,
            created: now_secs(),
            spec,
            engine: main.info.clone(),
            version: main.version.clone(),
            next: extras.next,
            tools: extras.tools,
            docker: facts.id.clone(),
            subnet,
            agents,
        }
    }

    /// Starts all agents, waits until the cluster is ready, and writes that down. One region after the
    /// other: a further one copies access control from the first by a token that is made there.
    async fn make_and_wait(
        &self,
        network: &str,
        planned: &Planned,
    ) -> Result<DockerCluster, UpError> {
        let mut cluster = self.assemble(planned.record.clone())?;
        self.answer_for_aws(&cluster, network, planned).await?;
        self.keep_data(planned).await?;
        let mut token = None;
        for region in self.spec.regions_of_agents() {
            let (raised, known) = self.raise(cluster, network, planned, region, token).await?;
            cluster = raised;
            cluster.set_token(&known);
            token = Some(known);
        }
        cluster.record.phase = Phase::Ready;
        self.folder.write(&cluster.record)?;
        self.mark().await?;
        Ok(cluster)
    }

    /// Starts the agents of one region and waits until it is ready. `token` is what further regions copy
    /// access control by.
    async fn raise(
        &self,
        mut cluster: DockerCluster,
        network: &str,
        planned: &Planned,
        region: Option<&str>,
        token: Option<Token>,
    ) -> Result<(DockerCluster, Token), UpError> {
        let agents = planned.record.agents_of(region);
        let (of, secret) = (&cluster, token.as_ref());
        let starts = agents.map(|agent| self.start(of, network, planned, agent, secret));
        let began = Instant::now();
        let started = async {
            let ports = try_join_all(starts).await?;
            let condition = match region {
                None => "every container runs".to_owned(),
                Some(region) => format!("region `{region}`: every container runs"),
            };
            let after = began.elapsed();
            self.progress.tell(Event::Met { condition, after });
            Ok(ports)
        };
        match self.wait_beside(&cluster, region, started).await? {
            Waited::Ready(token) => Ok((cluster, token)),
            Waited::Moved(ports) => {
                let agents = cluster.record.agents.iter_mut();
                let agents = agents.filter(|agent| agent.plan.region.as_deref() == region);
                for (agent, port) in agents.zip(ports) {
                    agent.api_port = port;
                }
                self.folder.write(&cluster.record)?;
                cluster = self.assemble(cluster.record)?;
                let token = self.wait(&cluster, region).await?;
                Ok((cluster, token))
            }
        }
    }

    fn assemble(&self, record: Record) -> Result<DockerCluster, UpError> {
        let assembled =
            DockerCluster::assemble(self.docker.clone(), record, self.folder.clone(), None);
        assembled.map_err(|error| match error {
            OpenOrFolder::Folder(error) => UpError::Folder(error),
            OpenOrFolder::Api(error) => UpError::Api(error),
        })
    }
    /// Waits for the cluster while its containers still start: whoever runs first is asked first.
    async fn wait_beside(
        &self,
        cluster: &DockerCluster,
        region: Option<&str>,
        starts: impl Future<Output = Result<Vec<u16>, UpError>>,
    ) -> Result<Waited, UpError> {
        let mut starts = std::pin::pin!(starts);
        let mut waiting = std::pin::pin!(self.wait(cluster, region));
        tokio::select! {
            outcome = &mut waiting => {
                let token = outcome?;
                starts.await?;
                Ok(Waited::Ready(token))
            }
            ports = &mut starts => {
                let ports = ports?;
                let agents = cluster.record.agents_of(region);
                let planned = agents.map(|agent| agent.api_port);
                if planned.eq(ports.iter().copied()) {
                    waiting.await.map(Waited::Ready)
                } else {
                    Ok(Waited::Moved(ports))
                }
            }
        }
    }

    async fn wait(&self, cluster: &DockerCluster, region: Option<&str>) -> Result<Token, UpError> {
        let known = self
            .token
            .lock()
            .expect("nobody panics while holding it")
            .clone();
        let secret = known.or_else(|| conditions::chosen_secret(&cluster.record.version));
        let keep = |token: &Token| {
            *self.token.lock().expect("nobody panics while holding it") = Some(token.clone());
            // Written at once: a cluster that is kept although it did not come up needs it, too.
            if let Err(error) = self.folder.write_token(token) {
                self.progress.tell(Event::Note(error.to_string()));
            }
        };
        let by_itself = || cluster.record.engine.slowness.allowed(TIMEOUT);
        let timeout = self.options.timeout.unwrap_or_else(by_itself);
        let waited = match (region, secret) {
            (Some(region), Some(token)) => {
                conditions::first_time_further(cluster, region, &token, timeout, self.progress)
                    .await
                    .map(|()| token)
            }
            (_, secret) => {
                conditions::first_time(cluster, secret, timeout, self.progress, &keep).await
            }
        };
        match waited {
            Ok(token) => Ok(token),
            Err(unready) => Err(self.not_ready(cluster, unready).await),
        }
    }

    /// Says in Docker's own records that the cluster is nobody's leftover.
    async fn mark(&self) -> Result<(), DockerError> {
        let mut tags = self.common.labels.clone();
        tags.insert(labels::READY.to_owned(), "true".to_owned());
        self.docker
            .create_volume(&self.common.marker(), &tags)
            .await
    }

    /// Leaves everything as it is, for a look.
    async fn keep(&self) {
        let marked = self.mark().await;
        let written = self.folder.read().and_then(|mut record| {
            record.phase = Phase::Kept;
            self.folder.write(&record)
        });
        if let Err(error) = marked {
            self.progress.tell(Event::Note(error.to_string()));
        }
        if let Err(error) = written {
            self.progress.tell(Event::Note(error.to_string()));
        }
    }

    /// Makes and starts what answers in AWS's place, where adopted agents ask AWS.
    async fn answer_for_aws(
        &self,
        cluster: &DockerCluster,
        network: &str,
        planned: &Planned,
    ) -> Result<(), UpError> {
        let record = &planned.record;
        let (Some(cloud), Some(tools)) = (responder::cloud(record), &record.tools) else {
            return Ok(());
        };
        let files = responder::files(record, cloud, &planned.authority)?;
        let container = responder::container(self.common, record, tools, network);
        let made = self.docker.create_container(&container).await;
        let id = made.map_err(|error| self.name_taken(error))?;
        self.docker.upload(&id, files).await?;
        cluster.start_responder().await.map_err(UpError::Responder)
    }

    /// Starts what keeps the agents' data, where they are in memory: before the agents, whose folders
    /// are put there first.
    async fn keep_data(&self, planned: &Planned) -> Result<(), UpError> {
        let record = &planned.record;
        if record.spec.data_size.is_none() {
            return Ok(());
        }
        let tools = record.tools.as_ref().ok_or(UpError::NoKeeper)?;
        let tags = |agent: &AgentRecord| {
            plan::tags(self.common, &planned.programs[&agent.plan.arch], agent)
        };
        let keeper = plan::keeper(self.common, tools, record, &tags);
        let made = self.docker.create_container(&keeper).await;
        let id = made.map_err(|error| self.name_taken(error))?;
        Ok(self.docker.start_container(&id).await?)
    }

    /// Makes and starts one agent's container; returns the port by which it is reached.
    async fn start(
        &self,
        cluster: &DockerCluster,
        network: &str,
        planned: &Planned,
        agent: &AgentRecord,
        replication: Option<&Token>,
    ) -> Result<u16, UpError> {
        let secrets = Secrets {
            gossip_key: &planned.gossip_key,
            replication_token: replication.map(Token::secret),
        };
        let files = plan::files(
            &planned.record,
            &agent.plan,
            &planned.authority,
            secrets,
            planned.license.as_ref().map(License::text),
        )?;
        let program = &planned.programs[&agent.plan.arch];
        let mut agent = agent.clone();
        for tries_left in (0..PORT_TRIES_MAX).rev() {
            let container = plan::container(self.common, program, &agent, &planned.record, network);
            let made = self.docker.create_container(&container).await;
            let id = made.map_err(|error| self.name_taken(error))?;
            self.docker.upload(&id, files.clone()).await?;
            match self.docker.start_container(&id).await {
                Ok(()) => {
                    let name = &agent.plan.name;
                    let closed = cluster.close_ports(name).await;
                    closed.map_err(|source| UpError::Ports {
                        agent: agent.info().called(),
                        source,
                    })?;
                    self.progress.tell(Event::Started {
                        agent: agent.plan.name.clone(),
                    });
                    return Ok(agent.api_port);
                }
                Err(error) if error.trouble == Trouble::PortTaken && tries_left > 0 => {
                    self.docker.remove_container(&id).await?;
                    agent.api_port = plan::free_ports(1).first().copied().unwrap_or(0);
                }
                Err(mut error) => {
                    error.object = agent.container;
                    return Err(error.into());
                }
            }
        }
        unreachable!("the last try returns")
    }

    /// A container's name that is taken although the cluster's is free: another user's cluster.
    fn name_taken(&self, error: DockerError) -> UpError {
        if error.trouble == Trouble::Conflict {
            UpError::NameTaken {
                name: self.spec.name.clone(),
                state: error.source.to_string(),
            }
        } else {
            error.into()
        }
    }

    async fn died(&self, record: &Record, death: &Death) -> UpError {
        let agent = labels::get(&death.labels, labels::AGENT).unwrap_or_default();
        let agent = AgentName(agent.to_owned());
        let known = record.agents.iter().find(|known| known.plan.name == agent);
        let called = known.map_or_else(|| format!("`{agent}`"), |known| known.info().called());
        // The engine tells of the end before it has written the last lines down.
        drop(self.docker.wait_container(&death.container).await);
        UpError::Died {
            cluster: self.spec.name.clone(),
            agent,
            called,
            code: death.code,
            log: log_end(self.docker.as_ref(), &death.container).await,
        }
    }

    async fn not_ready(&self, cluster: &DockerCluster, unready: Unready) -> UpError {
        let blamed = unready
            .missing
            .iter()
            .find_map(|missing| missing.agent.clone());
        let log = match &blamed {
            Some(agent) => log_end(self.docker.as_ref(), cluster.container(agent)).await,
            None => String::new(),
        };
        let filtered = self
            .spec
            .adoption
            .iter()
            .filter(|one| !one.filters.is_empty());
        UpError::NotReady {
            cluster: self.spec.name.clone(),
            closed: filtered.flat_map(|one| one.closed_there.clone()).collect(),
            told: cluster.told_by_ec2().await,
            unready,
            agent: blamed,
            log,
            kept: self.options.keep,
        }
    }

    /// Removes what this attempt made. It must not hide the error that it follows, so that its
    /// own goes to the side; what stays is found by `sweep`.
    async fn undo(&self) {
        if !self.began.load(Ordering::Relaxed) {
            return;
        }
        let docker = self.docker.as_ref();
        self.progress.tell(Event::TearingDown {
            cluster: self.spec.name.clone(),
        });
        if let Err(error) = lifecycle::remove_run(docker, &self.common.run).await {
            let error = with_causes(&error);
            let text = format!("not all of it could be removed: {error}; rehearse sweep");
            self.progress.tell(Event::Note(text));
        }
        let ours = self
            .folder
            .read()
            .is_ok_and(|record| record.run == self.common.run);
        if ours && let Err(error) = self.folder.remove() {
            self.progress.tell(Event::Note(error.to_string()));
        }
    }
}
