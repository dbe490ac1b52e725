//! Starts workloads beside the steps, and stops and judges them.

use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::workload::Workload;

pub(super) const START: Form = Form {
    name: "start",
    about: "starts a workload or a watch, which runs beside the steps until `stop`",
    label: Label::Workload,
    args: &[],
    choice: Choice::Free,
    steps: false,
    example: r#"start "load" {
  job  = "whoami"
  port = "http"
  rate = 50
}"#,
    build: |statement| Step::Start {
        workload: statement.workload(),
    },
};

pub(super) const STOP: Form = Form {
    name: "stop",
    about: "stops all workloads and watches, takes their numbers, and fails where one of them saw \
            a law broken",
    label: Label::None,
    args: &[],
    choice: Choice::Free,
    steps: false,
    example: "stop {}",
    build: |_| Step::StopAll,
};

pub(super) fn start(scene: &Scene<'_>, workload: &Workload) -> String {
    let running = workload.start(&scene.agents, &scene.recorder);
    scene.runs_beside(running);
    "started".to_owned()
}

pub(super) async fn stop(scene: &Scene<'_>) -> Result<String, StepError> {
    let outcomes = scene.stop_background().await;
    let breaches: Vec<_> = outcomes.iter().flat_map(|all| &all.breaches).collect();
    if breaches.is_empty() {
        return Ok(format!(
            "{} workloads and watches, no law broken",
            outcomes.len()
        ));
    }
    let words: Vec<_> = breaches.iter().map(|one| one.what.as_str()).collect();
    Err(StepError::Failed {
        why: words.join("; "),
        // One breach without an excuse is enough.
        timed: breaches.iter().all(|breach| breach.timed),
    })
}
