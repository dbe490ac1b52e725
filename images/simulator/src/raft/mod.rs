//! The replicated log: openraft over this agent's RPC, stored by redb.
//!
//! `store` keeps log, vote and snapshots on disk; `machine` applies committed entries to
//! [`crate::state::State`]; `network` and `routes` are the two ends of the RPC; `replica` is
//! what the rest of the agent sees, a [`crate::consensus::Consensus`].
//!
//! `transfer` hands the lead over, `peers` changes which servers belong to the cluster.

mod contacts;
mod leadership;
mod machine;
mod network;
mod peers;
mod replica;
mod routes;
mod store;
mod transfer;

use std::io::Cursor;

use openraft::BasicNode;
use openraft::error::Fatal;
use uuid::Uuid;

pub use replica::{RaftSettings, Replica, ReplicaError};
pub(crate) use routes::servers_only;
pub use routes::{RaftStatus, routes};
pub use store::{Store, StoreError};

use crate::consensus::ConsensusError;
use crate::state::{Applied, Command};

openraft::declare_raft_types!(
    /// What openraft's parts are made of here.
    pub TypeConfig:
        D = Command,
        R = Applied,
        NodeId = Uuid,
        Node = BasicNode,
);

type StorageError = openraft::StorageError<Uuid>;
type LogId = openraft::LogId<Uuid>;
type Membership = openraft::StoredMembership<Uuid, BasicNode>;
type SnapshotMeta = openraft::SnapshotMeta<Uuid, BasicNode>;
type Handle = openraft::Raft<TypeConfig>;

/// Raft ended under a call, in the words of `hashicorp/raft` (`ErrRaftShutdown`): by these, clients of Nomad
/// know that another server may take the call.
fn ended(fatal: &Fatal<Uuid>) -> ConsensusError {
    ConsensusError::Fatal(match fatal {
        Fatal::Stopped => "raft is already shutdown".to_owned(),
        other => other.to_string(),
    })
}

/// Encodes for disk and wire: JSON, the same on every architecture.
fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("the log's types have text keys only, so they are JSON")
}

#[cfg(test)]
mod tests;
