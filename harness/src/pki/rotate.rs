//! New leaves of the same authority, before the old ones end: old and new trust each other, so agents may
//! take them up one by one.
//!
//! The authority and the gossip key stay. A new authority has to be trusted by every agent before the
//! first one shows its leaf, and a running cluster's gossip key is changed by `nomad operator gossip
//! keyring`: neither is a matter of files alone.

use std::io;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::{any_agent, folder_of, write};
use crate::pki::CreateError;
use crate::spec::Role;
use crate::tls::{Authority, CA_FILE, CA_KEY_FILE, LeafKind, Pair, TlsError, leaf_files};

/// Why leaves were not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Files of the authority cannot be read.
    #[error("cannot read `{}`, without which no certificate can be signed", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The folder is of another region.
    #[error("`{}` has no certificate of region `{region}`: expected `{}`", dir.display(), file.display())]
    Region {
        /// The folder.
        dir: PathBuf,
        /// The region.
        region: String,
        /// What such a folder holds.
        file: PathBuf,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The disk.
    #[error(transparent)]
    Write(#[from] CreateError),
}

/// Signs new leaves for servers, clients and the command line, valid from `now` on, and returns their
/// files. Every new file is written before the first old one is replaced; done again, it mends what an
/// interruption left.
///
/// # Errors
///
/// If the folder holds no authority of ours or `nomad tls`, or is of another region, and when the disk
/// refuses.
pub fn rotate(dir: &Path, region: &str, now: OffsetDateTime) -> Result<Vec<PathBuf>, RotateError> {
    let read = |name: &str| {
        let path = dir.join("ca").join(name);
        std::fs::read_to_string(&path).map_err(|source| RotateError::Authority { path, source })
    };
    let pair = Pair {
        certificate: read(CA_FILE)?,
        key: read(CA_KEY_FILE)?,
    };
    let authority = Authority::of_pair(region, pair, now)?;
    let server = dir
        .join(folder_of(LeafKind::Server))
        .join(leaf_files(region, LeafKind::Server).0);
    if !server.is_file() {
        return Err(RotateError::Region {
            dir: dir.to_owned(),
            region: region.to_owned(),
            file: server,
        });
    }
    let mut files = Vec::new();
    for kind in [LeafKind::Server, LeafKind::Client, LeafKind::Cli] {
        let pair = match kind {
            LeafKind::Server => authority.agent_leaf(&any_agent(Role::Server))?,
            LeafKind::Client => authority.agent_leaf(&any_agent(Role::Client))?,
            LeafKind::Cli => authority.cli_leaf()?,
        };
        let (certificate, key) = leaf_files(region, kind);
        let folder = dir.join(folder_of(kind));
        files.push((folder.join(certificate), pair.certificate));
        files.push((folder.join(key), pair.key));
    }
    for (path, text) in &files {
        let beside = beside(path);
        // What an interrupted rotation left is of no use to anybody.
        drop(std::fs::remove_file(&beside));
        write(&beside, text)?;
    }
    for (path, _) in &files {
        std::fs::rename(beside(path), path).map_err(|source| CreateError::Io {
            path: path.clone(),
            source,
        })?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("pem.new")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{create, inspect};

    #[test]
    fn new_leaves_are_of_the_same_authority_and_all_else_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        let now = OffsetDateTime::now_utc();
        create(&dir, "eu", now).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        let kept = [
            "ca/nomad-agent-ca.pem",
            "ca/nomad-agent-ca-key.pem",
            "gossip.key",
        ];
        let before: Vec<String> = kept.iter().map(|name| read(name)).collect();
        let leaf = read("servers/eu-server-nomad.pem");
        std::fs::write(dir.join("servers/eu-server-nomad.pem.new"), "half").unwrap();
        let later = now + time::Duration::days(200);
        let files = rotate(&dir, "eu", later).unwrap();
        assert_eq!(files.len(), 6);
        let after: Vec<String> = kept.iter().map(|name| read(name)).collect();
        assert_eq!(before, after);
        assert_ne!(leaf, read("servers/eu-server-nomad.pem"));
        let report = inspect(&dir, "eu", later);
        assert!(report.is_sound(), "{:?}", report.findings);
        let ends = report.certificates.iter().filter(|found| !found.authority);
        assert!(ends.clone().count() == 3 && ends.clone().all(|found| !found.not_after.is_empty()));
        assert!(!dir.join("servers/eu-server-nomad.pem.new").exists());
    }

    #[test]
    fn without_its_key_or_for_another_region_nothing_is_touched() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        let now = OffsetDateTime::now_utc();
        create(&dir, "eu", now).unwrap();
        let leaf = std::fs::read(dir.join("cli/eu-cli-nomad.pem")).unwrap();
        assert!(matches!(
            rotate(&dir, "global", now),
            Err(RotateError::Region { .. })
        ));
        std::fs::remove_file(dir.join("ca/nomad-agent-ca-key.pem")).unwrap();
        assert!(matches!(
            rotate(&dir, "eu", now),
            Err(RotateError::Authority { .. })
        ));
        assert_eq!(
            leaf,
            std::fs::read(dir.join("cli/eu-cli-nomad.pem")).unwrap()
        );
    }
}
