//! The replicated state of the servers: plain tables, changed in one place only, by applying
//! log entries ([`Command`]) in `apply.rs`. Everything else reads.
//!
//! Objects are behind [`Arc`], so cloning [`State`] gives a cheap, consistent snapshot for
//! the scheduler, blocking queries and Raft snapshots.

mod apply;
mod archive;
mod command;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use archive::{ArchiveError, ArchiveMeta, pack, unpack, unwrap, wrap};
pub use command::{Applied, Command, DrainChange, Plan};

use crate::types::{
    AclPolicy, AclRole, AclToken, Allocation, Deployment, EvalStatus, Evaluation, Job,
    JobSubmission, Namespace, Nanos, Node, RootKey, ScalingEvent, ServiceInstance, Variable,
};

/// Nomad's table names, for the index that a list reply or blocking query carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Table {
    Nodes,
    Jobs,
    Evals,
    Allocs,
    Deployments,
    AclTokens,
    AclPolicies,
    AclRoles,
    Namespaces,
    Variables,
    Services,
    RootKeys,
    Autopilot,
    SchedulerConfig,
}

/// All replicated tables.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Index of the last applied entry, as the API shows it.
    pub index: u64,
    /// How far `index` is ahead of Raft's own, since a snapshot with higher ones was restored.
    #[serde(default)]
    pub index_shift: u64,
    /// How often a snapshot was restored: those who wait for a change then look again.
    #[serde(default)]
    pub restores: u64,
    /// Last index at which each table changed.
    pub table_index: BTreeMap<Table, u64>,
    /// By node ID.
    pub nodes: BTreeMap<String, Arc<Node>>,
    /// The current version of each job (stopped ones too, until purged).
    pub jobs: BTreeMap<String, Arc<Job>>,
    /// Versions of each job, newest first; Nomad keeps 6.
    pub job_versions: BTreeMap<String, Vec<Arc<Job>>>,
    /// What versions of each job were made of, as far as it was told, newest first; Nomad keeps 6.
    #[serde(default)]
    pub job_submissions: BTreeMap<String, Vec<Arc<JobSubmission>>>,
    /// Last launch of each periodic job; its registration counts as one.
    #[serde(default)]
    pub periodic_launches: BTreeMap<String, Nanos>,
    /// What `scale` did to each job's groups, newest first; Nomad keeps 20.
    #[serde(default)]
    pub scaling_events: BTreeMap<String, BTreeMap<String, Vec<ScalingEvent>>>,
    /// By evaluation ID.
    pub evals: BTreeMap<String, Arc<Evaluation>>,
    /// By allocation ID.
    pub allocs: BTreeMap<String, Arc<Allocation>>,
    /// By deployment ID.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
    /// By accessor ID.
    pub acl_tokens: BTreeMap<String, Arc<AclToken>>,
    /// By name.
    pub acl_policies: BTreeMap<String, Arc<AclPolicy>>,
    /// By ID.
    #[serde(default)]
    pub acl_roles: BTreeMap<String, Arc<AclRole>>,
    /// By name; `default` is there without being stored, until it is changed.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Arc<Namespace>>,
    /// By namespace and path, as `jobs`.
    #[serde(default)]
    pub variables: BTreeMap<String, Arc<Variable>>,
    /// By ID of the instance.
    #[serde(default)]
    pub services: BTreeMap<String, Arc<ServiceInstance>>,
    /// Root keys, the oldest first.
    #[serde(default)]
    pub root_keys: Vec<RootKey>,
    /// Index of the ACL bootstrap, 0 before it.
    pub acl_bootstrap_index: u64,
    /// Autopilot's configuration in Nomad's JSON, once a leader stored it.
    pub autopilot: Option<serde_json::Value>,
    /// The scheduler's configuration in Nomad's JSON, once a leader stored it.
    pub scheduler_config: Option<serde_json::Value>,
}

impl State {
    /// Key of `jobs` and `job_versions`: a text, so that the tables survive JSON.
    #[must_use]
    pub fn job_key(namespace: &str, id: &str) -> String {
        format!("{namespace}\u{0}{id}")
    }

    /// A namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        let stored = self.namespaces.get(name).cloned();
        stored.or_else(|| (name == "default").then(|| Arc::new(Namespace::of_the_start())))
    }

    /// All namespaces.
    #[must_use]
    pub fn all_namespaces(&self) -> Vec<Arc<Namespace>> {
        let mut all = self.namespaces.clone();
        all.entry("default".to_owned())
            .or_insert_with(|| Arc::new(Namespace::of_the_start()));
        all.into_values().collect()
    }

    /// The current version of a job.
    #[must_use]
    pub fn job(&self, namespace: &str, id: &str) -> Option<&Arc<Job>> {
        self.jobs.get(&Self::job_key(namespace, id))
    }

    /// Every version kept of a job, newest first.
    #[must_use]
    pub fn versions_of(&self, namespace: &str, id: &str) -> &[Arc<Job>] {
        self.job_versions
            .get(&Self::job_key(namespace, id))
            .map_or(&[], Vec::as_slice)
    }

    /// What a version of a job was made of, if that was told.
    #[must_use]
    pub fn submission_of(
        &self,
        namespace: &str,
        id: &str,
        version: u64,
    ) -> Option<&Arc<JobSubmission>> {
        let kept = self.job_submissions.get(&Self::job_key(namespace, id))?;
        kept.iter().find(|kept| kept.version == version)
    }

    /// Jobs that a periodic or parameterized one launched.
    pub fn children_of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Arc<Job>> {
        let parent = job.is_periodic() || job.is_parameterized();
        let jobs = parent.then(|| self.jobs.values()).into_iter().flatten();
        jobs.filter(move |child| child.parent_id == job.id && child.namespace == job.namespace)
    }

    /// Allocations of a job, terminal ones too.
    pub fn allocs_of_job<'a>(
        &'a self,
        namespace: &'a str,
        id: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Allocation>> {
        self.allocs
            .values()
            .filter(move |a| a.job_id == id && a.namespace == namespace)
    }

    /// Allocations of a node, terminal ones too.
    pub fn allocs_of_node<'a>(
        &'a self,
        node_id: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Allocation>> {
        self.allocs.values().filter(move |a| a.node_id == node_id)
    }

    /// Deployments of a job, newest first.
    #[must_use]
    pub fn deployments_of_job(&self, namespace: &str, id: &str) -> Vec<Arc<Deployment>> {
        let mut found: Vec<_> = self
            .deployments
            .values()
            .filter(|d| d.job_id == id && d.namespace == namespace)
            .cloned()
            .collect();
        found.sort_by_key(|d| std::cmp::Reverse(d.create_index));
        found
    }

    /// Evaluations of a job in a given status.
    pub fn evals_of_job<'a>(
        &'a self,
        namespace: &'a str,
        id: &'a str,
        status: EvalStatus,
    ) -> impl Iterator<Item = &'a Arc<Evaluation>> {
        self.evals
            .values()
            .filter(move |e| e.job_id == id && e.namespace == namespace && e.status == status)
    }

    /// Last index at which `table` changed, at least 1 (Nomad's clients treat 0 as 1).
    #[must_use]
    pub fn index_of(&self, table: Table) -> u64 {
        self.table_index.get(&table).copied().unwrap_or(1).max(1)
    }
}

/// Several errors as Go's `multierror` prints them.
#[must_use]
pub fn multierror(errors: &[String]) -> String {
    let noun = if errors.len() == 1 { "error" } else { "errors" };
    let mut text = format!("{} {noun} occurred:", errors.len());
    for error in errors {
        text.push_str("\n\t* ");
        text.push_str(error);
    }
    text.push_str("\n\n");
    text
}
