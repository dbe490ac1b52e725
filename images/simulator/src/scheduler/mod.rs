//! The scheduler: a pure function from a snapshot and an evaluation to a plan.
//!
//! `reconcile.rs` says what is to happen to a service or batch job, `rollout.rs` what becomes
//! of its deployment, `system.rs` does both for system jobs; `place.rs` finds nodes, with
//! `feasible.rs` (may it run there), `network.rs` (ports) and `rank.rs` (where it runs best).
//!
//! Missing: preemption, devices, volumes, reserved resources, the quick check of node classes
//! (`ComputedClass`).

mod diff;
mod feasible;
mod generic;
mod ids;
mod names;
mod network;
mod operand;
mod outcome;
mod place;
mod rank;
mod reconcile;
mod reschedule;
mod rollout;
mod system;
mod usage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::{Plan, State};
use crate::types::{EvalStatus, Evaluation, Job, JobType, Nanos};

pub(crate) use diff::meta as combined_meta;
pub(crate) use ids::Chance;
pub(crate) use reschedule::has_attempts_left;

/// What the scheduler decided.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What to change; empty where nothing is to do.
    pub plan: Plan,
    /// The evaluation itself with its new status (first), then blocked or delayed ones that it
    /// made. Write them together with the plan, or after it.
    pub evals: Vec<Evaluation>,
    /// What `job plan` shows for each group.
    pub desired: BTreeMap<String, DesiredUpdates>,
}

impl Outcome {
    /// Whether the plan changes anything.
    #[must_use]
    pub fn is_noop(&self) -> bool {
        let plan = &self.plan;
        plan.stops.is_empty()
            && plan.placements.is_empty()
            && plan.deployment.is_none()
            && plan.deployment_updates.is_empty()
    }
}

/// How many allocations of a group an evaluation would change, and how (Nomad's
/// `DesiredTGUpdates`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct DesiredUpdates {
    pub ignore: usize,
    pub place: usize,
    pub migrate: usize,
    pub stop: usize,
    pub in_place_update: usize,
    pub destructive_update: usize,
    pub canary: usize,
    pub preemptions: usize,
}

/// Processes one evaluation.
///
/// The evaluation may be `pending` or `blocked` (one that waited for capacity): a blocked one
/// that fails again stays blocked under its own ID, any other makes a blocked one.
#[must_use]
pub fn process(state: &State, eval: &Evaluation, now: Nanos) -> Outcome {
    let job = state.job(&eval.namespace, &eval.job_id);
    // A deregistration's evaluation says `service` whatever the job was.
    let kind = job.map_or(eval.eval_type, |job| job.job_type);
    match kind {
        JobType::Service | JobType::Batch => generic::process(state, eval, now),
        JobType::System | JobType::Sysbatch => system::process(state, eval, now),
    }
}

/// What registering `job` would do, without doing it (`job plan`): the outcome of an
/// evaluation of the job as if it were in the state already.
#[must_use]
pub fn dry_run(state: &State, job: &Job, now: Nanos) -> Outcome {
    let mut planned = state.clone();
    let mut job = job.clone();
    let key = State::job_key(&job.namespace, &job.id);
    if let Some(old) = planned.jobs.get(&key) {
        job.version = old.version + 1;
        job.create_index = old.create_index;
    } else {
        job.create_index = state.index + 1;
    }
    job.modify_index = state.index + 1;
    let eval = Evaluation {
        id: "dry-run".to_owned(),
        namespace: job.namespace.clone(),
        job_id: job.id.clone(),
        priority: job.priority,
        eval_type: job.job_type,
        status: EvalStatus::Pending,
        ..Evaluation::default()
    };
    planned.jobs.insert(key, std::sync::Arc::new(job));
    process(&planned, &eval, now)
}

/// Why a pattern of a `regexp` constraint does not compile, if it does not.
#[must_use]
pub fn pattern_error(pattern: &str) -> Option<String> {
    regex::Regex::new(pattern).err().map(|e| e.to_string())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod world;
