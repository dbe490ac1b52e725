//! Handing the lead over to a chosen server.
//!
//! openraft has no such step. Here the leader takes no more writes, waits until the chosen one
//! has its whole log, and tells it. That one first makes every voter forget the old leader's
//! lease, by a message of a newer term that belongs to nobody (to them it is an election that
//! nobody won), and then stands for election as usual. Votes, and which logs may win, stay
//! openraft's: at worst the attempt costs an election.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use openraft::Vote;
use openraft::error::Fatal;
use openraft::raft::SnapshotResponse;
use openraft::storage::Snapshot;
use openraft::{BasicNode, RaftMetrics};
use uuid::Uuid;

use super::network::pack;
use super::{Replica, SnapshotMeta, encode};
use crate::consensus::{Consensus, ConsensusError};

/// How long the chosen server may take to catch up: Nomad's election timeout.
const CATCH_UP: Duration = Duration::from_secs(1);

/// How long a voter may take to forget the old leader: the dead ones need not.
const YIELD: Duration = Duration::from_millis(500);

/// How long the whole may take until the new leader is seen.
const LIMIT: Duration = Duration::from_secs(5);

/// No writes while it lives.
struct Hold<'a>(&'a Replica);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.inner.held.store(false, Ordering::SeqCst);
    }
}

impl Replica {
    /// Whether writes are refused for the moment, as the lead is being handed over.
    pub(super) fn is_held(&self) -> bool {
        self.inner.held.load(Ordering::SeqCst)
    }

    pub(super) async fn transfer(&self, to: &str) -> Result<(), ConsensusError> {
        let (target, address) = self.voter(to)?;
        if self.inner.held.swap(true, Ordering::SeqCst) {
            let text = "leadership transfer already in progress";
            return Err(ConsensusError::Fatal(text.to_owned()));
        }
        let _hold = Hold(self);
        self.caught_up(target).await?;
        tracing::info!(target: "nomad.raft", %address, "starting leadership transfer");
        let mut leadership = self.leadership();
        let done = async {
            self.inner
                .network
                .tell(address, "/raft/transfer", Vec::new(), LIMIT)
                .await?;
            let followed = leadership.wait_for(|now| now.leader == Some(address));
            followed.await.map(drop).map_err(|e| e.to_string())
        };
        match tokio::time::timeout(LIMIT, done).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) => Err(ConsensusError::NoQuorum(problem)),
            Err(_elapsed) => {
                let text = "leadership transfer timeout";
                Err(ConsensusError::NoQuorum(text.to_owned()))
            }
        }
    }

    /// ID and address of another server that may lead.
    fn voter(&self, id: &str) -> Result<(Uuid, std::net::SocketAddr), ConsensusError> {
        let peers = self.peers();
        let peer = peers.iter().find(|peer| peer.id == id && peer.voter);
        let found = peer.and_then(|peer| Some((peer.id.parse().ok()?, peer.address)));
        found.ok_or_else(|| ConsensusError::Fatal(format!("server {id} has no vote")))
    }

    async fn caught_up(&self, target: Uuid) -> Result<(), ConsensusError> {
        let has_all = |seen: &RaftMetrics<Uuid, BasicNode>| {
            let matched = seen.replication.as_ref().and_then(|all| all.get(&target));
            let matched = matched.copied().flatten().map(|log| log.index);
            matched.is_some() && matched >= seen.last_log_index
        };
        let mut metrics = self.raft.metrics();
        let waited = tokio::time::timeout(CATCH_UP, metrics.wait_for(has_all));
        match waited.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let text = "leadership transfer timeout: the server is not up to date";
                Err(ConsensusError::NoQuorum(text.to_owned()))
            }
        }
    }

    /// Takes the lead, as the leader that has it wants.
    pub(super) async fn take_over(&self) -> Result<(), String> {
        let seen = self.raft.metrics().borrow().clone();
        let vote = Vote::new(seen.current_term + 1, Uuid::nil());
        // openraft reads the vote of a snapshot first, and then finds that it needs none.
        let meta = SnapshotMeta::default();
        let message = pack(&encode(&(vote, &meta)), &[]);
        let others = self.peers().into_iter().filter(|peer| {
            let itself = peer.id == seen.id.to_string();
            peer.voter && !itself
        });
        let yields = others.map(|peer| {
            let network = self.inner.network.clone();
            let message = message.clone();
            async move {
                let told: Option<Forgotten> = network.send(peer.address, message, YIELD).await;
                if told.is_none() {
                    tracing::debug!(target: "nomad.raft", address = %peer.address, "cannot be told of the transfer");
                }
            }
        });
        join_all(yields).await;
        let snapshot = Snapshot {
            meta,
            snapshot: Box::default(),
        };
        let own = self.raft.install_full_snapshot(vote, snapshot).await;
        own.map_err(|e| e.to_string())?;
        self.raft.trigger().elect().await.map_err(|e| e.to_string())
    }
}

/// Whatever a voter answers to a message of nobody's: it has raised its term.
type Forgotten = Result<SnapshotResponse<Uuid>, Fatal<Uuid>>;
