//! A cluster's folder on this machine: what is needed to talk to it later. Secrets are in files
//! of their own (0600), in a folder that nobody else may enter (0700).
//!
//! ```text
//! STATE_ROOT/NAME/cluster.json      what it is; no secrets
//!                 tls/              authority, its key, and the command line's certificate
//!                 gossip.key        what the servers encrypt their gossip with
//!                 management.token  the bootstrap token
//! STATE_ROOT/.locks/NAME.lock       held while a cluster of that name is made or removed
//! ```

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::engine::Next;
use crate::nomad::Token;
use crate::owner::Owner;
use crate::spec::{AgentPlan, Arch, ClusterSpec, Subnet};
use crate::target::{AgentInfo, EngineInfo};
use crate::tls::{self, Authority, LeafKind, Pair};

/// The layout of `cluster.json`; a newer one is refused, not misread.
const SCHEMA: u32 = 2;

/// A cluster's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no cluster of that name.
    #[error("there is no cluster `{name}`")]
    Absent {
        /// The name.
        name: String,
    },
    /// Another process makes or removes the cluster.
    #[error("cluster `{name}` is being made or removed by another process{}", pid_text(*.pid))]
    Busy {
        /// The name.
        name: String,
        /// The process, where it said so.
        pid: Option<u32>,
    },
    /// The file is not one of ours, or of a newer version.
    #[error("`{}` cannot be understood: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system refused.
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
}

impl FolderError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Absent { .. } => Some("rehearse ls    # or: rehearse up".to_owned()),
            Self::Busy { .. } => None,
            Self::Unreadable { path, .. } => {
                let folder = path.parent()?.file_name()?.to_string_lossy();
                Some(format!("rehearse down {folder}"))
            }
            Self::Disk { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => Some("df -h    # the disk is full".to_owned()),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("export XDG_STATE_HOME=FOLDER    # one that can be written".to_owned())
                }
                _ => None,
            },
        }
    }
}

/// A licence's file, in the cluster's folder.
const LICENSE_FILE: &str = "license.hclic";

fn pid_text(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
}

fn disk<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FolderError + 'a {
    move |source| FolderError::Disk {
        action,
        path: path.to_owned(),
        source,
    }
}

/// How far a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Being made.
    ComingUp,
    /// It came up.
    Ready,
    /// It did not come up, and was kept to be looked at.
    Kept,
}

/// An agent as it was planned, with the port that this machine reaches it by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Name, role, address.
    pub plan: AgentPlan,
    /// Its container's name.
    pub container: String,
    /// Port on 127.0.0.1 of its HTTP API.
    pub api_port: u16,
    /// Its image.
    pub image: String,
    /// Whether an emulator runs it.
    pub emulated: bool,
    /// Whether it runs what [`Record::next`] says, and no longer what it was made with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upgraded: bool,
}

impl AgentRecord {
    /// Returns what everybody may know of it.
    #[must_use]
    pub fn info(&self) -> AgentInfo {
        AgentInfo {
            name: self.plan.name.clone(),
            role: self.plan.role,
            region: self.plan.region.clone(),
            address: self.plan.address,
            arch: self.plan.arch,
            emulated: self.emulated,
            api_addr: format!("https://127.0.0.1:{}", self.api_port),
        }
    }
}

/// An image that holds the built-in program, in the engine's own architecture where that can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolImage {
    /// Its name.
    pub image: String,
    /// Its architecture.
    pub arch: Arch,
}

/// What is known of a cluster: the content of `cluster.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The layout's version.
    pub schema: u32,
    /// The `up` that made it.
    pub run: String,
    /// The process that made it.
    pub owner: String,
    /// How far it is.
    pub phase: Phase,
    /// Seconds since 1970.
    pub created: u64,
    /// What was asked for.
    pub spec: ClusterSpec,
    /// The agents' program.
    pub engine: EngineInfo,
    /// Its version.
    pub version: Version,
    /// What agents can be upgraded to; `None` where nothing was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// Where tools that work beside an agent come from; `None` where no image has them.
    pub tools: Option<ToolImage>,
    /// The Docker engine's own ID.
    pub docker: String,
    /// The network's addresses.
    pub subnet: Subnet,
    /// The agents, servers first.
    pub agents: Vec<AgentRecord>,
}

impl Record {
    /// Returns the layout's version that this program writes.
    #[must_use]
    pub fn schema() -> u32 {
        SCHEMA
    }

    /// Returns the agents of a region; of the cluster's first, where none is named.
    pub fn agents_of(&self, region: Option<&str>) -> impl Iterator<Item = &AgentRecord> {
        let agents = self.agents.iter();
        agents.filter(move |agent| agent.plan.region.as_deref() == region)
    }
}

/// The folder of all clusters.
#[derive(Clone, Debug)]
pub struct StateRoot(PathBuf);

impl StateRoot {
    /// Names the folder; it need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns a cluster's folder; it need not exist.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Folder {
        Folder {
            name: name.to_owned(),
            path: self.0.join(name),
        }
    }

    /// Returns the folders that there are, by name.
    ///
    /// # Errors
    /// When the folder cannot be read; an absent one has no clusters.
    pub fn clusters(&self) -> Result<Vec<Folder>, FolderError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(disk("read", &self.0)(error)),
        };
        let mut folders: Vec<Folder> = entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .map(|name| self.cluster(&name))
            .collect();
        folders.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(folders)
    }

    /// Takes the lock of a name; it is released when the value is dropped, or the process ends.
    ///
    /// # Errors
    /// [`FolderError::Busy`] when another process has it.
    pub fn lock(&self, name: &str) -> Result<Lock, FolderError> {
        let folder = self.0.join(".locks");
        private_folder(&folder)?;
        let path = folder.join(format!("{name}.lock"));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        options.mode(0o600);
        loop {
            let mut file = options.open(&path).map_err(disk("open", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let read = file.read_to_string(&mut text);
                    return Err(FolderError::Busy {
                        name: name.to_owned(),
                        pid: read.ok().and_then(|_| text.trim().parse().ok()),
                    });
                }
                Err(fs::TryLockError::Error(error)) => return Err(disk("lock", &path)(error)),
            }
            // Who had it may have removed it between our two calls: then it locks nothing.
            if !is_at(&file, &path) {
                continue;
            }
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()))
                .map_err(disk("write", &path))?;
            return Ok(Lock { file, path });
        }
    }

    /// Removes the locks that processes which were killed have left.
    pub fn remove_stale_locks(&self) {
        let entries = fs::read_dir(self.0.join(".locks"));
        for entry in entries.into_iter().flatten().flatten() {
            let path = entry.path();
            if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
                // One that can be had is stale, and goes with the value; any other is somebody's.
                drop(self.lock(name));
            }
        }
    }
}

/// Whether an open file is still the one at the path.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// The right to make or remove a cluster of a name.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held: whoever opened the file before finds out that it is gone.
        if is_at(&self.file, &self.path) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// A cluster's folder.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
    path: PathBuf,
}

impl Folder {
    /// Returns the cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Reads what is known of the cluster.
    ///
    /// # Errors
    /// [`FolderError::Absent`] when there is no such folder or record.
    pub fn read(&self) -> Result<Record, FolderError> {
        let path = self.path.join("cluster.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::Absent {
                    name: self.name.clone(),
                });
            }
            Err(error) => return Err(disk("read", &path)(error)),
        };
        let unreadable = |reason: String| FolderError::Unreadable {
            path: path.clone(),
            reason,
        };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        if schema != Some(SCHEMA.into()) {
            let found = schema.map_or("none".to_owned(), |number| number.to_string());
            return Err(unreadable(format!("schema {found}, expected {SCHEMA}")));
        }
        serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))
    }

    /// Writes what is known of the cluster, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, record: &Record) -> Result<(), FolderError> {
        private_folder(&self.path)?;
        let text = serde_json::to_string_pretty(record).expect("a record is plain data");
        let path = self.path.join("cluster.json");
        let beside = self.path.join("cluster.json.new");
        private_file(&beside, &text)?;
        fs::rename(&beside, &path).map_err(disk("write", &path))
    }

    /// Writes the secrets that are known before anything starts.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_secrets(
        &self,
        region: &str,
        authority: &Authority,
        cli: &Pair,
        gossip_key: &str,
    ) -> Result<(), FolderError> {
        let tls = self.tls_folder();
        private_folder(&tls)?;
        let (certificate, key) = tls::leaf_files(region, LeafKind::Cli);
        private_file(&tls.join(tls::CA_FILE), &authority.pair().certificate)?;
        private_file(&tls.join(tls::CA_KEY_FILE), &authority.pair().key)?;
        private_file(&tls.join(certificate), &cli.certificate)?;
        private_file(&tls.join(key), &cli.key)?;
        self.write_gossip_key(gossip_key)
    }

    /// Writes the licence.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_license(&self, text: &str) -> Result<(), FolderError> {
        private_file(&self.path.join(LICENSE_FILE), text)
    }

    /// Reads the licence; `None` for a cluster without one.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn read_license(&self) -> Result<Option<String>, FolderError> {
        let path = self.path.join(LICENSE_FILE);
        path.exists().then(|| self.read_text(&path)).transpose()
    }

    /// Writes the gossip key.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_gossip_key(&self, key: &str) -> Result<(), FolderError> {
        private_file(&self.path.join("gossip.key"), key)
    }

    /// Reads the gossip key.
    ///
    /// # Errors
    /// When there is none.
    pub fn read_gossip_key(&self) -> Result<String, FolderError> {
        self.read_text(&self.path.join("gossip.key"))
    }

    /// Reads the authority with its key.
    ///
    /// # Errors
    /// When one is missing.
    pub fn read_authority(&self) -> Result<Pair, FolderError> {
        let tls = self.tls_folder();
        Ok(Pair {
            certificate: self.read_text(&tls.join(tls::CA_FILE))?,
            key: self.read_text(&tls.join(tls::CA_KEY_FILE))?,
        })
    }

    /// Writes the management token.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_token(&self, token: &Token) -> Result<(), FolderError> {
        private_file(&self.token_file(), token.secret())
    }

    /// Reads the management token.
    ///
    /// # Errors
    /// When there is none.
    pub fn read_token(&self) -> Result<Token, FolderError> {
        self.read_text(&self.token_file()).map(Token::new)
    }

    /// Returns whether there is a management token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token_file().exists()
    }

    /// Reads the authority's certificate and the command line's, for a client.
    ///
    /// # Errors
    /// When one is missing.
    pub fn read_cli(&self, region: &str) -> Result<(String, Pair), FolderError> {
        let files = self.cli_files(region);
        Ok((
            self.read_text(&files.ca)?,
            Pair {
                certificate: self.read_text(&files.certificate)?,
                key: self.read_text(&files.key)?,
            },
        ))
    }

    /// Returns the file of the management token.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.path.join("management.token")
    }

    /// Returns where the files are that command lines need.
    #[must_use]
    pub fn cli_files(&self, region: &str) -> CliFiles {
        let (certificate, key) = tls::leaf_files(region, LeafKind::Cli);
        let tls = self.tls_folder();
        CliFiles {
            ca: tls.join(tls::CA_FILE),
            certificate: tls.join(certificate),
            key: tls.join(key),
        }
    }

    /// Removes the folder; one that is gone is no error.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self) -> Result<(), FolderError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(disk("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn tls_folder(&self) -> PathBuf {
        self.path.join("tls")
    }

    fn read_text(&self, path: &Path) -> Result<String, FolderError> {
        fs::read_to_string(path)
            .map(|text| text.trim_end().to_owned())
            .map_err(disk("read", path))
    }
}

/// The files that command lines need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The command line's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Makes a folder that nobody else may enter.
fn private_folder(path: &Path) -> Result<(), FolderError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(disk("make", path))
}

/// Writes a file that nobody else may read.
fn private_file(path: &Path, text: &str) -> Result<(), FolderError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(disk("write", path))
}

/// Returns whether the folder at `path` belongs to that run, so that removing it is right.
pub(super) fn belongs_to(path: &Path, run: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = Folder {
        name: name.into_owned(),
        path: path.to_owned(),
    };
    folder.read().is_ok_and(|record| record.run == run)
}

/// Returns whether the process that made the record lives; `None` where nobody can tell.
pub(super) fn maker_lives(record: &Record) -> Option<bool> {
    record.owner.parse::<Owner>().ok()?.lives()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn two_makers_of_one_name_do_not_race() {
        let root = tempfile::tempdir().unwrap();
        let root = StateRoot::new(root.path());
        let first = root.lock("demo").unwrap();
        let error = root.lock("demo").unwrap_err();
        let pid = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("cluster `demo` is being made or removed by another process ({pid})")
        );
        root.lock("other").unwrap();
        drop(first);
        root.lock("demo").unwrap();
    }

    #[test]
    fn a_lock_leaves_no_file_and_what_a_killed_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = StateRoot::new(folder.path());
        let locks = folder.path().join(".locks");
        let left = || fs::read_dir(&locks).unwrap().count();
        drop(root.lock("demo").unwrap());
        assert_eq!(left(), 0);
        fs::write(locks.join("killed.lock"), "1\n").unwrap();
        let held = root.lock("held").unwrap();
        root.remove_stale_locks();
        assert_eq!(left(), 1, "the one that is held");
        root.lock("held").unwrap_err();
        drop(held);
    }

    #[test]
    fn many_that_want_one_name_have_it_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let root = StateRoot::new(folder.path());
                    let mut had = 0;
                    while had < 200 {
                        let Ok(lock) = root.lock("demo") else {
                            continue;
                        };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                        had += 1;
                    }
                });
            }
        });
    }

    #[test]
    fn secrets_are_for_their_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateRoot::new(root.path().join("deep/state")).cluster("demo");
        let authority = Authority::new("global", time::OffsetDateTime::now_utc()).unwrap();
        let cli = authority.cli_leaf().unwrap();
        folder
            .write_secrets("global", &authority, &cli, "key")
            .unwrap();
        folder.write_token(&Token::new("secret")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.path().join("tls")), 0o700);
        let mut names = Vec::new();
        for place in [folder.path().to_owned(), folder.path().join("tls")] {
            for entry in fs::read_dir(place).unwrap() {
                let entry = entry.unwrap();
                if entry.path().is_file() {
                    assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
                    names.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
        }
        names.sort();
        assert_eq!(
            names,
            [
                "global-cli-nomad-key.pem",
                "global-cli-nomad.pem",
                "gossip.key",
                "management.token",
                "nomad-agent-ca-key.pem",
                "nomad-agent-ca.pem",
            ]
        );
        assert_eq!(folder.read_token().unwrap(), Token::new("secret"));
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_record_of_another_layout_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateRoot::new(root.path()).cluster("demo");
        assert!(matches!(folder.read(), Err(FolderError::Absent { .. })));
        private_folder(folder.path()).unwrap();
        private_file(&folder.path().join("cluster.json"), r#"{"schema": 1}"#).unwrap();
        let error = folder.read().unwrap_err();
        assert!(
            error.to_string().ends_with("schema 1, expected 2"),
            "{error}"
        );
        assert_eq!(error.hint().unwrap(), "rehearse down demo");
    }
}
