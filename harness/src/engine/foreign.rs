//! The built-in agent for an architecture that this program is not built for: a file beside this
//! program, or built from the source tree that this program was built in, by the script that CI
//! uses (minutes the first time, nothing after that).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{EngineError, Workshop, assembly};
use crate::environment::is_executable;
use crate::progress::{Event, Progress};
use crate::spec::Arch;

/// The script, in a source tree.
const SCRIPT: &str = "ci/build-static.sh";

/// Finds the program for the workshop's architecture, or has it built: `$REHEARSE_AGENT` where it
/// is of that architecture, `rehearse-agent-ARCH` beside this program, the source tree.
pub(super) async fn find(shop: &Workshop<'_>) -> Result<PathBuf, EngineError> {
    let given = shop.environment.agent.clone();
    if let Some(given) = given.filter(|path| assembly::check_program(shop, path).is_ok()) {
        return Ok(given);
    }
    let this = std::env::current_exe().map_err(EngineError::Assembly)?;
    let shipped = this.with_file_name(format!("rehearse-agent-{}", shop.arch));
    if is_executable(&shipped) {
        return Ok(shipped);
    }
    match source_tree(&this) {
        Some(tree) => build(shop.arch, &tree, shop.progress).await,
        None => Err(EngineError::NoSimulator {
            arch: shop.arch,
            reason: format!("`{}` is not there", shipped.display()),
        }),
    }
}

/// Returns the source tree that a program was built in, where it is still there: cargo puts the
/// program under the tree unless it was told another place.
fn source_tree(program: &Path) -> Option<PathBuf> {
    let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    program
        .ancestors()
        .chain(compiled_in)
        .find(|folder| is_executable(&folder.join(SCRIPT)))
        .map(Path::to_owned)
}

/// Has the program built, telling the milestones; an up-to-date one costs no time.
async fn build(arch: Arch, tree: &Path, progress: &Progress) -> Result<PathBuf, EngineError> {
    let failed = |reason: String| EngineError::NoSimulator { arch, reason };
    let mut script = tokio::process::Command::new(tree.join(SCRIPT))
        .arg(arch.to_string())
        .current_dir(tree)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("`{SCRIPT}` cannot be started: {error}")))?;
    let said = script.stderr.take().expect("standard error is piped");
    let mut lines = BufReader::new(said).lines();
    let mut telling = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if is_milestone(&line) {
            progress.tell(Event::Note(line.clone()));
        }
        // An error's first line tells more than whatever follows it.
        if !telling.starts_with("error") && !line.trim().is_empty() {
            telling = line;
        }
    }
    let status = script.wait().await.map_err(EngineError::Assembly)?;
    if status.success() {
        Ok(tree.join(format!("target/static/{arch}/rehearse-agent")))
    } else {
        Err(failed(format!(
            "`{SCRIPT} {arch}` failed ({status}): {telling}"
        )))
    }
}

/// Whether a line of the script's is worth telling: one of its own, not one of the hundreds of a
/// compiler or a package manager.
fn is_milestone(line: &str) -> bool {
    [
        "making ",
        "fetching ",
        "unpacking ",
        "vendoring ",
        "building ",
        "built: ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn tree(script: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().expect("a folder");
        let path = tree.path().join(SCRIPT);
        std::fs::create_dir_all(tree.path().join("ci")).expect("a folder");
        // A rename: a file that was open for writing a moment ago may be busy.
        let draft = tree.path().join("draft");
        std::fs::write(&draft, script).expect("a file");
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).expect("mode");
        std::fs::rename(&draft, &path).expect("a file");
        tree
    }

    async fn built(script: &str) -> (Result<PathBuf, EngineError>, Vec<Event>) {
        let tree = tree(script);
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let listener = std::sync::Arc::clone(&told);
        let progress = Progress::new(move |event| listener.lock().expect("unpoisoned").push(event));
        let outcome = build(Arch::S390x, tree.path(), &progress).await;
        let events = told.lock().expect("unpoisoned").clone();
        (outcome, events)
    }

    #[tokio::test]
    async fn a_build_tells_its_milestones_and_where_the_program_is() {
        let script = "#!/bin/sh\necho \"building for $1\" >&2\necho '   Compiling serde' >&2\n";
        let (outcome, events) = built(script).await;
        let path = outcome.expect("it was built");
        assert!(
            path.ends_with("target/static/s390x/rehearse-agent"),
            "{path:?}"
        );
        assert_eq!(events, [Event::Note("building for s390x".to_owned())]);
    }

    #[tokio::test]
    async fn a_failed_build_is_told_by_its_first_error() {
        let script =
            "#!/bin/sh\necho 'error: no Docker engine answers' >&2\necho bye >&2\nexit 10\n";
        let (outcome, _) = built(script).await;
        let text = outcome.expect_err("it failed").to_string();
        assert!(text.contains("`ci/build-static.sh s390x` failed"), "{text}");
        assert!(text.ends_with("error: no Docker engine answers"), "{text}");
    }

    #[test]
    fn the_source_tree_is_found_above_a_program() {
        let tree = tree("#!/bin/sh\n");
        let program = tree.path().join("target/debug/deps/docker-1234");
        assert_eq!(source_tree(&program).as_deref(), Some(tree.path()));
    }
}
