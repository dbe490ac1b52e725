//! Whether an emulated agent hangs. Go programs under QEMU are known to stop now and then for
//! good, with a process that runs and does nothing: the emulator's failure, not Nomad's. Asked
//! once a scenario has failed and every fault is healed.

use std::time::Duration;

use futures::future::join_all;

use crate::nomad::ApiError;
use crate::step::Scene;
use crate::target::{AgentInfo, AgentState};

/// How long an agent of this machine's own architecture may take to say whom it takes for leader;
/// no server but itself is asked for that.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Returns which emulated agents run and do not answer, in words.
pub(super) async fn find(scene: &Scene<'_>) -> Option<String> {
    let emulated = scene.target.agents().iter().filter(|agent| agent.emulated);
    let looks = emulated.map(|agent| hangs(scene, agent));
    let hung: Vec<String> = join_all(looks).await.into_iter().flatten().collect();
    (!hung.is_empty()).then(|| hung.join(", "))
}

async fn hangs(scene: &Scene<'_>, agent: &AgentInfo) -> Option<String> {
    let within = scene.allowed(ANSWER_WITHIN);
    let api = scene.target.api(&agent.name).stale().timeout(within);
    match api.leader().await {
        Err(error @ ApiError::TimedOut { .. }) => {
            let state = scene.target.state(&agent.name).await;
            matches!(state, Ok(AgentState::Running)).then(|| {
                let (name, arch) = (&agent.name, agent.arch);
                format!("emulated `{name}` ({arch}) runs and does not answer, as a process that hangs under its emulator ({error})")
            })
        }
        // Whoever refuses or breaks a connection does something.
        _ => None,
    }
}
