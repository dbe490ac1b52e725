//! Everything about a cluster's Docker objects before any of them is made: names, labels, files.

use std::net::TcpListener;

use rand::seq::SliceRandom as _;
use sha2::{Digest as _, Sha256};

use super::folder::{AgentRecord, Record, ToolImage};
use super::responder;
use crate::agent_config::{self, CONFIG_DIR, CONFIG_FILE, ConfigError, DATA_DIR, Secrets, TLS_DIR};
use crate::docker::{
    Attachment, ContainerPlan, Labels, PublishedPort, VolumePlan, archive, labels,
};
use crate::engine::{AGENT_USER, BUILT_IN, Program};
use crate::owner::Owner;
use crate::spec::{AgentPlan, ClusterSpec, DataSize, HTTP_PORT, RPC_PORT, Role};
use crate::tls::{self, Authority, TlsError};

/// Ports offered to clusters: below the range from which the kernel gives ports to outgoing
/// connections (32768 on), so that a stopped cluster's ports are seldom taken when it starts.
const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// The setting that stretches Raft's timers (`nomad/config.go`: 1 by default, at most 10).
pub(super) const RAFT_MULTIPLIER: &str = "server.raft_multiplier";
/// What emulated servers get: a heartbeat's handshake and JSON took 3 to 7 times as long as on a
/// processor of their own, and with 1 a busy machine costs them their leader again and again.
pub(super) const EMULATED_MULTIPLIER: u8 = 3;

/// Gives servers that an emulator slows down Nomad's own remedy, unless the user chose one.
pub(super) fn slow_down(spec: &mut ClusterSpec) {
    spec.set
        .entry(RAFT_MULTIPLIER.to_owned())
        .or_insert_with(|| EMULATED_MULTIPLIER.to_string());
}

/// Where an Enterprise server's licence is said to be.
const LICENSE_PATH: &str = "server.license_path";
/// Its file beside the configuration; Nomad reads nothing else of that folder than `.hcl` and `.json`.
const LICENSE_FILE: &str = "license.hclic";

/// Tells the servers where their licence is, unless the user did.
pub(super) fn point_to_license(spec: &mut ClusterSpec) {
    spec.set
        .entry(LICENSE_PATH.to_owned())
        .or_insert_with(|| format!("{CONFIG_DIR}/{LICENSE_FILE}"));
}

/// What all objects of one `up` have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) cluster: String,
    pub(super) run: String,
    pub(super) labels: Labels,
}

impl Common {
    pub(super) fn new(spec: &ClusterSpec, folder: &std::path::Path, ephemeral: bool) -> Self {
        let run = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let owner = Owner::this();
        let mut labels: Labels = [
            (labels::CLUSTER, spec.name.clone()),
            (labels::RUN, run.clone()),
            (labels::OWNER, owner.to_string()),
            (labels::EXPIRES, owner.expiry_soon().to_string()),
            (labels::FOLDER, folder.display().to_string()),
            (labels::SPEC, spec_hash(spec)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if ephemeral {
            labels.insert(labels::EPHEMERAL.to_owned(), "true".to_owned());
        }
        Self {
            cluster: spec.name.clone(),
            run,
            labels,
        }
    }

    /// Returns the name of the cluster's network.
    pub(super) fn network(&self) -> String {
        format!("rehearse-{}", self.cluster)
    }

    /// Returns the name of an agent's container, and of its volume.
    pub(super) fn container(&self, agent: &AgentPlan) -> String {
        format!("rehearse-{}-{}", self.cluster, agent.name)
    }

    /// Returns the name of the container that keeps the agents' data, where they are in memory.
    pub(super) fn keeper(&self) -> String {
        format!("rehearse-{}-keeper", self.cluster)
    }

    /// Returns the name of the volume that says: it came up whole.
    pub(super) fn marker(&self) -> String {
        format!("rehearse-{}-ready", self.cluster)
    }
}

fn spec_hash(spec: &ClusterSpec) -> String {
    let text = serde_json::to_string(spec).expect("a spec is plain data");
    let digest = Sha256::digest(text);
    digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Finds free ports on 127.0.0.1, all different. Somebody may take one before Docker does: then
/// the start says so, and another is found.
pub(super) fn free_ports(count: usize) -> Vec<u16> {
    let mut candidates: Vec<u16> = PORTS.collect();
    candidates.shuffle(&mut rand::rng());
    let mut ports = Vec::with_capacity(count);
    for port in candidates {
        if ports.len() == count {
            break;
        }
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
    }
    ports
}

/// Returns an agent's command, with what it waits for in its container, where the image has the program for
/// that: one whose ports are closed to others until they are, a client at its first start until every server
/// takes connections.
fn command(program: &Program, agent: &AgentRecord, record: &Record) -> Vec<String> {
    let mut adoption = record.spec.adoption.iter();
    let mut wait = Vec::new();
    if adoption.any(|one| one.filters_of(&agent.plan.name).next().is_some()) {
        wait.push("-filtered".to_owned());
    }
    if agent.plan.role == Role::Client {
        let all = record.agents.iter();
        let region = &agent.plan.region;
        let servers = all.filter(|one| one.plan.role == Role::Server && one.plan.region == *region);
        let address = |server: &AgentRecord| format!("{}:{RPC_PORT}", server.plan.address);
        let addresses: Vec<String> = servers.map(address).collect();
        let (state, addresses) = (format!("{DATA_DIR}/client"), addresses.join(","));
        wait.extend(["-unless", &state, "-tcp", &addresses].map(str::to_owned));
    }
    if wait.is_empty() || !program.tools {
        return program.command.clone();
    }
    let mut command = vec![BUILT_IN.to_owned(), "after".to_owned()];
    command.extend(wait);
    command.push("--".to_owned());
    command.extend(program.command.iter().cloned());
    command
}

/// Returns the labels of an agent's container and volume.
pub(super) fn tags(common: &Common, program: &Program, agent: &AgentRecord) -> Labels {
    let mut tags = common.labels.clone();
    tags.insert(labels::ROLE.to_owned(), agent.plan.role.to_string());
    tags.insert(labels::AGENT.to_owned(), agent.plan.name.to_string());
    tags.insert(labels::ENGINE.to_owned(), program.info.record());
    tags
}

/// Returns an agent's volume.
fn data(agent: &AgentRecord, record: &Record, path: String, labels: Labels) -> VolumePlan {
    VolumePlan {
        name: agent.container.clone(),
        path,
        labels,
        size: record.spec.data_size.map(DataSize::bytes),
    }
}

/// Returns the plan of the container that keeps the agents' data: the engine empties a file system in
/// memory when no running container has it any more, and an agent's is to outlive its process.
pub(super) fn keeper(
    common: &Common,
    tools: &ToolImage,
    record: &Record,
    tags: &dyn Fn(&AgentRecord) -> Labels,
) -> ContainerPlan {
    let command = [BUILT_IN, "data", "keep"].map(str::to_owned).into();
    let platform = tools.arch.platform();
    let mut plan = ContainerPlan::alone(common.keeper(), tools.image.clone(), platform, command);
    plan.user = AGENT_USER.to_string();
    // As process 1 it would not end when it is asked to.
    plan.init = true;
    plan.labels = common.labels.clone();
    let role = labels::KEEPER.to_owned();
    plan.labels.insert(labels::ROLE.to_owned(), role);
    let volume = |agent: &AgentRecord| {
        let path = format!("/data/{}", agent.plan.name);
        data(agent, record, path, tags(agent))
    };
    plan.volumes = record.agents.iter().map(volume).collect();
    plan
}

/// Returns the plan of an agent's container.
pub(super) fn container(
    common: &Common,
    program: &Program,
    agent: &AgentRecord,
    record: &Record,
    network: &str,
) -> ContainerPlan {
    let tags = tags(common, program, agent);
    let cloud = responder::cloud(record);
    ContainerPlan {
        name: agent.container.clone(),
        image: program.image.clone(),
        platform: agent.plan.arch.platform(),
        command: command(program, agent, record),
        env: program.env.clone(),
        user: AGENT_USER.to_string(),
        hostname: agent.plan.name.to_string(),
        labels: tags.clone(),
        network: Attachment::Network {
            id: network.to_owned(),
            address: agent.plan.address,
            link_local: cloud.map(|_| agent.plan.link_local()),
        },
        hosts: { cloud.iter() }
            .flat_map(|cloud| cloud.hosts())
            .map(|host| (host, record.subnet.responder()))
            .collect(),
        volumes: vec![data(agent, record, DATA_DIR.to_owned(), tags)],
        ports: vec![PublishedPort {
            container: HTTP_PORT,
            host: agent.api_port,
        }],
        // Nomad as process 1 reaps nobody's children.
        init: true,
        capabilities: Vec::new(),
        // With strict filtering a route that is cut is cut both ways: what comes in from there
        // is dropped, too.
        sysctls: [("net.ipv4.conf.all.rp_filter", "1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

/// Why an agent's files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Its certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Returns the tar of an agent's configuration and certificates.
pub(super) fn files(
    record: &Record,
    agent: &AgentPlan,
    authority: &Authority,
    secrets: Secrets<'_>,
    license: Option<&str>,
) -> Result<bytes::Bytes, FilesError> {
    let plan: Vec<AgentPlan> = record.agents.iter().map(|a| a.plan.clone()).collect();
    let config = agent_config::render(&record.spec, &plan, agent, &record.version, secrets)?;
    let leaf = authority.agent_leaf(agent)?;
    let (certificate, key) = tls::leaf_files(record.spec.region_of(agent), agent.role.into());
    let mut files = vec![
        (format!("{CONFIG_DIR}/{CONFIG_FILE}"), config.as_str()),
        (
            format!("{TLS_DIR}/{}", tls::CA_FILE),
            authority.pair().certificate.as_str(),
        ),
        (
            format!("{TLS_DIR}/{certificate}"),
            leaf.certificate.as_str(),
        ),
        (format!("{TLS_DIR}/{key}"), leaf.key.as_str()),
    ];
    if let Some(license) = license.filter(|_| agent.role == Role::Server) {
        files.push((format!("{CONFIG_DIR}/{LICENSE_FILE}"), license));
    }
    if responder::cloud(record).is_some() {
        files.push((
            responder::TRUST_FILE.to_owned(),
            authority.pair().certificate.as_str(),
        ));
    }
    // The data folder is a volume, whose owner an image that is not ours does not set.
    let folders = [(CONFIG_DIR, 0o700), (TLS_DIR, 0o700), (DATA_DIR, 0o700)];
    Ok(archive::upload(AGENT_USER, &folders, &files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_all_different() {
        let ports = free_ports(30);
        let unique: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(unique.len(), 30);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }

    #[test]
    fn emulated_servers_get_time_unless_the_user_said_how_much() {
        let mut spec = ClusterSpec::new("demo", crate::spec::Arch::S390x);
        slow_down(&mut spec);
        assert_eq!(spec.set[RAFT_MULTIPLIER], "3");
        spec.set.insert(RAFT_MULTIPLIER.to_owned(), "8".to_owned());
        slow_down(&mut spec);
        assert_eq!(spec.set[RAFT_MULTIPLIER], "8");
    }

    #[test]
    fn a_taken_port_is_not_offered() {
        let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(
            TcpListener::bind(("127.0.0.1", port)).is_err(),
            "the premise"
        );
        assert!(!free_ports(PORTS.len()).contains(&port));
    }
}
