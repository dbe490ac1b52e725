//! What was seen, before anybody judges it.

use std::path::PathBuf;

use agent::grants::Grants;
use semver::Version;

use crate::docker::EngineFacts;
use crate::docker::probe::EngineReport;
use crate::emulation::{NotWorking, Place, Working};
use crate::spec::Arch;

/// Everything that was seen.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The Docker engine, or why there is none.
    pub engine: Result<EngineEvidence, NoEngine>,
    /// This machine.
    pub host: HostEvidence,
    /// Where Nomad can be had.
    pub nomad: NomadEvidence,
}

/// Why there is no Docker engine to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEngine {
    /// What went wrong.
    pub reason: String,
    /// The command that mends it.
    pub hint: Option<String>,
}

/// What was seen of the Docker engine.
#[derive(Clone, Debug)]
pub struct EngineEvidence {
    /// Version and API.
    pub facts: EngineFacts,
    /// What it says of itself.
    pub report: EngineReport,
    /// A network that a cluster could take, or why there is none.
    pub subnet: Result<String, NoEngine>,
    /// What its containers can do, or why that could not be tried.
    pub containers: Result<Containers, NoEngine>,
    /// What running a program of each other architecture came to, or why it was not tried.
    pub emulation: Vec<(Arch, Result<Emulation, NoEngine>)>,
    /// Who provides emulators there.
    pub place: Place,
    /// Bytes free where it keeps its data; `None` where that is not on this machine.
    pub disk_free: Option<u64>,
}

/// What running a program of another architecture came to.
pub type Emulation = Result<Working, NotWorking>;

/// What became of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It ran, and found this.
    Ran(Box<Grants>),
    /// The engine would not start it, in the engine's words.
    Refused(String),
    /// It started, and did not come to its end.
    Broken(String),
}

/// What containers with one or another privilege could do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Containers {
    /// One as any.
    pub usual: Trial,
    /// A privileged one.
    pub privileged: Trial,
    /// One each with a single capability more.
    pub capabilities: Vec<(&'static str, Trial)>,
}

/// What was seen of this machine.
#[derive(Clone, Debug)]
pub struct HostEvidence {
    /// Its architecture, where it is one of ours.
    pub arch: Option<Arch>,
    /// The folder of all clusters' state.
    pub state_root: PathBuf,
    /// Why that cannot be written, if so.
    pub state_refused: Option<String>,
    /// Bytes free there.
    pub state_free: Option<u64>,
    /// How emulators are registered with this kernel, one entry an architecture that has any;
    /// `None` where the kernel's list cannot be read.
    pub registrations: Option<Vec<(Arch, Registration)>>,
}

/// An entry of `/proc/sys/fs/binfmt_misc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its name, as `qemu-s390x`.
    pub name: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// The emulator's program.
    pub interpreter: String,
    /// Whether it works inside containers (flag `F`: opened at registration).
    pub fixed: bool,
}

/// Where Nomad can be had.
#[derive(Clone, Debug, Default)]
pub struct NomadEvidence {
    /// `nomad` on `$PATH`.
    pub on_path: Option<PathBuf>,
    /// Releases in the cache for this machine's architecture, oldest first.
    pub cached: Vec<Version>,
    /// The address of releases, without credentials.
    pub releases: String,
    /// Why nobody answers there, if so.
    pub unreachable: Option<String>,
}
