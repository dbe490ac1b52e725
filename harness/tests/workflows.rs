//! The workflow files keep to the house's rules: every action pinned by its commit, least
//! permissions, and every command a script under `ci/` that runs on a laptop as it stands.
//!
//! Missing: a check against the workflow language's schema.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.parent().expect("the workspace").to_path_buf()
}

fn workflows() -> Vec<(String, String)> {
    let folder = root().join(".github/workflows");
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("the workflows' folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(&path).expect("a workflow is text"))
        })
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Returns the values of a key, wherever it stands; blocks (`|`) line by line.
fn values(text: &str, key: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let entry = line.trim_start().trim_start_matches("- ");
        let Some(value) = entry
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix(": "))
        else {
            continue;
        };
        if value != "|" {
            values.push(value.to_owned());
            continue;
        }
        while let Some(next) = lines
            .next_if(|next| next.trim().is_empty() || next.len() - next.trim_start().len() > indent)
        {
            values.push(next.trim().to_owned());
        }
    }
    values
}

#[test]
fn actions_are_pinned_by_their_commit() {
    for (name, text) in workflows() {
        for action in values(&text, "uses") {
            if action.starts_with("./.github/workflows/") {
                assert!(root().join(&action[2..]).is_file(), "{name}: {action}");
                continue;
            }
            let (_, commit) = action.split_once('@').expect("ACTION@COMMIT");
            let (commit, version) = commit.split_once(" # v").expect("COMMIT # vVERSION");
            assert!(!version.is_empty(), "{name}: {action}");
            assert!(
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{name}: {action}"
            );
        }
    }
}

#[test]
fn every_job_runs_a_script_that_is_there_and_runs_anywhere() {
    for (name, text) in workflows() {
        let commands = values(&text, "run");
        let scripts: BTreeSet<String> = commands
            .iter()
            .flat_map(|line| line.split(|c: char| " ()\"".contains(c)))
            .filter(|word| word.starts_with("ci/"))
            .map(str::to_owned)
            .collect();
        let calls: usize = values(&text, "uses")
            .iter()
            .filter(|u| u.starts_with("./"))
            .count();
        assert!(!scripts.is_empty() || calls > 0, "{name} runs nothing");
        for line in &commands {
            let ours = line.contains("ci/") || line.contains("GITHUB_OUTPUT");
            assert!(ours, "{name}: `{line}` is no script under ci/");
            // What GitHub fills in could be anything: it comes in by the environment.
            assert!(
                !line.contains("${{"),
                "{name}: `{line}` is open to injection"
            );
        }
        for script in scripts {
            let path = root().join(&script);
            let mode = fs::metadata(&path).map(|meta| meta.permissions().mode());
            assert!(
                mode.is_ok_and(|mode| mode & 0o111 != 0),
                "{name}: `{script}`"
            );
            let text = fs::read_to_string(&path).expect("a script is text");
            assert!(
                !text.contains("GITHUB_"),
                "`{script}` wants GitHub around it"
            );
        }
    }
}

#[test]
fn no_workflow_may_write() {
    for (name, text) in workflows() {
        assert!(
            text.contains("\npermissions:\n  contents: read\n"),
            "{name}"
        );
        assert!(!text.contains(": write"), "{name}");
        let checkouts = text.matches("actions/checkout@").count();
        let careful = text.matches("persist-credentials: false").count();
        assert_eq!(checkouts, careful, "{name}");
    }
}

#[test]
fn every_job_has_a_deadline() {
    for (name, text) in workflows() {
        let runs = text.matches("runs-on:").count();
        assert_eq!(runs, text.matches("timeout-minutes:").count(), "{name}");
    }
}
