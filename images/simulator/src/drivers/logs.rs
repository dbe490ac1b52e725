//! A task's output in files: `<task>.stdout.0`, `.1`, ... up to a size each, of which the
//! newest few are kept, as Nomad's log rotation does.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How a task's output is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Files kept of each stream.
    pub max_files: usize,
    /// Bytes in each.
    pub max_bytes: u64,
}

/// One stream's files.
pub(super) struct RotatedFile {
    dir: PathBuf,
    prefix: String,
    rotation: Rotation,
    index: usize,
    file: File,
    size: u64,
}

impl RotatedFile {
    /// Opens the newest file of `prefix` in `dir` to append to, or makes the first one.
    pub(super) fn open(dir: &Path, prefix: &str, rotation: Rotation) -> io::Result<Self> {
        let index = indices(dir, prefix)?.into_iter().max().unwrap_or(0);
        let (file, size) = append(dir, prefix, index)?;
        Ok(Self {
            dir: dir.to_owned(),
            prefix: prefix.to_owned(),
            rotation,
            index,
            file,
            size,
        })
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.rotation.max_bytes.saturating_sub(self.size);
            if room == 0 {
                self.rotate()?;
                continue;
            }
            let part = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            self.file.write_all(&bytes[..part])?;
            self.size += part as u64;
            bytes = &bytes[part..];
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.index += 1;
        (self.file, self.size) = append(&self.dir, &self.prefix, self.index)?;
        for index in indices(&self.dir, &self.prefix)? {
            if index + self.rotation.max_files <= self.index {
                std::fs::remove_file(path_of(&self.dir, &self.prefix, index))?;
            }
        }
        Ok(())
    }

    /// Copies a stream until its end. What cannot be written is lost, not the task.
    pub(super) async fn copy(mut self, mut stream: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 8 * 1024];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    if let Err(error) = self.write(&buffer[..n]) {
                        tracing::warn!(target: "client.logmon", %error, "cannot write task log");
                    }
                }
            }
        }
    }
}

fn path_of(dir: &Path, prefix: &str, index: usize) -> PathBuf {
    dir.join(format!("{prefix}.{index}"))
}

fn append(dir: &Path, prefix: &str, index: usize) -> io::Result<(File, u64)> {
    let path = path_of(dir, prefix, index);
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn indices(dir: &Path, prefix: &str) -> io::Result<Vec<usize>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let index = name.to_str().and_then(|name| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
            rest.parse::<usize>().ok()
        });
        found.extend(index);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_output_makes_room_for_new() {
        let dir = tempfile::tempdir().expect("a directory");
        let rotation = Rotation {
            max_files: 2,
            max_bytes: 4,
        };
        let mut log = RotatedFile::open(dir.path(), "t.stdout", rotation.clone()).expect("open");
        log.write(b"aaaabbbbcc").expect("write");
        drop(log);
        let read = |i: usize| std::fs::read_to_string(path_of(dir.path(), "t.stdout", i)).ok();
        assert_eq!(read(0), None);
        assert_eq!(read(1).as_deref(), Some("bbbb"));
        assert_eq!(read(2).as_deref(), Some("cc"));
        let mut again = RotatedFile::open(dir.path(), "t.stdout", rotation).expect("open");
        again.write(b"d").expect("write");
        assert_eq!(read(2).as_deref(), Some("ccd"));
    }
}
