//! Who leads, and whether it is this server and it may serve.
//!
//! openraft's leader goes on calling itself so without a quorum, and leads before it has
//! applied what its predecessors committed. Here a server leads only while a quorum answered
//! it within its lease, and serves only after a [`Command::Barrier`] of its term was applied.

use std::net::SocketAddr;
use std::time::Duration;

use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{BasicNode, Handle, Uuid};
use crate::consensus::Leadership;
use crate::state::Command;

/// Starts watching; ends with Raft.
pub(super) fn watch(
    raft: Handle,
    address: SocketAddr,
    lease: Duration,
) -> watch::Receiver<Leadership> {
    let (sender, receiver) = watch::channel(Leadership::default());
    let watcher = Watcher {
        raft,
        address,
        lease,
        role: Role::Idle,
        ready: None,
        barrier: None,
        published: sender,
    };
    tokio::spawn(watcher.run());
    receiver
}

struct Watcher {
    raft: Handle,
    address: SocketAddr,
    lease: Duration,
    role: Role,
    /// Term in which this server's barrier was applied.
    ready: Option<u64>,
    /// The barrier on its way, with its term.
    barrier: Option<(u64, JoinHandle<bool>)>,
    published: watch::Sender<Leadership>,
}

impl Watcher {
    async fn run(mut self) {
        let mut metrics = self.raft.metrics();
        loop {
            let seen = metrics.borrow_and_update().clone();
            self.look(&seen);
            let changed = match &mut self.barrier {
                None => metrics.changed().await,
                Some((term, task)) => tokio::select! {
                    changed = metrics.changed() => changed,
                    applied = task => {
                        if applied.unwrap_or(false) {
                            self.ready = Some(*term);
                        }
                        self.barrier = None;
                        Ok(())
                    }
                },
            };
            if changed.is_err() || seen.running_state.is_err() {
                self.publish(Leadership::default());
                return;
            }
        }
    }

    fn look(&mut self, seen: &RaftMetrics<Uuid, BasicNode>) {
        let term = seen.current_term;
        let lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        let claims = seen.state == ServerState::Leader && seen.current_leader == Some(seen.id);
        let leads = claims && seen.millis_since_quorum_ack.is_some_and(|ms| ms <= lease);
        self.log_role(seen, leads);
        if !leads {
            self.ready = None;
            if let Some((_, task)) = self.barrier.take() {
                task.abort();
            }
        } else if self.ready != Some(term)
            && self.barrier.as_ref().is_none_or(|(of, _)| *of != term)
        {
            let raft = self.raft.clone();
            let task =
                tokio::spawn(async move { raft.client_write(Command::Barrier).await.is_ok() });
            if let Some((_, old)) = self.barrier.replace((term, task)) {
                old.abort();
            }
        }
        let other = seen.current_leader.filter(|leader| *leader != seen.id);
        let leader = if leads {
            Some(self.address)
        } else {
            other.and_then(|id| address_of(seen, id))
        };
        self.publish(Leadership {
            term,
            leader,
            is_self: leads && self.ready == Some(term),
        });
    }

    fn publish(&self, now: Leadership) {
        self.published.send_if_modified(|last| {
            let changed = *last != now;
            *last = now;
            changed
        });
    }

    /// Writes Nomad's lines where this server's part changes. A server that claims to lead and
    /// that no quorum has answered (it was restarted, or is cut off) is a candidate at best.
    fn log_role(&mut self, seen: &RaftMetrics<Uuid, BasicNode>, leads: bool) {
        let role = match seen.state {
            ServerState::Leader if leads => Role::Leader,
            ServerState::Leader => Role::Claimant,
            ServerState::Candidate => Role::Candidate,
            ServerState::Follower => Role::Follower,
            ServerState::Learner | ServerState::Shutdown => Role::Idle,
        };
        let before = std::mem::replace(&mut self.role, role);
        if before == role {
            return;
        }
        let (address, term) = (self.address, seen.current_term);
        match role {
            Role::Follower => {
                let leader = seen.current_leader.and_then(|id| address_of(seen, id));
                let leader = leader.map(|a| a.to_string()).unwrap_or_default();
                let node = format!("Node at {address} [Follower]");
                tracing::info!(target: "nomad.raft", follower = node, leader_address = leader, "entering follower state");
            }
            Role::Candidate => {
                let node = format!("Node at {address} [Candidate]");
                tracing::info!(target: "nomad.raft", node, term, "entering candidate state");
            }
            Role::Leader => {
                let node = format!("Node at {address} [Leader]");
                tracing::info!(target: "nomad.raft", term, "election won");
                tracing::info!(target: "nomad.raft", leader = node, "entering leader state");
            }
            Role::Claimant if before == Role::Leader => {
                tracing::warn!(target: "nomad.raft", "failed to contact quorum of nodes, stepping down");
            }
            Role::Claimant | Role::Idle => {}
        }
    }
}

/// This server's part, for the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Idle,
    Follower,
    Candidate,
    Claimant,
    Leader,
}

fn address_of(seen: &RaftMetrics<Uuid, BasicNode>, id: Uuid) -> Option<SocketAddr> {
    seen.membership_config
        .membership()
        .get_node(&id)?
        .addr
        .parse()
        .ok()
}
