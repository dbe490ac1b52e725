//! A cut: the agent runs and reaches nobody; this machine still reaches it.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Isolate;

#[async_trait]
impl Lever for Isolate {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "isolate",
            about: "cuts an agent off from all other agents, both ways",
            needs: Some(Capability::Isolate),
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        let others = super::agents(target, |info| info.name != *agent);
        target.isolate(agent, &others).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.heal(agent).await
    }
}
