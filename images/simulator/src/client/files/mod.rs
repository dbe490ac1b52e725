//! An allocation's files as the API shows them: lists, one file's facts, its bytes.
//!
//! `follow.rs` streams a file or a task's rotated logs; `frames.rs` puts what is streamed into
//! Nomad's frames.

mod follow;
mod frames;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

pub use follow::{Logs, Origin, Piece, Source, Streamed, follow};
pub use frames::{framed, plain};

use crate::clock;
use crate::types::Nanos;

/// A file cannot be shown; the texts are Nomad's.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is outside of the allocation's directory.
    #[error("Path escapes the alloc directory")]
    Escapes,
    /// It is a task's secret.
    #[error("Reading secret file prohibited: {0}")]
    Secret(String),
    /// The operating system refuses.
    #[error("{action} {path}: {problem}")]
    System {
        /// `open`, `stat`, ...
        action: &'static str,
        /// The file, from the allocation's directory on.
        path: String,
        /// Go's words where it has some.
        problem: String,
    },
    /// It is a directory, where a file was meant.
    #[error("file {0:?} is a directory")]
    IsDirectory(String),
    /// A task that has written nothing.
    #[error("log entry for task {task:?} and log type {kind:?} not found")]
    NoLogs {
        /// Task.
        task: String,
        /// `stdout` or `stderr`.
        kind: String,
    },
}

impl FileError {
    fn system(action: &'static str, path: &str, error: &io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        Self::System {
            action,
            path: path.to_owned(),
            problem,
        }
    }
}

/// One file (Nomad's `AllocFileInfo`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct FileInfo {
    pub name: String,
    pub is_dir: bool,
    pub size: u64,
    pub file_mode: String,
    pub mod_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_type: String,
}

/// Finds a path below an allocation's directory; links must not lead out of it.
///
/// # Errors
/// Where it leads out, or into a task's `secrets`.
pub fn locate(root: &Path, path: &str) -> Result<PathBuf, FileError> {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if !clean.pop() => return Err(FileError::Escapes),
            _ => {}
        }
    }
    let full = root.join(&clean);
    let real_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let real = full
        .canonicalize()
        .unwrap_or_else(|_| real_root.join(&clean));
    let inside = real
        .strip_prefix(&real_root)
        .map_err(|_| FileError::Escapes)?;
    // `<task>/secrets` and everything in it.
    let mut parts = inside.components();
    if parts.next().is_some() && parts.next() == Some(Component::Normal("secrets".as_ref())) {
        return Err(FileError::Secret(path.to_owned()));
    }
    Ok(full)
}

/// Lists a directory, by name.
///
/// # Errors
/// Where it is not there, or not allowed.
pub fn list(root: &Path, path: &str) -> Result<Vec<FileInfo>, FileError> {
    let dir = locate(root, path)?;
    let refused = |error: io::Error| FileError::system("open", path, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        // A file may go away meanwhile.
        if let Ok(meta) = entry.metadata() {
            found.push(info(&entry.file_name().to_string_lossy(), &meta));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Describes one file or directory.
///
/// # Errors
/// As [`list`].
pub fn stat(root: &Path, path: &str) -> Result<FileInfo, FileError> {
    let full = locate(root, path)?;
    let meta = std::fs::metadata(&full);
    let meta = meta.map_err(|error| FileError::system("stat", path, &error))?;
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    let mut found = info(&name, &meta);
    if !found.is_dir {
        found.content_type = content_type(&full);
    }
    Ok(found)
}

/// Opens a file to read.
///
/// # Errors
/// As [`list`], and where it is a directory.
pub fn open(root: &Path, path: &str) -> Result<PathBuf, FileError> {
    let full = locate(root, path)?;
    let meta = std::fs::metadata(&full);
    let meta = meta.map_err(|error| FileError::system("stat", path, &error))?;
    if meta.is_dir() {
        return Err(FileError::IsDirectory(path.to_owned()));
    }
    Ok(full)
}

fn info(name: &str, meta: &std::fs::Metadata) -> FileInfo {
    let modified = meta.modified().ok();
    let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let at = since.map_or(0, |since| Nanos::try_from(since.as_nanos()).unwrap_or(0));
    FileInfo {
        name: name.to_owned(),
        is_dir: meta.is_dir(),
        size: meta.len(),
        file_mode: mode(meta),
        mod_time: clock::rfc3339(at),
        content_type: String::new(),
    }
}

/// As Go prints a file's mode: `drwxr-xr-x`, `-rw-r--r--`.
fn mode(meta: &std::fs::Metadata) -> String {
    let bits = meta.permissions().mode();
    let mut text = String::from(if meta.is_dir() { "d" } else { "-" });
    for (shift, letter) in (0..9).rev().zip("rwxrwxrwx".chars()) {
        text.push(if bits >> shift & 1 == 1 { letter } else { '-' });
    }
    text
}

/// Text or not: enough for who shows it in a browser.
fn content_type(path: &Path) -> String {
    use std::io::Read as _;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(512).read_to_end(&mut start));
    let is_text = read.is_ok() && !start.contains(&0) && std::str::from_utf8(&start).is_ok();
    let kind = if is_text {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    };
    kind.to_owned()
}

#[cfg(test)]
mod tests;
