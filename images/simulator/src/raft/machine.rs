//! The state machine: committed entries, applied to [`State`] in memory.
//!
//! On disk are snapshots only; a restart takes the newest and applies the log after it again.

use std::io::Cursor;
use std::sync::{Arc, PoisonError, RwLock};

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{
    AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, RaftTypeConfig, StorageIOError,
};
use tokio::sync::watch;

use super::{LogId, Membership, SnapshotMeta, StorageError, Store, TypeConfig, encode};
use crate::events::{self, EventLog};
use crate::state::{Applied, Command, State, unwrap};

/// The state as applied here, shared with those who read it.
#[derive(Debug)]
pub(super) struct View {
    state: RwLock<Arc<State>>,
    applied: watch::Sender<u64>,
    events: Arc<EventLog>,
}

impl View {
    pub(super) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    pub(super) fn events(&self) -> Arc<EventLog> {
        Arc::clone(&self.events)
    }

    /// Applies one command and tells what it changed.
    fn apply(&self, index: u64, command: &Command) -> Applied {
        if let Command::Restore { archive } = command {
            // Readers are not to wait for it.
            let snapshot = unwrap(archive);
            let applied = self.change(|state| state.restore(index, snapshot));
            self.events.reset();
            return applied;
        }
        let (applied, events) = self.change(|state| {
            let removed = events::removed(state, command);
            let applied = state.apply(index, command);
            let events = events::made(state, applied.index, command, removed);
            (applied, events)
        });
        self.events.push(applied.index, events);
        applied
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Copies the tables only where someone holds a snapshot of them.
        change(Arc::make_mut(&mut state))
    }

    fn announce(&self) {
        let index = self.state().index;
        self.applied.send_replace(index);
    }
}

/// Applies entries; owned by openraft.
#[derive(Debug)]
pub(super) struct Machine {
    store: Store,
    view: Arc<View>,
    last_applied: Option<LogId>,
    membership: Membership,
}

impl Machine {
    /// Starts from the stored snapshot, if there is one.
    pub(super) fn open(store: Store) -> Result<(Self, Arc<View>), AnyError> {
        let (meta, state) = match store.snapshot()? {
            Some((meta, data)) => (meta, decode_state(&data)?),
            None => (SnapshotMeta::default(), State::default()),
        };
        let view = Arc::new(View {
            applied: watch::Sender::new(state.index),
            state: RwLock::new(Arc::new(state)),
            events: Arc::default(),
        });
        let machine = Self {
            store,
            view: Arc::clone(&view),
            last_applied: meta.last_log_id,
            membership: meta.last_membership,
        };
        Ok((machine, view))
    }
}

/// Does what may take long on a thread that may block, so that Raft's timers go on beside it.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AnyError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| AnyError::new(&e))
}

fn decode_state(data: &[u8]) -> Result<State, AnyError> {
    serde_json::from_slice(data).map_err(|e| AnyError::new(&e))
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = <TypeConfig as RaftTypeConfig>::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut replies = Vec::new();
        for entry in entries {
            let index = entry.log_id.index;
            self.last_applied = Some(entry.log_id);
            let reply = match entry.payload {
                EntryPayload::Normal(command @ Command::Restore { .. }) => {
                    let view = Arc::clone(&self.view);
                    aside(move || view.apply(index, &command))
                        .await
                        .map_err(|e| StorageIOError::apply(entry.log_id, e))?
                }
                EntryPayload::Normal(command) => self.view.apply(index, &command),
                EntryPayload::Blank => self.view.change(|state| state.pass(index)),
                EntryPayload::Membership(membership) => {
                    self.membership = Membership::new(Some(entry.log_id), membership);
                    self.view.change(|state| state.pass(index))
                }
            };
            replies.push(reply);
        }
        self.view.announce();
        Ok(replies)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            store: self.store.clone(),
            state: self.view.state(),
            last_applied: self.last_applied,
            membership: self.membership.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let failed = |e| StorageIOError::read_snapshot(Some(meta.signature()), e);
        let data = snapshot.into_inner();
        let decoded = aside(move || decode_state(&data).map(|state| (state, data))).await;
        let (state, data) = decoded.and_then(|decoded| decoded).map_err(failed)?;
        self.store
            .save_snapshot(meta, data)
            .await
            .map_err(|e| StorageIOError::write_snapshot(Some(meta.signature()), e))?;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.view.change(|current| *current = state);
        self.view.events.reset();
        self.view.announce();
        tracing::info!(target: "nomad.raft", id = %meta.snapshot_id, "installed remote snapshot");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let store = self.store.clone();
        let stored = aside(move || store.snapshot()).await;
        let stored = stored
            .and_then(|stored| stored)
            .map_err(|e| StorageIOError::read_snapshot(None, e))?;
        Ok(stored.map(|(meta, data)| Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(data)),
        }))
    }
}

/// Writes one snapshot of the state at the moment it was made.
#[derive(Debug)]
pub(super) struct SnapshotBuilder {
    store: Store,
    state: Arc<State>,
    last_applied: Option<LogId>,
    membership: Membership,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let meta = SnapshotMeta {
            last_log_id: self.last_applied,
            last_membership: self.membership.clone(),
            snapshot_id: self.last_applied.map_or_else(
                || "empty".to_owned(),
                |id| format!("{}-{}", id.leader_id.term, id.index),
            ),
        };
        let state = Arc::clone(&self.state);
        let failed = |e| StorageIOError::write_snapshot(Some(meta.signature()), e);
        let data = aside(move || encode(state.as_ref()))
            .await
            .map_err(failed)?;
        self.store
            .save_snapshot(&meta, data.clone())
            .await
            .map_err(failed)?;
        tracing::info!(target: "nomad.raft", id = %meta.snapshot_id, "snapshot complete");
        Ok(Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(data)),
        })
    }
}
