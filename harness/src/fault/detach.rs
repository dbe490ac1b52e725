//! A cut between an agent and the servers: a client that runs, and whose servers are out of reach.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::{AgentName, Role};
use crate::target::{Capability, ControlError, Target};

pub(super) struct Detach;

#[async_trait]
impl Lever for Detach {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "detach",
            about: "cuts an agent off from all servers, both ways; clients still reach each other",
            needs: Some(Capability::Isolate),
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        let servers = super::agents(target, |info| {
            info.role == Role::Server && info.name != *agent
        });
        target.isolate(agent, &servers).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.heal(agent).await
    }
}
