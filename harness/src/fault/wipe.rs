//! A disk that is lost: the agent crashes, and what starts again in its place knows nothing.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Wipe;

#[async_trait]
impl Lever for Wipe {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "wipe",
            about: "ends an agent with SIGKILL and removes its data; healing starts it at the same address, \
         as one that was never there",
            needs: Some(Capability::Wipe),
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
        target.wipe(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        super::start_if_ended(target, agent).await
    }
}
