//! Changing which servers belong to the cluster, and which of them vote.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use uuid::Uuid;

use super::{Replica, ended};
use crate::consensus::{ConsensusError, PeerChange};

/// How long a change may take: it needs a quorum of the old and of the new voters.
const LIMIT: Duration = Duration::from_secs(10);

type Failure = RaftError<Uuid, ClientWriteError<Uuid, BasicNode>>;

impl Replica {
    pub(super) async fn change(&self, change: PeerChange) -> Result<(), ConsensusError> {
        match tokio::time::timeout(LIMIT, self.changed(change)).await {
            Ok(done) => done,
            Err(_elapsed) => {
                let text = "timed out enqueuing operation";
                Err(ConsensusError::NoQuorum(text.to_owned()))
            }
        }
    }

    async fn changed(&self, change: PeerChange) -> Result<(), ConsensusError> {
        let done = match change {
            PeerChange::Add { id, address } => {
                let node = BasicNode::new(address);
                self.raft.add_learner(parsed(&id)?, node, false).await
            }
            PeerChange::Promote { id } => {
                let voters = BTreeSet::from([parsed(&id)?]);
                let change = ChangeMembers::AddVoterIds(voters);
                self.raft.change_membership(change, true).await
            }
            PeerChange::Remove { id } => {
                let gone = BTreeSet::from([parsed(&id)?]);
                let metrics = self.raft.metrics().borrow().clone();
                let membership = metrics.membership_config.membership();
                let votes = membership.voter_ids().any(|voter| gone.contains(&voter));
                let change: ChangeMembers<Uuid, BasicNode> = if votes {
                    ChangeMembers::RemoveVoters(gone)
                } else {
                    ChangeMembers::RemoveNodes(gone)
                };
                self.raft.change_membership(change, false).await
            }
        };
        done.map(drop).map_err(refused)
    }

    /// The servers of the configuration as it stands.
    pub(super) fn nodes(&self) -> BTreeMap<Uuid, BasicNode> {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let nodes = membership.nodes();
        nodes.map(|(id, node)| (*id, node.clone())).collect()
    }
}

fn parsed(id: &str) -> Result<Uuid, ConsensusError> {
    id.parse()
        .map_err(|_| ConsensusError::Fatal(format!("`{id}` is no server's ID: expected a UUID")))
}

fn refused(failure: Failure) -> ConsensusError {
    match failure {
        RaftError::APIError(ClientWriteError::ForwardToLeader(other)) => {
            let address = other.leader_node.and_then(|node| node.addr.parse().ok());
            ConsensusError::NotLeader(address)
        }
        RaftError::Fatal(e) => ended(&e),
        other => ConsensusError::Fatal(other.to_string()),
    }
}
