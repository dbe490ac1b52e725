//! What only the leader does: evaluations are processed, missed heartbeats noticed, rollouts
//! carried on, nodes drained, periodic jobs launched, servers' health watched, garbage collected.
//!
//! Every duty works from the replicated state alone and is begun anew by the next leader, so
//! that nothing is lost with a leader but the time until the next is elected. The only things
//! kept outside are in [`LeaderState`]: when each node was last heard of (a new leader gives
//! all nodes `failover_heartbeat_ttl`), and since when each server has been healthy.

mod autopilot;
mod broker;
mod calendar;
mod drainer;
mod evals;
mod garbage;
mod heartbeats;
mod look_again;
mod membership;
mod rollouts;
mod rpc;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

pub use autopilot::{AutopilotConfig, Health, ServerHealth, autopilot_config, autopilot_health};
pub use calendar::launch;
pub use evals::{new_eval, node_evals};
pub use garbage::{Age, garbage};
pub use rpc::{
    AllocsReply, AllocsRequest, HeartbeatRequest, MayRequest, RegisterRequest, UpdateRequest,
    rpc_routes,
};

use crate::clock;
use crate::consensus::Leadership;
use crate::http::Context;
use crate::state::Command;
use crate::types::{Nanos, RootKey};

/// What only a leader knows.
#[derive(Debug, Default)]
pub struct LeaderState {
    /// When each node is taken for down, unless it is heard of before.
    deadlines: Mutex<BTreeMap<String, Deadline>>,
    /// A deadline was set or removed.
    deadlines_changed: Notify,
    /// The state was replaced by a snapshot: the duties must begin anew.
    restored: Notify,
    /// Health of each server by its ID, and since when it has been so.
    stability: Mutex<BTreeMap<String, (bool, Nanos)>>,
}

/// When a node is taken for down.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    by: Instant,
    /// The term in which it was granted: those of an earlier lead say nothing.
    term: u64,
}

impl LeaderState {
    /// How many nodes are watched.
    #[must_use]
    pub fn heartbeats(&self) -> usize {
        self.lock_deadlines().len()
    }

    /// Stops watching a node.
    pub fn forget_heartbeat(&self, node_id: &str) {
        self.lock_deadlines().remove(node_id);
        self.deadlines_changed.notify_one();
    }

    /// The state was replaced by a snapshot: the duties begin anew.
    pub fn begin_anew(&self) {
        self.restored.notify_one();
    }

    fn expect_heartbeat(&self, node_id: &str, deadline: Deadline) {
        self.lock_deadlines().insert(node_id.to_owned(), deadline);
        self.deadlines_changed.notify_one();
    }

    fn clear(&self) {
        self.lock_deadlines().clear();
        self.lock_stability().clear();
    }

    fn lock_deadlines(&self) -> MutexGuard<'_, BTreeMap<String, Deadline>> {
        self.deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_stability(&self) -> MutexGuard<'_, BTreeMap<String, (bool, Nanos)>> {
        self.stability
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the leader's duties whenever this server leads, until the handle is aborted.
pub fn start(ctx: Context) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut leadership = ctx.consensus.leadership();
        while let Some(term) = acquired(&mut leadership).await {
            tracing::info!(target: "nomad", "cluster leadership acquired");
            let mut duties = begin(&ctx);
            tokio::select! {
                () = lost(&mut leadership, term) => {
                    tracing::info!(target: "nomad", "cluster leadership lost");
                }
                () = ctx.leader.restored.notified() => {
                    tracing::info!(target: "nomad", "snapshot restored, beginning the leader's duties anew");
                }
                ended = duties.join_next() => {
                    tracing::error!(target: "nomad", "a duty of the leader ended: {ended:?}");
                    clock::sleep(Duration::from_secs(1)).await;
                }
            }
            duties.shutdown().await;
            ctx.leader.clear();
        }
    })
}

/// The term in which this server came to lead; `None` where the server ends.
async fn acquired(leadership: &mut watch::Receiver<Leadership>) -> Option<u64> {
    let leads = leadership.wait_for(|now| now.is_self).await;
    leads.ok().map(|now| now.term)
}

/// Returns when this server does not lead in `term` any more.
async fn lost(leadership: &mut watch::Receiver<Leadership>, term: u64) {
    drop(
        leadership
            .wait_for(|now| !now.is_self || now.term != term)
            .await,
    );
}

fn begin(ctx: &Context) -> JoinSet<()> {
    let mut duties = JoinSet::new();
    duties.spawn(broker::run(ctx.clone()));
    duties.spawn(heartbeats::run(ctx.clone()));
    duties.spawn(rollouts::run(ctx.clone()));
    duties.spawn(drainer::run(ctx.clone()));
    duties.spawn(calendar::run(ctx.clone()));
    duties.spawn(autopilot::run(ctx.clone()));
    duties.spawn(membership::run(ctx.clone()));
    duties.spawn(garbage::run(ctx.clone()));
    duties
}

/// The scheduler's configuration as stored, or as the first leader will store it.
#[must_use]
pub fn scheduler_config(ctx: &Context) -> Value {
    let state = ctx.consensus.snapshot();
    let stored = state.scheduler_config.clone();
    stored
        .or_else(|| ctx.settings.scheduler.clone())
        .unwrap_or_else(default_scheduler_config)
}

/// Nomad's defaults (`nomad/config.go`).
#[must_use]
pub fn default_scheduler_config() -> Value {
    json!({
        "SchedulerAlgorithm": "binpack",
        "PreemptionConfig": {
            "SystemSchedulerEnabled": true,
            "SysBatchSchedulerEnabled": false,
            "BatchSchedulerEnabled": false,
            "ServiceSchedulerEnabled": false,
        },
        "MemoryOversubscriptionEnabled": false,
        "RejectJobRegistration": false,
        "PauseEvalBroker": false,
        "CreateIndex": 0,
        "ModifyIndex": 0,
    })
}

/// A root key, as the first leader and each rotation make one.
#[must_use]
pub fn new_root_key() -> RootKey {
    let now = clock::now();
    RootKey {
        key_id: uuid::Uuid::new_v4().to_string(),
        algorithm: "aes256-gcm".to_owned(),
        create_time: now,
        publish_time: now,
        state: "active".to_owned(),
        ..RootKey::default()
    }
}

/// Commits a command, again and again while this server leads: duties must not give up.
async fn insist(ctx: &Context, command: Command) -> crate::state::Applied {
    loop {
        match ctx.consensus.propose(command.clone()).await {
            Ok(applied) => return applied,
            Err(error) => {
                tracing::warn!(target: "nomad", "the leader cannot commit: {error}");
                clock::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
