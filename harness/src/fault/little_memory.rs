//! A machine without memory: the agent may stay as large as it is, and what grows is killed.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

/// What it may grow by. Less, and even a quiet agent is killed at once.
const SPARE_BYTES: u64 = 8 << 20;

pub(super) struct LittleMemory;

#[async_trait]
impl Lever for LittleMemory {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "little-memory",
            about: "leaves an agent and its tasks 8 MiB of memory more than they hold, and no swap: the \
         kernel kills what grows",
            needs: Some(Capability::Squeeze),
            takes_down: true,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.squeeze(agent, Some(SPARE_BYTES)).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.squeeze(agent, None).await?;
        super::start_if_ended(target, agent).await
    }
}
