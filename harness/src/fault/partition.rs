//! A split: those who are hit reach each other and nobody else.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Partition;

#[async_trait]
impl Lever for Partition {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "partition",
            about: "cuts the agents picked off from all others, both ways; among themselves they stay connected",
            needs: Some(Capability::Isolate),
            takes_down: false,
        }
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
