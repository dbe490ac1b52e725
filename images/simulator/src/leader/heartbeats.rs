//! Nodes that are not heard of any more are down.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use tokio::time::{Instant, timeout_at};

use super::{Deadline, insist, node_evals};
use crate::clock;
use crate::http::Context;
use crate::state::{Command, State};
use crate::types::{Nanos, Node, NodeStatus};

/// Longest wait without looking at the deadlines again.
const IDLE: Duration = Duration::from_secs(3600);

pub(super) async fn run(ctx: Context) {
    give_all_time(&ctx);
    loop {
        let now = Instant::now();
        let (expired, next) = overdue(&ctx, now);
        for id in expired {
            expire(&ctx, &id).await;
        }
        let changed = ctx.leader.deadlines_changed.notified();
        drop(timeout_at(next.unwrap_or(now + IDLE), changed).await);
    }
}

/// A new leader does not know when nodes were last heard of, unless they were faster than it.
fn give_all_time(ctx: &Context) {
    let term = term(ctx);
    let by = Instant::now() + clock::scaled(ctx.settings.failover_heartbeat_ttl);
    let mut deadlines = ctx.leader.lock_deadlines();
    deadlines.retain(|_, deadline| deadline.term == term);
    for node in ctx.consensus.snapshot().nodes.values() {
        if node.status != NodeStatus::Down {
            deadlines
                .entry(node.id.clone())
                .or_insert(Deadline { by, term });
        }
    }
}

fn term(ctx: &Context) -> u64 {
    ctx.consensus.leadership().borrow().term
}

/// Takes out the nodes that are overdue; also tells when the next will be.
fn overdue(ctx: &Context, now: Instant) -> (Vec<String>, Option<Instant>) {
    let mut deadlines = ctx.leader.lock_deadlines();
    let late = deadlines.iter().filter(|(_, deadline)| deadline.by <= now);
    let expired: Vec<_> = late.map(|(id, _)| id.clone()).collect();
    deadlines.retain(|_, deadline| deadline.by > now);
    let next = deadlines.values().map(|deadline| deadline.by).min();
    (expired, next)
}

async fn expire(ctx: &Context, id: &str) {
    let state = ctx.consensus.snapshot();
    let Some(node) = state.nodes.get(id) else {
        return;
    };
    if node.status == NodeStatus::Down {
        return;
    }
    let now = clock::now();
    let returns_by = returns_by(&state, node, now);
    if let Some(by) = returns_by {
        let nanos = u64::try_from(by - now).unwrap_or(0);
        let deadline = Deadline {
            by: Instant::now() + Duration::from_nanos(nanos),
            term: term(ctx),
        };
        ctx.leader.lock_deadlines().insert(id.to_owned(), deadline);
        if node.status == NodeStatus::Disconnected {
            return;
        }
    }
    tracing::warn!(target: "nomad.heartbeat", "node TTL expired: node_id={id}");
    let evals = node_evals(&state, node, now);
    let covered: BTreeSet<_> = evals.iter().map(|eval| eval.job_id.clone()).collect();
    let down = Command::NodeStatus {
        id: id.to_owned(),
        status: if returns_by.is_some() {
            NodeStatus::Disconnected
        } else {
            NodeStatus::Down
        },
        message: "Node heartbeat missed".to_owned(),
        now,
        evals,
    };
    insist(ctx, down).await;
    cover_the_rest(ctx, id, &covered).await;
}

/// Until when allocations on a silent node may be unknown rather than lost; `None` where it is
/// down, because nothing on it allows that or the time is over.
fn returns_by(state: &State, node: &Node, now: Nanos) -> Option<Nanos> {
    if node.status == NodeStatus::Initializing {
        return None;
    }
    let allocs = state.allocs_of_node(&node.id);
    let windows = allocs
        .filter(|alloc| !alloc.is_terminal())
        .filter_map(|alloc| {
            let job = alloc.job.as_ref()?;
            let mut groups = job.task_groups.iter();
            let window = groups.find(|g| g.name == alloc.task_group)?.lost_after()?;
            let window = Nanos::try_from(clock::scaled_nanos(window).as_nanos());
            let since = if alloc.unknown_since > 0 {
                alloc.unknown_since
            } else {
                now
            };
            Some(since.saturating_add(window.unwrap_or(Nanos::MAX)))
        });
    windows.max().filter(|by| *by > now)
}

/// A plan may have put work of another job on the node just before it was marked down.
async fn cover_the_rest(ctx: &Context, id: &str, covered: &BTreeSet<String>) {
    let state = ctx.consensus.snapshot();
    let Some(node) = state.nodes.get(id) else {
        return;
    };
    let mut evals = node_evals(&state, node, clock::now());
    evals.retain(|eval| !covered.contains(&eval.job_id));
    if !evals.is_empty() {
        insist(ctx, Command::EvalUpsert { evals }).await;
    }
}

/// Notes that a node was heard of, and grants it time until the next heartbeat: as in Nomad,
/// at least `min_heartbeat_ttl`, more if there are very many nodes, and up to twice as much at
/// random. Given out scaled.
pub(super) fn renew(ctx: &Context, state: &State, node_id: &str) -> Duration {
    let settings = &ctx.settings;
    let nodes = u32::try_from(state.nodes.len()).unwrap_or(u32::MAX);
    let rate = settings.max_heartbeats_per_second.max(f64::MIN_POSITIVE);
    let spread = Duration::try_from_secs_f64(f64::from(nodes) / rate).unwrap_or(IDLE);
    let base = settings.min_heartbeat_ttl.max(spread);
    let ttl = base + base.mul_f64(rand::rng().random::<f64>());
    let ttl = clock::scaled(ttl);
    let grace = clock::scaled(settings.heartbeat_grace);
    let deadline = Deadline {
        by: Instant::now() + ttl + grace,
        term: term(ctx),
    };
    ctx.leader.expect_heartbeat(node_id, deadline);
    ttl
}
