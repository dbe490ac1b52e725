//! Takes the picture: one look at the containers and one at a server that answers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use nomad_harness::nomad::types::{AllocStub, Deployment as Stub, NodeStub};
use nomad_harness::nomad::{Api, ApiError, Query};
use nomad_harness::spec::Role;
use nomad_harness::target::docker::DockerCluster;
use nomad_harness::target::{AgentInfo, AgentState, Target as _};
use time::OffsetDateTime;

use super::events::Heard;
use super::picture::{Agent, Allocation, Deployment, Picture};

/// How long a server may take: Nomad holds some questions for 5 s while nobody leads, and a picture is
/// to be new.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What a server says.
#[derive(Default)]
struct Said {
    leader: Option<String>,
    /// Gossip state, part in Raft, health: by a server's address.
    servers: BTreeMap<String, (String, String, String)>,
    nodes: Vec<NodeStub>,
    allocations: Vec<AllocStub>,
    deployments: Vec<Stub>,
    trouble: Option<String>,
}

/// Looks once.
pub async fn at(cluster: &DockerCluster, heard: &Mutex<Heard>) -> Picture {
    let mut processes = Vec::new();
    for info in cluster.agents() {
        let state = cluster.state(&info.name).await;
        processes.push((info.clone(), state.unwrap_or(AgentState::Gone)));
    }
    let further = cluster.record().spec.further_regions.iter();
    let mut said = ask_any(cluster, &processes, None).await;
    for region in further {
        said.add(ask_any(cluster, &processes, Some(region.as_str())).await);
    }
    let now = OffsetDateTime::now_utc();
    Picture {
        cluster: cluster.name().to_owned(),
        engine: cluster.engine().label(),
        time: format!(
            "{:02}:{:02}:{:02} UTC",
            now.hour(),
            now.minute(),
            now.second()
        ),
        leader: said.leader_name(&processes),
        agents: processes
            .iter()
            .map(|(info, state)| said.agent(info, state))
            .collect(),
        allocations: said.allocations(),
        deployments: said.deployments(),
        events: heard.lock().expect("nobody panics with it").lines(),
        trouble: said.trouble,
    }
}

/// Asks the servers of a region that run, one after the other, until one answers.
async fn ask_any(
    cluster: &DockerCluster,
    processes: &[(AgentInfo, AgentState)],
    region: Option<&str>,
) -> Said {
    let mut trouble = "no server runs".to_owned();
    for (info, state) in processes {
        let asked = info.role == Role::Server && info.region.as_deref() == region;
        if !asked || *state != AgentState::Running {
            continue;
        }
        let api = cluster.api(&info.name).stale().timeout(ANSWER_MAX);
        match ask(&api).await {
            Ok(said) => return said,
            Err(error) => trouble = error.to_string(),
        }
    }
    Said {
        trouble: Some(trouble),
        ..Said::default()
    }
}

async fn ask(api: &Api) -> Result<Said, ApiError> {
    let query = Query::default();
    let allocations = api.get::<Vec<AllocStub>>("allocations", &query);
    let (leader, members, raft, autopilot, nodes, allocations, deployments) = futures::join!(
        api.leader(),
        api.members(),
        api.raft_configuration(),
        api.autopilot_health(),
        api.nodes(),
        allocations,
        api.deployments()
    );
    let members = members?;
    let mut said = Said {
        trouble: nodes.as_ref().err().map(ToString::to_string),
        leader: leader.ok().flatten(),
        nodes: nodes.unwrap_or_default(),
        allocations: allocations.map(|reply| reply.value).unwrap_or_default(),
        deployments: deployments.unwrap_or_default(),
        ..Said::default()
    };
    for member in members.own() {
        let address = format!("{}:", member.addr);
        let peers = raft.iter().flat_map(|raft| &raft.servers);
        let peer = peers
            .clone()
            .find(|peer| peer.address.starts_with(&address));
        let leads = said
            .leader
            .as_ref()
            .is_some_and(|one| one.starts_with(&address));
        let part = match peer {
            _ if leads => "leader",
            Some(peer) if peer.voter => "voter",
            Some(_) => "no voter",
            None => "no peer",
        };
        let health = autopilot.iter().flat_map(|health| &health.servers);
        let health = health.clone().find(|server| server.name == member.name);
        let health = match health {
            Some(server) if server.healthy => "healthy",
            Some(_) => "not healthy",
            None => "unknown",
        };
        let seen = (member.status.clone(), part.to_owned(), health.to_owned());
        said.servers.insert(member.addr.clone(), seen);
    }
    Ok(said)
}

impl Said {
    /// Adds what a server of another region says; who leads the first is told.
    fn add(&mut self, other: Self) {
        self.servers.extend(other.servers);
        self.nodes.extend(other.nodes);
        self.allocations.extend(other.allocations);
        self.deployments.extend(other.deployments);
        self.trouble = self.trouble.take().or(other.trouble);
    }

    fn leader_name(&self, processes: &[(AgentInfo, AgentState)]) -> Option<String> {
        let host = self.leader.as_ref()?.split(':').next()?.to_owned();
        let of = |(info, _): &&(AgentInfo, AgentState)| info.address.to_string() == host;
        let known = processes.iter().find(of);
        Some(known.map_or(host.clone(), |(info, _)| info.name.to_string()))
    }

    fn agent(&self, info: &AgentInfo, state: &AgentState) -> Agent {
        let process = match state {
            AgentState::Running => "running".to_owned(),
            AgentState::Paused => "paused".to_owned(),
            AgentState::Exited { code, .. } => format!("ended ({code})"),
            AgentState::Gone => "gone".to_owned(),
        };
        let seen = match info.role {
            Role::Server => self.servers.get(&info.address.to_string()).cloned(),
            Role::Client => self.node(&info.name.to_string()),
        };
        let (status, part, health) = seen.unwrap_or_default();
        let well = *state == AgentState::Running
            && ["alive", "ready"].contains(&status.as_str())
            && !["not healthy", "unknown"].contains(&health.as_str())
            && part != "ineligible";
        Agent {
            name: info.name.to_string(),
            process,
            platform: info.platform(),
            status,
            part,
            health,
            ill: !well,
        }
    }

    fn node(&self, name: &str) -> Option<(String, String, String)> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        let runs = self
            .allocations
            .iter()
            .filter(|alloc| alloc.node_id == node.id && alloc.client_status == "running");
        let part = if node.drain {
            "drains".to_owned()
        } else {
            node.scheduling_eligibility.clone()
        };
        let count = match runs.count() {
            1 => "1 allocation".to_owned(),
            n => format!("{n} allocations"),
        };
        Some((node.status.clone(), part, count))
    }

    fn allocations(&self) -> Vec<Allocation> {
        let mut stubs: Vec<&AllocStub> = self.allocations.iter().collect();
        // What runs or is about to comes first.
        let over = |one: &AllocStub| !["running", "pending"].contains(&one.client_status.as_str());
        stubs.sort_by_key(|one| (over(one), std::cmp::Reverse(one.modify_index)));
        let line = |one: &&AllocStub| {
            let mut status = one.client_status.clone();
            if one.is_told_to_stop() && !over(one) {
                status.push_str(", told to stop");
            }
            let health = one
                .deployment_status
                .as_ref()
                .and_then(|health| health.healthy);
            let health = match health {
                Some(true) => "healthy",
                Some(false) => "unhealthy",
                None => "",
            };
            Allocation {
                name: one.name.clone(),
                id: one.id.chars().take(8).collect(),
                node: one.node_name.clone(),
                version: one.job_version,
                is_live: !over(one),
                ill: ["failed", "lost", "unknown"].contains(&one.client_status.as_str())
                    || health == "unhealthy",
                status,
                health: health.to_owned(),
            }
        };
        stubs.iter().map(line).collect()
    }

    fn deployments(&self) -> Vec<Deployment> {
        let mut stubs: Vec<&Stub> = self.deployments.iter().collect();
        stubs.sort_by_key(|one| std::cmp::Reverse(one.create_index));
        let line = |one: &&Stub| {
            let groups = one.task_groups.iter().map(|(name, group)| {
                format!(
                    "{name} {} of {} healthy",
                    group.healthy_allocs, group.desired_total
                )
            });
            Deployment {
                job: one.job_id.clone(),
                version: one.job_version,
                status: one.status.clone(),
                groups: groups.collect::<Vec<_>>().join(", "),
                ill: one.status == "failed",
            }
        };
        stubs.iter().map(line).collect()
    }
}
