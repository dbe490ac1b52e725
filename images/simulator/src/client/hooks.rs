//! Laws of `lifecycle` hooks, with real processes that write down their turns.

use super::tests::{Rig, alloc};
use crate::scheduler::world::from_hcl;
use crate::types::{AllocClientStatus, AllocDesiredStatus, Job, TaskStateKind};

/// A group of these tasks: name, `lifecycle` block's inside (empty for a main task), script.
fn job(kind: &str, tasks: &[(&str, &str, &str)]) -> Job {
    let mut text = String::new();
    for (name, lifecycle, script) in tasks {
        let lifecycle = match *lifecycle {
            "" => String::new(),
            inside => format!("lifecycle {{\n{inside}\n}}"),
        };
        text.push_str(&format!(
            r#"
task "{name}" {{
  driver = "raw_exec"
  {lifecycle}
  config {{
    command = "sh"
    args    = ["-c", <<EOT
say() {{ echo "{name} $1" >> "$NOMAD_ALLOC_DIR/turns"; }}
{script}
EOT
    ]
  }}
  restart {{
    attempts = 0
    mode     = "fail"
  }}
}}
"#
        ));
    }
    from_hcl(&format!(
        "job \"j\" {{\n type = \"{kind}\"\n group \"g\" {{\n{text}\n}}\n}}\n"
    ))
}

fn turns(rig: &Rig, id: &str) -> Vec<String> {
    let path = rig.client().alloc_dir(id).join("alloc/turns");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

const PRESTART: &str = "hook = \"prestart\"";
const SIDECAR: &str = "hook = \"prestart\"\nsidecar = true";
const POSTSTART: &str = "hook = \"poststart\"";
const POSTSTOP: &str = "hook = \"poststop\"";

#[tokio::test]
async fn each_task_has_its_turn() {
    let rig = Rig::start();
    let tasks = [
        ("after", POSTSTOP, "say runs"),
        ("main", "", "say runs; sleep 0.3; say ends"),
        (
            "side",
            SIDECAR,
            "trap 'say ends; exit' INT; say runs; while true; do sleep 0.02; done",
        ),
        ("before", PRESTART, "sleep 0.1; say runs"),
        ("then", POSTSTART, "sleep 0.1; say runs"),
    ];
    rig.servers.want(alloc("a1", job("batch", &tasks)));
    let done = rig
        .servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    let seen = turns(&rig, "a1");
    let at = |turn: &str| {
        let found = seen.iter().position(|line| line == turn);
        found.unwrap_or_else(|| panic!("no `{turn}` in {seen:?}"))
    };
    assert!(at("before runs") < at("main runs"), "{seen:?}");
    assert!(at("side runs") < at("main runs"), "{seen:?}");
    assert!(at("main runs") < at("then runs"), "{seen:?}");
    assert!(at("main ends") < at("side ends"), "{seen:?}");
    assert_eq!(at("after runs"), seen.len() - 1, "{seen:?}");
    let events = &done.task_states["side"].events;
    assert!(
        events.iter().any(|e| e.event_type == "Main Tasks Dead"),
        "{events:?}"
    );
    assert!(done.task_states.values().all(|task| !task.failed));
}

#[tokio::test]
async fn a_group_without_a_main_task_has_its_turns_too() {
    let rig = Rig::start();
    let tasks = [
        ("after", POSTSTOP, "say runs"),
        ("then", POSTSTART, "say runs"),
        ("before", PRESTART, "sleep 0.2; say runs"),
    ];
    rig.servers.want(alloc("a1", job("batch", &tasks)));
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    assert_eq!(
        turns(&rig, "a1"),
        ["before runs", "then runs", "after runs"]
    );
}

#[tokio::test]
async fn a_failed_preparation_keeps_the_work_from_starting() {
    let rig = Rig::start();
    let tasks = [
        ("before", PRESTART, "exit 3"),
        ("main", "", "say runs; exec sleep 1000"),
        ("after", POSTSTOP, "say runs"),
    ];
    rig.servers.want(alloc("a1", job("service", &tasks)));
    let over = |a: &crate::types::Allocation| {
        let mut tasks = a.task_states.values();
        a.task_states.len() == 3 && tasks.all(|task| task.state == TaskStateKind::Dead)
    };
    let failed = rig.servers.until("a1", "over", over).await;
    assert_eq!(failed.client_status, AllocClientStatus::Failed);
    assert_eq!(turns(&rig, "a1"), ["after runs"]);
    let events = &failed.task_states["main"].events;
    assert!(
        events.iter().any(|e| e.event_type == "Sibling Task Failed"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_stopped_allocation_cleans_up() {
    let rig = Rig::start();
    let tasks = [
        ("main", "", "say runs; exec sleep 1000"),
        ("after", POSTSTOP, "say runs"),
    ];
    rig.servers.want(alloc("a1", job("service", &tasks)));
    let runs = |_: &crate::types::Allocation| turns(&rig, "a1") == ["main runs"];
    rig.servers.until("a1", "running", runs).await;
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    assert_eq!(turns(&rig, "a1"), ["main runs", "after runs"]);
}

#[tokio::test]
async fn all_tasks_can_be_started_again_those_that_have_ended_too() {
    let rig = Rig::start();
    let tasks = [
        ("before", PRESTART, "say runs"),
        ("main", "", "say runs; exec sleep 1000"),
    ];
    rig.servers.want(alloc("a1", job("service", &tasks)));
    let lines = |n: usize| {
        let rig = &rig;
        move |_: &crate::types::Allocation| turns(rig, "a1").len() == n
    };
    rig.servers.until("a1", "running", lines(2)).await;
    rig.client().restart("a1", None, false).expect("it runs");
    rig.servers.until("a1", "running again", lines(3)).await;
    rig.client().restart("a1", None, true).expect("it runs");
    rig.servers
        .until("a1", "running a third time", lines(5))
        .await;
    let count = turns(&rig, "a1")
        .iter()
        .filter(|t| *t == "before runs")
        .count();
    assert_eq!(count, 2);
    rig.servers
        .change("a1", |a| a.desired_status = AllocDesiredStatus::Stop);
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
}

#[tokio::test]
async fn a_dispatched_payload_is_in_the_tasks_directory() {
    let rig = Rig::start();
    let mut job = job(
        "batch",
        &[(
            "main",
            "",
            "cat local/in/data >> \"$NOMAD_ALLOC_DIR/turns\"",
        )],
    );
    job.payload = Some("aGVsbG8K".to_owned());
    job.task_groups[0].tasks[0].dispatch_payload = Some(crate::types::DispatchPayload {
        file: "in/data".to_owned(),
    });
    rig.servers.want(alloc("a1", job));
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    assert_eq!(turns(&rig, "a1"), ["hello"]);
}

#[tokio::test]
async fn templates_are_written_before_the_task_starts() {
    let rig = Rig::start();
    let mut job = job(
        "batch",
        &[(
            "main",
            "",
            "cat local/conf >> \"$NOMAD_ALLOC_DIR/turns\"; echo $COLOUR >> \"$NOMAD_ALLOC_DIR/turns\"",
        )],
    );
    let template = |path: &str, text: &str, envvars| crate::types::Template {
        dest_path: path.to_owned(),
        embedded_tmpl: text.to_owned(),
        envvars,
        ..crate::types::Template::default()
    };
    job.task_groups[0].tasks[0].templates = Some(vec![
        template(
            "local/conf",
            "task {{ env \"NOMAD_TASK_NAME\" | toUpper }}\n",
            false,
        ),
        template("${NOMAD_SECRETS_DIR}/vars", "COLOUR=\"dark red\"\n", true),
    ]);
    rig.servers.want(alloc("a1", job));
    rig.servers
        .until_status("a1", AllocClientStatus::Complete)
        .await;
    assert_eq!(turns(&rig, "a1"), ["task MAIN", "dark red"]);
}
