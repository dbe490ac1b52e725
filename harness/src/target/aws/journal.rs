//! What was done to machines and is not yet undone. A line is on disk before the fault is in: whatever
//! becomes of this process, `rehearse heal --target aws` knows what to undo.
//!
//! One file a cluster, for its owner only, with a line of JSON for each fault and for each healing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::spec::AgentName;

/// What is done to a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Done {
    /// The machine was stopped.
    Stop,
    /// The machine was rebooted; it comes back by itself.
    Reboot,
    /// The machine was ended for good: only Terraform makes another.
    Terminate,
    /// The agent's process was killed, and the service manager told to leave it so.
    Kill,
    /// The agent's process was frozen.
    Pause,
    /// Packets to and from these addresses are dropped.
    Isolate {
        /// The addresses.
        peers: Vec<Ipv4Addr>,
    },
}

impl Done {
    /// Returns it as a verb.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Reboot => "reboot",
            Self::Terminate => "terminate",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Isolate { .. } => "isolate",
        }
    }

    /// Returns how it is undone, `None` where it cannot be.
    #[must_use]
    pub fn undoing(&self) -> Option<&'static str> {
        Some(match self {
            Self::Stop => "start the machine",
            Self::Reboot => "wait until the machine runs",
            Self::Terminate => return None,
            Self::Kill => "start the service",
            Self::Pause => "thaw the process",
            Self::Isolate { .. } => "remove the packet filter",
        })
    }
}

/// A fault that was about to be put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub number: u64,
    /// When, UTC.
    pub at: String,
    /// The agent.
    pub agent: AgentName,
    /// The machine.
    pub instance_id: String,
    /// What.
    #[serde(flatten)]
    pub done: Done,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Fault(Entry),
    Healed(u64),
}

/// The journal cannot be kept, so nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process acts on the cluster.
    #[error("another process acts on this cluster (it holds `{}`)", .path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A line is none of ours.
    #[error("`{}`:{line} cannot be understood: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// The system refused.
    #[error("cannot {action} the heal journal `{}`", .path.display())]
    Disk {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The journal of one cluster, which nobody else writes meanwhile.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    open: BTreeMap<u64, Entry>,
    last: u64,
}

impl Journal {
    /// Returns where a cluster's journal is, below the folder of all state: two accounts may have clusters of one
    /// name.
    #[must_use]
    pub fn place(state_root: &Path, account: &str, region: &str, cluster: &str) -> PathBuf {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let name: String = format!("{account}.{region}.{cluster}")
            .chars()
            .map(|c| match c {
                '.' => '.',
                c => plain(c),
            })
            .collect();
        state_root.join(".aws").join(name).join("heal.journal")
    }

    /// Opens it, and makes it where there is none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(disk("make the folder of", path))?;
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(disk("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(JournalError::Busy {
                    path: path.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(error)) => return Err(disk("lock", path)(error)),
        }
        // The name, too, is to be there after a crash.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(disk("keep", path))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(disk("read", path))?;
        let (open, last, whole) = read(&text, path)?;
        if whole < text.len() {
            // A line that was cut short: its fault never went in. What comes next is not to be
            // written behind it.
            file.set_len(whole as u64)
                .and_then(|()| file.seek(io::SeekFrom::End(0)))
                .map_err(disk("mend", path))?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            open,
            last,
        })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what is not yet undone, the newest first.
    #[must_use]
    pub fn unhealed(&self) -> Vec<Entry> {
        self.open.values().rev().cloned().collect()
    }

    /// Writes down what is about to be done; it is on disk when this returns.
    ///
    /// # Errors
    /// [`JournalError`]: then nothing may be done.
    pub fn about_to(
        &mut self,
        agent: &AgentName,
        instance_id: &str,
        done: Done,
    ) -> Result<u64, JournalError> {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0);
        let entry = Entry {
            number: self.last + 1,
            at: now
                .map(|now| now.format(&Rfc3339))
                .map_or_else(|_| String::new(), Result::unwrap_or_default),
            agent: agent.clone(),
            instance_id: instance_id.to_owned(),
            done,
        };
        self.write(&Line::Fault(entry.clone()))?;
        self.last = entry.number;
        self.open.insert(entry.number, entry);
        Ok(self.last)
    }

    /// Writes down that a fault is undone. An empty journal is emptied on disk, too.
    ///
    /// # Errors
    /// [`JournalError`]: it will be undone a second time, which does no harm.
    pub fn healed(&mut self, number: u64) -> Result<(), JournalError> {
        if !self.open.contains_key(&number) {
            return Ok(());
        }
        if self.open.len() == 1 {
            self.file
                .set_len(0)
                .and_then(|()| self.file.sync_all())
                .map_err(disk("write", &self.path))?;
        } else {
            self.write(&Line::Healed(number))?;
        }
        self.open.remove(&number);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), JournalError> {
        let mut text = serde_json::to_string(line).expect("a line is JSON");
        text.push('\n');
        let before = self.file.metadata().map_err(disk("write", &self.path))?;
        let written = self
            .file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all());
        if written.is_err() {
            // Half a line (a full disk) must not stand before the next one: nobody could read it.
            self.file.set_len(before.len()).unwrap_or_default();
        }
        written.map_err(disk("write", &self.path))
    }
}

fn disk<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> JournalError + 'a {
    move |source| JournalError::Disk {
        action,
        path: path.to_owned(),
        source,
    }
}

type Read = (BTreeMap<u64, Entry>, u64, usize);

/// Reads the lines; returns what is open, the last number, and how many bytes are whole lines.
fn read(text: &str, path: &Path) -> Result<Read, JournalError> {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut open = BTreeMap::new();
    let mut last = 0;
    for (index, line) in text[..whole].lines().enumerate() {
        let line = serde_json::from_str(line).map_err(|error| JournalError::Unreadable {
            path: path.to_owned(),
            line: index + 1,
            reason: error.to_string(),
        })?;
        match line {
            Line::Fault(entry) => {
                last = entry.number;
                open.insert(entry.number, entry);
            }
            Line::Healed(number) => {
                open.remove(&number);
            }
        }
    }
    Ok((open, last, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Role;
    use std::os::unix::fs::PermissionsExt as _;

    fn name(number: u16) -> AgentName {
        AgentName::new(Role::Server, number)
    }

    #[test]
    fn what_is_not_undone_is_known_to_the_next_process_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = Journal::place(folder.path(), "123456789012", "us-east-2", "a/../b");
        let other = Journal::place(folder.path(), "210987654321", "us-east-2", "a/../b");
        assert_ne!(
            path, other,
            "another account's cluster of that name is another one"
        );
        assert!(
            path.starts_with(folder.path().join(".aws/123456789012.us-east-2.a_.._b")),
            "{path:?}"
        );
        let mut journal = Journal::open(&path).unwrap();
        let busy = Journal::open(&path).unwrap_err();
        assert!(matches!(busy, JournalError::Busy { .. }), "{busy}");
        let stopped = journal.about_to(&name(1), "i-1", Done::Stop).unwrap();
        let peers = vec![Ipv4Addr::new(10, 0, 0, 4)];
        journal
            .about_to(&name(2), "i-2", Done::Isolate { peers })
            .unwrap();
        journal.about_to(&name(3), "i-3", Done::Kill).unwrap();
        journal.healed(stopped).unwrap();
        drop(journal);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let mut journal = Journal::open(&path).unwrap();
        let left: Vec<_> = journal
            .unhealed()
            .into_iter()
            .map(|entry| entry.instance_id)
            .collect();
        assert_eq!(left, ["i-3", "i-2"]);
        for entry in journal.unhealed() {
            journal.healed(entry.number).unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn a_line_that_was_cut_short_is_of_a_fault_that_never_went_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let mut journal = Journal::open(&path).unwrap();
        journal.about_to(&name(1), "i-1", Done::Stop).unwrap();
        drop(journal);
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"fault\":{\"num");
        fs::write(&path, &text).unwrap();
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.unhealed().len(), 1);
        journal.about_to(&name(2), "i-2", Done::Kill).unwrap();
        drop(journal);
        assert_eq!(Journal::open(&path).unwrap().unhealed().len(), 2);
        fs::write(&path, "{}\n").unwrap();
        let error = Journal::open(&path).unwrap_err().to_string();
        assert!(error.contains(":1 cannot be understood"), "{error}");
    }
}
