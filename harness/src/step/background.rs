//! Starts workloads beside the steps, and stops and judges them.

use super::{Scene, StepError};
use crate::workload::Workload;

pub(super) fn start(scene: &mut Scene<'_>, workload: &Workload) -> String {
    let running = workload.start(&scene.agents, &scene.recorder);
    scene.background.push(running);
    "started".to_owned()
}

pub(super) async fn stop(scene: &mut Scene<'_>) -> Result<String, StepError> {
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
