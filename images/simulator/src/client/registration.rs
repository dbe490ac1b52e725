//! Registers the node and keeps its heartbeat.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::watch;

use super::identity::Identity;
use super::{ClientStats, HeartbeatReply, Servers, ServersError};
use crate::clock;
use crate::types::{Node, NodeStatus};

/// Pause between tries while a cluster starts, and how many there are before Nomad's own pause
/// of 15 to 30 s applies. (Nomad pays that pause at once; a rehearsal should not.)
const EAGER: (Duration, u32) = (Duration::from_millis(100), 100);

/// Nomad's `registerRetryIntv`.
const REGISTER_RETRY: Duration = Duration::from_secs(15);

/// First pause after a heartbeat that failed; doubled up to the second.
const HEARTBEAT_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Pause where there is no leader.
const NO_LEADER_RETRY: Duration = Duration::from_secs(15);

/// A time to live that is not said.
const DEFAULT_TTL: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Registration {
    pub(super) identity: Identity,
    pub(super) servers: Arc<dyn Servers>,
    pub(super) node: Arc<Node>,
    pub(super) stats: Arc<Mutex<ClientStats>>,
    /// Becomes true with the first heartbeat that a server took.
    pub(super) ready: watch::Sender<bool>,
}

/// At random up to as long again: so that clients do not come all at once.
fn staggered(pause: Duration) -> Duration {
    pause + pause.mul_f64(rand::rng().random_range(0.0..1.0))
}

impl Registration {
    /// Keeps the node registered until aborted.
    pub(super) async fn keep(self) {
        loop {
            self.register().await;
            self.heartbeats().await;
        }
    }

    async fn register(&self) {
        let mut tries = 0;
        loop {
            match self.servers.register(&self.node).await {
                Ok(reply) => {
                    self.note(&reply, false);
                    tracing::info!(target: "client", "node registration complete");
                    return;
                }
                Err(error) => {
                    tracing::error!(target: "client", %error, "error registering");
                    tries += 1;
                    let pause = if tries <= EAGER.1 {
                        staggered(EAGER.0)
                    } else {
                        clock::scaled(staggered(REGISTER_RETRY))
                    };
                    clock::sleep(pause).await;
                }
            }
        }
    }

    /// Sends heartbeats until a server says that it does not know the node.
    async fn heartbeats(&self) {
        let mut pause = HEARTBEAT_RETRY.0;
        loop {
            let Identity { node_id, secret_id } = &self.identity;
            let sent = self
                .servers
                .heartbeat(node_id, secret_id, NodeStatus::Ready)
                .await;
            match sent {
                Ok(reply) => {
                    let ttl = self.note(&reply, true);
                    self.ready.send_replace(true);
                    pause = HEARTBEAT_RETRY.0;
                    clock::sleep(ttl).await;
                }
                Err(ServersError::Refused(text)) if text.contains("node not found") => {
                    tracing::info!(target: "client", "re-registering node");
                    return;
                }
                Err(error) => {
                    let text = error.to_string();
                    tracing::error!(target: "client", error = text, "error heartbeating. retrying");
                    let wait = if text.contains("No cluster leader") {
                        NO_LEADER_RETRY
                    } else {
                        pause
                    };
                    clock::sleep(clock::scaled(staggered(wait))).await;
                    pause = (pause * 2).min(HEARTBEAT_RETRY.1);
                }
            }
        }
    }

    /// Remembers what a server answered; returns when the next heartbeat is due. Nomad sends
    /// it when the time to live is over: the servers' grace covers the way.
    fn note(&self, reply: &HeartbeatReply, heartbeat: bool) -> Duration {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        if !reply.servers.is_empty() {
            stats.known_servers.clone_from(&reply.servers);
        }
        stats.heartbeat_ttl = reply.ttl;
        if heartbeat {
            stats.last_heartbeat = clock::now();
        }
        if reply.ttl.is_zero() {
            clock::scaled(DEFAULT_TTL)
        } else {
            reply.ttl
        }
    }
}
