//! The deployment watcher: what a leader must propose so that rollouts go on, succeed, fail,
//! promote or revert. Pure, over a snapshot: what was proposed shows in the next snapshot, so
//! asking again is harmless.
//!
//! That a deployment is *complete* is found by the scheduler (it alone knows that nothing is
//! left to place), in the evaluation that the last healthy allocation triggers; its job version is
//! stable by the same log entry (`state::apply`).
//!
//! Missing: multiregion deployments, and Nomad's limit on queries.

use std::sync::Arc;

use crate::plant::{self, Plant};
use crate::scheduler::{Chance, has_attempts_left};
use crate::state::{Command, State};
use crate::types::{
    Allocation, Deployment, DeploymentState, DeploymentStatus, DesiredTransition, EvalStatus,
    EvalTrigger, Evaluation, Job, Nanos,
};

const UNHEALTHY: &str = "Failed due to unhealthy allocations";
const NO_PROGRESS: &str = "Failed due to progress deadline";

/// What the watcher wants now, and when it wants to be asked again at the latest.
#[derive(Debug, Default)]
pub struct Advance {
    /// To propose, in order.
    pub commands: Vec<Command>,
    /// Next deadline ([`Nanos`] since the epoch), `None` where only a change matters.
    pub wake_at: Option<Nanos>,
}

/// Looks at every active deployment.
#[must_use]
pub fn advance(state: &State, now: Nanos) -> Advance {
    let mut wanted = Advance::default();
    for deployment in state.deployments.values() {
        match deployment.status {
            DeploymentStatus::Running => advance_one(state, deployment, now, &mut wanted),
            // Paused: progress is counted, but neither asked for nor missed.
            DeploymentStatus::Paused
            | DeploymentStatus::Successful
            | DeploymentStatus::Failed
            | DeploymentStatus::Cancelled => {}
        }
    }
    wanted
}

/// What failing a deployment by hand (or here) proposes: its status, and the older version of
/// the job that it goes back to, if `rollback` (some failing group has `auto_revert`).
///
/// `description` is one of Nomad's reasons; what becomes of the job is appended to it.
#[must_use]
pub fn failure(
    state: &State,
    deployment: &Deployment,
    description: &str,
    rollback: bool,
    now: Nanos,
) -> Command {
    let mut description = description.to_owned();
    let mut job = None;
    if rollback && !plant::is(Plant::NoAutoRevert) {
        match rollback_job(state, deployment) {
            None => description.push_str(" - no stable job version to auto revert to"),
            Some(old) if state.is_same_spec(&old) => {
                description.push_str(&format!(
                    " - not rolling back to stable job version {} as current job has same specification",
                    old.version
                ));
            }
            Some(old) => {
                description.push_str(&format!(" - rolling back to job version {}", old.version));
                job = Some(old);
            }
        }
    }
    Command::DeploymentStatus {
        id: deployment.id.clone(),
        status: DeploymentStatus::Failed,
        description,
        job,
        eval: watcher_eval(state, deployment, now),
        now,
    }
}

/// An evaluation of the deployment's job, as the watcher triggers them; `None` where the job
/// is gone.
#[must_use]
pub fn watcher_eval(state: &State, deployment: &Deployment, now: Nanos) -> Option<Evaluation> {
    let job = state.job(&deployment.namespace, &deployment.job_id)?;
    let mut chance = Chance::new(&deployment.id, state.index, now);
    Some(Evaluation {
        id: chance.uuid(),
        namespace: job.namespace.clone(),
        priority: job.priority,
        eval_type: job.job_type,
        triggered_by: EvalTrigger::DeploymentWatcher,
        job_id: job.id.clone(),
        deployment_id: deployment.id.clone(),
        status: EvalStatus::Pending,
        create_time: now,
        modify_time: now,
        ..Evaluation::default()
    })
}

fn advance_one(state: &State, deployment: &Deployment, now: Nanos, wanted: &mut Advance) {
    let allocs: Vec<&Arc<Allocation>> = state
        .allocs_of_job(&deployment.namespace, &deployment.job_id)
        .filter(|alloc| alloc.deployment_id == deployment.id)
        .collect();
    if let Some((reason, rollback)) = doom(deployment, &allocs, now) {
        wanted
            .commands
            .push(failure(state, deployment, reason, rollback, now));
        return;
    }
    let waiting = deployment.task_groups.values().filter(|g| !is_done(g));
    let deadline = waiting
        .map(|g| g.require_progress_by)
        .filter(|at| *at > 0)
        .min();
    wanted.wake_at = match (wanted.wake_at, deadline) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    if may_promote(deployment, &allocs) && !plant::is(Plant::NoAutoPromote) {
        wanted.commands.push(Command::DeploymentPromote {
            id: deployment.id.clone(),
            groups: None,
            eval: watcher_eval(state, deployment, now),
            now,
        });
        return;
    }
    wanted
        .commands
        .extend(progress(state, deployment, &allocs, now));
}

/// Why a deployment must fail, and whether that reverts its job.
fn doom(
    deployment: &Deployment,
    allocs: &[&Arc<Allocation>],
    now: Nanos,
) -> Option<(&'static str, bool)> {
    let mut rollback = false;
    let mut found = false;
    for alloc in allocs.iter().filter(|a| health(a) == Some(false)) {
        let Some(group) = deployment.task_groups.get(&alloc.task_group) else {
            continue;
        };
        // Without a deadline the first failure ends it; with one, only a failure that no
        // replacement can make good.
        if group.progress_deadline == 0 || !has_attempts_left(alloc, now) {
            found = true;
            rollback |= group.auto_revert;
        }
    }
    if found {
        return Some((UNHEALTHY, rollback));
    }
    let late = |g: &&DeploymentState| {
        !plant::is(Plant::ProgressDeadlineIgnored)
            && !is_done(g)
            && g.require_progress_by > 0
            && g.require_progress_by <= now
    };
    if !deployment.task_groups.values().any(|g| late(&g)) {
        return None;
    }
    let failing = deployment.task_groups.values().filter(|g| !is_done(g));
    Some((NO_PROGRESS, failing.into_iter().any(|g| g.auto_revert)))
}

/// Whether a group needs no more progress: all healthy, or only a promotion missing.
fn is_done(group: &DeploymentState) -> bool {
    if group.desired_canaries > 0 && !group.promoted {
        return group.healthy_allocs >= group.desired_canaries;
    }
    group.healthy_allocs >= group.desired_total
}

/// Whether every group with canaries promotes by itself, and all canaries are healthy.
fn may_promote(deployment: &Deployment, allocs: &[&Arc<Allocation>]) -> bool {
    let mut canarying = deployment
        .task_groups
        .values()
        .filter(|g| g.desired_canaries > 0)
        .peekable();
    let needed = deployment
        .task_groups
        .values()
        .any(|g| g.desired_canaries > 0 && !g.promoted);
    needed
        && canarying.peek().is_some()
        && canarying.all(|group| {
            let healthy = allocs
                .iter()
                .filter(|a| group.placed_canaries.contains(&a.id) && health(a) == Some(true));
            let healthy = i64::try_from(healthy.count()).unwrap_or(i64::MAX);
            group.auto_promote && healthy >= group.desired_canaries
        })
}

/// Evaluations for news of health, and leave for the scheduler to replace unhealthy ones.
fn progress(
    state: &State,
    deployment: &Deployment,
    allocs: &[&Arc<Allocation>],
    now: Nanos,
) -> Option<Command> {
    let replaceable: Vec<String> = allocs
        .iter()
        .filter(|a| health(a) == Some(false) && a.desired_transition.reschedule != Some(true))
        .map(|a| a.id.clone())
        .collect();
    let news = allocs
        .iter()
        .filter(|a| health(a) == Some(true))
        .filter_map(|a| a.deployment_status.as_ref())
        .map(|status| status.modify_index)
        .max()
        .is_some_and(|newest| newest > last_seen(state, deployment));
    if replaceable.is_empty() && !news {
        return None;
    }
    let evals: Vec<_> = watcher_eval(state, deployment, now).into_iter().collect();
    if replaceable.is_empty() {
        return Some(Command::EvalUpsert { evals });
    }
    Some(Command::AllocTransition {
        ids: replaceable,
        transition: DesiredTransition {
            reschedule: Some(true),
            ..DesiredTransition::default()
        },
        evals,
        now,
    })
}

/// The newest index that an evaluation of the job has seen, or will see when it runs.
fn last_seen(state: &State, deployment: &Deployment) -> u64 {
    let evals = state
        .evals
        .values()
        .filter(|e| e.job_id == deployment.job_id && e.namespace == deployment.namespace);
    evals
        .map(|e| match e.status {
            EvalStatus::Pending if e.wait_until == 0 => u64::MAX,
            EvalStatus::Complete => e.snapshot_index,
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}

/// The newest stable version before the deployment's.
fn rollback_job(state: &State, deployment: &Deployment) -> Option<Job> {
    let versions = state.versions_of(&deployment.namespace, &deployment.job_id);
    let mut older = versions
        .iter()
        .filter(|job| job.stable && job.version != deployment.job_version);
    older.next().map(|job| Job::clone(job))
}

fn health(alloc: &Allocation) -> Option<bool> {
    alloc.deployment_status.as_ref()?.healthy
}

#[cfg(test)]
mod tests;
