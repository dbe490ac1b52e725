//! HashiCorp's own Nomad: fetched for a version and an architecture, verified, unpacked, kept.
//!
//! Trust runs from one fingerprint in this file: the OpenPGP key of that fingerprint signed
//! `nomad_<v>_SHA256SUMS`, which names the zip's SHA-256. So any mirror will do, and plain HTTP
//! too. The key's text is not part of this program (see [`signature`] for what copies of it are
//! accepted): it comes from a file that the user names, from the cache, or from HashiCorp.
//!
//! A release in the cache is used without asking any network. Fetches of one release by several
//! processes wait for each other on a lock file; a transfer that broke off goes on where it
//! stopped, in the same call or in a later one.
//!
//! Missing: a list of pinned sums for those who want no OpenPGP at all.

mod catalog;
mod download;
mod fetch;
mod signature;
#[cfg(test)]
mod tests;
mod unpack;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use semver::Version;

pub use catalog::{
    Unavailable, available, cautions, is_enterprise, is_known, last_patches, nearest, newest,
};
pub use download::DownloadError;
pub use signature::SignatureError;
pub use unpack::UnpackError;

use crate::spec::Arch;

pub use download::shown as printable;

/// Where HashiCorp publishes.
pub const RELEASES: &str = "https://releases.hashicorp.com";

/// Where HashiCorp publishes its release key.
pub const KEY_ADDRESS: &str = "https://www.hashicorp.com/.well-known/pgp-key.txt";

/// Fingerprint of the key that signs all of HashiCorp's releases (HCSEC-2021-12; issued again
/// under the same fingerprint in 2026, HCSEC-2026-03).
pub const FINGERPRINT: &str = "C874011F0AB405110D02105534365D9472D7468F";

/// Where releases come from, and where they are kept.
#[derive(Clone, Debug)]
pub struct ReleaseSource {
    /// Base address: `BASE/nomad/<v>/nomad_<v>_linux_<arch>.zip`. May carry `user:password@`.
    pub base: String,
    /// The cache's folder; `None` where this user has no home.
    pub cache: Option<PathBuf>,
    /// A copy of the release key that goes before all others.
    pub key_file: Option<PathBuf>,
    /// Address of the release key, asked only if neither file nor cache has it.
    pub key_address: String,
    /// The fingerprint that is trusted, in upper-case hexadecimal.
    pub fingerprint: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a server may send nothing.
    pub stall_timeout: Duration,
    /// How long another process' fetch of the same release is waited for.
    pub lock_timeout: Duration,
}

/// What a fetch is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Another process fetches the same release.
    Waiting,
    /// Sums, signature and key are had and checked.
    Verifying,
    /// The zip is on its way.
    Downloading,
    /// The zip's sum is checked and the program unpacked.
    Unpacking,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Bytes of the zip that are here, those of an earlier, broken transfer included.
    pub received: u64,
    /// Bytes of the whole zip, once the server said.
    pub total: Option<u64>,
}

/// Is told how far a fetch is.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// A release could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Known not to exist, or not to be run.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The server does not have that version.
    #[error("Nomad `{version}` does not exist at {base} (404); known are {nearest}")]
    NoSuchVersion {
        /// The version asked for.
        version: Version,
        /// The base address.
        base: String,
        /// Versions around it.
        nearest: String,
    },
    /// The version exists, but not for that architecture.
    #[error("Nomad `{version}` is not built for `{arch}`; {base} has it for {others}")]
    NotBuilt {
        /// The version asked for.
        version: Version,
        /// The architecture asked for.
        arch: Arch,
        /// The base address.
        base: String,
        /// What it is built for.
        others: String,
    },
    /// There are sums, but nobody signed them.
    #[error("the checksums of Nomad `{version}` at {base} have no signature")]
    NoSignature {
        /// The version asked for.
        version: Version,
        /// The base address.
        base: String,
    },
    /// The key that was there is not to be used, or did not sign.
    #[error("the checksums of Nomad are not trusted, by the key from {origin}")]
    Untrusted {
        /// Where the key is from.
        origin: String,
        /// Why.
        #[source]
        source: Box<SignatureError>,
    },
    /// The key file that the user named cannot be read.
    #[error("cannot read the release key `{}`", .path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No key in a file or in the cache, and none to be downloaded.
    #[error("HashiCorp's release key is needed to check the download{}", .cached.as_ref().map(|why| format!("; the cached copy is no use ({why})")).unwrap_or_default())]
    NoKey {
        /// Why the cached copy was not enough.
        cached: Option<Box<SignatureError>>,
        /// Why it cannot be downloaded.
        #[source]
        source: DownloadError,
    },
    /// The zip is not the one that was signed.
    #[error("`{file}` from {base} has SHA-256 `{seen}`, expected `{expected}`")]
    WrongSum {
        /// Name of the zip.
        file: String,
        /// The base address.
        base: String,
        /// What was signed.
        expected: String,
        /// What came.
        seen: String,
    },
    /// The zip cannot be made a program.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A file cannot be had.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// There is nowhere to keep it.
    #[error("there is no cache folder: neither `XDG_CACHE_HOME` nor a home folder is set")]
    NoCache,
    /// The cache cannot be used.
    #[error("cannot {action} `{}`", .path.display())]
    Disk {
        /// The verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process did not finish with the same release.
    #[error("another process has been fetching the same release for {}s (lock `{}`)", .waited.as_secs(), .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl ReleaseError {
    /// Returns what to type next, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        const ANOTHER_KEY: &str = "curl -o key.asc https://www.hashicorp.com/.well-known/pgp-key.txt    # then --release-key key.asc";
        const ANOTHER_MIRROR: &str = "rehearse up --releases URL    # another mirror";
        let hint = match self {
            Self::Unavailable(unavailable) => unavailable.hint(),
            Self::NoSuchVersion { .. } => format!("rehearse up --nomad-version {}", newest()),
            Self::NotBuilt { arch, .. } => format!(
                "rehearse up --nomad-binary {arch}=PATH    # a self-compiled Nomad; or --engine simulator"
            ),
            Self::Untrusted { source, .. } => match **source {
                SignatureError::Mismatch { .. }
                | SignatureError::NotASignature(_)
                | SignatureError::WeakHash { .. } => ANOTHER_MIRROR.to_owned(),
                _ => ANOTHER_KEY.to_owned(),
            },
            Self::KeyFile { .. } | Self::NoKey { .. } => ANOTHER_KEY.to_owned(),
            Self::NoSignature { .. } | Self::WrongSum { .. } => ANOTHER_MIRROR.to_owned(),
            Self::Unpack(UnpackError::Zip { .. } | UnpackError::TooLarge { .. }) => {
                ANOTHER_MIRROR.to_owned()
            }
            Self::Download(DownloadError::Stalled { .. } | DownloadError::Broken { .. }) => {
                "rehearse up ...    # the same again: it goes on where it stopped".to_owned()
            }
            Self::Download(DownloadError::NoRoots { .. }) => {
                "sudo apt-get install ca-certificates    # or: export SSL_CERT_FILE=PEM".to_owned()
            }
            Self::Download(DownloadError::Disk { source, .. })
            | Self::Unpack(UnpackError::Disk { source, .. })
            | Self::Disk { source, .. } => disk_hint(source)?,
            Self::Download(_) => {
                "rehearse up --nomad-binary PATH    # or --engine simulator: no network needed"
                    .to_owned()
            }
            Self::NoCache => "export XDG_CACHE_HOME=FOLDER".to_owned(),
            Self::Locked { .. } => return None,
        };
        Some(hint)
    }
}

fn disk_hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::StorageFull => Some("df -h    # the disk is full".to_owned()),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("export XDG_CACHE_HOME=FOLDER    # one that can be written".to_owned())
        }
        _ => None,
    }
}
