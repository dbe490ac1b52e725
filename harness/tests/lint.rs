//! Every rule sees its fault, and nothing else is seen where there is none.
//!
//! `fixtures/lint/base` is a sound cluster. Each `faults/RULE.edit` (and `RULE.WHAT.edit`) plants one fault in it, each
//! `near/RULE.WHAT.edit` something that only looks like one. An edit is a list of hunks: `@ FILE`, lines
//! with `- ` that are replaced (everywhere in the file), lines with `+ ` that come in their place; a hunk
//! without `- ` makes the file, or adds to its end.

use std::path::{Path, PathBuf};

use nomad_harness::lint::{self, Finding, JobFile, Severity};
use nomad_harness::terraform::aws::AwsCluster;
use nomad_harness::terraform::{Inputs, read, read_told};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lint")
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

fn findings(dir: &Path) -> Vec<Finding> {
    let inputs = Inputs {
        missing_is_unknown: true,
        ..Inputs::default()
    };
    let configuration =
        read(dir, &inputs).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let jobs = JobFile::find(dir).unwrap();
    lint::check(&configuration, &AwsCluster::of(&configuration, dir), &jobs)
}

/// What is found, but for what is not known before AWS is asked.
fn judged(dir: &Path) -> Vec<Finding> {
    let mut found = findings(dir);
    found.retain(|finding| !["not-evaluated", "variable-without-value"].contains(&finding.rule));
    found
}

/// Applies an edit to a copy of the base.
fn edited(edit: &Path) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    copy(&fixtures().join("base"), scratch.path());
    let text = std::fs::read_to_string(edit).unwrap();
    let mut file = PathBuf::new();
    let (mut old, mut new) = (String::new(), String::new());
    for line in text.lines().chain(["@"]) {
        if let Some(next) = line.strip_prefix('@') {
            if !(old.is_empty() && new.is_empty()) {
                apply(&scratch.path().join(&file), &old, &new, edit);
            }
            (old, new, file) = (String::new(), String::new(), PathBuf::from(next.trim()));
        } else if let Some(line) = line.strip_prefix('-') {
            old.push_str(line.strip_prefix(' ').unwrap_or(line));
            old.push('\n');
        } else if let Some(line) = line.strip_prefix('+') {
            new.push_str(line.strip_prefix(' ').unwrap_or(line));
            new.push('\n');
        } else {
            assert!(
                line.is_empty() || line.starts_with('#'),
                "{}: {line}",
                edit.display()
            );
        }
    }
    scratch
}

fn apply(file: &Path, old: &str, new: &str, edit: &Path) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let text = if old.is_empty() {
        text + new
    } else {
        assert!(
            text.contains(old),
            "{}: not in {}:\n{old}",
            edit.display(),
            file.display()
        );
        text.replace(old, new)
    };
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

fn edits(folder: &str) -> Vec<PathBuf> {
    let mut edits: Vec<PathBuf> = std::fs::read_dir(fixtures().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    edits.sort();
    edits
}

fn stem(path: &Path) -> String {
    path.file_name()
        .unwrap()
        .to_string_lossy()
        .split('.')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn nothing_is_found_in_a_sound_cluster() {
    let dir = fixtures().join("base");
    let found = judged(&dir);
    assert!(found.is_empty(), "{}", lint::text(&found));
    // The image is AWS's to tell, which is said.
    let told: Vec<_> = findings(&dir).into_iter().map(|one| one.message).collect();
    let image = |role: &str| {
        let address = |index: usize| format!("`aws_instance.{role}[{index}].ami`");
        format!(
            "{}, {}, {} not known: data.aws_ssm_parameter.image.insecure_value (a data source, which is asked when planning)",
            address(0),
            address(1),
            address(2)
        )
    };
    assert_eq!(told, [image("server"), image("client")]);
}

#[test]
fn nothing_is_found_in_our_own_cluster() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    let found = judged(&dir);
    assert!(found.is_empty(), "{}", lint::text(&found));
    let all = findings(&dir);
    let missing = all.iter().find(|one| one.rule == "variable-without-value");
    let told = missing.map_or("", |one| one.message.as_str());
    assert!(
        told.starts_with("variable `operator_cidrs` has no value; not known by it: "),
        "{}",
        lint::text(&all)
    );
}

#[test]
fn what_terraform_printed_is_not_blamed_for_what_it_does_not_tell() {
    let plan = r#"{ "format_version": "1.2", "terraform_version": "1.11.0",
      "variables": { "aws_region": { "value": "eu-central-1" } },
      "planned_values": { "root_module": { "resources": [
        { "address": "aws_instance.server", "mode": "managed", "type": "aws_instance", "name": "server",
          "values": { "ami": "ami-0123456789abcdef0", "tags": { "Name": "nomad-server" } } } ] } },
      "configuration": { "root_module": {} } }"#;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("plan.json");
    std::fs::write(&path, plan).unwrap();
    let configuration = read_told(&path).unwrap();
    let cluster = AwsCluster::of(&configuration, &path);
    assert_eq!(cluster.machines.len(), 1);
    let found = lint::check(&configuration, &cluster, &[]);
    let rules: Vec<_> = found.iter().map(|one| one.rule).collect();
    assert!(rules.contains(&"metadata-v1"), "{rules:?}");
    for rule in ["provider-not-pinned", "image-fixed-region-free"] {
        assert!(!rules.contains(&rule), "{rules:?}");
    }
}

#[test]
fn a_plan_that_carries_only_a_digest_of_user_data_is_told_as_one() {
    let plan = |user_data: &str| {
        format!(
            r#"{{ "format_version": "1.2", "terraform_version": "1.11.0",
      "planned_values": {{ "root_module": {{ "resources": [
        {{ "address": "aws_instance.server", "mode": "managed", "type": "aws_instance", "name": "server",
          "values": {{ "user_data": "{user_data}", "tags": {{ "Name": "nomad-server" }} }} }} ] }} }},
      "configuration": {{ "root_module": {{}} }} }}"#
        )
    };
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("plan.json");
    let told = |user_data: &str| {
        std::fs::write(&path, plan(user_data)).unwrap();
        let configuration = read_told(&path).unwrap();
        let found = lint::check(&configuration, &AwsCluster::of(&configuration, &path), &[]);
        let unseen = found
            .into_iter()
            .find(|one| one.rule == "agent-configuration-unseen");
        unseen.unwrap().message
    };
    let digest = told("0a4d55a8d778e5022fab701977c5d840bbc486d0");
    assert!(
        digest.ends_with("carries only the SHA-1 of the user data, not its text: lint the directory that it is a plan of"),
        "{digest}"
    );
    let text = told("#!/bin/sh");
    assert!(text.ends_with("was not found in the user data"), "{text}");
}

#[test]
fn every_rule_sees_its_fault() {
    let mut missed = Vec::new();
    let faults = edits("faults");
    for rule in lint::rules() {
        let edit = fixtures().join("faults").join(format!("{}.edit", rule.id));
        if !faults.contains(&edit) {
            missed.push(format!("`{}` has no fixture {}", rule.id, edit.display()));
        }
    }
    for edit in faults {
        let id = stem(&edit);
        let Some(rule) = lint::rules().find(|rule| rule.id == id) else {
            missed.push(format!("{} is of no rule", edit.display()));
            continue;
        };
        let scratch = edited(&edit);
        let found = findings(scratch.path());
        let Some(finding) = found.iter().find(|finding| finding.rule == rule.id) else {
            missed.push(format!(
                "`{}` sees nothing in {}; seen: {:?}",
                rule.id,
                edit.display(),
                found.iter().map(|finding| finding.rule).collect::<Vec<_>>()
            ));
            continue;
        };
        assert!(
            finding.site.line >= 1 && finding.site.file.starts_with(scratch.path()),
            "`{}` is at {}",
            rule.id,
            finding.site
        );
        assert!(!rule.why.is_empty() && !rule.mend.is_empty());
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_fixture_is_of_a_rule() {
    let known: Vec<&str> = lint::rules().map(|rule| rule.id).collect();
    for edit in edits("faults").into_iter().chain(edits("near")) {
        assert!(known.contains(&stem(&edit).as_str()), "{}", edit.display());
    }
    let mut unique = known.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), known.len(), "two rules have one name");
}

#[test]
fn documents_say_how_many_rules_there_are() {
    let said = format!("# {} rules;", lint::rules().count());
    for document in ["../README.md", "../docs/aws.md"] {
        let text = std::fs::read_to_string(document).unwrap();
        assert!(text.contains(&said), "{document}: expected `{said}`");
    }
}

#[test]
fn what_only_looks_like_a_fault_is_left_alone() {
    for edit in edits("near") {
        let scratch = edited(&edit);
        let rule = stem(&edit);
        let found: Vec<_> = findings(scratch.path())
            .into_iter()
            .filter(|finding| finding.rule == rule)
            .collect();
        assert!(
            found.is_empty(),
            "{}: {}",
            edit.display(),
            lint::text(&found)
        );
    }
}

#[test]
fn what_may_not_be_sent_is_as_closed_as_what_is_not_let_in() {
    let whole = fixtures().join("base/main.tf");
    let whole = std::fs::read_to_string(whole).unwrap();
    let anywhere = "\"0.0.0.0/0\"";
    let found = |of: &str, to: &str| -> Vec<(&str, String)> {
        let scratch = tempfile::tempdir().unwrap();
        copy(&fixtures().join("base"), scratch.path());
        let (before, after) = whole.split_once(of).unwrap();
        let changed = format!("{before}{of}{}", after.replacen(anywhere, to, 1));
        std::fs::write(scratch.path().join("main.tf"), changed).unwrap();
        let all = judged(scratch.path()).into_iter();
        all.map(|one| (one.rule, one.message)).collect()
    };
    assert_eq!(found("out of servers", anywhere), []);
    // The faults: out to one machine of somebody else's alone.
    let servers = found("out of servers", "\"203.0.113.7/32\"");
    let rules: Vec<&str> = servers.iter().map(|(rule, _)| *rule).collect();
    assert!(
        rules.contains(&"servers-cannot-talk") && rules.contains(&"gossip-udp-closed"),
        "{servers:?}"
    );
    assert!(
        !rules.contains(&"clients-cannot-reach-servers"),
        "{servers:?}"
    );
    let clients = found("out of clients", "\"203.0.113.7/32\"");
    let told = "no rule lets clients send to servers on 4647/tcp";
    assert_eq!(clients, [("clients-cannot-reach-servers", told.to_owned())]);
}

#[test]
fn a_finding_is_silenced_by_a_comment_beside_it() {
    let scratch = edited(&fixtures().join("faults/metadata-v1.edit"));
    let main = scratch.path().join("main.tf");
    assert!(
        findings(scratch.path())
            .iter()
            .any(|finding| finding.rule == "metadata-v1")
    );
    let text = std::fs::read_to_string(&main).unwrap();
    let silenced = text.replace(
        "    http_tokens ",
        "    # rehearse:ignore metadata-v1 an old image needs it\n    http_tokens ",
    );
    std::fs::write(&main, &silenced).unwrap();
    assert!(
        !findings(scratch.path())
            .iter()
            .any(|finding| finding.rule == "metadata-v1")
    );
    // Of another rule, the comment says nothing.
    std::fs::write(
        &main,
        silenced.replace("ignore metadata-v1", "ignore tls-off"),
    )
    .unwrap();
    assert!(
        findings(scratch.path())
            .iter()
            .any(|finding| finding.rule == "metadata-v1")
    );
}

#[test]
fn sarif_has_what_code_hosts_read() {
    let scratch = edited(&fixtures().join("faults/metadata-v1.edit"));
    let found = findings(scratch.path());
    let sarif = lint::sarif(&found);
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(
        run["tool"]["driver"]["rules"].as_array().unwrap().len(),
        lint::rules().count()
    );
    let result = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|result| result["ruleId"] == "metadata-v1")
        .unwrap();
    assert_eq!(result["level"], "error");
    let place = &result["locations"][0]["physicalLocation"];
    assert!(
        place["artifactLocation"]["uri"]
            .as_str()
            .unwrap()
            .ends_with("main.tf")
    );
    assert!(place["region"]["startLine"].as_u64().unwrap() > 1);
    assert_eq!(
        found
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count(),
        2,
        "servers' and clients' block"
    );
}

#[test]
fn jobs_that_lie_elsewhere_are_looked_at_where_the_option_names_them() {
    let scratch = tempfile::tempdir().unwrap();
    let job = scratch.path().join("elsewhere.nomad.hcl");
    let text = "job \"elsewhere\" {\n  group \"g\" {\n    tsk \"t\" {\n    }\n  }\n}\n";
    std::fs::write(&job, text).unwrap();
    let lint = |jobs: &[&Path]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rehearse"));
        command
            .env("REHEARSE_CONFIG", "")
            .arg("lint")
            .arg(fixtures().join("base"));
        command.args(["--format", "json"]);
        for path in jobs {
            command.arg("--jobs").arg(path);
        }
        command.output().unwrap()
    };
    let without = lint(&[]);
    assert_eq!(without.status.code(), Some(0), "{without:?}");
    // The file, the folder around it, and both, which is one job all the same.
    for jobs in [
        &[job.as_path()][..],
        &[scratch.path()],
        &[&job, scratch.path()],
    ] {
        let output = lint(jobs);
        assert_eq!(output.status.code(), Some(40), "{output:?}");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = found.as_array().unwrap().iter();
        let of_job = found.filter(|one| one["rule"] == "job-refused");
        let places: Vec<_> = of_job
            .map(|one| (&one["site"]["file"], &one["site"]["line"]))
            .collect();
        assert_eq!(places.len(), 1, "{places:?}");
        assert_eq!(*places[0].0, job.display().to_string());
        assert_eq!(*places[0].1, 3);
    }
    let output = lint(&[&scratch.path().join("nope.nomad.hcl")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("nope.nomad.hcl` cannot be read"), "{told}");
}

/// Every other variable of ours refuses a null, or means something by it.
#[test]
fn a_null_for_raw_exec_is_its_default() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("x.tfvars");
    let found = |more: &str| {
        let text = format!("operator_cidrs = [\"198.51.100.7/32\"]\n{more}");
        std::fs::write(&file, text).unwrap();
        let inputs = Inputs {
            var_files: vec![file.clone()],
            ..Inputs::default()
        };
        let configuration = read(&ours, &inputs).unwrap();
        let cluster = AwsCluster::of(&configuration, &ours);
        let known = |one: &nomad_harness::terraform::aws::Machine| one.user_data.text.is_some();
        assert!(cluster.machines.iter().all(known), "{more}");
        lint::check(&configuration, &cluster, &[])
    };
    assert_eq!(found("raw_exec = null\n"), found(""));
}
