//! `rehearse status`: what `nomad server members` and `nomad node status` would show, and more.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use nomad_harness::nomad::types::{AutopilotHealth, Members, NodeStub, RaftConfiguration};
use nomad_harness::nomad::{Api, ApiError, Query};
use nomad_harness::spec::Role;
use nomad_harness::target::docker::DockerCluster;
use nomad_harness::target::{AgentState, Target as _};
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::words;

/// How long one question may take: Nomad itself holds some for 5 s while there is no leader.
const ANSWER_MAX: Duration = Duration::from_secs(7);

/// Show a cluster: agents, servers, nodes, jobs.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster.
    #[arg(default_value = words::default_cluster())]
    name: String,
}

/// All that is shown.
#[derive(Serialize)]
struct Status {
    name: String,
    engine: nomad_harness::target::EngineInfo,
    agents: Vec<AgentRow>,
    /// What a server says; none when none answers. Of the first region, where there are several.
    nomad: Option<Nomad>,
    /// What a server of each further region says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    regions: BTreeMap<String, Option<Nomad>>,
}

#[derive(Serialize)]
struct AgentRow {
    #[serde(flatten)]
    info: nomad_harness::target::AgentInfo,
    process: AgentState,
}

/// One server's view.
#[derive(Serialize)]
struct Nomad {
    asked: String,
    /// What it refused to tell, and why.
    trouble: Option<String>,
    leader: Option<String>,
    members: Members,
    raft: Option<RaftConfiguration>,
    autopilot: Option<AutopilotHealth>,
    nodes: Vec<NodeStub>,
    jobs: Vec<JobStub>,
}

/// A job in a list.
#[derive(Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct JobStub {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Type")]
    job_type: String,
    priority: i64,
    status: String,
    stop: bool,
}

/// Shows the cluster. Ends well as long as there is one; whether it is healthy is in the text.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let cluster = context.open(&args.name).await?;
    let mut agents = Vec::new();
    for info in cluster.agents() {
        let process = cluster
            .state(&info.name)
            .await
            .map_err(Failure::environment)?;
        agents.push(AgentRow {
            info: info.clone(),
            process,
        });
    }
    let mut regions = BTreeMap::new();
    for region in &cluster.record().spec.further_regions {
        let said = ask_any(&cluster, &agents, Some(region)).await;
        regions.insert(region.clone(), said);
    }
    let status = Status {
        name: args.name,
        engine: cluster.engine().clone(),
        nomad: ask_any(&cluster, &agents, None).await,
        regions,
        agents,
    };
    match context.format {
        Format::Json => output::json(&status),
        Format::Text => output::text(&status.text()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the servers of a region that run, one after the other, until one answers.
async fn ask_any(
    cluster: &DockerCluster,
    agents: &[AgentRow],
    region: Option<&str>,
) -> Option<Nomad> {
    let servers = agents.iter().filter(|agent| {
        agent.info.role == Role::Server
            && agent.info.region.as_deref() == region
            && agent.process == AgentState::Running
    });
    for server in servers {
        let api = cluster.api(&server.info.name).stale().timeout(ANSWER_MAX);
        if let Ok(nomad) = ask(server.info.name.as_str(), &api).await {
            return Some(nomad);
        }
    }
    None
}

async fn ask(name: &str, api: &Api) -> Result<Nomad, ApiError> {
    let query = Query::default();
    let jobs = api.get::<Vec<JobStub>>("jobs", &query);
    let (leader, members, raft, autopilot, nodes, jobs) = futures::join!(
        api.leader(),
        api.members(),
        api.raft_configuration(),
        api.autopilot_health(),
        api.nodes(),
        jobs
    );
    // A server without a leader, or one that knows no token yet, still tells something.
    let mut trouble = None;
    if let Err(error) = &nodes {
        trouble = Some(error.to_string());
    }
    let leader = match (leader, &members) {
        (Err(error), Err(_)) => return Err(error),
        (leader, _) => leader.ok().flatten(),
    };
    Ok(Nomad {
        asked: name.to_owned(),
        trouble,
        leader,
        members: members.unwrap_or_default(),
        raft: raft.ok(),
        autopilot: autopilot.ok(),
        nodes: nodes.unwrap_or_default(),
        jobs: jobs.map(|reply| reply.value).unwrap_or_default(),
    })
}

impl Status {
    fn text(&self) -> String {
        let head = format!("cluster `{}`: {}", self.name, self.engine.label());
        let mut parts = vec![output::sentence(&head)];
        let rows: Vec<Vec<String>> = self.agents.iter().map(AgentRow::cells).collect();
        parts.push(output::table(
            &["Agent", "Process", "Arch", "Address", "API"],
            &rows,
        ));
        match &self.nomad {
            None => parts.push("no server answers".to_owned()),
            Some(nomad) => parts.extend(nomad.text()),
        }
        for (region, nomad) in &self.regions {
            match nomad {
                None => parts.push(format!("no server of region `{region}` answers")),
                Some(nomad) => parts.extend(nomad.text()),
            }
        }
        parts.join("\n\n")
    }
}

impl AgentRow {
    fn cells(&self) -> Vec<String> {
        let process = match &self.process {
            AgentState::Running => "running".to_owned(),
            AgentState::Paused => "paused".to_owned(),
            AgentState::Exited {
                oom_killed: true, ..
            } => "out of memory".to_owned(),
            AgentState::Exited { code, .. } => format!("ended ({code})"),
            AgentState::Gone => "gone".to_owned(),
        };
        vec![
            self.info.name.to_string(),
            process,
            self.info.platform(),
            self.info.address.to_string(),
            self.info.api_addr.clone(),
        ]
    }
}

impl Nomad {
    fn text(&self) -> Vec<String> {
        let mut parts = vec![output::sentence(&self.summary())];
        if let Some(trouble) = &self.trouble {
            let told = format!("not all can be shown: {trouble}");
            parts.push(output::sentence(&told));
        }
        let rows: Vec<Vec<String>> = self.members.own().map(|m| self.member(m)).collect();
        let head = [
            "Server",
            "Gossip",
            "Raft",
            "Healthy",
            "Build",
            "Datacenter",
            "Region",
        ];
        parts.push(output::table(&head, &rows));
        let rows: Vec<Vec<String>> = self.nodes.iter().map(node_cells).collect();
        if !rows.is_empty() {
            let head = [
                "Node",
                "ID",
                "Status",
                "Eligibility",
                "Drain",
                "Drivers",
                "Datacenter",
            ];
            parts.push(output::table(&head, &rows));
        }
        let rows: Vec<Vec<String>> = self.jobs.iter().map(JobStub::cells).collect();
        if !rows.is_empty() {
            parts.push(output::table(&["Job", "Type", "Priority", "Status"], &rows));
        }
        parts
    }

    fn summary(&self) -> String {
        let leader = match &self.leader {
            None => "no leader".to_owned(),
            Some(address) => {
                let host = address.split(':').next().unwrap_or(address);
                let member = self.members.members.iter().find(|m| m.addr == host);
                format!("leader {}", member.map_or(address, |member| &member.name))
            }
        };
        let voters = self.raft.as_ref().map_or(0, |raft| {
            raft.servers.iter().filter(|server| server.voter).count()
        });
        let autopilot = match &self.autopilot {
            Some(health) if health.healthy => match health.failure_tolerance {
                1 => "healthy, tolerates 1 failure".to_owned(),
                n => format!("healthy, tolerates {n} failures"),
            },
            Some(_) => "not healthy".to_owned(),
            None => "unknown".to_owned(),
        };
        format!(
            "{leader}; {voters} voters; autopilot: {autopilot} (as {} says)",
            self.asked
        )
    }

    fn member(&self, member: &nomad_harness::nomad::types::Member) -> Vec<String> {
        let tag = |key: &str| member.tags.get(key).cloned().unwrap_or_default();
        let raft = self.raft.as_ref().and_then(|raft| {
            let host = |address: &str| address.split(':').next().unwrap_or("").to_owned();
            raft.servers
                .iter()
                .find(|server| host(&server.address) == member.addr)
        });
        let role = match raft {
            None => "no peer",
            Some(peer) if peer.leader => "leader",
            Some(peer) if peer.voter => "follower",
            Some(_) => "no voter",
        };
        let healthy = self.autopilot.as_ref().and_then(|health| {
            health
                .servers
                .iter()
                .find(|server| server.name == member.name)
        });
        vec![
            member.name.clone(),
            member.status.clone(),
            role.to_owned(),
            healthy
                .map_or("unknown", |s| if s.healthy { "yes" } else { "no" })
                .to_owned(),
            tag("build"),
            tag("dc"),
            tag("region"),
        ]
    }
}

fn node_cells(node: &NodeStub) -> Vec<String> {
    let drivers: Vec<String> = node
        .drivers
        .iter()
        .filter(|(_, driver)| driver.detected)
        .map(|(name, driver)| match driver.healthy {
            true => name.clone(),
            false => format!("{name} (ill)"),
        })
        .collect();
    vec![
        node.name.clone(),
        node.id.chars().take(8).collect(),
        node.status.clone(),
        node.scheduling_eligibility.clone(),
        node.drain.to_string(),
        drivers.join(", "),
        node.datacenter.clone(),
    ]
}

impl JobStub {
    fn cells(&self) -> Vec<String> {
        let status = if self.stop {
            format!("{} (stopped)", self.status)
        } else {
            self.status.clone()
        };
        vec![
            self.id.clone(),
            self.job_type.clone(),
            self.priority.to_string(),
            status,
        ]
    }
}
