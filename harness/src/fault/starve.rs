//! A machine without time: the agent computes at a small part of its speed, and is not dead.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

/// What is left of a processor: a TLS handshake takes a tenth of a second with it.
const CPUS: f64 = 0.03;

pub(super) struct Starve;

#[async_trait]
impl Lever for Starve {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "starve",
            about: "leaves an agent 3 % of one processor",
            needs: Some(Capability::Throttle),
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.throttle(agent, Some(CPUS)).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.throttle(agent, None).await
    }
}
