//! A job's file, read where it is one that a cluster could take.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of a job's file at most. Nomad itself states no limit of a job, and a large one is a burden that
/// shows late: it is an entry of Raft's log, which is sent to every server and kept there, and from 512 KiB on
/// Raft warns that heartbeats may be late behind it; beyond 1 MB servers do not keep the file itself
/// (`job_max_source_size`). Ten times that is no job that anybody wrote, and is read in less than a second.
pub const SIZE_MAX: u64 = 10 << 20;

/// A job's file that is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refuses.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What it says.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than any job.
    #[error(
        "`{}` has {}, expected at most {} of a job's file: what is large goes into an `artifact` or a \
         volume, not into the job",
        path.display(), size.map_or_else(|| "no end".to_owned(), in_mib), in_mib(SIZE_MAX)
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes, where it has one.
        size: Option<u64>,
    },
}

fn in_mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} MiB"),
        (whole, tenth) => format!("{whole}.{tenth} MiB"),
    }
}

/// Reads a job's file.
///
/// # Errors
/// If it cannot be read, is no text, or is larger than [`SIZE_MAX`].
pub fn read(path: &Path) -> Result<String, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    let size = meta.is_file().then_some(meta.len());
    let too_large = || FileError::TooLarge {
        path: path.to_owned(),
        size,
    };
    if size.is_some_and(|size| size > SIZE_MAX) {
        return Err(too_large());
    }
    let mut text = String::new();
    // What has no size, a pipe, may go on for ever.
    let mut part = file.take(SIZE_MAX + 1);
    part.read_to_string(&mut text).map_err(failed)?;
    match text.len() as u64 {
        length if length > SIZE_MAX => Err(too_large()),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_a_job_is_refused_unread() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.nomad.hcl");
        // A file with holes: it takes no room, and reading it would take seconds.
        let file = File::create(&path).unwrap();
        file.set_len(SIZE_MAX).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, SIZE_MAX);
        file.set_len(200 << 20).unwrap();
        let told = read(&path).unwrap_err().to_string();
        let told = told.split(&*path.to_string_lossy()).nth(1).unwrap();
        let wanted =
            "` has 200 MiB, expected at most 10 MiB of a job's file: what is large goes into";
        assert!(told.starts_with(wanted), "{told}");
        file.set_len(SIZE_MAX + 1).unwrap();
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("has 10.1 MiB"), "{told}");
        let told = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(told.contains("`/dev/zero` has no end"), "{told}");
    }
}
