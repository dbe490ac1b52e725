//! Evaluations: which one is next, and what became of it.
//!
//! There is one worker, so no two evaluations of a job are ever processed at once. The queue
//! is the replicated state itself (`pending`, and due): it needs no restoring after a failover.
//! A blocked evaluation is tried again once capacity appeared after it was blocked: a node
//! became ready or eligible, or an allocation ended.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::insist;
use crate::clock;
use crate::http::Context;
use crate::plant::{self, Plant};
use crate::scheduler;
use crate::state::{Command, State};
use crate::types::{EvalStatus, Evaluation, Nanos, Node, NodeEligibility, NodeStatus};

/// How often a plan may turn out to be outdated (`maxServiceScheduleAttempts`).
const ATTEMPTS: u32 = 5;

/// Longest wait without looking at the clock again.
const IDLE: Duration = Duration::from_secs(3600);

/// What to do about the evaluations.
enum Next {
    Process(Arc<Evaluation>),
    /// Nothing before this time, if no change comes before.
    Wait(Option<Nanos>),
}

pub(super) async fn run(ctx: Context) {
    let mut applied = ctx.consensus.applied();
    let mut outdated = BTreeMap::new();
    loop {
        applied.borrow_and_update();
        let state = ctx.consensus.snapshot();
        let now = clock::now();
        match next(&state, now) {
            Next::Process(eval) => {
                if process(&ctx, &state, &eval, now).await {
                    outdated.remove(&eval.id);
                } else {
                    let attempts = outdated.entry(eval.id.clone()).or_insert(0);
                    *attempts += 1;
                    try_again(&ctx, &eval, *attempts).await;
                }
            }
            Next::Wait(until) => {
                let wait = until.map_or(IDLE, |at| nanos(at - now).min(IDLE));
                if let Ok(Err(_)) = timeout(wait, applied.changed()).await {
                    return;
                }
            }
        }
    }
}

fn nanos(nanos: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// The due evaluation of the highest priority, the oldest first.
fn next(state: &State, now: Nanos) -> Next {
    let capacity = capacity_index(state);
    let mut until: Option<Nanos> = None;
    let mut due: Option<&Arc<Evaluation>> = None;
    for eval in state.evals.values() {
        let is_due = match eval.status {
            EvalStatus::Pending if eval.wait_until > now => {
                until = Some(until.map_or(eval.wait_until, |at| at.min(eval.wait_until)));
                false
            }
            EvalStatus::Pending => true,
            // Against what was looked at, not when it was written: a node may have come between.
            EvalStatus::Blocked => {
                capacity > eval.snapshot_index && !plant::is(Plant::BlockedForEver)
            }
            _ => false,
        };
        let rank = |eval: &Evaluation| (eval.priority, Reverse(eval.create_index));
        if is_due && due.is_none_or(|best| rank(eval) > rank(best)) {
            due = Some(eval);
        }
    }
    match due {
        Some(eval) => Next::Process(Arc::clone(eval)),
        None => Next::Wait(until),
    }
}

/// Last index at which capacity may have appeared.
fn capacity_index(state: &State) -> u64 {
    let usable = |node: &&Arc<Node>| {
        node.status == NodeStatus::Ready && node.scheduling_eligibility == NodeEligibility::Eligible
    };
    let nodes = state.nodes.values().filter(usable);
    let nodes = nodes.map(|node| node.modify_index);
    let ended = state.allocs.values();
    let ended = ended.filter(|alloc| alloc.client_status.is_terminal());
    nodes
        .chain(ended.map(|alloc| alloc.modify_index))
        .max()
        .unwrap_or(0)
}

/// Processes one evaluation; false where its plan was outdated when it was applied.
async fn process(ctx: &Context, state: &State, eval: &Evaluation, now: Nanos) -> bool {
    let outcome = scheduler::process(state, eval, now);
    let changes = !outcome.is_noop();
    let mut evals = outcome.evals;
    settle(eval, &mut evals, state.index);
    let mut commands = Vec::new();
    if changes {
        commands.push(Command::PlanResult {
            plan: outcome.plan,
            now,
        });
    }
    commands.push(Command::EvalUpsert { evals });
    let applied = insist(ctx, Command::Batch { commands }).await;
    if let Some(why) = &applied.refused {
        tracing::info!(target: "nomad.worker", "evaluation {}: {why}", eval.id);
    }
    applied.refused.is_none()
}

/// An evaluation that was processed must not be found due again, or it would be for ever.
fn settle(eval: &Evaluation, evals: &mut Vec<Evaluation>, snapshot_index: u64) {
    let own = evals.iter_mut().find(|made| made.id == eval.id);
    match own {
        Some(own) if own.status != EvalStatus::Pending => {}
        Some(own) => {
            own.status = EvalStatus::Failed;
            "the scheduler left the evaluation pending".clone_into(&mut own.status_description);
        }
        None => {
            let mut own = eval.clone();
            own.status = EvalStatus::Complete;
            evals.insert(0, own);
        }
    }
    for own in evals.iter_mut().filter(|made| made.id == eval.id) {
        own.snapshot_index = snapshot_index;
    }
}

async fn try_again(ctx: &Context, eval: &Evaluation, attempts: u32) {
    let mut eval = eval.clone();
    eval.status = EvalStatus::Pending;
    eval.modify_time = clock::now();
    if attempts >= ATTEMPTS {
        eval.status = EvalStatus::Failed;
        eval.status_description = format!("maximum attempts reached ({ATTEMPTS})");
    }
    let evals = vec![eval];
    insist(ctx, Command::EvalUpsert { evals }).await;
}
