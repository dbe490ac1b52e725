//! A disk without room: whatever an agent writes to its data fails, until there is room again.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct FullDisk;

#[async_trait]
impl Lever for FullDisk {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "full-disk",
            about: "fills the file system of an agent's data to the last byte, while the agent runs; healing \
         makes room, and starts the agent if it ended",
            needs: Some(Capability::Fill),
            takes_down: true,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.fill(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.unfill(agent).await?;
        super::start_if_ended(target, agent).await
    }
}
