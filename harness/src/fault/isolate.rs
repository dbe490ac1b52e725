//! A cut: the agent runs and reaches nobody; this machine still reaches it.

use async_trait::async_trait;

use super::Lever;
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Isolate;

#[async_trait]
impl Lever for Isolate {
    fn name(&self) -> &'static str {
        "isolate"
    }

    fn about(&self) -> &'static str {
        "cuts an agent off from all other agents, both ways"
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::Isolate)
    }

    fn takes_down(&self) -> bool {
        false
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
