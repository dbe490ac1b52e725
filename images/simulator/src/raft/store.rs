//! Log, vote and snapshot in one redb file.
//!
//! Every write that Raft relies on is synced to disk before it is acknowledged. The commit
//! point alone is not: it is an optimisation that a crash may lose (the leader tells it again).
//! A torn write is rolled back by redb when the file is next opened.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogState, OptionalSend, RaftLogReader, StorageIOError, Vote};
use redb::{Database, Durability, ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{LogId, SnapshotMeta, StorageError, TypeConfig, encode};
use crate::plant::{self, Plant};

/// Entries by index, in JSON.
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// `vote`, `committed`, `purged`: one JSON value each.
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// `meta` and `data` of the newest snapshot.
const SNAPSHOT: TableDefinition<&str, &[u8]> = TableDefinition::new("snapshot");

/// redb's page cache. The log's end is what is read, so a small one does.
const CACHE_BYTES: usize = 1024 * 1024;

/// What redb itself answers.
type Stored<T> = Result<T, redb::Error>;
/// Metadata and data of a snapshot.
type Pair = (Vec<u8>, Vec<u8>);
type Entry = openraft::Entry<TypeConfig>;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made.
    #[error("cannot create `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a store, is damaged, or another agent holds it.
    #[error("cannot open the raft store `{path}`: {problem}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The redb file; cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Arc<Database>,
}

/// Why something was not written. A full disk is told as Go tells it, since clients of Nomad know a leader
/// that gives way by these words.
fn unwritten(error: &redb::Error) -> AnyError {
    match error {
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => {
            AnyError::error("write raft.redb: no space left on device")
        }
        other => AnyError::new(other),
    }
}

impl Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens or creates `raft.redb` in `folder` (Nomad: `data_dir/server/raft`).
    ///
    /// # Errors
    /// Where the folder cannot be made, or the file is damaged or in use.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let path = folder.join("raft.redb");
        let refused = |problem: String| StoreError::Open {
            path: path.clone(),
            problem,
        };
        is_whole(&path).map_err(refused)?;
        let open = || -> Stored<Database> {
            let db = Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(&path)?;
            // Not synced: the first write that matters takes the empty tables along.
            let mut write = db.begin_write()?;
            write.set_durability(Durability::None);
            write.open_table(LOG)?;
            write.open_table(META)?;
            write.open_table(SNAPSHOT)?;
            write.commit()?;
            Ok(db)
        };
        let db = open().map_err(|problem| {
            refused(match problem {
                redb::Error::DatabaseAlreadyOpen => "another agent is using it".to_owned(),
                other => other.to_string(),
            })
        })?;
        let store = Self { db: Arc::new(db) };
        store.check().map_err(refused)?;
        Ok(store)
    }

    /// Reads what a start relies on, so that damage is named before anything is served.
    fn check(&self) -> Result<(), String> {
        let vote: Result<Option<Vote<Uuid>>, AnyError> = self.meta("vote");
        vote.map_err(|e| e.to_string())?;
        self.state().map_err(|e| e.to_string())?;
        self.snapshot().map_err(|e| e.to_string())?;
        Ok(())
    }

    fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, AnyError> {
        let read = || -> Stored<Option<Vec<u8>>> {
            let table = self.db.begin_read()?.open_table(META)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        match read().map_err(|e| AnyError::new(&e))? {
            Some(json) => Ok(Some(decode(&json)?)),
            None => Ok(None),
        }
    }

    fn state(&self) -> Result<LogState<TypeConfig>, AnyError> {
        let last = || -> Stored<Option<Vec<u8>>> {
            let table = self.db.begin_read()?.open_table(LOG)?;
            Ok(table.last()?.map(|(_, value)| value.value().to_vec()))
        };
        let purged: Option<LogId> = self.meta("purged")?;
        let last = match last().map_err(|e| AnyError::new(&e))? {
            Some(json) => Some(decode::<Entry>(&json)?.log_id),
            None => purged,
        };
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last,
        })
    }

    /// The newest snapshot, if there is one.
    pub(super) fn snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, AnyError> {
        let read = || -> Stored<Option<Pair>> {
            let table = self.db.begin_read()?.open_table(SNAPSHOT)?;
            let (meta, data) = (table.get("meta")?, table.get("data")?);
            Ok(meta
                .zip(data)
                .map(|(meta, data)| (meta.value().to_vec(), data.value().to_vec())))
        };
        match read().map_err(|e| AnyError::new(&e))? {
            Some((meta, data)) => Ok(Some((decode(&meta)?, data))),
            None => Ok(None),
        }
    }

    /// Replaces the snapshot; on disk when it returns.
    pub(super) async fn save_snapshot(
        &self,
        meta: &SnapshotMeta,
        data: Vec<u8>,
    ) -> Result<(), AnyError> {
        let meta = encode(meta);
        self.write(Durability::Immediate, move |write| {
            let mut table = write.open_table(SNAPSHOT)?;
            table.insert("meta", meta.as_slice())?;
            table.insert("data", data.as_slice())?;
            Ok(())
        })
        .await
    }

    /// Runs one write transaction on a thread that may block.
    async fn write<F>(&self, durability: Durability, change: F) -> Result<(), AnyError>
    where
        F: FnOnce(&WriteTransaction) -> Stored<()> + Send + 'static,
    {
        let db = Arc::clone(&self.db);
        let run = move || -> Stored<()> {
            let mut write = db.begin_write()?;
            write.set_durability(durability);
            change(&write)?;
            write.commit()?;
            Ok(())
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result.map_err(|e| unwritten(&e)),
            Err(stopped) => Err(AnyError::new(&stopped)),
        }
    }

    async fn save_meta(
        &self,
        durability: Durability,
        key: &'static str,
        json: Vec<u8>,
    ) -> Result<(), AnyError> {
        self.write(durability, move |write| {
            write.open_table(META)?.insert(key, json.as_slice())?;
            Ok(())
        })
        .await
    }

    fn entries(&self, range: impl RangeBounds<u64>) -> Result<Vec<Entry>, AnyError> {
        let read = || -> Stored<Vec<Vec<u8>>> {
            let table = self.db.begin_read()?.open_table(LOG)?;
            let bounds: (Bound<u64>, Bound<u64>) =
                (range.start_bound().cloned(), range.end_bound().cloned());
            let mut found = Vec::new();
            for item in table.range::<u64>(bounds)? {
                found.push(item?.1.value().to_vec());
            }
            Ok(found)
        };
        let found = read().map_err(|e| AnyError::new(&e))?;
        found.iter().map(|json| decode(json)).collect()
    }
}

/// Checks a file against its checksums; what a kill left half written does not count. It is done
/// on a copy, as redb mends what it checks: what cannot be mended without loss must stay as it is.
fn is_whole(path: &Path) -> Result<(), String> {
    let copy = path.with_extension("check");
    match std::fs::copy(path, &copy) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        copied => copied.map_err(|error| error.to_string())?,
    };
    let check = || -> Stored<bool> {
        let mut db = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .open(&copy)?;
        Ok(db.check_integrity()?)
    };
    let checked = check();
    std::fs::remove_file(&copy).map_err(|error| error.to_string())?;
    match checked {
        Ok(true) => Ok(()),
        Ok(false) => Err("it does not agree with its checksums".to_owned()),
        Err(problem) => Err(problem.to_string()),
    }
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, AnyError> {
    serde_json::from_slice(json).map_err(|e| AnyError::new(&e))
}

impl RaftLogReader<TypeConfig> for Store {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        self.entries(range)
            .map_err(|e| StorageIOError::read_logs(e).into())
    }
}

impl RaftLogStorage<TypeConfig> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        self.state()
            .map_err(|e| StorageIOError::read_logs(e).into())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<Uuid>) -> Result<(), StorageError> {
        self.save_meta(Durability::Immediate, "vote", encode(vote))
            .await
            .map_err(|e| StorageIOError::write_vote(e).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<Uuid>>, StorageError> {
        self.meta("vote")
            .map_err(|e| StorageIOError::read_vote(e).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.save_meta(Durability::None, "committed", encode(&committed))
            .await
            .map_err(|e| StorageIOError::write(e).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let read = || -> Result<Option<LogId>, AnyError> {
            let committed: Option<Option<LogId>> = self.meta("committed")?;
            Ok(committed.flatten())
        };
        read().map_err(|e| StorageIOError::read(e).into())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded: Vec<(u64, Vec<u8>)> = entries
            .into_iter()
            .map(|entry| (entry.log_id.index, encode(&entry)))
            .collect();
        let durability = if plant::is(Plant::WritesNotSynced) {
            Durability::None
        } else {
            Durability::Immediate
        };
        self.write(durability, move |write| {
            let mut table = write.open_table(LOG)?;
            for (index, json) in &encoded {
                table.insert(index, json.as_slice())?;
            }
            Ok(())
        })
        .await
        .map_err(StorageIOError::write_logs)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        self.write(Durability::Immediate, move |write| {
            let mut table = write.open_table(LOG)?;
            table.retain_in::<u64, _>(since.index.., |_, _| false)?;
            Ok(())
        })
        .await
        .map_err(|e| StorageIOError::write_logs(e).into())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.write(Durability::Immediate, move |write| {
            let purged = encode(&upto);
            write
                .open_table(META)?
                .insert("purged", purged.as_slice())?;
            let mut table = write.open_table(LOG)?;
            table.retain_in::<u64, _>(..=upto.index, |_, _| false)?;
            Ok(())
        })
        .await
        .map_err(|e| StorageIOError::write_logs(e).into())
    }
}

#[cfg(test)]
mod tests;
