//! The engine below the agents goes away and comes back, as by an upgrade of its package: every container
//! ends with it, at once, and none is started again by itself.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct RestartEngine;

#[async_trait]
impl Lever for RestartEngine {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "restart-engine",
            about: "restarts the Docker engine, for all agents and everybody else's containers; only where its \
         command is given (`--restart-engine-with`); healing waits for the engine and starts what ended",
            needs: Some(Capability::RestartEngine),
            takes_down: true,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        together: &[AgentName],
    ) -> Result<(), ControlError> {
        // Once for all of them.
        if together.first().is_none_or(|first| first == agent) {
            target.restart_engine().await?;
        }
        Ok(())
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.engine_is_back().await?;
        super::start_if_ended(target, agent).await
    }
}
