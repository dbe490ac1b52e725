//! Certificates and the gossip key of a cluster on AWS, as a folder on the operator's machine: the
//! layout and names of `nomad tls`, so that its commands and ours read each other's.
//!
//! ```text
//! pki/ca/nomad-agent-ca.pem           the authority, and its key, which never leaves this folder
//! pki/servers/global-server-nomad.pem ... and -key.pem
//! pki/clients/global-client-nomad.pem
//! pki/cli/global-cli-nomad.pem
//! pki/gossip.key
//! ```
//!
//! One leaf serves all agents of a role: machines come and go there, and Nomad looks at the role's name
//! alone.

mod inspect;
mod rotate;
mod tfvars;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use time::OffsetDateTime;

use crate::spec::{AgentName, AgentPlan, Arch, Role};
use crate::tls::{Authority, CA_FILE, CA_KEY_FILE, LeafKind, Pair, TlsError, leaf_files};

pub use self::inspect::{Certificate, Finding, Report, inspect};
pub use self::rotate::{RotateError, rotate};
pub use self::tfvars::{TfvarsError, read_tfvar, write_tfvars};

/// Name of the file with the gossip key.
pub const GOSSIP_FILE: &str = "gossip.key";

/// Why the folder could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Something is there already: a new authority would cut running agents off.
    #[error("`{}` is there already, with an authority that agents may trust", .0.display())]
    Exists(PathBuf),
    /// The region cannot be a part of names.
    #[error("`{0}` is no region: lower-case letters, digits and dashes are, as `global`")]
    Region(String),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The disk.
    #[error("cannot write `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}

/// Judges a network from which operators reach the cluster's API, as the variable `operator_cidrs` of
/// `terraform/` takes it.
///
/// # Errors
///
/// If it is none, and for the whole internet.
pub fn operator_network(text: &str) -> Result<(), String> {
    let network = text.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let figures = length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u8 = length.parse().ok().filter(|_| figures)?;
        (length <= longest).then_some(length)
    });
    match network {
        None => Err("expected a network in CIDR notation, as `198.51.100.7/32`".to_owned()),
        Some(0) => {
            Err("a network of length 0 opens the cluster's API to the whole internet".to_owned())
        }
        Some(_) => Ok(()),
    }
}

/// Returns the folder of a kind of leaf.
#[must_use]
pub fn folder_of(kind: LeafKind) -> &'static str {
    match kind {
        LeafKind::Server => "servers",
        LeafKind::Client => "clients",
        LeafKind::Cli => "cli",
    }
}

/// Makes the folder with a new authority, its leaves and a gossip key, valid from `now` on. It appears
/// whole or not at all.
///
/// # Errors
///
/// If the folder holds anything, for a region that is none, and when the disk refuses.
pub fn create(dir: &Path, region: &str, now: OffsetDateTime) -> Result<(), CreateError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.starts_with('-') || !region.chars().all(fits) {
        return Err(CreateError::Region(region.to_owned()));
    }
    let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || dir.is_file() {
        return Err(CreateError::Exists(dir.to_owned()));
    }
    let partial = beside(dir);
    let made = fill(&partial, region, now).and_then(|()| {
        // An empty folder gives way to a full one.
        std::fs::rename(&partial, dir).map_err(|source| CreateError::Io {
            path: dir.to_owned(),
            source,
        })
    });
    if made.is_err() {
        drop(std::fs::remove_dir_all(&partial));
    }
    made
}

fn beside(dir: &Path) -> PathBuf {
    let name = dir
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    dir.with_file_name(format!(".{name}.partial-{}", std::process::id()))
}

fn fill(dir: &Path, region: &str, now: OffsetDateTime) -> Result<(), CreateError> {
    let authority = Authority::new(region, now)?;
    folder(dir)?;
    write_pair(&dir.join("ca"), (CA_FILE, CA_KEY_FILE), authority.pair())?;
    for kind in [LeafKind::Server, LeafKind::Client, LeafKind::Cli] {
        let pair = match kind {
            LeafKind::Server => authority.agent_leaf(&any_agent(Role::Server))?,
            LeafKind::Client => authority.agent_leaf(&any_agent(Role::Client))?,
            LeafKind::Cli => authority.cli_leaf()?,
        };
        let (certificate, key) = leaf_files(region, kind);
        write_pair(&dir.join(folder_of(kind)), (&certificate, &key), &pair)?;
    }
    let mut key = [0_u8; 32];
    rand::rng().fill_bytes(&mut key);
    write(
        &dir.join(GOSSIP_FILE),
        &format!("{}\n", STANDARD.encode(key)),
    )
}

/// Stands for every agent of a role: its leaf carries the role's name and no machine's address.
fn any_agent(role: Role) -> AgentPlan {
    AgentPlan {
        name: AgentName(role.to_string()),
        role,
        region: None,
        address: Ipv4Addr::LOCALHOST,
        arch: Arch::Amd64,
    }
}

fn write_pair(
    dir: &Path,
    (certificate, key): (&str, &str),
    pair: &Pair,
) -> Result<(), CreateError> {
    folder(dir)?;
    write(&dir.join(certificate), &pair.certificate)?;
    write(&dir.join(key), &pair.key)
}

fn folder(dir: &Path) -> Result<(), CreateError> {
    let io = |source| CreateError::Io {
        path: dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(io)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(io)
}

/// Writes a file that nobody else can read, not even while it is being written.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CreateError> {
    let io = |source| CreateError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn operators_networks_are_those_that_terraform_takes() {
        for good in ["198.51.100.7/32", "10.0.0.0/8", "2001:db8::/32"] {
            assert_eq!(operator_network(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("foo", "expected a network in CIDR notation"),
            ("10.0.0.1", "expected a network"),
            ("10.0.0.0/33", "expected a network"),
            ("10.0.0/8", "expected a network"),
            ("10.0.0.0/+8", "expected a network"),
            ("0.0.0.0/0", "whole internet"),
            ("::/0", "whole internet"),
        ] {
            let told = operator_network(bad).unwrap_err();
            assert!(told.contains(why), "{bad}: {told}");
        }
    }

    #[test]
    fn the_folder_has_the_names_of_nomad_tls_and_is_its_owners_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        create(&dir, "eu", OffsetDateTime::now_utc()).unwrap();
        for name in [
            "ca/nomad-agent-ca.pem",
            "ca/nomad-agent-ca-key.pem",
            "servers/eu-server-nomad.pem",
            "servers/eu-server-nomad-key.pem",
            "clients/eu-client-nomad.pem",
            "clients/eu-client-nomad-key.pem",
            "cli/eu-cli-nomad.pem",
            "cli/eu-cli-nomad-key.pem",
            "gossip.key",
        ] {
            assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("ca")), 0o700);
        let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing partial is left");
    }

    #[test]
    fn an_authority_is_never_overwritten() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        create(&dir, "global", OffsetDateTime::now_utc()).unwrap();
        let before = std::fs::read(dir.join("ca/nomad-agent-ca.pem")).unwrap();
        assert!(matches!(
            create(&dir, "global", OffsetDateTime::now_utc()),
            Err(CreateError::Exists(_))
        ));
        assert_eq!(
            std::fs::read(dir.join("ca/nomad-agent-ca.pem")).unwrap(),
            before
        );
        assert!(matches!(
            create(
                &scratch.path().join("x"),
                "EU west",
                OffsetDateTime::now_utc()
            ),
            Err(CreateError::Region(_))
        ));
    }

    #[test]
    fn an_empty_folder_is_filled() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        std::fs::create_dir(&dir).unwrap();
        create(&dir, "global", OffsetDateTime::now_utc()).unwrap();
        assert!(dir.join("gossip.key").is_file());
    }
}
