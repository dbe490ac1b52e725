//! An image in which shell scripts run: one that was named, or one made of this machine's own shell and
//! usual programs, with the libraries that they need.

use super::assembly;
use super::images;
use super::{EngineError, Workshop, elf, image};
use crate::docker::DockerEngine;
use crate::docker::archive::{Content, ImageRecipe};
use crate::environment::Environment;
use crate::progress::Progress;
use crate::spec::Arch;

/// Programs that scripts take for granted: POSIX's, and what every distribution has.
const PROGRAMS: &[&str] = &[
    "sh",
    "bash",
    "awk",
    "base64",
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cmp",
    "cp",
    "cut",
    "date",
    "diff",
    "dirname",
    "env",
    "expr",
    "false",
    "find",
    "getent",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "id",
    "install",
    "jq",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "nproc",
    "od",
    "openssl",
    "printf",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sha256sum",
    "sha512sum",
    "sleep",
    "sort",
    "stat",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "wc",
    "which",
    "whoami",
    "xargs",
];
/// Folders that every distribution has, and scripts write to.
const FOLDERS: &[&str] = &[
    "/etc/apt/keyrings",
    "/etc/apt/sources.list.d",
    "/etc/default",
    "/etc/profile.d",
    "/etc/ssl/certs",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/etc/yum.repos.d",
    "/home",
    "/mnt",
    "/opt",
    "/srv",
    "/usr/bin",
    "/usr/lib/systemd/system",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/share/keyrings",
    "/var/lib",
    "/var/log",
];
/// Without these, no script runs.
const NEEDED: &[&str] = &["sh", "bash", "cat", "grep", "sed", "head"];

/// Returns the name of an image in which scripts run. `base` is the user's.
///
/// # Errors
///
/// [`EngineError`]: the image cannot be had, or this machine lacks the programs that make one.
pub async fn workbench(
    base: Option<&str>,
    arch: Arch,
    environment: &Environment,
    docker: &dyn DockerEngine,
    progress: &Progress,
) -> Result<String, EngineError> {
    let shop = Workshop {
        arch,
        environment,
        docker,
        progress,
    };
    if let Some(reference) = base {
        image::have(&shop, reference).await?;
        return Ok(reference.to_owned());
    }
    if !cfg!(target_os = "linux") || Arch::host() != Some(arch) {
        return Err(EngineError::NoWorkbench {
            missing: "this machine's programs do not run in Linux containers here".to_owned(),
        });
    }
    let recipe = recipe(&shop)?;
    Ok(images::ensure(&shop, recipe).await?.name)
}

fn recipe(shop: &Workshop<'_>) -> Result<ImageRecipe, EngineError> {
    let mut recipe = ImageRecipe::new(shop.arch);
    recipe.env = vec!["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()];
    recipe.folder("/tmp", 0o1777, 0);
    recipe.folder("/root", 0o700, 0);
    for folder in FOLDERS {
        recipe.folder(folder, 0o755, 0);
    }
    let text = |text: &str| Content::Text(text.to_owned());
    recipe.file(
        "/etc/passwd",
        0o644,
        text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/sbin/nologin\n"),
    );
    recipe.file("/etc/group", 0o644, text("root:x:0:\nnogroup:x:65534:\n"));
    recipe.file(
        "/etc/nsswitch.conf",
        0o644,
        text("passwd: files\ngroup: files\nhosts: files dns\n"),
    );
    recipe.file(
        "/etc/os-release",
        0o644,
        text("ID=debian\nID_LIKE=debian\nNAME=stand-in\nVERSION_CODENAME=bookworm\n"),
    );
    let mut missing = Vec::new();
    for name in PROGRAMS {
        let Some(program) = shop.environment.find_program(name) else {
            missing.extend(NEEDED.contains(name).then_some(*name));
            continue;
        };
        // Some are scripts; those are of no use without what they call.
        let Ok(head) = elf::read(&program) else {
            continue;
        };
        assembly::add_program(&mut recipe, &format!("/usr/bin/{name}"), &program, &head)?;
    }
    if !missing.is_empty() {
        return Err(EngineError::NoWorkbench {
            missing: format!("no `{}` on this machine's path", missing.join("`, `")),
        });
    }
    recipe.link("/bin/sh", "/usr/bin/sh");
    recipe.link("/bin/bash", "/usr/bin/bash");
    recipe.env.sort();
    recipe.env.dedup();
    assembly::set_origin(&mut recipe, "workbench", &[]);
    Ok(recipe)
}
