//! A disk that lies: part of a server's Raft log is not what was written there. Nomad does not
//! mend it; whoever runs Nomad removes the server's data and lets it join as a new one.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{AgentState, Capability, ControlError, Target};

pub(super) struct CorruptLog;

#[async_trait]
impl Lever for CorruptLog {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "corrupt-log",
            about: "ends a server with SIGKILL, overwrites every other page of its Raft log and starts it; \
         healing removes its data and starts it at the same address, as one that was never there",
            needs: Some(Capability::Spoil),
            takes_down: true,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.kill(agent).await?;
        target.spoil_log(agent).await?;
        target.start(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        // Only once, and only where it was done: this removes what a server knows.
        if target.log_is_spoiled(agent).await? {
            if target.state(agent).await? == AgentState::Running {
                target.kill(agent).await?;
            }
            target.wipe(agent).await?;
        }
        super::start_if_ended(target, agent).await
    }
}
