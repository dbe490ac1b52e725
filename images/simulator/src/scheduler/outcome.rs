//! The evaluations that an evaluation leaves behind: itself, blocked and delayed ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ids::Chance;
use crate::clock;
use crate::state::State;
use crate::types::{AllocMetrics, Allocation, EvalStatus, EvalTrigger, Evaluation, Nanos, SECOND};

/// Delayed reschedules within this time share one follow-up evaluation
/// (Nomad's `batchedFailedAllocWindowSize`).
const BATCH_WINDOW: Nanos = 5 * SECOND;

/// Follow-up evaluations for failed allocations that may be replaced later, with the
/// allocations that wait for each.
pub(super) fn follow_ups(
    eval: &Evaluation,
    mut later: Vec<(Arc<Allocation>, Nanos)>,
    chance: &mut Chance,
    now: Nanos,
) -> Vec<(Evaluation, Vec<Arc<Allocation>>)> {
    later.sort_by_key(|(_, at)| *at);
    let mut batches: Vec<(Evaluation, Vec<Arc<Allocation>>)> = Vec::new();
    for (alloc, at) in later {
        match batches.last_mut() {
            Some((follow, allocs)) if at - follow.wait_until < clock::scaled_time(BATCH_WINDOW) => {
                allocs.push(alloc)
            }
            _ => {
                let follow = Evaluation {
                    triggered_by: EvalTrigger::AllocFailure,
                    status_description: "created for delayed rescheduling".to_owned(),
                    wait_until: at,
                    ..offspring(eval, chance, now)
                };
                batches.push((follow, vec![alloc]));
            }
        }
    }
    batches
}

/// A new evaluation of the same job.
pub(super) fn offspring(eval: &Evaluation, chance: &mut Chance, now: Nanos) -> Evaluation {
    Evaluation {
        id: chance.uuid(),
        namespace: eval.namespace.clone(),
        priority: eval.priority,
        eval_type: eval.eval_type,
        job_id: eval.job_id.clone(),
        job_modify_index: eval.job_modify_index,
        status: EvalStatus::Pending,
        previous_eval: eval.id.clone(),
        create_time: now,
        modify_time: now,
        ..Evaluation::default()
    }
}

/// What an evaluation found out about its groups.
#[derive(Default)]
pub(super) struct Findings {
    /// Why allocations could not be placed, by group.
    pub(super) failed: BTreeMap<String, AllocMetrics>,
    /// How many could not be placed, by group; 0 for the others.
    pub(super) queued: BTreeMap<String, i64>,
}

impl Findings {
    /// Remembers a failed placement; the first one of a group is explained, others counted.
    pub(super) fn fail(&mut self, group: &str, metrics: AllocMetrics) {
        *self.queued.entry(group.to_owned()).or_insert(0) += 1;
        match self.failed.get_mut(group) {
            Some(first) => first.coalesced_failures += 1,
            None => drop(self.failed.insert(group.to_owned(), metrics)),
        }
    }
}

/// Ends the evaluation: complete, or blocked again; with the blocked one that it makes. Storing
/// them cancels the job's older blocked ones.
pub(super) fn conclude(
    state: &State,
    eval: &Evaluation,
    findings: Findings,
    deployment_id: &str,
    chance: &mut Chance,
    now: Nanos,
) -> Vec<Evaluation> {
    let mut own = eval.clone();
    own.modify_time = now;
    own.snapshot_index = state.index;
    own.queued_allocations = findings.queued;
    deployment_id.clone_into(&mut own.deployment_id);
    let was_blocked = eval.status == EvalStatus::Blocked;
    own.failed_tg_allocs = findings.failed;
    own.status_description = String::new();
    if was_blocked && !own.failed_tg_allocs.is_empty() {
        own.status = EvalStatus::Blocked;
        own.status_description.clone_from(&eval.status_description);
        return vec![own];
    }
    own.status = EvalStatus::Complete;
    let mut evals = Vec::new();
    if !own.failed_tg_allocs.is_empty() {
        let blocked = Evaluation {
            triggered_by: EvalTrigger::QueuedAllocs,
            status: EvalStatus::Blocked,
            status_description: "created to place remaining allocations".to_owned(),
            snapshot_index: state.index,
            failed_tg_allocs: BTreeMap::new(),
            ..offspring(eval, chance, now)
        };
        own.blocked_eval.clone_from(&blocked.id);
        evals.push(blocked);
    }
    evals.insert(0, own);
    evals
}
