//! Does a fault to the agents that are picked now, to all of them at once.

use futures::future::join_all;

use super::{Scene, StepError};
use crate::fault::Fault;
use crate::pick::Pick;
use crate::timeline::Kind;

pub(super) async fn run(
    scene: &mut Scene<'_>,
    fault: Fault,
    on: &Pick,
) -> Result<String, StepError> {
    let agents = scene.untouched();
    let picked = on.choose(&agents, &mut scene.rng).await?;
    for agent in &picked {
        scene.ledger.enter(fault, agent);
        let recorder = &scene.recorder;
        recorder.record(Kind::Injecting, Some(agent), fault.name());
    }
    let (target, recorder) = (scene.target, &scene.recorder);
    let pulled = join_all(picked.iter().map(|agent| async move {
        fault.inject(target, agent).await?;
        recorder.record(Kind::Injected, Some(agent), fault.name());
        Ok::<(), StepError>(())
    }))
    .await;
    for outcome in pulled {
        outcome?;
    }
    let words: Vec<_> = picked.iter().map(|name| format!("`{name}`")).collect();
    Ok(format!("{fault}: {}", words.join(", ")))
}
