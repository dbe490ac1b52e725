//! Looking: every question is asked, and what came back is written down.

use std::path::Path;
use std::time::Duration;

use agent::grants::Grants;
use futures::future::join_all;
use nix::sys::statvfs::statvfs;
use uuid::Uuid;

use super::evidence::{
    Containers, Emulation, EngineEvidence, Evidence, HostEvidence, NoEngine, NomadEvidence,
    Registration, Trial,
};
use crate::causes::with_causes;
use crate::docker::probe::{self, Privilege, Specimen};
use crate::docker::{
    self, Docker, DockerEngine as _, DockerError, Labels, Surroundings, labels, remove_labelled,
};
use crate::emulation::{self, Place, ProbeError};
use crate::engine::release::{self, ReleaseSource};
use crate::engine::{EngineKind, EngineRequest, provide};
use crate::environment::Environment;
use crate::progress::Progress;
use crate::spec::Arch;

/// Label of the doctor's containers; its value is the run's name.
pub const LABEL: &str = "rehearse.doctor";

/// Capabilities that somebody may want in a container, tried one by one.
const CAPABILITIES: [&str; 4] = ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE"];

/// How long the releases' server may take to answer.
const REACHABLE_MAX: Duration = Duration::from_secs(2);

/// All that there are programs for.
const ARCHITECTURES: [Arch; 3] = [Arch::Amd64, Arch::Arm64, Arch::S390x];

/// Where the kernel keeps its emulators.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Looks at everything. `run` names this look: [`remove_labelled`] with it and
/// [`LABEL`] removes what a look that was
/// broken off has left.
pub async fn look(environment: &Environment, run: &str) -> Evidence {
    let (engine, nomad) = tokio::join!(
        look_at_engine(environment, run),
        look_for_nomad(environment)
    );
    Evidence {
        engine,
        host: look_at_host(environment),
        nomad,
    }
}

async fn look_at_engine(environment: &Environment, run: &str) -> Result<EngineEvidence, NoEngine> {
    let docker = docker::connect(environment)
        .await
        .map_err(|error| NoEngine {
            reason: error.to_string(),
            hint: error.hint(),
        })?;
    let (facts, report) = tokio::try_join!(docker.facts(), docker.report()).map_err(no_engine)?;
    let native = arch_named(&facts.arch);
    let (subnet, containers, emulation) = tokio::join!(
        free_subnet(&docker),
        look_at_containers(&docker, &facts.arch, environment, run),
        look_at_emulation(&docker, native, run)
    );
    let swept = remove_labelled(&docker, LABEL, run).await;
    swept.map_err(no_engine)?;
    let place = Place::find(&report.system, facts.local, environment.github_actions);
    let disk_free = facts
        .local
        .then(|| free_bytes(Path::new(&report.root)))
        .flatten();
    Ok(EngineEvidence {
        facts,
        report,
        subnet,
        containers,
        emulation,
        place,
        disk_free,
    })
}

fn no_engine(error: DockerError) -> NoEngine {
    NoEngine {
        reason: format!("{error}: {}", error.source),
        hint: error.hint(),
    }
}

async fn free_subnet(docker: &Docker) -> Result<String, NoEngine> {
    let networks = docker.networks().await.map_err(no_engine)?;
    let routes = std::fs::read_to_string("/proc/net/route").ok();
    let around = Surroundings::new(&networks, routes.as_deref());
    match docker::free_subnets(&around, "doctor") {
        Ok(subnets) => Ok(subnets[0].to_string()),
        Err(error) => Err(NoEngine {
            reason: error.to_string(),
            hint: error.hint(),
        }),
    }
}

/// Tries containers in the image of a simulated cluster.
async fn look_at_containers(
    docker: &Docker,
    arch: &str,
    environment: &Environment,
    run: &str,
) -> Result<Containers, NoEngine> {
    let arch = arch_named(arch).ok_or_else(|| NoEngine {
        reason: format!("no program for containers of architecture `{arch}`"),
        hint: None,
    })?;
    let request = EngineRequest {
        kind: EngineKind::Simulator,
        ..EngineRequest::default()
    };
    let program = provide(&request, arch, environment, docker, &Progress::silent())
        .await
        .map_err(|error| NoEngine {
            reason: with_causes(&error),
            hint: error.hint(),
        })?;
    let specimen = Specimen {
        image: program.image,
        platform: arch.platform(),
        command: vec![program.command[0].clone(), "grants".to_owned()],
        env: program.env,
        labels: labels_of(run),
    };
    let specimen = &specimen;
    let attempt = |privilege: Privilege| async move {
        let trial = docker
            .try_container(specimen, &container_name(), privilege)
            .await;
        trial.map(read_trial).map_err(no_engine)
    };
    let single = CAPABILITIES.map(|name| async move {
        let trial = attempt(Privilege::Capability(name)).await;
        trial.map(|trial| (name, trial))
    });
    let (usual, privileged, single) = tokio::join!(
        attempt(Privilege::Usual),
        attempt(Privilege::All),
        join_all(single)
    );
    Ok(Containers {
        usual: usual?,
        privileged: privileged?,
        capabilities: single.into_iter().collect::<Result<_, _>>()?,
    })
}

/// Tries each architecture that is not the engine's own.
async fn look_at_emulation(
    docker: &Docker,
    native: Option<Arch>,
    run: &str,
) -> Vec<(Arch, Result<Emulation, NoEngine>)> {
    let foreign = ARCHITECTURES
        .into_iter()
        .filter(|arch| native != Some(*arch));
    let labels = &labels_of(run);
    join_all(foreign.map(|arch| async move {
        let tried = match emulation::probe(docker, arch, labels).await {
            Ok(working) => Ok(Ok(working)),
            Err(ProbeError::NotWorking(why)) => Ok(Err(why)),
            Err(ProbeError::Docker(error)) => Err(no_engine(error)),
            Err(error @ ProbeError::Image(_)) => Err(NoEngine {
                reason: with_causes(&error),
                hint: None,
            }),
        };
        (arch, tried)
    }))
    .await
}

fn container_name() -> String {
    format!("rehearse-doctor-{}", Uuid::new_v4().simple())
}

fn labels_of(run: &str) -> Labels {
    let mut own = labels::of_tool(run);
    own.insert(LABEL.to_owned(), run.to_owned());
    own
}

/// Reads an architecture in Docker's words or in the kernel's, which engines mix.
fn arch_named(name: &str) -> Option<Arch> {
    match name {
        "amd64" | "x86_64" => Some(Arch::Amd64),
        "arm64" | "aarch64" => Some(Arch::Arm64),
        "s390x" => Some(Arch::S390x),
        _ => None,
    }
}

fn read_trial(trial: probe::Trial) -> Trial {
    match trial {
        probe::Trial::Ran { code: 0, out, .. } => {
            match serde_json::from_str::<Grants>(out.trim()) {
                Ok(found) => Trial::Ran(Box::new(found)),
                Err(_) => Trial::Broken(format!("it printed `{}`", out.trim())),
            }
        }
        probe::Trial::Ran { code, out, err } => {
            let last = err.lines().chain(out.lines()).last().unwrap_or("").trim();
            Trial::Broken(format!("it ended with code {code}: {last}"))
        }
        probe::Trial::Refused(why) => Trial::Refused(why),
        probe::Trial::Hung(after) => Trial::Broken(format!("it did not end within {after:?}")),
    }
}

fn look_at_host(environment: &Environment) -> HostEvidence {
    let root = &environment.state_root;
    // The folder may not be there yet: what counts is where it would be made.
    let existing = root.ancestors().find(|folder| folder.exists());
    let refused = existing.and_then(|folder| {
        use nix::unistd::{AccessFlags, access};
        let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
        access(folder, wanted)
            .err()
            .map(|error| format!("`{}`: {}", folder.display(), error.desc()))
    });
    HostEvidence {
        arch: Arch::host(),
        state_root: root.clone(),
        state_refused: refused,
        state_free: existing.and_then(free_bytes),
        registrations: registrations(Path::new(BINFMT)),
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    // The types differ by platform.
    #[allow(clippy::useless_conversion)]
    let (blocks, size) = (
        u64::try_from(stat.blocks_available()).ok()?,
        u64::try_from(stat.fragment_size()).ok()?,
    );
    Some(blocks.saturating_mul(size))
}

/// Reads the kernel's list of foreign programs; an entry counts for an architecture if its name
/// or its interpreter says QEMU's word for it.
fn registrations(folder: &Path) -> Option<Vec<(Arch, Registration)>> {
    let entries: Vec<Registration> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name() != "register" && entry.file_name() != "status")
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path()).ok()?;
            Some(registration(&entry.file_name().to_string_lossy(), &text))
        })
        .collect();
    let found = ARCHITECTURES.into_iter().filter_map(|arch| {
        let word = match arch {
            Arch::Amd64 => "x86_64",
            Arch::Arm64 => "aarch64",
            Arch::S390x => "s390x",
        };
        let of_arch =
            |entry: &&Registration| entry.name.contains(word) || entry.interpreter.contains(word);
        Some((arch, entries.iter().find(of_arch)?.clone()))
    });
    Some(found.collect())
}

/// Reads `enabled`, `interpreter /usr/bin/qemu-s390x`, `flags: OCF`.
fn registration(name: &str, text: &str) -> Registration {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    Registration {
        name: name.to_owned(),
        enabled: text.lines().next() == Some("enabled"),
        interpreter: value("interpreter "),
        fixed: value("flags:").contains('F'),
    }
}

async fn look_for_nomad(environment: &Environment) -> NomadEvidence {
    let source = ReleaseSource {
        connect_timeout: REACHABLE_MAX,
        ..ReleaseSource::from_env()
    };
    let unreachable = match tokio::time::timeout(REACHABLE_MAX, source.reachable()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(with_causes(&error)),
        Err(_) => Some(format!("no answer within {REACHABLE_MAX:?}")),
    };
    NomadEvidence {
        on_path: environment.find_program("nomad"),
        cached: Arch::host().map_or_else(Vec::new, |arch| source.cached_versions(arch)),
        releases: release::printable(&source.base),
        unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_kernel_is_read() {
        let text = "enabled\ninterpreter /usr/bin/qemu-s390x\nflags: OCF\noffset 0\nmagic 7f45\n";
        assert_eq!(
            registration("my-s390x", text),
            Registration {
                name: "my-s390x".to_owned(),
                enabled: true,
                interpreter: "/usr/bin/qemu-s390x".to_owned(),
                fixed: true,
            }
        );
        assert!(!registration("x", "disabled\ninterpreter /x\nflags: \n").enabled);
    }

    #[test]
    fn registrations_are_found_by_qemus_word_for_the_architecture() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("status", "enabled\n");
        write("register", "");
        write(
            "python3.11",
            "enabled\ninterpreter /usr/bin/python3.11\nflags: \n",
        );
        write(
            "mine",
            "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n",
        );
        let found = registrations(folder.path()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Arch::Arm64);
        assert_eq!(registrations(&folder.path().join("absent")), None);
    }

    #[test]
    fn free_bytes_of_an_absent_folder_are_unknown() {
        assert!(free_bytes(Path::new("/")).is_some_and(|bytes| bytes > 0));
        assert_eq!(free_bytes(Path::new("/nonexistent/folder")), None);
    }
}
