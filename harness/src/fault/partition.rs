//! A split: those who are hit reach each other and nobody else.

use async_trait::async_trait;

use super::Lever;
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Partition;

#[async_trait]
impl Lever for Partition {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn about(&self) -> &'static str {
        "cuts the agents picked off from all others, both ways; among themselves they stay connected"
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
        together: &[AgentName],
    ) -> Result<(), ControlError> {
        let others = super::agents(target, |info| !together.contains(&info.name));
        target.isolate(agent, &others).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.heal(agent).await
    }
}
