//! Making evaluations.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::plant::{self, Plant};
use crate::state::State;
use crate::types::{EvalStatus, EvalTrigger, Evaluation, Job, JobType, Nanos, Node};

/// A pending evaluation of a job.
#[must_use]
pub fn new_eval(job: &Job, triggered_by: EvalTrigger, now: Nanos) -> Evaluation {
    Evaluation {
        id: Uuid::new_v4().to_string(),
        namespace: job.namespace.clone(),
        priority: job.priority,
        eval_type: job.job_type,
        triggered_by,
        job_id: job.id.clone(),
        job_modify_index: job.job_modify_index,
        status: EvalStatus::Pending,
        create_time: now,
        modify_time: now,
        ..Evaluation::default()
    }
}

/// Evaluations because a node changed: one for each job that has work on it, and for each
/// system job (which may have to put work on it).
#[must_use]
pub fn node_evals(state: &State, node: &Node, now: Nanos) -> Vec<Evaluation> {
    let mut jobs = BTreeSet::new();
    for alloc in state.allocs_of_node(&node.id) {
        if !alloc.client_status.is_terminal() {
            jobs.insert((alloc.namespace.as_str(), alloc.job_id.as_str()));
        }
    }
    for job in state.jobs.values() {
        let everywhere = matches!(job.job_type, JobType::System | JobType::Sysbatch);
        let runs = !job.stop && !job.is_periodic() && !job.is_parameterized();
        if everywhere && runs && !plant::is(Plant::NewNodeMissed) {
            jobs.insert((&job.namespace, &job.id));
        }
    }
    let found = jobs
        .into_iter()
        .filter_map(|(namespace, id)| state.job(namespace, id));
    found
        .map(|job| {
            let mut eval = new_eval(job, EvalTrigger::NodeUpdate, now);
            eval.node_id.clone_from(&node.id);
            eval.node_modify_index = node.modify_index;
            eval
        })
        .collect()
}
