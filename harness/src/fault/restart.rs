//! An orderly end and a start, as an upgrade would do.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct Restart;

#[async_trait]
impl Lever for Restart {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "restart",
            about: "stops an agent with SIGTERM and starts it again at once",
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
        target.stop(agent).await?;
        target.start(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        super::start_if_ended(target, agent).await
    }
}
