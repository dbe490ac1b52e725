//! From a verified zip to a program in the cache, and the record by which it is known again.
//!
//! A program counts as cached when its record stands beside it and names its exact length; both
//! arrive by renaming, so a process that ends half-way leaves nothing that looks whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Name of the program, in the zip and in the cache.
const PROGRAM: &str = "nomad";

/// Name of the record beside it.
const RECORD: &str = "release.json";

/// Largest program that is unpacked: Nomad is 90 to 250 MB. A zip can claim anything.
const LARGEST: u64 = 2 << 30;

/// What is known of a cached program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// SHA-256 of the zip, as HashiCorp signed it.
    pub(super) zip_sha256: String,
    /// SHA-256 of the program.
    pub(super) sha256: String,
    /// Length of the program in bytes.
    pub(super) length: u64,
    /// Fingerprint of the key that vouched for it.
    pub(super) key: String,
}

/// A zip cannot be made a program.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is no zip, or a damaged one.
    #[error("`{}` is not a readable zip", .path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// What the library says.
        #[source]
        source: zip::result::ZipError,
    },
    /// The program is larger than any Nomad.
    #[error("`{PROGRAM}` in `{}` is larger than {LARGEST} bytes", .path.display())]
    TooLarge {
        /// The zip.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("cannot unpack to `{}`", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Returns the program in a cache folder, if it is there whole.
pub(super) fn cached(folder: &Path) -> Option<PathBuf> {
    let record: Record = serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()?;
    let program = folder.join(PROGRAM);
    let metadata = fs::metadata(&program).ok()?;
    (metadata.is_file() && metadata.len() == record.length).then_some(program)
}

/// Computes a file's SHA-256 in lower-case hexadecimal.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// Unpacks the program from a zip into its folder, executable, and writes its record.
pub(super) fn unpack(
    zip: &Path,
    folder: &Path,
    zip_sha256: &str,
    key: &str,
) -> Result<PathBuf, UnpackError> {
    let program = folder.join(PROGRAM);
    let fresh = folder.join(format!("{PROGRAM}.{}.tmp", uuid::Uuid::new_v4().simple()));
    let outcome = write_program(zip, &fresh).and_then(|(sha256, length)| {
        let record = Record {
            zip_sha256: zip_sha256.to_owned(),
            sha256,
            length,
            key: key.to_owned(),
        };
        let disk = |path: &Path, source| UnpackError::Disk {
            path: path.to_owned(),
            source,
        };
        fs::rename(&fresh, &program).map_err(|source| disk(&program, source))?;
        write_record(folder, &record).map_err(|source| disk(&folder.join(RECORD), source))
    });
    if outcome.is_err() {
        // It may never have been made; the first error is the one to tell.
        fs::remove_file(&fresh).ok();
    }
    outcome.map(|()| program)
}

fn write_program(zip: &Path, to: &Path) -> Result<(String, u64), UnpackError> {
    let unreadable = |source| UnpackError::Zip {
        path: zip.to_owned(),
        source,
    };
    let disk = |path: &Path| {
        let path = path.to_owned();
        move |source| UnpackError::Disk { path, source }
    };
    let file = File::open(zip).map_err(disk(zip))?;
    let mut archive = zip::ZipArchive::new(file).map_err(unreadable)?;
    let mut entry = archive.by_name(PROGRAM).map_err(unreadable)?;
    let mut out = File::create_new(to).map_err(disk(to))?;
    let (mut hash, mut length) = (Sha256::new(), 0u64);
    let mut buffer = vec![0; 1 << 16];
    loop {
        // What fails here is the zip's checksum or its compression, never this disk's writing.
        let read = entry
            .read(&mut buffer)
            .map_err(|source| unreadable(source.into()))?;
        if read == 0 {
            break;
        }
        length += read as u64;
        if length > LARGEST {
            return Err(UnpackError::TooLarge {
                path: zip.to_owned(),
            });
        }
        hash.update(&buffer[..read]);
        out.write_all(&buffer[..read]).map_err(disk(to))?;
    }
    make_executable(&out).map_err(disk(to))?;
    out.sync_all().map_err(disk(to))?;
    Ok((format!("{:x}", hash.finalize()), length))
}

#[cfg(unix)]
fn make_executable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_file: &File) -> io::Result<()> {
    Ok(())
}

fn write_record(folder: &Path, record: &Record) -> io::Result<()> {
    let fresh = folder.join(format!("{RECORD}.{}.tmp", uuid::Uuid::new_v4().simple()));
    fs::write(&fresh, serde_json::to_vec_pretty(record)?)?;
    fs::rename(&fresh, folder.join(RECORD))
}
