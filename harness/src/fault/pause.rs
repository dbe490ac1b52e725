//! A hang: the process is there, its connections are open, nothing is answered.

use async_trait::async_trait;

use super::Lever;
use crate::spec::AgentName;
use crate::target::{AgentState, Capability, ControlError, Target};

pub(super) struct Pause;

#[async_trait]
impl Lever for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn about(&self) -> &'static str {
        "freezes an agent; its connections stay open and nobody answers"
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::Pause)
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
        target.pause(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        if target.state(agent).await? == AgentState::Paused {
            target.resume(agent).await?;
        }
        Ok(())
    }
}
