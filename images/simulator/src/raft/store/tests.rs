//! What a store holds after its file was torn or damaged.

use std::path::PathBuf;

use openraft::EntryPayload;
use openraft::LeaderId;

use super::*;
use crate::state::Command;

/// Bytes that redb writes at once.
const PAGE: usize = 4096;

struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("raft.redb")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(self.folder.path())
    }

    /// A file of these bytes.
    fn of(bytes: &[u8]) -> Self {
        let file = Self::new();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }
}

/// An entry of about a kilobyte, so that a few fill pages.
fn entry(index: u64) -> Entry {
    let value = serde_json::json!({ "index": index, "filling": "x".repeat(1000) });
    Entry {
        log_id: LogId::new(LeaderId::new(1, Uuid::nil()), index),
        payload: EntryPayload::Normal(Command::Autopilot {
            config: value,
            cas: None,
        }),
    }
}

/// Appends an entry as Raft does: on disk when it returns.
async fn append(store: &Store, index: u64) {
    let json = encode(&entry(index));
    let write = store.write(Durability::Immediate, move |write| {
        write.open_table(LOG)?.insert(index, json.as_slice())?;
        Ok(())
    });
    write.await.unwrap();
}

/// The entries of a store, which must be whole; how many there are.
fn held(store: &Store) -> u64 {
    let entries = store.entries(..).unwrap();
    for (place, found) in entries.iter().enumerate() {
        let index = u64::try_from(place).unwrap() + 1;
        assert_eq!(encode(found), encode(&entry(index)));
    }
    u64::try_from(entries.len()).unwrap()
}

/// A file with the first pages of `new`, where `new` has them, and the rest of `old`, header
/// included: the header is what redb writes last, once all else is on disk.
fn torn(old: &[u8], new: &[u8], pages: usize) -> Vec<u8> {
    let mut bytes = new.to_vec();
    let from = (pages * PAGE).min(new.len());
    let rest = old.len().max(from);
    if from < old.len() {
        bytes[from..old.len().min(new.len())].copy_from_slice(&old[from..old.len().min(new.len())]);
    }
    // What was never written is zero, as in a file that grew.
    bytes[rest.min(new.len())..].fill(0);
    bytes[..PAGE].copy_from_slice(&old[..PAGE]);
    bytes
}

#[tokio::test]
async fn a_torn_tail_is_recovered_with_all_that_was_acknowledged() {
    let file = File::new();
    let store = file.open().unwrap();
    for index in 1..=40 {
        append(&store, index).await;
    }
    let before = file.bytes();
    append(&store, 41).await;
    let after = file.bytes();
    assert_ne!(before, after, "the premise");
    drop(store);
    let pages = after.len() / PAGE;
    for written in (1..=pages).step_by((pages / 12).max(1)) {
        let torn = File::of(&torn(&before, &after, written));
        let store = torn
            .open()
            .unwrap_or_else(|e| panic!("{written} of {pages} pages: {e}"));
        assert_eq!(held(&store), 40, "{written} of {pages} pages");
        append(&store, 41).await;
        drop(store);
        assert_eq!(held(&torn.open().unwrap()), 41);
    }
    assert_eq!(held(&File::of(&after).open().unwrap()), 41);
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_its_name_or_has_lost_nothing() {
    let file = File::new();
    let store = file.open().unwrap();
    for index in 1..=40 {
        append(&store, index).await;
    }
    drop(store);
    let whole = file.bytes();
    let mut refused = 0;
    let used = whole.chunks(PAGE).enumerate().filter_map(|(number, page)| {
        let offset = page.iter().rposition(|byte| *byte != 0)?;
        Some(number * PAGE + offset)
    });
    // Each costs some syncs of the disk, so a sample of them.
    for place in used.step_by(6) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        match File::of(&damaged).open() {
            Ok(store) => assert_eq!(held(&store), 40, "damaged at {place}"),
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("raft.redb"), "{told}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "no page in use was damaged");
}

#[tokio::test]
async fn a_file_that_was_refused_is_left_as_it_was() {
    let file = File::new();
    let store = file.open().unwrap();
    for index in 1..=40 {
        append(&store, index).await;
    }
    drop(store);
    let text = b"\"index\":7}";
    let mut bytes = file.bytes();
    let mut places = (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text));
    let place = places.next_back().expect("it is on disk as text");
    bytes[place + text.len() - 2] = b'8';
    std::fs::write(file.path(), &bytes).unwrap();
    for _ in 0..2 {
        let told = file.open().unwrap_err().to_string();
        assert!(told.contains("raft.redb"), "{told}");
    }
    assert_eq!(file.bytes(), bytes);
    let left = std::fs::read_dir(file.folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing else is left");
}

/// A disk that takes no more from a moment on.
#[derive(Debug, Default)]
struct Disk {
    kept: redb::backends::InMemoryBackend,
    full: Arc<std::sync::atomic::AtomicBool>,
}

impl Disk {
    fn room(&self) -> Result<(), std::io::Error> {
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            // ENOSPC, as the kernel gives it.
            return Err(std::io::Error::from_raw_os_error(28));
        }
        Ok(())
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.kept.len()
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, std::io::Error> {
        self.kept.read(offset, len)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.room()?;
        self.kept.set_len(len)
    }

    fn sync_data(&self, eventual: bool) -> Result<(), std::io::Error> {
        self.kept.sync_data(eventual)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.room()?;
        self.kept.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_is_told_as_nomad_tells_it() {
    let disk = Disk::default();
    let full = Arc::clone(&disk.full);
    let db = Database::builder().create_with_backend(disk).unwrap();
    let mut store = Store { db: Arc::new(db) };
    let vote = Vote::new(1, Uuid::nil());
    store.save_vote(&vote).await.unwrap();

    full.store(true, std::sync::atomic::Ordering::SeqCst);
    let problem = store.save_vote(&vote).await.unwrap_err();
    let told = crate::raft::ended(&openraft::error::Fatal::StorageError(problem)).to_string();
    assert!(told.contains("no space left on device"), "{told}");
}
