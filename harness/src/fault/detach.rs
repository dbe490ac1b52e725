//! A cut between an agent and the servers: a client that runs, and whose servers are out of reach.

use async_trait::async_trait;

use super::Lever;
use crate::spec::{AgentName, Role};
use crate::target::{Capability, ControlError, Target};

pub(super) struct Detach;

#[async_trait]
impl Lever for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }

    fn about(&self) -> &'static str {
        "cuts an agent off from all servers, both ways; clients still reach each other"
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::Isolate)
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
        let servers = super::agents(target, |info| {
            info.role == Role::Server && info.name != *agent
        });
        target.isolate(agent, &servers).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.heal(agent).await
    }
}
