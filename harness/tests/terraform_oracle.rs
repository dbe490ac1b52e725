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

/// Copies what needs no provider: variables, locals and templates. An output then shows the user data.
fn without_resources(from: &Path, to: &Path) {
    copy(&from.join("templates"), &to.join("templates"));
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tf") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut kept = String::new();
            let mut keeping = false;
            for line in text.lines() {
                // Blocks of the root begin in the first column, in formatted files.
                keeping = keeping || line.starts_with("variable ") || line.starts_with("locals ");
                if keeping {
                    kept.push_str(line);
                    kept.push('\n');
                }
                keeping = keeping && line != "}";
            }
            std::fs::write(to.join(path.file_name().unwrap()), kept).unwrap();
        }
    }
    std::fs::write(
        to.join("shown.tf"),
        "output \"user_data\" {\n  value = local.user_data\n}\n",
    )
    .unwrap();
}

#[test]
fn the_user_data_of_our_own_cluster_is_terraforms_byte_for_byte() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    let variants: [&[(&str, &str)]; 4] = [
        &[],
        &[
            ("architecture", "arm64"),
            ("server_count", "5"),
            ("zones", "2"),
            ("nomad_region", "eu"),
        ],
        &[
            ("nomad_edition", "enterprise"),
            ("nomad_license_file", "x.hclic"),
            ("raw_exec", "true"),
        ],
        &[
            ("name", "other"),
            ("nomad_version", "2.0.5"),
            ("datacenter", "dc-2"),
            ("client_count", "0"),
        ],
    ];
    for variant in variants {
        let scratch = tempfile::tempdir().unwrap();
        without_resources(&ours, scratch.path());
        let mut values = "operator_cidrs = [\"198.51.100.7/32\"]\n".to_owned();
        for (name, value) in variant {
            values.push_str(&format!("{name} = \"{value}\"\n"));
        }
        std::fs::write(scratch.path().join("terraform.tfvars"), values).unwrap();
        let Some(expected) = terraform_outputs(scratch.path()) else {
            return;
        };
        let configuration = read(scratch.path(), &Inputs::default()).unwrap();
        let mut different = Vec::new();
        differences(
            "user_data",
            &expected["user_data"],
            &configuration.outputs["user_data"].to_json(),
            &mut different,
        );
        assert!(different.is_empty(), "{}", different.join("\n"));
        assert!(
            expected["user_data"]["server-1"]
                .as_str()
                .is_some_and(|text| text.starts_with("#!/bin/bash\n"))
        );
    }
}

#[test]
fn our_own_cluster_is_formatted_as_terraform_formats_it() {
    let scratch = tempfile::tempdir().unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    copy(&ours, scratch.path());
    // Fails by itself where a file is otherwise, and prints which.
    drop(terraform(
        scratch.path(),
        &["fmt", "-check", "-recursive", "-diff"],
    ));
}

#[test]
fn our_own_cluster_is_valid_and_keeps_its_promises() {
    let Some(plugins) = std::env::var_os("REHEARSE_TERRAFORM_PLUGINS") else {
        eprintln!("SKIPPED: REHEARSE_TERRAFORM_PLUGINS names no folder with AWS's provider");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    copy(&ours, scratch.path());
    let mirror = format!("-plugin-dir={}", plugins.to_string_lossy());
    let dir = scratch.path();
    if terraform(dir, &["init", "-no-color", "-input=false", &mirror]).is_none() {
        return;
    }
    terraform(dir, &["validate", "-no-color"]).unwrap();
    let tested = terraform(dir, &["test", "-no-color"]).unwrap();
    assert!(tested.contains(" 0 failed"), "{tested}");
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
