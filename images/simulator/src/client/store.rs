//! What a client remembers of its allocations over a restart: one JSON file each.
//!
//! Processes that survived (where only the agent restarted, and not its container) are taken up
//! again at once. Of the others it matters which tasks were not finished: those are started
//! again once a server confirms that they are wanted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::drivers::raw_exec::Found;
use crate::types::{AllocDeploymentStatus, Allocation, TaskState};

/// One allocation as the client last knew it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) alloc: Allocation,
    pub(super) task_states: BTreeMap<String, TaskState>,
    pub(super) deployment_status: Option<AllocDeploymentStatus>,
    /// Processes of running tasks.
    #[serde(default)]
    pub(super) processes: BTreeMap<String, Found>,
}

/// The files, in `data_dir/client/allocs`.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// In a directory that exists.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    fn path(&self, alloc_id: &str) -> PathBuf {
        self.dir.join(format!("{alloc_id}.json"))
    }

    /// Writes a record whole or not at all.
    pub(super) fn save(&self, record: &Record) -> io::Result<()> {
        let path = self.path(&record.alloc.id);
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(record)?)?;
        fs::rename(new, path)
    }

    /// Forgets an allocation.
    pub(super) fn remove(&self, alloc_id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(alloc_id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads every record; one that is damaged is left out (and said in the log).
    pub(super) fn load(&self) -> io::Result<BTreeMap<String, Record>> {
        let mut records = BTreeMap::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            match serde_json::from_slice::<Record>(&fs::read(&path)?) {
                Ok(record) => drop(records.insert(record.alloc.id.clone(), record)),
                Err(error) => {
                    tracing::error!(target: "client", path = %path.display(), %error, "failed to restore allocation");
                }
            }
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_and_damaged_ones_are_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::new(dir.path());
        let mut record = Record::default();
        record.alloc.id = "a1".to_owned();
        store.save(&record).expect("write");
        fs::write(dir.path().join("a2.json"), "{").expect("write");
        let found = store.load().expect("read");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a1"]);
        store.remove("a1").expect("remove");
        store.remove("a1").expect("removing twice is fine");
        assert!(store.load().expect("read").is_empty());
    }
}
