//! The built-in agent: the small program that this one is linked with, too. For this machine's
//! own architecture nothing has to be built or downloaded: the image is the running executable
//! and what it needs.

use std::path::{Path, PathBuf};

use semver::Version;

use super::assembly::{self, BUILT_IN};
use super::{EngineError, EngineRequest, Program, Workshop, foreign, images};
use crate::agent_config::CONFIG_DIR;
use crate::progress::Event;
use crate::spec::Arch;
use crate::target::EngineInfo;

/// Gets the built-in agent.
pub(super) async fn provide(
    shop: &Workshop<'_>,
    request: &EngineRequest,
    reason: &str,
) -> Result<Program, EngineError> {
    if let Some(unused) = unused(request) {
        shop.progress.tell(Event::Note(unused));
    }
    let env = environment(request)?;
    let program = find(shop).await?;
    let elf = assembly::check_program(shop, &program)?;
    let mut recipe = assembly::base(shop.arch);
    assembly::add_built_in(&mut recipe, &program, &elf)?;
    assembly::set_origin(&mut recipe, "simulator", &[&program]);
    let known = images::ensure(shop, recipe).await?;
    let version: Version = agent::FOLLOWS.parse().expect("the constant is a version");
    let command = [BUILT_IN, "agent", "-config", CONFIG_DIR];
    Ok(Program {
        info: EngineInfo {
            kind: "simulator".to_owned(),
            version: version.to_string(),
            simulated: true,
            time_scale: request.time_scale,
            planted: request.plant.clone(),
            ..EngineInfo::default()
        },
        version,
        image: known.name,
        command: command.map(str::to_owned).to_vec(),
        env,
        tools: true,
        reason: reason.to_owned(),
    })
}

/// Says what is given of a Nomad that nobody will run: it may stand in a file for other commands.
fn unused(request: &EngineRequest) -> Option<String> {
    let given = [
        (request.version.is_some(), "--nomad-version"),
        (!request.binaries.is_empty(), "--nomad-binary"),
        (request.image.is_some(), "--image"),
    ];
    let given = given.iter().filter(|(is_given, _)| *is_given);
    let names: Vec<_> = given.map(|(_, name)| format!("`{name}`")).collect();
    let follows = agent::FOLLOWS;
    (!names.is_empty()).then(|| {
        format!(
            "the agents are simulated and follow Nomad {follows}; without effect: {}",
            names.join(", ")
        )
    })
}

/// Whether a file is a program, of an architecture that is not the one at hand.
fn of_another_arch(shop: &Workshop<'_>, path: &Path) -> bool {
    let checked = assembly::check_program(shop, path);
    matches!(checked, Err(EngineError::OtherArch { .. }))
}

/// What the agents' environment says of what is asked for beyond Nomad's own ways.
fn environment(request: &EngineRequest) -> Result<Vec<String>, EngineError> {
    let mut env = Vec::new();
    if !request.time_scale.is_one() {
        env.push(format!("{}={}", agent::TIME_SCALE, request.time_scale));
    }
    if let Some(name) = &request.plant {
        let plant = agent::plant::Plant::named(name)?;
        env.push(format!("{}={}", agent::plant::VARIABLE, plant.name()));
    }
    Ok(env)
}

/// Finds the program for containers: `$REHEARSE_AGENT`, this process when it is `rehearse`, a
/// `rehearse` beside it or one folder above (where cargo puts it for tests), one on the path.
pub(super) async fn find(shop: &Workshop<'_>) -> Result<PathBuf, EngineError> {
    if !cfg!(target_os = "linux") || Arch::host() != Some(shop.arch) {
        return foreign::find(shop).await;
    }
    // In a mixed cluster the given program is one architecture's, and this one needs its own.
    if let Some(path) = &shop.environment.agent
        && !of_another_arch(shop, path)
    {
        return Ok(path.clone());
    }
    let missing = |reason: &str| EngineError::NoSimulator {
        arch: shop.arch,
        reason: reason.to_owned(),
    };
    let this = std::env::current_exe().map_err(EngineError::Assembly)?;
    if shop.environment.is_program {
        // The path of a program that was replaced while it runs names nothing any more.
        return Ok(if this.exists() {
            this
        } else {
            PathBuf::from("/proc/self/exe")
        });
    }
    let near = this.parent().into_iter().flat_map(|folder| {
        let above = folder.parent().map(|above| above.join("rehearse"));
        [Some(folder.join("rehearse")), above]
    });
    near.flatten()
        .find(|path| crate::environment::is_executable(path))
        .or_else(|| shop.environment.find_program("rehearse"))
        .ok_or_else(|| missing("this process is not `rehearse`, and none is near it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_of_a_nomad_that_nobody_runs_is_told() {
        let nothing = EngineRequest::default();
        assert_eq!(unused(&nothing), None);
        let given = EngineRequest {
            version: Some(Version::new(1, 9, 0)),
            binaries: [(Arch::Amd64, PathBuf::from("/nomad"))].into(),
            ..EngineRequest::default()
        };
        let told = unused(&given).unwrap();
        let end = "without effect: `--nomad-version`, `--nomad-binary`";
        assert!(told.ends_with(end), "{told}");
    }
}
