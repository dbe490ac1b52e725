//! Probes: each is one look at a running cluster. How often to look, and for how long, is not
//! theirs: see `poll.rs`. A look says what it saw, in words that stand in reports.

pub mod allocations;
pub mod canaries;
pub mod completed;
pub mod deployment;
pub mod drained;
pub mod http;
pub mod leader;
pub mod members;
pub mod no_leader;
pub mod nodes;
pub mod service;
pub mod version;
pub mod versions;
pub mod voters;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::grammar::Word;
use crate::poll::Look;
use crate::spec::Role;

/// Every probe, as scripts name it.
pub const PROBES: &[Word<Condition>] = &[
    leader::WORD,
    no_leader::WORD,
    members::WORD,
    versions::WORD,
    voters::WORD,
    nodes::WORD,
    drained::WORD,
    allocations::WORD,
    completed::WORD,
    deployment::WORD,
    canaries::WORD,
    version::WORD,
    service::WORD,
];

/// Something that can be so or not so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Every server that should run names the same leader, one of them.
    Leader,
    /// No server that should run knows a leader.
    NoLeader,
    /// So many servers are alive in gossip, as each server sees it.
    Members {
        /// How many; as many as no fault touches where it is left out.
        alive: Option<usize>,
    },
    /// Each server sees so many different versions among the servers alive.
    Versions {
        /// How many.
        different: usize,
    },
    /// So many servers vote in Raft, and autopilot finds each of them healthy.
    Voters {
        /// How many; as many as no fault touches where it is left out.
        healthy: Option<usize>,
    },
    /// So many nodes are ready for work.
    Nodes {
        /// How many; as many as no fault touches where it is left out.
        ready: Option<usize>,
    },
    /// So many nodes are out of service after a drain.
    Drained {
        /// How many.
        nodes: usize,
    },
    /// So many allocations of a job and its children came to a good end, and none else is left.
    Completed {
        /// The job, or the parent.
        job: String,
        /// How many.
        allocations: usize,
    },
    /// So many allocations of a job run.
    Allocations {
        /// The job.
        job: String,
        /// How many.
        running: usize,
        /// On so many different nodes.
        nodes: Option<usize>,
        /// At most so many on one node.
        per_node: Option<usize>,
    },
    /// The newest deployment of a job's present version came to its end.
    Deployment {
        /// The job.
        job: String,
        /// How: `successful` or `failed`.
        status: String,
    },
    /// So many canaries of a job's newest deployment are healthy and wait for a promotion.
    Canaries {
        /// The job.
        job: String,
        /// How many.
        healthy: usize,
    },
    /// A job is registered in this version.
    Version {
        /// The job.
        job: String,
        /// The number that the cluster gave it, from 0.
        number: u64,
    },
    /// So many instances of a job are healthy, and each of them answers HTTP.
    Service {
        /// The job.
        job: String,
        /// The label of the port.
        port: String,
        /// How many.
        instances: usize,
        /// The version that each must name in its answer.
        version: Option<String>,
    },
}

/// What is asked of all that no fault touches.
fn or_all(wanted: Option<usize>, all: usize) -> usize {
    wanted.unwrap_or(all)
}

impl Condition {
    /// Looks once. `agents` are those that should be up.
    pub async fn look(&self, agents: &Directory) -> Look<String> {
        let servers = agents.servers().count();
        match self {
            Self::Leader => match leader::look(agents).await {
                Look::Done(name) => Look::Done(format!("`{name}` leads")),
                Look::NotYet(seen) => Look::NotYet(seen),
                Look::Never(seen) => Look::Never(seen),
            },
            Self::NoLeader => no_leader::look(agents).await,
            Self::Members { alive } => members::look(agents, or_all(*alive, servers)).await,
            Self::Versions { different } => versions::look(agents, *different).await,
            Self::Voters { healthy } => voters::look(agents, or_all(*healthy, servers)).await,
            Self::Nodes { ready } => {
                let clients = agents.of_role(Role::Client).count();
                nodes::look(agents, or_all(*ready, clients)).await
            }
            Self::Drained { nodes } => drained::look(agents, *nodes).await,
            Self::Completed { job, allocations } => {
                completed::look(agents, job, *allocations).await
            }
            Self::Allocations {
                job,
                running,
                nodes,
                per_node,
            } => allocations::look(agents, job, *running, *nodes, *per_node).await,
            Self::Deployment { job, status } => deployment::look(agents, job, status).await,
            Self::Canaries { job, healthy } => canaries::look(agents, job, *healthy).await,
            Self::Version { job, number } => version::look(agents, job, *number).await,
            Self::Service {
                job,
                port,
                instances,
                version,
            } => service::look(agents, job, port, *instances, version.as_deref()).await,
        }
    }
}

/// Says how many, or all.
struct Wanted(Option<usize>);

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("all"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("a leader that all running servers name"),
            Self::NoLeader => f.write_str("no leader known to any running server"),
            Self::Members { alive } => write!(f, "{} servers alive in gossip", Wanted(*alive)),
            Self::Versions { different: 1 } => f.write_str("one version among the servers"),
            Self::Versions { different } => write!(f, "{different} versions among the servers"),
            Self::Voters { healthy } => write!(f, "{} healthy voters", Wanted(*healthy)),
            Self::Nodes { ready } => write!(f, "{} nodes ready and eligible", Wanted(*ready)),
            Self::Drained { nodes } => write!(f, "{nodes} nodes drained"),
            Self::Completed { job, allocations } => {
                write!(f, "{allocations} allocations of `{job}` complete")
            }
            Self::Allocations {
                job,
                running,
                nodes,
                per_node,
            } => {
                write!(f, "{running} allocations of `{job}` running")?;
                if let Some(nodes) = nodes {
                    write!(f, " on {nodes} nodes")?;
                }
                match per_node {
                    Some(limit) => write!(f, ", at most {limit} on one"),
                    None => Ok(()),
                }
            }
            Self::Deployment { job, status } => write!(f, "the deployment of `{job}` {status}"),
            Self::Canaries { job, healthy } => {
                write!(f, "{healthy} healthy canaries of `{job}` waiting")
            }
            Self::Version { job, number } => write!(f, "`{job}` in version {number}"),
            Self::Service {
                job,
                instances,
                version,
                ..
            } => {
                write!(f, "{instances} instances of `{job}` answering")?;
                match version {
                    Some(version) => write!(f, " as version `{version}`"),
                    None => Ok(()),
                }
            }
        }
    }
}
