//! Probes: each is one look at a running cluster. How often to look, and for how long, is not
//! theirs: see `poll.rs`. A look says what it saw, in words that stand in reports.

pub mod allocations;
pub mod deployment;
pub mod http;
pub mod leader;
pub mod members;
pub mod nodes;
pub mod service;
pub mod voters;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::poll::Look;

/// Something that can be so or not so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Every server that should run names the same leader, one of them.
    Leader,
    /// So many servers are alive in gossip, as each server sees it.
    Members {
        /// How many.
        alive: usize,
    },
    /// So many servers vote in Raft, and autopilot finds each of them healthy.
    Voters {
        /// How many.
        healthy: usize,
    },
    /// So many nodes are ready for work.
    Nodes {
        /// How many.
        ready: usize,
    },
    /// So many allocations of a job run.
    Allocations {
        /// The job.
        job: String,
        /// How many.
        running: usize,
    },
    /// The newest deployment of a job's present version succeeded.
    Deployment {
        /// The job.
        job: String,
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

impl Condition {
    /// Looks once. `agents` are those that should be up.
    pub async fn look(&self, agents: &Directory) -> Look<String> {
        match self {
            Self::Leader => match leader::look(agents).await {
                Look::Done(name) => Look::Done(format!("`{name}` leads")),
                Look::NotYet(seen) => Look::NotYet(seen),
                Look::Never(seen) => Look::Never(seen),
            },
            Self::Members { alive } => members::look(agents, *alive).await,
            Self::Voters { healthy } => voters::look(agents, *healthy).await,
            Self::Nodes { ready } => nodes::look(agents, *ready).await,
            Self::Allocations { job, running } => allocations::look(agents, job, *running).await,
            Self::Deployment { job } => deployment::look(agents, job).await,
            Self::Service {
                job,
                port,
                instances,
                version,
            } => service::look(agents, job, port, *instances, version.as_deref()).await,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("a leader that all running servers name"),
            Self::Members { alive } => write!(f, "{alive} servers alive in gossip"),
            Self::Voters { healthy } => write!(f, "{healthy} healthy voters"),
            Self::Nodes { ready } => write!(f, "{ready} nodes ready and eligible"),
            Self::Allocations { job, running } => {
                write!(f, "{running} allocations of `{job}` running")
            }
            Self::Deployment { job } => write!(f, "the deployment of `{job}` successful"),
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
