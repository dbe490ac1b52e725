//! An orderly end: the agent may hand over what it holds.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Stop;

#[async_trait]
impl Lever for Stop {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "stop",
            about: "ends an agent with SIGTERM, as an operator would",
            needs: Some(Capability::StopStart),
            takes_down: true,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.stop(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        super::start_if_ended(target, agent).await
    }
}
