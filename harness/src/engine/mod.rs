//! Where the agent program comes from. Four engines behind one seam: each ends as an image that
//! the Docker engine has, a command, and a version; from there on everything is the same code.

mod assembly;
mod binary;
mod cloud;
mod elf;
mod foreign;
mod image;
mod images;
mod license;
mod next;
pub mod release;
mod simulator;
mod workbench;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::docker::{DockerEngine, DockerError};
use crate::environment::Environment;
use crate::progress::{Event, Progress};
use crate::spec::Arch;
use crate::target::EngineInfo;
use crate::time_scale::TimeScale;

pub(crate) use assembly::{BUILT_IN, USER as AGENT_USER};
pub use cloud::asks_aws;
pub use elf::ElfError;
pub use license::{License, LicenseError, license};
pub use next::{Next, provide_next};
pub use release::{ReleaseError, ReleaseSource};
pub use workbench::workbench;

/// How long the automatic choice asks the network whether a release can be had.
const REACHABLE_MAX: Duration = Duration::from_millis(1500);

/// Which engine is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// The first that can be had: binary, cached release, release, simulator.
    #[default]
    Auto,
    /// The built-in agent.
    Simulator,
    /// A given file, or `nomad` on the path.
    Binary,
    /// HashiCorp's release.
    Release,
    /// An existing image.
    Image,
}

impl EngineKind {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("simulator", Self::Simulator),
        ("binary", Self::Binary),
        ("release", Self::Release),
        ("image", Self::Image),
    ];
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, kind)| kind == self);
        f.write_str(name.expect("all are in the table").0)
    }
}

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| UnknownEngine {
            text: text.to_owned(),
        })
    }
}

/// A word for none of the engines.
#[derive(Debug, thiserror::Error)]
#[error("unknown engine `{text}` (expected `auto`, `simulator`, `binary`, `release` or `image`)")]
pub struct UnknownEngine {
    text: String,
}

/// What engine is asked for, and what goes with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineRequest {
    /// Which one.
    pub kind: EngineKind,
    /// Version of Nomad: of the release, or what a binary is expected to be.
    pub version: Option<Version>,
    /// Nomad's binaries by architecture; without one, `nomad` on the path is looked for.
    pub binaries: BTreeMap<Arch, PathBuf>,
    /// An image's reference.
    pub image: Option<String>,
    /// An image that a binary or a release is put into; from scratch without one.
    pub base_image: Option<String>,
    /// Base address of the releases, in place of the environment's.
    pub releases: Option<String>,
    /// A copy of HashiCorp's release key, in place of the environment's.
    pub release_key: Option<PathBuf>,
    /// File of a licence of Nomad Enterprise, in place of the environment's.
    pub license: Option<PathBuf>,
    /// How many times faster than Nomad's own the timers are to run; the simulator's only.
    pub time_scale: TimeScale,
    /// A defect to be planted; the simulator's only.
    pub plant: Option<String>,
    /// What scenarios may upgrade agents to: a version, a binary's path, or for engine `image`
    /// another image. A simulated agent always can: it says that it is of another version.
    pub upgrade_to: Option<String>,
}

impl EngineRequest {
    /// Returns the option that only a simulated agent has, if one is asked for.
    fn simulator_only(&self) -> Option<String> {
        if let Some(defect) = &self.plant {
            return Some(format!("--plant {defect}"));
        }
        (!self.time_scale.is_one()).then(|| format!("--time-scale {}", self.time_scale))
    }

    /// Returns whether a program, an image or a version of Nomad was named.
    fn names_nomad(&self) -> bool {
        self.image.is_some() || !self.binaries.is_empty() || self.version.is_some()
    }

    /// Returns where releases come from: what was asked for, else what the environment says.
    fn releases(&self) -> ReleaseSource {
        let usual = ReleaseSource::from_env();
        ReleaseSource {
            base: self.releases.clone().unwrap_or(usual.base),
            key_file: self.release_key.clone().or(usual.key_file),
            ..usual
        }
    }
}

/// The agents' program, ready to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Which it is, for every output.
    pub info: EngineInfo,
    /// Version whose configuration and API it has.
    pub version: Version,
    /// The image, which the Docker engine has.
    pub image: String,
    /// The command of an agent.
    pub command: Vec<String>,
    /// Environment of an agent, `KEY=VALUE`.
    pub env: Vec<String>,
    /// Whether the image holds the built-in program, too: network tool, workload.
    pub tools: bool,
    /// Why this one, in a few words.
    pub reason: String,
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nomad's timers and Nomad's laws cannot be changed.
    #[error("`{option}` is for the simulated agent alone: Nomad has no such thing")]
    SimulatorOnly {
        /// The option.
        option: String,
    },
    /// An Enterprise build without a licence.
    #[error(transparent)]
    License(#[from] LicenseError),
    /// There is no such defect.
    #[error(transparent)]
    UnknownPlant(#[from] agent::plant::UnknownPlant),
    /// No program for the built-in agent.
    #[error("the built-in agent needs a Linux program for {arch}: {reason}")]
    NoSimulator {
        /// The architecture.
        arch: Arch,
        /// What was looked at.
        reason: String,
    },
    /// No binary was given and none is on the path.
    #[error("no Nomad binary for {arch}: none was given, and no `nomad` is on the path")]
    NoBinary {
        /// The architecture.
        arch: Arch,
    },
    /// There is no such file.
    #[error("there is no file `{}`", .path.display())]
    NoSuchFile {
        /// The file.
        path: PathBuf,
    },
    /// A folder was given for the program.
    #[error("`{}` is a folder, expected the program itself{}", .path.display(), if .holds.is_some() { "" } else { ", and no `nomad` is in it" })]
    IsFolder {
        /// The folder.
        path: PathBuf,
        /// The program that lies in it.
        holds: Option<PathBuf>,
        /// The architecture that it was given for.
        arch: Arch,
    },
    /// The file is none, or nobody may execute it.
    #[error("`{}` is not an executable file", .path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The file is no ELF program, or a library is missing.
    #[error("`{}` cannot run in a Linux container", .path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ElfError,
    },
    /// The file is of another architecture.
    #[error("`{}` is built for {found}, expected {expected}", .path.display())]
    OtherArch {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What is needed.
        expected: Arch,
    },
    /// The program does not say that it is Nomad.
    #[error(
        "`{subject}` is not Nomad: `nomad version` should print `Nomad v1.x.y`, it printed `{said}`"
    )]
    NotNomad {
        /// The file or the image.
        subject: String,
        /// What it printed.
        said: String,
    },
    /// It is another version than the one asked for.
    #[error("`{subject}` is Nomad {found}, expected {expected}")]
    OtherVersion {
        /// The file or the image.
        subject: String,
        /// What it is.
        found: Version,
        /// What was asked for.
        expected: Version,
    },
    /// No image reference was given.
    #[error("engine `image` needs an image")]
    NoImage,
    /// The image cannot be had.
    #[error("cannot get image `{reference}` for {arch}")]
    Pull {
        /// The reference.
        reference: String,
        /// The architecture.
        arch: Arch,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// The image is of another architecture.
    #[error("image `{reference}` is built for {found}, expected {expected}")]
    ImageArch {
        /// The reference.
        reference: String,
        /// What it says of itself.
        found: String,
        /// What is needed.
        expected: Arch,
    },
    /// The release cannot be had.
    #[error("no release of Nomad {version} for {arch}")]
    Release {
        /// The version.
        version: Version,
        /// The architecture.
        arch: Arch,
        /// Why.
        #[source]
        source: Box<ReleaseError>,
    },
    /// A simulated agent is no file.
    #[error("a simulated agent can be upgraded to a version, as `1.8.4`, not to `{asked}`")]
    SimulatedUpgrade {
        /// What was asked for.
        asked: String,
    },
    /// The architectures would have different programs.
    #[error("the agents' programs differ: {}", unlike_text(.0))]
    Unlike(BTreeMap<Arch, String>),
    /// The Docker engine refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// There is no image in which scripts run, and none can be made.
    #[error("no image in which scripts run can be made here: {missing}")]
    NoWorkbench {
        /// What is missing.
        missing: String,
    },
    /// A file cannot be read.
    #[error("cannot make the agents' image")]
    Assembly(#[source] std::io::Error),
}

impl EngineError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSimulator { arch, .. } if Arch::host() != Some(*arch) => {
                return Some(format!(
                    "ci/build-static.sh {arch}    # in the source tree; then REHEARSE_AGENT=target/static/{arch}/rehearse-agent"
                ));
            }
            Self::NoSimulator { .. } => {
                "cargo build --bin rehearse    # or REHEARSE_AGENT=PATH of a Linux `agent`"
            }
            Self::SimulatorOnly { option } => {
                return Some(format!("rehearse up --engine simulator {option}"));
            }
            Self::License(_) => {
                "rehearse up --license FILE    # or NOMAD_LICENSE_PATH; a version without +ent needs none"
            }
            Self::NoBinary { .. } => "rehearse up --nomad-binary PATH, or --engine simulator",
            Self::IsFolder { holds, arch, .. } => {
                let program = match holds {
                    Some(program) => program.display().to_string(),
                    None => "PATH".to_owned(),
                };
                let arch = match Some(*arch) == Arch::host() {
                    true => String::new(),
                    false => format!("{arch}="),
                };
                return Some(format!("rehearse up --nomad-binary {arch}{program}"));
            }
            Self::NotExecutable { path } => return Some(format!("chmod +x {}", path.display())),
            Self::OtherArch { expected, .. } => {
                return Some(format!("rehearse up --nomad-binary {expected}=PATH"));
            }
            Self::Unlike(_) => {
                "rehearse up --engine simulator    # or --nomad-binary ARCH=PATH for each architecture"
            }
            Self::NoWorkbench { .. } => {
                "rehearse plan DIR --run --base-image REFERENCE    # as amazonlinux:2023, ubuntu:22.04"
            }
            Self::NoImage => "rehearse up --engine image --image hashicorp/nomad:1.8.3",
            Self::Release { source, .. } => return source.hint(),
            Self::Pull { source, .. } if source.hint().is_none() => {
                "docker login    # or a REFERENCE that `docker pull` can get, or --engine simulator"
            }
            Self::Docker(error) | Self::Pull { source: error, .. } => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn unlike_text(labels: &BTreeMap<Arch, String>) -> String {
    let texts: Vec<String> = labels
        .iter()
        .map(|(arch, label)| format!("{label} for {arch}"))
        .collect();
    texts.join(", ")
}

/// What every engine works with.
pub(crate) struct Workshop<'a> {
    pub(crate) arch: Arch,
    pub(crate) environment: &'a Environment,
    pub(crate) docker: &'a dyn DockerEngine,
    pub(crate) progress: &'a Progress,
}

/// Gets the program that was asked for, and has its image taken in.
///
/// # Errors
/// [`EngineError`]; the automatic choice fails only when a given file, image or version is no
/// use, or when not even the built-in agent can run.
pub async fn provide(
    request: &EngineRequest,
    arch: Arch,
    environment: &Environment,
    docker: &dyn DockerEngine,
    progress: &Progress,
) -> Result<Program, EngineError> {
    let shop = Workshop {
        arch,
        environment,
        docker,
        progress,
    };
    let program = match request.simulator_only() {
        Some(option) => altered(&shop, request, option).await,
        None => unaltered(&shop, request).await,
    }?;
    progress.tell(Event::Engine {
        label: program.info.label(),
        arch,
        reason: program.reason.clone(),
    });
    Ok(program)
}

/// Gets the program that was asked for, for each of some architectures: all of one kind and version,
/// since agents of different ones would make a cluster that nobody asked for.
///
/// # Errors
/// [`EngineError`], for the first architecture that has none; [`EngineError::Unlike`].
pub async fn provide_each(
    request: &EngineRequest,
    archs: &BTreeSet<Arch>,
    environment: &Environment,
    docker: &dyn DockerEngine,
    progress: &Progress,
) -> Result<BTreeMap<Arch, Program>, EngineError> {
    let mut programs: BTreeMap<Arch, Program> = BTreeMap::new();
    for arch in archs {
        let program = provide(request, *arch, environment, docker, progress).await?;
        programs.insert(*arch, program);
    }
    let labels: BTreeMap<Arch, String> = programs
        .iter()
        .map(|(arch, program)| (*arch, program.info.label()))
        .collect();
    let kinds: BTreeSet<&String> = labels.values().collect();
    if kinds.len() > 1 {
        return Err(EngineError::Unlike(labels));
    }
    Ok(programs)
}

/// Gets a program that is to be other than Nomad is: the built-in agent, unless Nomad is asked
/// for.
async fn altered(
    shop: &Workshop<'_>,
    request: &EngineRequest,
    option: String,
) -> Result<Program, EngineError> {
    match request.kind {
        EngineKind::Simulator => simulator::provide(shop, request, "asked for").await,
        EngineKind::Auto if !request.names_nomad() => {
            let reason = format!("`{option}` is asked for");
            simulator::provide(shop, request, &reason).await
        }
        _ => Err(EngineError::SimulatorOnly { option }),
    }
}

/// Gets a program of which nothing is asked that Nomad does not have.
async fn unaltered(shop: &Workshop<'_>, request: &EngineRequest) -> Result<Program, EngineError> {
    match request.kind {
        EngineKind::Simulator => simulator::provide(shop, request, "asked for").await,
        EngineKind::Binary => binary::provide(shop, request, "asked for").await,
        EngineKind::Release => from_release(shop, request, "asked for").await,
        EngineKind::Image => image::provide(shop, request).await,
        EngineKind::Auto => choose(shop, request).await,
    }
}

/// Takes the first engine that can be had. What the user named explicitly is never passed over:
/// a wrong file is an error, not a reason to simulate.
async fn choose(shop: &Workshop<'_>, request: &EngineRequest) -> Result<Program, EngineError> {
    if request.image.is_some() {
        return image::provide(shop, request).await;
    }
    if request.binaries.contains_key(&shop.arch) {
        return binary::provide(shop, request, "the binary was given").await;
    }
    if binary::on_path(shop).is_some() {
        match binary::provide(shop, request, "`nomad` is on the path").await {
            Ok(program) => return Ok(program),
            Err(EngineError::Docker(error)) => return Err(EngineError::Docker(error)),
            Err(error) => shop.progress.tell(Event::Note(format!(
                "passed over the `nomad` on the path: {error}"
            ))),
        }
    }
    let source = request.releases();
    let version = request.version.clone().unwrap_or_else(release::newest);
    if source.cached(&version, shop.arch).is_some() {
        return from_release(shop, request, "the release is in the cache").await;
    }
    // A version can only be had from HashiCorp; the simulator is no stand-in for another one.
    if request.version.is_some() {
        return from_release(shop, request, "a version was asked for").await;
    }
    let built = release::available(&version, shop.arch).is_ok();
    let why = if built {
        match tokio::time::timeout(REACHABLE_MAX, source.reachable()).await {
            Ok(Ok(())) => {
                return from_release(shop, request, "no `nomad` on the path").await;
            }
            Ok(Err(_)) => "no `nomad` on the path, and no release can be downloaded".to_owned(),
            Err(_) => "no `nomad` on the path, and the releases do not answer".to_owned(),
        }
    } else {
        format!("no `nomad` on the path, and no releases for {}", shop.arch)
    };
    simulator::provide(shop, request, &why).await
}

async fn from_release(
    shop: &Workshop<'_>,
    request: &EngineRequest,
    reason: &str,
) -> Result<Program, EngineError> {
    let version = request.version.clone().unwrap_or_else(release::newest);
    // Before its hundred megabytes are fetched.
    license(request, &version, shop.environment)?;
    for caution in release::cautions(&version) {
        shop.progress.tell(Event::Note(caution));
    }
    let told = |progress: release::Progress| {
        if progress.stage == release::Stage::Downloading {
            shop.progress.tell(Event::Download {
                received: progress.received,
                total: progress.total,
            });
        }
    };
    let path = request
        .releases()
        .fetch(&version, shop.arch, &told)
        .await
        .map_err(|error| EngineError::Release {
            version: version.clone(),
            arch: shop.arch,
            source: Box::new(error),
        })?;
    let from = binary::Origin {
        kind: "release",
        expected: Some(&version),
        base: request.base_image.as_deref(),
    };
    binary::of_file(shop, &path, &from, reason).await
}

#[cfg(test)]
mod tests;
