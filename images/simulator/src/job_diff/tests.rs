//! Differences, as people read them.

use serde_json::{Value, json};

use super::*;
use crate::jobspec;

const JOB: &str = r#"
job "web" {
  meta { version = "1" }
  group "web" {
    count = 2
    network {
      port "http" {}
    }
    service {
      name     = "web"
      port     = "http"
      provider = "nomad"
      tags     = ["a"]
    }
    task "main" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
        args    = ["-x"]
      }
      resources { cpu = 100 }
    }
  }
}
"#;

fn job(text: &str) -> Job {
    let mut job = jobspec::parse(text, &BTreeMap::new()).expect("the test's job is good");
    jobspec::canonicalize(&mut job);
    job
}

fn changed(from: &str, to: &str) -> Value {
    assert!(JOB.contains(from), "{from}");
    json!(JobDiff::of(Some(&job(JOB)), &job(&JOB.replace(from, to))))
}

/// `Type Name: Old => New` of each field that changed, with the path to it.
fn told(diff: &Value, path: &str, lines: &mut Vec<String>) {
    for field in diff["Fields"].as_array().into_iter().flatten() {
        if field["Type"] != "None" {
            let text = |key: &str| field[key].as_str().unwrap_or_default().to_owned();
            let (kind, name) = (text("Type"), text("Name"));
            let (old, new) = (text("Old"), text("New"));
            lines.push(format!("{path}{kind} {name}: {old} => {new}"));
        }
    }
    for key in ["Objects", "TaskGroups", "Tasks"] {
        for inner in diff[key].as_array().into_iter().flatten() {
            let name = inner["Name"].as_str().unwrap_or_default();
            told(inner, &format!("{path}{name}/"), lines);
        }
    }
}

fn lines(diff: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    told(diff, "", &mut lines);
    lines
}

#[test]
fn what_is_the_same_has_no_difference() {
    let diff = changed("count = 2", "count = 2");
    assert_eq!(diff["Type"], "None");
    assert_eq!(
        (&diff["Fields"], &diff["Objects"]),
        (&Value::Null, &Value::Null)
    );
    let group = &diff["TaskGroups"][0];
    assert_eq!(
        (&group["Type"], &group["Tasks"][0]["Type"]),
        (&json!("None"), &json!("None"))
    );
}

#[test]
fn each_change_is_told_where_it_is() {
    for (from, to, expected) in [
        ("count = 2", "count = 3", "web/Edited Count: 2 => 3"),
        (
            "version = \"1\"",
            "version = \"2\"",
            "Edited Meta[version]: 1 => 2",
        ),
        (
            "\"-x\"",
            "\"-x\", \"-y\"",
            "web/main/Config/Added args[1]:  => -y",
        ),
        (
            "cpu = 100",
            "cpu = 50",
            "web/main/Resources/Edited CPU: 100 => 50",
        ),
        ("[\"a\"]", "[\"b\"]", "web/Service/Tags/Added Tags:  => b"),
        (
            "port \"http\" {}",
            "port \"http\" { to = 80 }",
            "web/Network/Dynamic Port/Added To:  => 80",
        ),
        (
            "task \"main\" {",
            "task \"main\" {\n kill_timeout = \"9s\"",
            "web/main/Edited KillTimeout: 5000000000 => 9000000000",
        ),
        (
            "count = 2",
            "count = 2\n constraint {\n attribute = \"a\"\n value = \"b\"\n }",
            "web/Constraint/Added LTarget:  => a",
        ),
    ] {
        let diff = changed(from, to);
        assert_eq!(diff["Type"], "Edited", "{to}");
        let lines = lines(&diff);
        assert!(lines.iter().any(|line| line == expected), "{to}: {lines:?}");
    }
}

#[test]
fn an_object_that_changed_shows_what_stays_as_well() {
    let diff = changed("cpu = 100", "cpu = 50");
    let resources = &diff["TaskGroups"][0]["Tasks"][0]["Objects"][0];
    let memory = resources["Fields"].as_array().unwrap();
    let memory = memory
        .iter()
        .find(|field| field["Name"] == "MemoryMB")
        .unwrap();
    assert_eq!(
        (&memory["Type"], &memory["Old"]),
        (&json!("None"), &json!("300"))
    );
}

#[test]
fn a_new_job_is_added_whole() {
    let diff = json!(JobDiff::of(None, &job(JOB)));
    assert_eq!(diff["Type"], "Added");
    let lines = lines(&diff);
    for line in [
        "Added Priority:  => 50",
        "web/Added Count:  => 2",
        "web/main/Added Driver:  => raw_exec",
    ] {
        assert!(lines.iter().any(|told| told == line), "{line}: {lines:?}");
    }
    let more = changed(
        "task \"main\" {",
        "task \"other\" {\n driver = \"raw_exec\"\n }\n task \"main\" {",
    );
    let kinds: Vec<_> = more["TaskGroups"][0]["Tasks"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(
        (&kinds[0]["Type"], &kinds[1]["Type"]),
        (&json!("None"), &json!("Added"))
    );
}

#[test]
fn what_the_scheduler_would_do_is_noted() {
    let desired = DesiredUpdates {
        place: 1,
        in_place_update: 2,
        ..DesiredUpdates::default()
    };
    let desired = BTreeMap::from([("web".to_owned(), desired)]);
    let annotated = |from: &str, to: &str| {
        let mut diff = JobDiff::of(Some(&job(JOB)), &job(&JOB.replace(from, to)));
        diff.annotate(&desired);
        json!(diff)["TaskGroups"][0].clone()
    };
    let group = annotated("count = 2", "count = 3");
    assert_eq!(
        group["Updates"],
        json!({ "create": 1, "in-place update": 2 })
    );
    assert_eq!(group["Fields"][0]["Annotations"], json!(["forces create"]));
    assert_eq!(group["Tasks"][0]["Annotations"], Value::Null);
    let group = annotated("count = 2", "count = 1");
    assert_eq!(group["Fields"][0]["Annotations"], json!(["forces destroy"]));
    let task = annotated("\"-x\"", "\"-y\"")["Tasks"][0].clone();
    assert_eq!(task["Annotations"], json!(["forces create/destroy update"]));
    let mild = "task \"main\" {\n kill_timeout = \"9s\"";
    let task = annotated("task \"main\" {", mild)["Tasks"][0].clone();
    assert_eq!(task["Annotations"], json!(["forces in-place update"]));
}
