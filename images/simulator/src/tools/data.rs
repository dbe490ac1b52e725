//! What happens to an agent's data. `data wipe FOLDER` removes all that is in a folder, and leaves the
//! folder itself, which is a volume. `data spoil FOLDER` damages the Raft log in it, and `data spoiled
//! FOLDER` tells whether that was done; both while the agent is down.
//!
//! `data fill FOLDER BYTES` fills the folder's file system, which must be one of that size, `data filled
//! FOLDER` tells by how much, and `data unfill FOLDER` makes room again. `data keep` does nothing for ever:
//! a file system in memory is there as long as a process that has it.

use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

/// Where servers keep their log, in Nomad's data folder: `raft.db`, or segments in `wal`.
const RAFT: &str = "server/raft";
/// Snapshots are no part of the log.
const SNAPSHOTS: &str = "snapshots";
/// Of a log's file.
const PAGE_BYTES: usize = 4096;
/// The pages at a file's beginning that say what it is.
const HEADS: usize = 2;
/// Smaller files are notes, as `peers.info`.
const LEAST_BYTES: u64 = ((HEADS + 1) * PAGE_BYTES) as u64;
/// The note that says the log was damaged; it goes with the data.
const MARK: &str = "rehearse-spoiled";
/// What takes the room.
const FILLER: &str = "rehearse-filler";
/// How much of it is written at once.
const FILL_BYTES: usize = 1 << 20;

/// The tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataError {
    #[error(
        "expected `data wipe|spoil|spoiled|filled|unfill FOLDER`, `data fill FOLDER BYTES` or `data keep`, \
         not `data {0}`"
    )]
    Usage(String),
    #[error(
        "the file system of `{}` has {found} bytes, expected {expected}: it is not filled",
        .path.display()
    )]
    OtherSize {
        path: PathBuf,
        found: u64,
        expected: u64,
    },
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Filler {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("no Raft log in `{}`", .0.display())]
    NoLog(PathBuf),
    #[error("cannot damage `{}`: {source}", .path.display())]
    Spoil {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot remove `{}`: {source}", .path.display())]
    Remove {
        path: PathBuf,
        source: std::io::Error,
    },
}

pub(super) fn run(args: &[String]) -> Result<String, DataError> {
    match args {
        [verb, folder] if verb == "wipe" => wipe(Path::new(folder)),
        [verb, folder] if verb == "spoil" => spoil(Path::new(folder)),
        [verb, folder] if verb == "spoiled" => Ok(spoiled(Path::new(folder))),
        [verb, folder, bytes] if verb == "fill" => {
            let bytes = bytes.parse();
            let bytes = bytes.map_err(|_| DataError::Usage(args.join(" ")))?;
            fill(Path::new(folder), bytes)
        }
        [verb, folder] if verb == "filled" => filled(Path::new(folder)),
        [verb, folder] if verb == "unfill" => unfill(Path::new(folder)),
        [verb] if verb == "keep" => loop {
            std::thread::park();
        },
        _ => Err(DataError::Usage(args.join(" "))),
    }
}

fn wipe(folder: &Path) -> Result<String, DataError> {
    let failed = |path: &Path, source| DataError::Remove {
        path: path.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(|source| failed(folder, source))?;
    let mut removed = 0;
    for entry in entries {
        let path = entry.map_err(|source| failed(folder, source))?.path();
        // A link to a folder is a link.
        let kind = path.symlink_metadata().map_err(|e| failed(&path, e))?;
        let outcome = if kind.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        outcome.map_err(|source| failed(&path, source))?;
        removed += 1;
    }
    Ok(format!(
        "removed {removed} entries of {}\n",
        folder.display()
    ))
}

/// Damages every file of the log.
fn spoil(folder: &Path) -> Result<String, DataError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DataError::Spoil { path, source }
    };
    let raft = folder.join(RAFT);
    let mut folders = vec![raft.clone()];
    let mut said = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(failed(&folder))? {
            let path = entry.map_err(failed(&folder))?.path();
            let facts = path.symlink_metadata().map_err(failed(&path))?;
            if facts.is_dir() && !path.ends_with(SNAPSHOTS) {
                folders.push(path);
            } else if facts.is_file() && facts.len() >= LEAST_BYTES {
                overwrite(&path).map_err(failed(&path))?;
                said.push_str(&format!("damaged {}\n", path.display()));
            }
        }
    }
    if said.is_empty() {
        return Err(DataError::NoLog(raft));
    }
    let mark = folder.join(MARK);
    std::fs::write(&mark, &said).map_err(failed(&mark))?;
    Ok(said)
}

/// Overwrites every other page that holds something: files are made larger than what is in them,
/// so that nobody would miss their ends.
fn overwrite(path: &Path) -> std::io::Result<()> {
    let content = std::fs::read(path)?;
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    let pages = content.chunks(PAGE_BYTES).enumerate().skip(HEADS);
    let used = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    for (number, page) in used.step_by(2) {
        file.seek(SeekFrom::Start((number * PAGE_BYTES) as u64))?;
        file.write_all(&vec![0xA5; page.len()])?;
    }
    file.sync_all()
}

fn spoiled(folder: &Path) -> String {
    let there = folder.join(MARK).exists();
    if there { "yes\n" } else { "no\n" }.to_owned()
}

/// Writes until nothing more is taken. A folder on another file system than the one that was made for it
/// is left alone: that may be this machine's own disk.
fn fill(folder: &Path, expected: u64) -> Result<String, DataError> {
    let path = folder.join(FILLER);
    let failed = |action| {
        let path = path.clone();
        move |source| DataError::Filler {
            action,
            path,
            source,
        }
    };
    let stat = statvfs(folder).map_err(|errno| failed("look at the disk of")(errno.into()))?;
    // The kernel's numbers have another width on every platform.
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
    let (found, free) = {
        let fragment = stat.fragment_size() as u64;
        (
            stat.blocks() as u64 * fragment,
            stat.blocks_available() as u64 * fragment,
        )
    };
    if found != expected {
        return Err(DataError::OtherSize {
            path: folder.to_owned(),
            found,
            expected,
        });
    }
    let mut options = std::fs::OpenOptions::new();
    let opened = options.create(true).append(true).mode(0o600).open(&path);
    let mut file = opened.map_err(failed("open"))?;
    // Most of it at once, without a byte being written; what is refused as a whole is written.
    let free = i64::try_from(free).unwrap_or(i64::MAX);
    let _refused = fallocate(&file, FallocateFlags::empty(), 0, free);
    let mut piece = vec![0xA5; FILL_BYTES];
    while !piece.is_empty() {
        match file.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
            Err(error) => return Err(failed("write")(error)),
        }
    }
    filled(folder)
}

/// Tells what takes the room; nothing where that is nothing.
fn filled(folder: &Path) -> Result<String, DataError> {
    let path = folder.join(FILLER);
    match std::fs::metadata(&path) {
        Ok(facts) => Ok(format!("{} bytes fill its disk\n", facts.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(DataError::Filler {
            action: "look at",
            path,
            source,
        }),
    }
}

fn unfill(folder: &Path) -> Result<String, DataError> {
    let path = folder.join(FILLER);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(format!("removed {}\n", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(DataError::Filler {
            action: "remove",
            path,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_goes_but_the_folder_and_what_links_lead_to() {
        let root = tempfile::tempdir().unwrap();
        let (data, other) = (root.path().join("data"), root.path().join("other"));
        std::fs::create_dir_all(data.join("server/raft")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::write(data.join("server/raft/raft.db"), "log").unwrap();
        std::fs::write(other.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&other, data.join("link")).unwrap();
        let said = run(&["wipe".to_owned(), data.display().to_string()]).unwrap();
        assert!(said.starts_with("removed 2 entries"), "{said}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
        assert!(other.join("kept").exists());
        let error = run(&["wipe".to_owned(), "/no/such/folder".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
        assert!(run(&["mend".to_owned()]).is_err());
    }

    #[test]
    fn every_other_page_of_the_log_is_damaged_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path();
        let tool = |verb: &str| run(&[verb.to_owned(), data.display().to_string()]);
        std::fs::create_dir_all(data.join("server/raft/snapshots/1")).unwrap();
        std::fs::write(data.join("server/raft/peers.info"), "a note").unwrap();
        let error = tool("spoil").unwrap_err();
        assert!(error.to_string().starts_with("no Raft log in"), "{error}");
        assert_eq!(tool("spoiled").unwrap(), "no\n");

        let snapshot = data.join("server/raft/snapshots/1/state.bin");
        let log = data.join("server/raft/raft.db");
        let segment = data.join("server/raft/wal/00001.wal");
        std::fs::create_dir(segment.parent().unwrap()).unwrap();
        for path in [&snapshot, &log, &segment] {
            let mut bytes = [7; 10 * PAGE_BYTES + 1];
            // A page that was never written.
            bytes[3 * PAGE_BYTES..4 * PAGE_BYTES].fill(0);
            std::fs::write(path, bytes).unwrap();
        }
        let said = tool("spoil").unwrap();
        assert_eq!(said.lines().count(), 2, "{said}");
        assert_eq!(tool("spoiled").unwrap(), "yes\n");
        for path in [&log, &segment] {
            let bytes = std::fs::read(path).unwrap();
            let pages: Vec<u8> = bytes.chunks(PAGE_BYTES).map(|page| page[0]).collect();
            assert_eq!(pages, [7, 7, 0xA5, 0, 7, 0xA5, 7, 0xA5, 7, 0xA5, 7]);
            assert!(
                bytes[2 * PAGE_BYTES..3 * PAGE_BYTES]
                    .iter()
                    .all(|b| *b == 0xA5)
            );
            assert_eq!(bytes.len(), 10 * PAGE_BYTES + 1);
        }
        assert!(!std::fs::read(&snapshot).unwrap().contains(&0xA5));
        tool("wipe").unwrap();
        assert_eq!(tool("spoiled").unwrap(), "no\n");
    }

    #[test]
    fn only_the_file_system_that_was_meant_is_filled_and_making_room_twice_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().display().to_string();
        let tool = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            run(&words)
        };
        // This machine's own disk, and not one of 1 GiB.
        let error = tool(&["fill", &text, "1073741824"]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("expected 1073741824: it is not filled"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(tool(&["fill", &text, "much"]).is_err());
        assert!(tool(&["fill", &text]).is_err());

        assert_eq!(tool(&["filled", &text]).unwrap(), "");
        std::fs::write(folder.path().join(FILLER), [0; 5000]).unwrap();
        assert_eq!(
            tool(&["filled", &text]).unwrap(),
            "5000 bytes fill its disk\n"
        );
        assert!(tool(&["unfill", &text]).unwrap().starts_with("removed "));
        assert_eq!(tool(&["unfill", &text]).unwrap(), "");
        assert_eq!(tool(&["filled", &text]).unwrap(), "");
    }
}
