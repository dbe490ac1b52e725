//! A crash: the process ends at once and says goodbye to nobody.

use async_trait::async_trait;

use super::Lever;
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Kill;

#[async_trait]
impl Lever for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn about(&self) -> &'static str {
        "ends an agent with SIGKILL: a crash; its connections are reset"
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::Kill)
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
        target.kill(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        super::start_if_ended(target, agent).await
    }
}
