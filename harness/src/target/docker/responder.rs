//! What answers an adopted cluster's agents in AWS's place: one more container in the cluster's own network, the
//! built-in program as `cloud serve`. It has the metadata service's address beside its own one, and EC2's names
//! lead to it by the agents' hosts files, so nothing of it leaves the network. It lives as long as the cluster.

use std::net::Ipv4Addr;

use agent::cloud::{
    AUTHORITY_FILE, CERTIFICATE_FILE, Cloud, KEY_FILE, MACHINES_FILE, METADATA, Machine,
};

use super::DockerCluster;
use super::folder::{Record, ToolImage};
use super::plan::Common;
use super::tool::{ToolError, read_log};
use crate::docker::{Attachment, ContainerPlan, archive, labels};
use crate::engine::{AGENT_USER, BUILT_IN};
use crate::spec::{Adoption, AgentName, Arch, CloudMachine};
use crate::tls::{Authority, TlsError};

/// Its folder in its container.
const FOLDER: &str = "/etc/rehearse";
/// Where agents find its authority: Go's programs trust every file of the folder besides the usual one.
pub(super) const TRUST_FILE: &str = "/etc/ssl/certs/rehearse-aws.pem";
/// Lines of its log that are looked at.
const LOG_LINES: usize = 50;

/// Returns what is answered from; nothing where nobody asks AWS.
pub(super) fn cloud(record: &Record) -> Option<&crate::spec::Cloud> {
    record.spec.adoption.as_ref().and_then(Adoption::answered)
}

/// Its container's name: a full stop is in no agent's name.
fn name(record: &Record) -> String {
    format!("rehearse-{}.aws", record.spec.name)
}

/// Returns the plan of its container.
pub(super) fn container(
    common: &Common,
    record: &Record,
    tools: &ToolImage,
    network: &str,
) -> ContainerPlan {
    let mut tags = common.labels.clone();
    tags.insert(labels::ROLE.to_owned(), labels::RESPONDER.to_owned());
    let command = [BUILT_IN, "cloud", "serve", FOLDER].map(str::to_owned);
    ContainerPlan {
        user: AGENT_USER.to_string(),
        hostname: "aws".to_owned(),
        labels: tags,
        network: Attachment::Network {
            id: network.to_owned(),
            address: record.subnet.responder(),
            link_local: Some(METADATA),
        },
        init: true,
        // It listens on 80 and 443, as an ordinary user.
        sysctls: [("net.ipv4.ip_unprivileged_port_start", "0")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..ContainerPlan::alone(
            name(record),
            tools.image.clone(),
            tools.arch.platform(),
            command.to_vec(),
        )
    }
}

/// Returns the tar of its files: the machines, and a certificate for EC2's names of the cluster's own authority.
pub(super) fn files(
    record: &Record,
    cloud: &crate::spec::Cloud,
    authority: &Authority,
) -> Result<bytes::Bytes, TlsError> {
    let of_agent = |machine: &CloudMachine| machine_of(record, machine);
    let answered = Cloud {
        region: cloud.region.clone(),
        machines: cloud.machines.iter().filter_map(of_agent).collect(),
    };
    let machines = serde_json::to_string(&answered).expect("machines are plain data");
    let leaf = authority.server_leaf(cloud.hosts().collect())?;
    let file = |name: &str| format!("{FOLDER}/{name}");
    let files = [
        (file(MACHINES_FILE), machines.as_str()),
        (file(AUTHORITY_FILE), authority.pair().certificate.as_str()),
        (file(CERTIFICATE_FILE), leaf.certificate.as_str()),
        (file(KEY_FILE), leaf.key.as_str()),
    ];
    Ok(archive::upload(AGENT_USER, &[(FOLDER, 0o700)], &files))
}

fn machine_of(record: &Record, machine: &CloudMachine) -> Option<Machine> {
    let mut agents = record.agents.iter();
    let agent = agents.find(|one| one.plan.name == machine.agent)?;
    let architecture = match agent.plan.arch {
        Arch::Arm64 => "arm64",
        // AWS has no s390x.
        Arch::Amd64 | Arch::S390x => "x86_64",
    };
    Some(Machine {
        name: machine.agent.to_string(),
        address: agent.plan.address,
        link_local: agent.plan.link_local(),
        instance_type: machine.instance_type.clone(),
        image: machine.image.clone(),
        zone: machine.zone.clone(),
        architecture: architecture.to_owned(),
        tags: machine.tags.clone(),
        metadata: machine.metadata,
        tokens: machine.tokens,
        role: machine.role.clone(),
        may_describe: machine.may_describe,
    })
}

impl DockerCluster {
    /// Starts what answers in AWS's place, where there is such a thing, and waits until it does. Agents come
    /// after it: up to 1.9.3 Nomad never asks again once it was not answered.
    pub(super) async fn start_responder(&self) -> Result<(), ToolError> {
        if cloud(&self.record).is_none() {
            return Ok(());
        }
        let container = name(&self.record);
        self.docker.start_container(&container).await?;
        let listeners = [(METADATA, 80), (Ipv4Addr::LOCALHOST, 443)];
        let [metadata, ec2] = listeners.map(|(address, port)| format!("{address}:{port}"));
        let both = format!("{metadata},{ec2}");
        let command = [
            BUILT_IN, "after", "-tcp", &both, "--", BUILT_IN, "net", "reach", &metadata, &ec2,
        ];
        let command = command.map(str::to_owned);
        let running = self.docker.exec(&container, &command).await?;
        let said = read_log(running.output).await?;
        if said.lines().filter(|line| line.ends_with(" open")).count() == listeners.len() {
            return Ok(());
        }
        Err(ToolError::Failed {
            command: format!("{BUILT_IN} cloud serve {FOLDER}"),
            code: self.docker.exec_code(&running.id).await?,
            said: self.responder_log().await.join("; "),
        })
    }

    /// Returns the last lines of what it wrote.
    async fn responder_log(&self) -> Vec<String> {
        let log = self
            .docker
            .logs(&name(&self.record), Some(LOG_LINES), false);
        let text = read_log(log)
            .await
            .unwrap_or_else(|error| error.to_string());
        text.lines().map(str::to_owned).collect()
    }

    /// Returns what EC2's stand-in told the agents, each once: why a cluster has not found itself.
    pub(super) async fn told_by_ec2(&self) -> Vec<String> {
        if cloud(&self.record).is_none() {
            return Vec::new();
        }
        let agent_at = |address: &str| -> Option<&AgentName> {
            let mut agents = self.agents.iter();
            let found = agents.find(|agent| agent.address.to_string() == address);
            found.map(|agent| &agent.name)
        };
        let mut told = Vec::new();
        for line in self.responder_log().await {
            let Some((address, rest)) =
                { line.strip_prefix("ec2 ") }.and_then(|l| l.split_once(' '))
            else {
                continue;
            };
            let who =
                agent_at(address).map_or_else(|| address.to_owned(), |name| format!("`{name}`"));
            let what = rest.split_once(": ").map_or(rest, |(_, what)| what);
            let line = format!("{who}: {what}");
            if !told.contains(&line) {
                told.push(line);
            }
        }
        told
    }
}
