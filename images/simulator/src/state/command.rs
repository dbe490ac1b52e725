//! What the log carries: every change to [`super::State`] is one of these.
//!
//! A command holds everything its effect needs (IDs, times, random choices are made by the
//! proposer), so that applying it is the same on every server and after every restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{
    AclPolicy, AclRole, AclToken, AllocClientStatus, Allocation, Deployment, DeploymentStatus,
    DesiredTransition, DrainStrategy, Evaluation, Job, JobSubmission, Namespace, Nanos, Node,
    NodeEligibility, NodeStatus, RootKey, ScalingEvent, Variable,
};

/// The scheduler's answer to one evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The evaluation that made it.
    pub eval_id: String,
    /// Running allocations to stop (or mark lost): `desired_status`, `desired_description`,
    /// `client_status` (lost, unknown), `followup_eval_id` are taken from these.
    pub stops: Vec<Allocation>,
    /// New allocations, and in-place updates of existing ones (same ID, new `job`).
    pub placements: Vec<Allocation>,
    /// A deployment to create or to replace whole.
    pub deployment: Option<Deployment>,
    /// Older deployments to end: ID, status, description.
    pub deployment_updates: Vec<(String, DeploymentStatus, String)>,
}

/// What becomes of a node's drain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DrainChange {
    /// It begins, or is changed.
    Set {
        /// How.
        strategy: DrainStrategy,
        /// Whose token asked for it; empty without ACLs.
        accessor_id: String,
        /// What the asker notes.
        meta: Option<BTreeMap<String, String>>,
    },
    /// An operator ends it early.
    Cancel {
        /// Whether the node takes work again.
        mark_eligible: bool,
        /// As for [`DrainChange::Set`].
        accessor_id: String,
        /// As for [`DrainChange::Set`].
        meta: Option<BTreeMap<String, String>>,
    },
    /// The node is empty, or its time is over.
    Complete {
        /// The time was over.
        deadlined: bool,
    },
}

/// One log entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the objects they change"
)]
pub enum Command {
    /// A new leader's first entry: nothing changes, but everything before it is committed.
    Barrier,
    /// A client registered, again or for the first time.
    NodeRegister {
        node: Node,
        now: Nanos,
    },
    /// A heartbeat made it ready, or a missed one made it down. `evals` are for its jobs.
    NodeStatus {
        id: String,
        status: NodeStatus,
        message: String,
        now: Nanos,
        evals: Vec<Evaluation>,
    },
    NodeEligibility {
        id: String,
        eligibility: NodeEligibility,
        now: Nanos,
        evals: Vec<Evaluation>,
    },
    /// Begins, changes or (without a strategy) ends a drain.
    NodeDrain {
        id: String,
        change: DrainChange,
        now: Nanos,
        evals: Vec<Evaluation>,
    },
    NodeDeregister {
        id: String,
        evals: Vec<Evaluation>,
    },
    /// Registers a new version (or the same again); `version`, indexes are set by applying.
    /// `enforce_index` is the `job_modify_index` that it must have now (0: must not exist).
    JobRegister {
        job: Job,
        eval: Option<Evaluation>,
        #[serde(default)]
        enforce_index: Option<u64>,
        #[serde(default)]
        submission: Option<JobSubmission>,
        now: Nanos,
    },
    /// Notes what `scale` does; written together with the registration, if that is part of it.
    ScalingEvent {
        namespace: String,
        job_id: String,
        group: String,
        event: ScalingEvent,
    },
    JobDeregister {
        namespace: String,
        id: String,
        purge: bool,
        eval: Option<Evaluation>,
        now: Nanos,
    },
    JobStable {
        namespace: String,
        id: String,
        version: u64,
        stable: bool,
    },
    EvalUpsert {
        evals: Vec<Evaluation>,
    },
    /// `eval` is the evaluation's own new status, written together with the plan's effect.
    PlanResult {
        plan: Plan,
        now: Nanos,
    },
    /// What clients report: only `id`, `client_status`, `client_description`, `task_states`
    /// and `deployment_status` of each are taken.
    AllocClientUpdate {
        allocs: Vec<Allocation>,
        evals: Vec<Evaluation>,
        now: Nanos,
    },
    AllocTransition {
        ids: Vec<String>,
        transition: DesiredTransition,
        evals: Vec<Evaluation>,
        now: Nanos,
    },
    /// Marks allocations with a client status without their client (lost, unknown).
    AllocServerStatus {
        ids: Vec<String>,
        status: AllocClientStatus,
        description: String,
        now: Nanos,
    },
    /// Ends, pauses or resumes a deployment; `job` is the older version to go back to.
    DeploymentStatus {
        id: String,
        status: DeploymentStatus,
        description: String,
        job: Option<Job>,
        eval: Option<Evaluation>,
        now: Nanos,
    },
    DeploymentPromote {
        id: String,
        groups: Option<Vec<String>>,
        eval: Option<Evaluation>,
        now: Nanos,
    },
    DeploymentHealth {
        id: String,
        healthy: Vec<String>,
        unhealthy: Vec<String>,
        eval: Option<Evaluation>,
        now: Nanos,
    },
    AclBootstrap {
        token: AclToken,
    },
    AclTokenUpsert {
        tokens: Vec<AclToken>,
    },
    AclTokenDelete {
        accessors: Vec<String>,
    },
    AclPolicyUpsert {
        policies: Vec<AclPolicy>,
    },
    AclPolicyDelete {
        names: Vec<String>,
    },
    AclRoleUpsert {
        roles: Vec<AclRole>,
    },
    AclRoleDelete {
        ids: Vec<String>,
    },
    NamespaceUpsert {
        namespaces: Vec<Namespace>,
    },
    NamespaceDelete {
        names: Vec<String>,
    },
    Autopilot {
        config: serde_json::Value,
        cas: Option<u64>,
    },
    SchedulerConfig {
        config: serde_json::Value,
        cas: Option<u64>,
    },
    /// `cas` is the index that the variable must have now (0: must not exist).
    VariableSet {
        variable: Variable,
        cas: Option<u64>,
    },
    VariableDelete {
        namespace: String,
        path: String,
        cas: Option<u64>,
    },
    RootKeyRotate {
        key: RootKey,
    },
    RootKeyDelete {
        id: String,
    },
    ServiceDelete {
        ids: Vec<String>,
    },
    /// An operator's snapshot takes the place of everything: the archive in base64, by
    /// [`super::wrap`]. Packed, for the whole of it is one entry, which every server must have
    /// taken before the leader's office runs out.
    Restore {
        archive: String,
    },
    /// Garbage collection: forgets these whole, by ID; `jobs` by [`super::State::job_key`].
    Reap {
        evals: Vec<String>,
        allocs: Vec<String>,
        deployments: Vec<String>,
        jobs: Vec<String>,
    },
    /// Several at once, all at the same index. A refusal of one does not undo the others.
    Batch {
        commands: Vec<Command>,
    },
}

/// What applying a command gave, handed back to the proposer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Index of the entry.
    pub index: u64,
    /// Why nothing was changed: a refusal that is part of the state machine
    /// (bootstrap done already, check-and-set conflict, enforced index).
    pub refused: Option<String>,
}
