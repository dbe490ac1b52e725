//! A Nomad of the user's own: a given file, or `nomad` on the path. It goes into an image of its
//! own needs, so that no registry and no base image is wanted.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use semver::Version;

use super::assembly::{self, NOMAD};
use super::images::{self, Memory};
use super::{EngineError, EngineRequest, Program, Workshop, image, simulator};
use crate::agent_config::CONFIG_DIR;
use crate::docker::archive::ImageRecipe;
use crate::progress::Event;
use crate::spec::Arch;
use crate::target::EngineInfo;

/// How long `nomad version` may take on this machine.
const VERSION_MAX: Duration = Duration::from_secs(20);

/// Returns the `nomad` on the path, where the path's programs can run in the containers at all.
pub(super) fn on_path(shop: &Workshop<'_>) -> Option<PathBuf> {
    is_native(shop).then(|| shop.environment.find_program("nomad"))?
}

/// Gets the binary that was given, or the one on the path.
pub(super) async fn provide(
    shop: &Workshop<'_>,
    request: &EngineRequest,
    reason: &str,
) -> Result<Program, EngineError> {
    let path = request
        .binaries
        .get(&shop.arch)
        .cloned()
        .or_else(|| on_path(shop))
        .ok_or(EngineError::NoBinary { arch: shop.arch })?;
    let path = path.canonicalize().unwrap_or(path);
    let from = Origin {
        kind: "binary",
        expected: request.version.as_ref(),
        base: request.base_image.as_deref(),
    };
    of_file(shop, &path, &from, reason).await
}

/// What is known of a Nomad's file, and what goes with it.
pub(super) struct Origin<'a> {
    /// The engine.
    pub(super) kind: &'a str,
    /// The version that it should be.
    pub(super) expected: Option<&'a Version>,
    /// An image to put it into; from scratch otherwise.
    pub(super) base: Option<&'a str>,
}

/// Returns the image for a file, and whether the built-in program is in it.
async fn recipe(
    shop: &Workshop<'_>,
    path: &Path,
    from: &Origin<'_>,
) -> Result<(ImageRecipe, bool), EngineError> {
    let elf = assembly::check_program(shop, path)?;
    // Jobs run the built-in program as their workload. Where there is none for the architecture
    // servers work all the same.
    let built_in = match simulator::find(shop).await {
        Ok(program) => Some(program),
        Err(error) => {
            shop.progress
                .tell(Event::Note(without_built_in(&error, from)));
            None
        }
    };
    let mut parts = vec![path];
    parts.extend(built_in.as_deref());
    let mut recipe = if let Some(reference) = from.base {
        let base = image::have(shop, reference).await?;
        let mut recipe = assembly::on(&base, shop.arch);
        assembly::add_bare(&mut recipe, NOMAD, path);
        if let Some(program) = &built_in {
            assembly::check_program(shop, program)?;
            assembly::add_bare_built_in(&mut recipe, program);
        }
        recipe
    } else {
        let mut recipe = assembly::base(shop.arch);
        assembly::add_program(&mut recipe, NOMAD, path, &elf)?;
        if let Some(program) = &built_in {
            let elf = assembly::check_program(shop, program)?;
            assembly::add_built_in(&mut recipe, program, &elf)?;
        }
        recipe
    };
    assembly::set_origin(&mut recipe, from.kind, &parts);
    Ok((recipe, built_in.is_some()))
}

/// Says what an image without the built-in program cannot do.
fn without_built_in(error: &EngineError, from: &Origin<'_>) -> String {
    let hint = error.hint().unwrap_or_default();
    let disk = match from.base {
        Some(_) => "",
        // It asks `df` for its disk, in 2.0 as in 1.1 (client/fingerprint/storage_unix.go).
        None => " does not begin, for want of a `df`, and",
    };
    format!("{error}: a client of Nomad{disk} has no program for its jobs (hint: {hint})")
}

/// Gets a Nomad from a file.
pub(super) async fn of_file(
    shop: &Workshop<'_>,
    path: &Path,
    from: &Origin<'_>,
    reason: &str,
) -> Result<Program, EngineError> {
    let (recipe, mut tools) = recipe(shop, path, from).await?;
    // What runs here is asked before an image is made of it: a file that is no Nomad costs nothing.
    let fingerprint = recipe.fingerprint().map_err(EngineError::Assembly)?;
    let remembered = Memory::of(shop).get(&fingerprint);
    let mut version = remembered.and_then(|known| known.version);
    // With a base the libraries are the base's: it is asked inside.
    if version.is_none() && from.base.is_none() && is_native(shop) {
        version = Some(ask_here(path).await?);
    }
    let mut known = images::ensure(shop, recipe).await?;
    let version = match version {
        Some(version) => version,
        None => {
            let command = [NOMAD.to_owned(), "version".to_owned()];
            image::ask_version(shop, &known.name, &command).await?
        }
    };
    if known.version.as_ref() != Some(&version) {
        known.version = Some(version.clone());
        Memory::of(shop).put(&fingerprint, &known);
    }
    if let Some(expected) = from.expected
        && *expected != version
    {
        return Err(EngineError::OtherVersion {
            subject: path.display().to_string(),
            found: version,
            expected: expected.clone(),
        });
    }
    if tools && from.base.is_some() {
        tools = image::tools_run(shop, &fingerprint, known.clone()).await?;
    }
    Ok(Program {
        info: EngineInfo {
            kind: from.kind.to_owned(),
            version: version.to_string(),
            simulated: false,
            ..EngineInfo::default()
        },
        version,
        image: known.name,
        command: [NOMAD, "agent", "-config", CONFIG_DIR]
            .map(str::to_owned)
            .to_vec(),
        env: Vec::new(),
        tools,
        reason: reason.to_owned(),
    })
}

/// Returns whether the containers' programs run on this machine, too.
fn is_native(shop: &Workshop<'_>) -> bool {
    cfg!(target_os = "linux") && Arch::host() == Some(shop.arch)
}

/// Asks a Nomad for its version on this machine.
async fn ask_here(path: &Path) -> Result<Version, EngineError> {
    let running = tokio::process::Command::new(path)
        .arg("version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = match tokio::time::timeout(VERSION_MAX, running).await {
        Ok(Ok(output)) => [output.stdout, output.stderr].concat(),
        Ok(Err(error)) => error.to_string().into_bytes(),
        Err(_) => format!("nothing within {VERSION_MAX:?}").into_bytes(),
    };
    read_version(&path.display().to_string(), &String::from_utf8_lossy(&said))
}

/// Reads the reply of `nomad version`: `Nomad v1.8.3`, older ones with `(revision)` behind.
pub(super) fn read_version(subject: &str, said: &str) -> Result<Version, EngineError> {
    let first = said.lines().find(|line| !line.trim().is_empty());
    let read = |line: &str| {
        let word = line.strip_prefix("Nomad v")?.split_whitespace().next()?;
        Version::parse(word).ok()
    };
    first.and_then(read).ok_or_else(|| EngineError::NotNomad {
        subject: subject.to_owned(),
        said: first.unwrap_or("nothing").chars().take(120).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_every_nomad_prints_them() {
        for (said, version) in [
            (
                "Nomad v1.1.2 (60638a086ef9630e2a9ba1e237e8426192a44244)\n",
                "1.1.2",
            ),
            (
                "Nomad v1.8.3\nBuildDate 2024-08-13T07:37:30Z\nRevision abc\n",
                "1.8.3",
            ),
            ("Nomad v1.2.0-dev (abc+CHANGES)\n", "1.2.0-dev"),
            ("Nomad v1.7.0+ent\n", "1.7.0+ent"),
        ] {
            let read = read_version("nomad", said).unwrap();
            assert_eq!(read.to_string(), version);
        }
        let error = read_version("/bin/true", "").unwrap_err().to_string();
        assert!(error.contains("`/bin/true` is not Nomad"), "{error}");
        assert!(read_version("consul", "Consul v1.2.3").is_err());
    }
}
