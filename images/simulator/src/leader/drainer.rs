//! Empties draining nodes: services as their `migrate` block allows, batch work when it is done
//! or the deadline comes, system jobs last (Nomad's `nomad/drainer`).
//!
//! [`advance`] is pure, over a snapshot, as the deployment watcher is: what was proposed shows
//! in the next snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::look_again::look_again;
use super::{insist, new_eval};
use crate::clock;
use crate::http::Context;
use crate::plant::{self, Plant};
use crate::state::{Command, DrainChange, State, Table};
use crate::types::{
    Allocation, DesiredTransition, DrainStrategy, EvalTrigger, Evaluation, Job, JobType, Nanos,
    Node, SECOND, TaskGroup,
};

/// Nomad's drainer gathers migrations for this long (`drainer.BatchUpdateInterval`).
const BATCH: Duration = Duration::from_secs(1);

/// Deadlines this near to one that is over count as over (`NodeDeadlineCoalesceWindow`).
const COALESCE: Nanos = 5 * SECOND;

/// What the drainer wants now.
#[derive(Debug, Default)]
struct Advance {
    /// Allocations to move.
    moves: BTreeSet<String>,
    /// Nodes whose drain is over; true where the deadline ended it.
    complete: Vec<(String, bool)>,
    /// Next deadline.
    wake_at: Option<Nanos>,
}

pub(super) async fn run(ctx: Context) {
    let mut applied = ctx.consensus.applied();
    loop {
        applied.borrow_and_update();
        let state = ctx.consensus.snapshot();
        let now = clock::now();
        let mut wanted = advance(&state, now);
        if !wanted.moves.is_empty() {
            clock::sleep(clock::scaled(BATCH)).await;
            wanted = advance(&ctx.consensus.snapshot(), clock::now());
        }
        if !wanted.moves.is_empty() || !wanted.complete.is_empty() {
            let command = command(&ctx.consensus.snapshot(), &wanted, clock::now());
            insist(&ctx, command).await;
            continue;
        }
        let seen = relevant(&state);
        if !look_again(&ctx, &mut applied, wanted.wake_at, seen, relevant).await {
            return;
        }
    }
}

/// What the drainer looks at.
fn relevant(state: &State) -> [u64; 3] {
    [Table::Nodes, Table::Allocs, Table::Jobs].map(|table| state.index_of(table))
}

fn command(state: &State, wanted: &Advance, now: Nanos) -> Command {
    let mut commands = Vec::new();
    if !wanted.moves.is_empty() {
        commands.push(Command::AllocTransition {
            ids: wanted.moves.iter().cloned().collect(),
            transition: DesiredTransition {
                migrate: Some(true),
                ..DesiredTransition::default()
            },
            evals: drain_evals(state, &wanted.moves, now),
            now,
        });
    }
    for (id, deadlined) in &wanted.complete {
        tracing::info!(target: "nomad.drain", node_id = id, deadlined, "node drain complete");
        commands.push(Command::NodeDrain {
            id: id.clone(),
            change: DrainChange::Complete {
                deadlined: *deadlined,
            },
            now,
            evals: Vec::new(),
        });
    }
    Command::Batch { commands }
}

/// One evaluation for each job that loses an allocation.
fn drain_evals(state: &State, moves: &BTreeSet<String>, now: Nanos) -> Vec<Evaluation> {
    let mut jobs: BTreeMap<(&str, &str), &Job> = BTreeMap::new();
    for alloc in moves.iter().filter_map(|id| state.allocs.get(id)) {
        let current = state
            .job(&alloc.namespace, &alloc.job_id)
            .map(AsRef::as_ref);
        if let Some(job) = current.or(alloc.job.as_ref()) {
            jobs.insert((&alloc.namespace, &alloc.job_id), job);
        }
    }
    let jobs = jobs.into_values();
    jobs.map(|job| new_eval(job, EvalTrigger::NodeDrain, now))
        .collect()
}

fn advance(state: &State, now: Nanos) -> Advance {
    let mut wanted = Advance::default();
    let draining: Vec<(&Node, DrainStrategy)> = state
        .nodes
        .values()
        .filter_map(|node| Some((node.as_ref(), node.drain_strategy?)))
        .collect();
    let any_over = draining.iter().any(|(_, s)| is_over(s, now));
    for (node, strategy) in &draining {
        let left = remaining(state, node, strategy.ignore_system_jobs);
        let busy = left.iter().any(|alloc| !is_everywhere(alloc));
        let over = is_over(
            strategy,
            now + if any_over {
                clock::scaled_time(COALESCE)
            } else {
                0
            },
        );
        if busy && !over {
            let next = Some(strategy.force_deadline).filter(|at| *at > 0);
            wanted.wake_at = match (wanted.wake_at, next) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            continue;
        }
        wanted.complete.push((node.id.clone(), busy));
        let unmarked = left.iter().filter(|alloc| !is_marked(alloc));
        wanted.moves.extend(unmarked.map(|alloc| alloc.id.clone()));
    }
    if draining.is_empty() {
        return wanted;
    }
    for job in state.jobs.values() {
        if job.job_type == JobType::Service && !job.stop {
            for group in &job.task_groups {
                wanted.moves.extend(movable(state, job, group));
            }
        }
    }
    wanted
}

fn is_over(strategy: &DrainStrategy, now: Nanos) -> bool {
    strategy.deadline < 0 || strategy.force_deadline > 0 && strategy.force_deadline <= now
}

fn is_marked(alloc: &Allocation) -> bool {
    alloc.desired_transition.migrate == Some(true)
}

/// System jobs' allocations belong to their node: they are the last that leave it.
fn is_everywhere(alloc: &Allocation) -> bool {
    let job_type = alloc.job.as_ref().map(|job| job.job_type);
    matches!(job_type, Some(JobType::System | JobType::Sysbatch))
}

/// Only a planted defect makes a drain pass over anything.
fn stays_behind(alloc: &Allocation) -> bool {
    plant::is(Plant::DrainLeavesOne) && alloc.name.ends_with("[0]")
}

/// What still has to leave a node.
fn remaining<'a>(
    state: &'a State,
    node: &'a Node,
    ignore_system: bool,
) -> Vec<&'a Arc<Allocation>> {
    state
        .allocs_of_node(&node.id)
        .filter(|alloc| !alloc.client_status.is_terminal() && !stays_behind(alloc))
        .filter(|alloc| !(ignore_system && is_everywhere(alloc)))
        .collect()
}

/// Which of a group's allocations may leave their draining nodes now: as many as leave
/// `count - max_parallel` whose health is known.
fn movable(state: &State, job: &Job, group: &TaskGroup) -> Vec<String> {
    let mut healthy = 0_i64;
    let mut candidates = Vec::new();
    for alloc in state.allocs_of_job(&job.namespace, &job.id) {
        if alloc.task_group != group.name {
            continue;
        }
        let judged = alloc.deployment_status.as_ref().and_then(|s| s.healthy);
        // One that was told to leave is as good as gone, though it may still run.
        let stays = !alloc.is_terminal() && !is_marked(alloc);
        healthy += i64::from(stays && judged.is_some());
        let node = state.nodes.get(&alloc.node_id);
        let leaves = node.is_some_and(|node| node.drain_strategy.is_some());
        let waits = leaves && !alloc.client_status.is_terminal() && !is_marked(alloc);
        if waits && !stays_behind(alloc) {
            candidates.push(alloc);
        }
    }
    let at_once = group.migrate.as_ref().map_or(1, |m| m.max_parallel);
    let room = usize::try_from(healthy - (group.count - at_once)).unwrap_or(0);
    candidates.sort_by(|a, b| (a.create_index, &a.name).cmp(&(b.create_index, &b.name)));
    let first = candidates.into_iter().take(room);
    first.map(|alloc| alloc.id.clone()).collect()
}

#[cfg(test)]
mod tests;
