//! What an image for agents holds when it is made here, `FROM scratch`: the program, the built-in
//! program beside it (task workload, network tool), what both need of this machine's libraries,
//! and the few files that any agent expects.

use std::path::Path;

use super::elf::{self, Elf};
use super::{EngineError, Workshop};
use crate::agent_config::{CONFIG_DIR, DATA_DIR, TLS_DIR};
use crate::docker::archive::{Content, ImageRecipe};
use crate::docker::{ImageFacts, labels};
use crate::spec::Arch;

/// Where the built-in program is in every image that is made here. Jobs name it.
pub(crate) const BUILT_IN: &str = "/usr/local/bin/rehearse-agent";
/// Where Nomad is.
pub(super) const NOMAD: &str = "/usr/local/bin/nomad";
/// Repository of all images made here. With `localhost/`: Podman gives a name without a host that one when
/// it takes an image in, and looks for it on Docker's own.
pub(super) const REPOSITORY: &str = "localhost/rehearse/agent";
/// The user whom agents run as: nobody's on any usual machine.
pub(crate) const USER: u32 = 10_001;

/// Path of an image that names none.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where the built-in program has its other names in an image of the user's.
const PLAYED_DIR: &str = "/usr/local/lib/rehearse/bin";

/// Users that programs look up by name or number.
const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
    nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
    nomad:x:10001:10001:nomad:/opt/nomad:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\nnomad:x:10001:\n";

/// Returns an image with all but the programs.
pub(super) fn base(arch: Arch) -> ImageRecipe {
    let mut recipe = ImageRecipe::new(arch);
    recipe.env = vec!["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()];
    recipe.folder("/tmp", 0o1777, 0);
    recipe.folder("/root", 0o700, 0);
    recipe.folder(DATA_DIR, 0o700, USER);
    recipe.folder(CONFIG_DIR, 0o700, USER);
    recipe.folder(TLS_DIR, 0o700, USER);
    recipe.file("/etc/passwd", 0o644, Content::Text(PASSWD.to_owned()));
    recipe.file("/etc/group", 0o644, Content::Text(GROUP.to_owned()));
    // Names are looked up in the hosts file first, as everywhere.
    let lookup = "hosts: files dns\n".to_owned();
    recipe.file("/etc/nsswitch.conf", 0o644, Content::Text(lookup));
    recipe
}

/// Returns an image on top of another one, with the folders that agents expect.
pub(super) fn on(base: &ImageFacts, arch: Arch) -> ImageRecipe {
    let mut recipe = ImageRecipe::new(arch);
    recipe.base = Some(base.id.clone());
    let path = base.env.iter().find_map(|pair| pair.strip_prefix("PATH="));
    let path = path.unwrap_or(USUAL_PATH);
    recipe.env = vec![format!("PATH={path}:{PLAYED_DIR}")];
    recipe.folder("/tmp", 0o1777, 0);
    recipe.folder(DATA_DIR, 0o700, USER);
    recipe.folder(CONFIG_DIR, 0o700, USER);
    recipe.folder(TLS_DIR, 0o700, USER);
    recipe
}

/// Puts a program into an image that has what it needs, or lets it fail: this machine's libraries
/// in place of the image's own would break whatever else is there.
pub(super) fn add_bare(recipe: &mut ImageRecipe, at: &str, program: &Path) {
    recipe.file(at, 0o755, Content::File(program.to_owned()));
}

/// Puts the built-in program, bare, into an image. Its other names come last on the path: where the
/// image has programs of those names, they are used.
pub(super) fn add_bare_built_in(recipe: &mut ImageRecipe, program: &Path) {
    add_bare(recipe, BUILT_IN, program);
    for name in agent::tools::PLAYED {
        recipe.link(&format!("{PLAYED_DIR}/{name}"), BUILT_IN);
    }
}

/// Puts a program into an image, with what it needs.
pub(super) fn add_program(
    recipe: &mut ImageRecipe,
    at: &str,
    program: &Path,
    elf: &Elf,
) -> Result<(), EngineError> {
    let needs = elf::needs(program, elf).map_err(|source| EngineError::Elf {
        path: program.to_owned(),
        source,
    })?;
    recipe.file(at, 0o755, Content::File(program.to_owned()));
    for (inside, file) in needs.files {
        let inside = inside.to_string_lossy().into_owned();
        recipe.file(&inside, 0o755, Content::File(file));
    }
    if !needs.library_path.is_empty() {
        let folders: Vec<String> = needs
            .library_path
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        recipe
            .env
            .push(format!("LD_LIBRARY_PATH={}", folders.join(":")));
    }
    Ok(())
}

/// Releases are unpacked into a folder, and it is the folder that one names.
fn folder(path: &Path, arch: Arch) -> EngineError {
    let inside = path.join("nomad");
    EngineError::IsFolder {
        path: path.to_owned(),
        holds: inside.is_file().then_some(inside),
        arch,
    }
}

/// Reads a program's head and checks that it is for the architecture at hand.
pub(super) fn check_program(shop: &Workshop<'_>, program: &Path) -> Result<Elf, EngineError> {
    if !program.exists() {
        return Err(EngineError::NoSuchFile {
            path: program.to_owned(),
        });
    }
    if program.is_dir() {
        return Err(folder(program, shop.arch));
    }
    if !crate::environment::is_executable(program) {
        return Err(EngineError::NotExecutable {
            path: program.to_owned(),
        });
    }
    let elf = elf::read(program).map_err(|source| EngineError::Elf {
        path: program.to_owned(),
        source,
    })?;
    if elf.machine != Ok(shop.arch) {
        return Err(EngineError::OtherArch {
            path: program.to_owned(),
            found: match &elf.machine {
                Ok(arch) => arch.to_string(),
                Err(other) => other.clone(),
            },
            expected: shop.arch,
        });
    }
    Ok(elf)
}

/// Puts the built-in program into an image, under all its names.
pub(super) fn add_built_in(
    recipe: &mut ImageRecipe,
    program: &Path,
    elf: &Elf,
) -> Result<(), EngineError> {
    add_program(recipe, BUILT_IN, program, elf)?;
    for name in agent::tools::PLAYED {
        recipe.link(&format!("/usr/bin/{name}"), BUILT_IN);
    }
    Ok(())
}

/// Says what an image is made from, so that the next one of the same origin replaces it.
pub(super) fn set_origin(recipe: &mut ImageRecipe, engine: &str, programs: &[&Path]) {
    let paths: Vec<String> = programs
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let origin = format!("{engine} {} {}", recipe.arch, paths.join(" "));
    recipe.labels.insert(labels::ORIGIN.to_owned(), origin);
}
