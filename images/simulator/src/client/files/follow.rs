//! Streams a file, or a task's logs over their rotation, to its end or on and on.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc;

use super::FileError;
use crate::clock;

/// Largest piece (Nomad's `streamFrameSize`).
const PIECE: usize = 64 * 1024;

/// How often the end of a file is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Where an offset counts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The beginning.
    #[default]
    Start,
    /// The end.
    End,
}

/// Part of what is streamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes.
    Data {
        /// File's name, in the allocation's directory or in its logs.
        file: String,
        /// Position behind them.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Nomad's `file truncated`, `file deleted`.
    Event {
        /// As for the data.
        file: String,
        /// What happened to it.
        event: &'static str,
    },
}

/// What is being streamed.
pub type Streamed = mpsc::Receiver<Piece>;

/// A task's logs.
#[derive(Clone, Debug)]
pub struct Logs {
    /// `alloc/logs`.
    pub dir: PathBuf,
    /// Task.
    pub task: String,
    /// `stdout` or `stderr`.
    pub kind: String,
}

impl Logs {
    /// Indices of the files that there are, in order.
    fn indices(&self) -> Vec<u64> {
        let prefix = format!("{}.{}.", self.task, self.kind);
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut found: Vec<u64> = names
            .filter_map(|name| name.strip_prefix(&prefix)?.parse().ok())
            .collect();
        found.sort_unstable();
        found
    }

    fn name(&self, index: u64) -> String {
        format!("{}.{}.{index}", self.task, self.kind)
    }

    fn size(&self, index: u64) -> u64 {
        let meta = std::fs::metadata(self.dir.join(self.name(index)));
        meta.map_or(0, |meta| meta.len())
    }

    /// The file in which an offset lies, and the position in it.
    fn seek(&self, offset: u64, origin: Origin) -> Option<(u64, u64)> {
        let indices = self.indices();
        let mut left = offset;
        match origin {
            Origin::Start => {
                for index in &indices {
                    let size = self.size(*index);
                    if left <= size {
                        return Some((*index, left));
                    }
                    left -= size;
                }
                let last = *indices.last()?;
                Some((last, self.size(last)))
            }
            Origin::End => {
                for index in indices.iter().rev() {
                    let size = self.size(*index);
                    if left <= size {
                        return Some((*index, size - left));
                    }
                    left -= size;
                }
                Some((*indices.first()?, 0))
            }
        }
    }

    /// The first file after one.
    fn next(&self, index: u64) -> Option<u64> {
        self.indices().into_iter().find(|i| *i > index)
    }
}

/// What to stream.
#[derive(Clone, Debug)]
pub enum Source {
    /// One file: its path, and its name as frames tell it.
    File(PathBuf, String),
    /// A task's logs.
    Logs(Logs),
}

/// Streams in a task of its own, which ends with the receiver. `limit` bounds how many bytes
/// come; with `on` it waits for more at the end.
///
/// # Errors
/// Where the task has no logs.
pub fn follow(
    source: Source,
    offset: u64,
    origin: Origin,
    on: bool,
    limit: Option<u64>,
) -> Result<Streamed, FileError> {
    let (sender, receiver) = mpsc::channel(4);
    let mut stream = Stream {
        sender,
        left: limit.unwrap_or(u64::MAX),
        on,
    };
    match source {
        Source::File(path, name) => {
            let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
            let at = match origin {
                Origin::Start => offset,
                Origin::End => size.saturating_sub(offset),
            };
            tokio::spawn(async move {
                // It ends with its receiver, or at the file's end.
                let _more = stream.file(&path, &name, at, &|| false).await;
            });
        }
        Source::Logs(logs) => {
            let Some((index, at)) = logs.seek(offset, origin) else {
                return Err(FileError::NoLogs {
                    task: logs.task,
                    kind: logs.kind,
                });
            };
            tokio::spawn(async move { stream.logs(&logs, index, at).await });
        }
    }
    Ok(receiver)
}

struct Stream {
    sender: mpsc::Sender<Piece>,
    left: u64,
    on: bool,
}

impl Stream {
    async fn logs(&mut self, logs: &Logs, mut index: u64, mut at: u64) {
        loop {
            let name = logs.name(index);
            let path = logs.dir.join(&name);
            let rotated = || logs.next(index).is_some();
            if !self.file(&path, &name, at, &rotated).await {
                return;
            }
            let Some(next) = logs.next(index) else {
                return;
            };
            (index, at) = (next, 0);
        }
    }

    /// Streams one file; with `on` until `over` says that nothing more will come. False where
    /// nobody listens any more, or the limit is reached.
    async fn file(
        &mut self,
        path: &Path,
        name: &str,
        mut at: u64,
        over: &(dyn Fn() -> bool + Sync),
    ) -> bool {
        let Ok(mut file) = tokio::fs::File::open(path).await else {
            return true;
        };
        if file.seek(SeekFrom::Start(at)).await.is_err() {
            return true;
        }
        loop {
            // Asked before reading: what was written before the rotation is read then.
            let last = over();
            let room = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
            let mut buffer = vec![0; room];
            match file.read(&mut buffer).await {
                Ok(0) if self.left == 0 => return false,
                Ok(0) if last || !self.on => return true,
                Ok(0) => {
                    let Some(event) = self.wait(path, at).await else {
                        return false;
                    };
                    let Some(event) = event else { continue };
                    if !self
                        .send(Piece::Event {
                            file: name.to_owned(),
                            event,
                        })
                        .await
                    {
                        return false;
                    }
                    if event == DELETED || file.seek(SeekFrom::Start(0)).await.is_err() {
                        return true;
                    }
                    at = 0;
                }
                Ok(n) => {
                    buffer.truncate(n);
                    at += n as u64;
                    self.left -= n as u64;
                    let data = Piece::Data {
                        file: name.to_owned(),
                        offset: at,
                        data: buffer.into(),
                    };
                    if !self.send(data).await {
                        return false;
                    }
                }
                Err(_) => return true,
            }
        }
    }

    /// Waits a little at a file's end; `None` where nobody listens any more, else what
    /// happened to the file.
    async fn wait(&self, path: &Path, at: u64) -> Option<Option<&'static str>> {
        tokio::select! {
            () = self.sender.closed() => return None,
            () = clock::sleep(POLL) => {}
        }
        match tokio::fs::metadata(path).await {
            Ok(meta) if meta.len() < at => Some(Some(TRUNCATED)),
            Ok(_) => Some(None),
            Err(_) => Some(Some(DELETED)),
        }
    }

    async fn send(&self, piece: Piece) -> bool {
        self.sender.send(piece).await.is_ok()
    }
}

/// Nomad's words.
const TRUNCATED: &str = "file truncated";
const DELETED: &str = "file deleted";
