//! The workflow files keep to the house's rules: every action pinned by its commit, least
//! permissions, and every command a script under `ci/` that runs on a laptop as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

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

fn to_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(value) => json!(value),
        Yaml::Integer(value) => json!(value),
        Yaml::Real(text) | Yaml::String(text) => json!(text),
        Yaml::Array(items) => items.iter().map(to_json).collect(),
        Yaml::Hash(entries) => entries
            .iter()
            .map(|(key, value)| (key.as_str().expect("a word").to_owned(), to_json(value)))
            .collect(),
        Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?}"),
    }
}

/// Returns what is wrong with a workflow's form, each with its place.
fn malformed(text: &str) -> Vec<String> {
    let schema = include_str!("fixtures/workflow-schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let documents = YamlLoader::load_from_str(text).expect("a workflow is YAML");
    let [document] = documents.as_slice() else {
        panic!("one document");
    };
    let document = to_json(document);
    let wrong = validator.iter_errors(&document);
    wrong
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_workflow_has_the_languages_form() {
    for (name, text) in workflows() {
        assert_eq!(malformed(&text), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_word_in_the_wrong_place_is_seen() {
    let good = "name: x\non:\n  pull_request:\npermissions: {}\njobs:\n  test:\n    runs-on: x\n    \
                timeout-minutes: 5\n    steps:\n      - run: ci/test.sh\n";
    assert_eq!(malformed(good), Vec::<String>::new());
    let faults = [
        ("timeout-minutes: 5", "timeout-minuets: 5"),
        ("timeout-minutes: 5", "timeout-minutes: soon"),
        (
            "- run: ci/test.sh",
            "- run: ci/test.sh\n        uses: a/b@c",
        ),
        ("permissions: {}", "permissions: {contents: all}"),
        ("  pull_request:", "  pull_requests:"),
        ("permissions: {}\n", ""),
    ];
    for (right, wrong) in faults {
        let text = good.replace(right, wrong);
        assert_ne!(text, good);
        assert!(!malformed(&text).is_empty(), "{wrong}");
    }
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

/// What a job of a workflow may write: provenance that GitHub signs, and the draft of a release.
const MAY_WRITE: &[(&str, &[&str])] = &[(
    "release.yml",
    &["id-token: write", "attestations: write", "contents: write"],
)];

#[test]
fn no_workflow_may_write_but_what_is_listed() {
    for (name, text) in workflows() {
        assert!(
            text.contains("\npermissions:\n  contents: read\n"),
            "{name}"
        );
        let listed = MAY_WRITE.iter().find(|(file, _)| *file == name);
        let listed = listed.map_or(&[][..], |(_, rights)| rights);
        let writes: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| line.ends_with(": write"))
            .collect();
        assert_eq!(writes, listed, "{name}");
        assert!(!text.contains("write-all"), "{name}");
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

/// Runs a script of `ci/` and returns its exit code and what it says.
fn script(name: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = std::process::Command::new(root().join("ci").join(name))
        .args(args)
        .output()
        .expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn a_release_is_published_only_whole_and_under_its_own_version() {
    let version = env!("CARGO_PKG_VERSION");
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("plain text");
    let tag = format!("v{version}");
    let archs = ["amd64", "arm64", "s390x"];
    let files = archs.map(|arch| ["linux", "image"].map(|kind| format!("{kind}-{arch}.tar.gz")));
    for file in files.concat() {
        let (_, said) = script("publish.sh", &[&tag, dir, "--check"]);
        assert!(said.contains(&format!("{file}` is not whole")), "{said}");
        let name = format!("rehearse-{version}-{file}");
        fs::write(folder.path().join(&name), "x").expect("a file");
        // The SHA-256 of `x`.
        let sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        fs::write(
            folder.path().join(format!("{name}.sha256")),
            format!("{sum}  {name}\n"),
        )
        .expect("a file");
    }
    let (code, said) = script("publish.sh", &[&tag, dir, "--check"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = script("publish.sh", &["v9.9.9", dir, "--check"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("`v9.9.9` is not of version"), "{said}");
    let archive = format!("rehearse-{version}-linux-s390x.tar.gz");
    fs::write(folder.path().join(archive), "torn").expect("a file");
    assert_eq!(script("publish.sh", &[&tag, dir, "--check"]).0, Some(1));
}

#[test]
fn an_unknown_architecture_is_refused_by_every_release_script() {
    for name in ["release.sh", "release-tools.sh", "tool-image.sh"] {
        let (code, said) = script(name, &["riscv64"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("amd64, arm64"), "{said}");
    }
}
