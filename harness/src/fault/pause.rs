//! A hang: the process is there, its connections are open, nothing is answered.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{AgentState, Capability, ControlError, Target};

pub(super) struct Pause;

#[async_trait]
impl Lever for Pause {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "pause",
            about: "freezes an agent; its connections stay open and nobody answers",
            needs: Some(Capability::Pause),
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.pause(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        if target.state(agent).await? == AgentState::Paused {
            target.resume(agent).await?;
        }
        Ok(())
    }
}
