//! A crash: the process ends at once and says goodbye to nobody.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Kill;

#[async_trait]
impl Lever for Kill {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "kill",
            about: "ends an agent with SIGKILL: a crash; its connections are reset",
            needs: Some(Capability::Kill),
            takes_down: true,
        }
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
