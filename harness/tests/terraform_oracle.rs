//! Terraform itself is the judge: whatever it evaluates, the reader evaluates to the same bytes.
//!
//! Needs `terraform` on PATH (no provider, no network, no account); without it each test says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use nomad_harness::terraform::{Inputs, read};
use serde_json::Value as Json;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/terraform")
        .join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Terraform in a folder, with nothing of this machine's configuration; `None` where there is none.
fn terraform(dir: &Path, args: &[&str]) -> Option<String> {
    let cli = dir.join("cli.tfrc");
    std::fs::write(&cli, "disable_checkpoint = true\n").unwrap();
    let output = Command::new("terraform")
        .args(args)
        .current_dir(dir)
        .env("TF_CLI_CONFIG_FILE", &cli)
        .env("TF_IN_AUTOMATION", "1")
        .env_remove("TF_REATTACH_PROVIDERS")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: there is no `terraform` to compare with: {error}");
            return None;
        }
    };
    assert!(
        output.status.success(),
        "terraform {args:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

fn terraform_outputs(dir: &Path) -> Option<BTreeMap<String, Json>> {
    terraform(dir, &["init", "-no-color", "-input=false"])?;
    terraform(
        dir,
        &["apply", "-auto-approve", "-no-color", "-input=false"],
    )?;
    let outputs: BTreeMap<String, Json> =
        serde_json::from_str(&terraform(dir, &["output", "-json"])?).unwrap();
    Some(
        outputs
            .into_iter()
            .map(|(name, output)| (name, output["value"].clone()))
            .collect(),
    )
}

/// Every place where two values differ, by its path.
fn differences(path: &str, terraform: &Json, ours: &Json, into: &mut Vec<String>) {
    match (terraform, ours) {
        (Json::Object(left), Json::Object(right)) => {
            for name in left
                .keys()
                .chain(right.keys().filter(|name| !left.contains_key(*name)))
            {
                let at = format!("{path}.{name}");
                differences(
                    &at,
                    left.get(name).unwrap_or(&Json::Null),
                    right.get(name).unwrap_or(&Json::Null),
                    into,
                );
            }
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                differences(&format!("{path}[{index}]"), left, right, into);
            }
        }
        (Json::Number(left), Json::Number(right)) if left.as_f64() == right.as_f64() => {}
        (left, right) if left == right => {}
        (left, right) => into.push(format!("{path}\n  terraform: {left}\n  ours:      {right}")),
    }
}

fn assert_same(name: &str) {
    let scratch = tempfile::tempdir().unwrap();
    copy(&fixture(name), scratch.path());
    let Some(expected) = terraform_outputs(scratch.path()) else {
        return;
    };
    let configuration = read(scratch.path(), &Inputs::default()).unwrap();
    let ours: BTreeMap<_, _> = configuration
        .outputs
        .iter()
        .map(|(name, value)| (name.clone(), value.to_json()))
        .collect();
    let mut different = Vec::new();
    for (name, expected) in &expected {
        differences(
            name,
            expected,
            ours.get(name).unwrap_or(&Json::Null),
            &mut different,
        );
    }
    assert!(
        different.is_empty(),
        "{} differences\n{}",
        different.len(),
        different.join("\n")
    );
    assert_eq!(expected.len(), ours.len());
}

#[test]
fn expressions_templates_and_functions_are_equal_to_terraforms() {
    assert_same("expressions");
}

#[test]
fn a_difference_is_seen_and_named() {
    let mut different = Vec::new();
    let terraform = serde_json::json!({ "a": [1, "x"], "b": 1.0 });
    differences(
        "out",
        &terraform,
        &serde_json::json!({ "a": [1, "y"], "b": 1, "c": true }),
        &mut different,
    );
    let places: Vec<_> = different
        .iter()
        .map(|text| text.lines().next().unwrap())
        .collect();
    assert_eq!(places, ["out.a[1]", "out.c"]);
}
