//! An orderly end and a start, as an upgrade would do.

use async_trait::async_trait;

use super::Lever;
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Restart;

#[async_trait]
impl Lever for Restart {
    fn name(&self) -> &'static str {
        "restart"
    }

    fn about(&self) -> &'static str {
        "stops an agent with SIGTERM and starts it again at once"
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::StopStart)
    }

    fn takes_down(&self) -> bool {
        true
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.stop(agent).await?;
        target.start(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        super::start_if_ended(target, agent).await
    }
}
