//! Forgetting what is over, so that the state does not grow for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use super::insist;
use crate::clock;
use crate::http::Context;
use crate::state::{Command, State};
use crate::types::{AllocDesiredStatus, Allocation, EvalStatus, JobStatus, Nanos, SECOND};

/// How often it is looked for (`eval_gc_interval`).
const INTERVAL: Duration = Duration::from_secs(300);

/// Nomad's `eval_gc_threshold` and `deployment_gc_threshold`.
const EVAL_AGE: Nanos = 3600 * SECOND;

/// Nomad's `job_gc_threshold`.
const JOB_AGE: Nanos = 4 * 3600 * SECOND;

/// What is old enough to be forgotten.
#[derive(Clone, Copy, Debug)]
pub enum Age {
    /// Everything that is over.
    Any,
    /// As Nomad's thresholds say, at this time.
    Usual(Nanos),
}

impl Age {
    fn is_old(self, since: Nanos, threshold: Nanos) -> bool {
        match self {
            Self::Any => true,
            Self::Usual(now) => now - since > clock::scaled_time(threshold),
        }
    }
}

pub(super) async fn run(ctx: Context) {
    loop {
        clock::sleep(clock::scaled(INTERVAL)).await;
        let state = ctx.consensus.snapshot();
        if let Some(command) = garbage(&state, Age::Usual(clock::now())) {
            insist(&ctx, command).await;
        }
        if let Some(command) = expired_tokens(&state, clock::now()) {
            insist(&ctx, command).await;
        }
    }
}

/// The command that forgets what is over, if there is anything.
#[must_use]
pub fn garbage(state: &State, age: Age) -> Option<Command> {
    let jobs = dead_jobs(state, age);
    let allocs: BTreeSet<_> = state
        .allocs
        .values()
        .filter(|alloc| is_over(state, alloc, &jobs))
        .filter(|alloc| age.is_old(alloc.modify_time, EVAL_AGE))
        .map(|alloc| alloc.id.clone())
        .collect();
    let needed: BTreeSet<_> = state
        .allocs
        .values()
        .filter(|alloc| !allocs.contains(&alloc.id))
        .flat_map(|alloc| [&alloc.eval_id, &alloc.deployment_id])
        .collect();
    let evals: Vec<_> = state
        .evals
        .values()
        .filter(|eval| !matches!(eval.status, EvalStatus::Pending | EvalStatus::Blocked))
        .filter(|eval| age.is_old(eval.modify_time, EVAL_AGE) && !needed.contains(&eval.id))
        .map(|eval| eval.id.clone())
        .collect();
    let deployments: Vec<_> = state
        .deployments
        .values()
        .filter(|d| !d.status.is_active() && !needed.contains(&d.id))
        .filter(|d| {
            let newest = state.deployments_of_job(&d.namespace, &d.job_id);
            matches!(age, Age::Any) || newest.first().is_some_and(|newest| newest.id != d.id)
        })
        .map(|d| d.id.clone())
        .collect();
    let nothing =
        jobs.is_empty() && allocs.is_empty() && evals.is_empty() && deployments.is_empty();
    (!nothing).then(|| Command::Reap {
        evals,
        allocs: allocs.into_iter().collect(),
        deployments,
        jobs: jobs.into_iter().collect(),
    })
}

/// Nomad's `acl_token_gc_threshold`.
const TOKEN_AGE: Nanos = 3600 * SECOND;

/// The command that forgets tokens which expired long enough ago.
fn expired_tokens(state: &State, now: Nanos) -> Option<Command> {
    let tokens = state.acl_tokens.values();
    let expired = tokens.filter(|token| token.has_expired(now - clock::scaled_time(TOKEN_AGE)));
    let accessors: Vec<_> = expired.map(|token| token.accessor_id.clone()).collect();
    (!accessors.is_empty()).then_some(Command::AclTokenDelete { accessors })
}

fn dead_jobs(state: &State, age: Age) -> BTreeSet<String> {
    let over = state.jobs.iter().filter(|(_, job)| {
        let mut allocs = state.allocs_of_job(&job.namespace, &job.id);
        job.status == JobStatus::Dead
            && age.is_old(job.submit_time, JOB_AGE)
            && allocs.all(|alloc| alloc.client_status.is_terminal())
    });
    over.map(|(key, _)| key.clone()).collect()
}

/// Whether neither the client nor the scheduler needs the allocation any more.
fn is_over(state: &State, alloc: &Allocation, dead: &BTreeSet<String>) -> bool {
    let key = State::job_key(&alloc.namespace, &alloc.job_id);
    let unwanted = alloc.desired_status != AllocDesiredStatus::Run
        || dead.contains(&key)
        || !state.jobs.contains_key(&key);
    unwanted && alloc.client_status.is_terminal()
}
