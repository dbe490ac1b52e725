//! Running the probe in a container of the engine at hand. Needs no network and no registry: the
//! program is a few kilobytes of this one. Never by a build: BuildKit may bring emulators of its
//! own, so that `RUN` works where `run` does not.

use std::time::Duration;

use futures::TryStreamExt as _;

use super::{End, NotWorking, Place, Working, judge, mend};
use crate::docker::archive::{Content, ImageRecipe};
use crate::docker::{ContainerPlan, DockerEngine, DockerError, Labels, labels};
use crate::spec::Arch;

/// How long the probe may run. It takes 0.5 s emulated; what takes so long hangs.
const RUN_MAX: Duration = Duration::from_secs(20);
/// Bytes of its log that are read: it writes less than one thousand.
const LOG_MAX: usize = 64 * 1024;
/// Repository of the probe's images.
pub(super) const REPOSITORY: &str = "localhost/rehearse/probe";
/// Where the program is in them.
const PROGRAM: &str = "/probe";

/// Why nothing is known about an architecture, or what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Its programs do not work.
    #[error(transparent)]
    NotWorking(#[from] NotWorking),
    /// Docker did not do its part.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The image cannot be made.
    #[error("cannot make the probe's image")]
    Image(#[source] std::io::Error),
}

impl ProbeError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self, place: Place) -> Option<String> {
        match self {
            Self::NotWorking(why) => Some(mend(&why.fault, why.arch, place)),
            Self::Docker(error) => error.hint(),
            Self::Image(_) => None,
        }
    }
}

/// The program for an architecture; its source is beside it, and a test holds them together.
fn program(arch: Arch) -> &'static [u8] {
    match arch {
        Arch::Amd64 => include_bytes!("../../carried/probe/probe-amd64"),
        Arch::Arm64 => include_bytes!("../../carried/probe/probe-arm64"),
        Arch::S390x => include_bytes!("../../carried/probe/probe-s390x"),
    }
}

/// Finds out whether programs of the architecture work in the engine's containers. `own` are the
/// labels by which whatever stays behind after a crash is found and removed.
///
/// # Errors
/// [`ProbeError`].
pub async fn probe(
    docker: &dyn DockerEngine,
    arch: Arch,
    own: &Labels,
) -> Result<Working, ProbeError> {
    let image = take_in(docker, arch).await?;
    let plan = container(arch, image, own);
    let id = docker.create_container(&plan).await?;
    let ran = run(docker, &id).await;
    let removed = docker.remove_container(&id).await;
    let (log, end) = ran?;
    removed?;
    Ok(judge(arch, &log, end)?)
}

/// Has the engine take in the probe's image, where it has not yet.
async fn take_in(docker: &dyn DockerEngine, arch: Arch) -> Result<String, ProbeError> {
    let mut recipe = ImageRecipe::new(arch);
    recipe.file(PROGRAM, 0o755, Content::Bytes(program(arch)));
    let origin = (labels::ORIGIN.to_owned(), format!("probe {arch}"));
    recipe.labels.extend([origin]);
    let archive = recipe.seal(REPOSITORY).map_err(ProbeError::Image)?;
    let name = archive.name().to_owned();
    if docker.image(&name).await?.is_none() {
        docker.load_image(&name, archive.stream()).await?;
    }
    Ok(name)
}

fn container(arch: Arch, image: String, own: &Labels) -> ContainerPlan {
    let name = format!("rehearse-probe-{arch}-{}", uuid::Uuid::new_v4().simple());
    ContainerPlan {
        // Not root: an agent is not root either.
        user: "10001:10001".to_owned(),
        hostname: "probe".to_owned(),
        labels: own.clone(),
        ..ContainerPlan::alone(name, image, arch.platform(), vec![PROGRAM.to_owned()])
    }
}

/// Runs the container, and returns what it said and how it ended.
async fn run(docker: &dyn DockerEngine, id: &str) -> Result<(String, End), DockerError> {
    if let Err(error) = docker.start_container(id).await {
        // Some runtimes tell here what others leave to the log.
        return match super::fault_in_log(&error.source.0) {
            Some(_) => Ok((error.source.0, End::Exited(255))),
            None => Err(error),
        };
    }
    let end = match tokio::time::timeout(RUN_MAX, docker.wait_container(id)).await {
        Ok(code) => End::Exited(code?),
        Err(_) => End::StillRunning(RUN_MAX),
    };
    let mut said = docker.logs(id, None, false);
    let mut log = Vec::new();
    while let Some(piece) = said.try_next().await? {
        log.extend_from_slice(piece.bytes());
        if log.len() > LOG_MAX {
            break;
        }
    }
    Ok((String::from_utf8_lossy(&log).into_owned(), end))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// Content of the files that the programs are made from, and of the programs, by name.
    const FILES: [(&str, &[u8]); 8] = [
        ("probe.c", include_bytes!("../../carried/probe/probe.c")),
        ("build.sh", include_bytes!("../../carried/probe/build.sh")),
        (
            "arch/amd64.h",
            include_bytes!("../../carried/probe/arch/amd64.h"),
        ),
        (
            "arch/arm64.h",
            include_bytes!("../../carried/probe/arch/arm64.h"),
        ),
        (
            "arch/s390x.h",
            include_bytes!("../../carried/probe/arch/s390x.h"),
        ),
        (
            "probe-amd64",
            include_bytes!("../../carried/probe/probe-amd64"),
        ),
        (
            "probe-arm64",
            include_bytes!("../../carried/probe/probe-arm64"),
        ),
        (
            "probe-s390x",
            include_bytes!("../../carried/probe/probe-s390x"),
        ),
    ];

    #[test]
    fn the_programs_are_those_of_the_source_beside_them() {
        let listed = include_str!("../../carried/probe/SHA256SUMS");
        assert_eq!(listed.lines().count(), FILES.len());
        for (name, content) in FILES {
            let sum: String = Sha256::digest(content)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert!(
                listed.lines().any(|line| line == format!("{sum}  {name}")),
                "`{name}` was changed: run images/probe/build.sh in the build image \
                 (ci/probe.sh) and commit what it makes"
            );
        }
    }

    #[test]
    fn each_program_is_built_for_its_architecture() {
        // ELF: byte 5 is the byte order (1 little, 2 big), bytes 18 and 19 the machine.
        for (arch, order, machine) in [
            (Arch::Amd64, 1, 62_u16.to_le_bytes()),
            (Arch::Arm64, 1, 183_u16.to_le_bytes()),
            (Arch::S390x, 2, 22_u16.to_be_bytes()),
        ] {
            let program = program(arch);
            assert_eq!(program[..4], *b"\x7fELF");
            assert_eq!(
                (program[5], &program[18..20]),
                (order, &machine[..]),
                "{arch}"
            );
            assert!(program.len() < 16384, "{arch}: {} bytes", program.len());
        }
    }
}
