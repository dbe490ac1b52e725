//! Nodes that are not heard of any more are down.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use tokio::time::{Instant, timeout_at};

use super::{Deadline, insist, node_evals};
use crate::clock;
use crate::http::Context;
use crate::state::{Command, State};
use crate::types::NodeStatus;

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
    tracing::warn!(target: "nomad.heartbeat", "node TTL expired: node_id={id}");
    let now = clock::now();
    let evals = node_evals(&state, node, now);
    let covered: BTreeSet<_> = evals.iter().map(|eval| eval.job_id.clone()).collect();
    let down = Command::NodeStatus {
        id: id.to_owned(),
        status: NodeStatus::Down,
        message: "Node heartbeat missed".to_owned(),
        now,
        evals,
    };
    insist(ctx, down).await;
    cover_the_rest(ctx, id, &covered).await;
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
