//! What an operator does to a node before taking its machine away: no new work, and then none at
//! all. Undone by making the node eligible again.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::directory::Directory;
use crate::nomad::types::DrainSpec;
use crate::nomad::{Api, ApiError};
use crate::spec::AgentName;
use crate::target::{ControlError, Target};

/// The node takes no new work.
pub(super) struct Ineligible;

/// The node's allocations move elsewhere, as each job's `migrate` block says.
pub(super) struct Drain;

/// No deadline: whatever does not move stays until the drain is ended.
const NO_DEADLINE: DrainSpec = DrainSpec {
    deadline: 0,
    ignore_system_jobs: false,
};

#[async_trait]
impl Lever for Ineligible {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "ineligible",
            about: "makes a client's node ineligible for new work; what runs there stays",
            needs: None,
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        told(target, agent, "make ineligible", |api, id| async move {
            api.set_eligibility(&id, false).await.map(drop)
        })
        .await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        told(target, agent, "make eligible", |api, id| async move {
            api.set_eligibility(&id, true).await.map(drop)
        })
        .await
    }
}

#[async_trait]
impl Lever for Drain {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "drain",
            about: "drains a client's node without a deadline: its allocations move as each job's `migrate` \
         block says; healing ends the drain and makes the node eligible",
            needs: None,
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        drain(target, agent, &NO_DEADLINE).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        told(target, agent, "end the drain of", |api, id| async move {
            api.drain(&id, None, true).await.map(drop)
        })
        .await
    }
}

/// Drains an agent's node as `spec` says; [`crate::fault::Fault::Drain`] heals it.
///
/// # Errors
/// The cluster's own.
pub async fn drain(
    target: &dyn Target,
    agent: &AgentName,
    spec: &DrainSpec,
) -> Result<(), ControlError> {
    told(target, agent, "drain", |api, id| async move {
        api.drain(&id, Some(spec), false).await.map(drop)
    })
    .await
}

/// Tells a server something about an agent's node.
async fn told<F, Fut>(
    target: &dyn Target,
    agent: &AgentName,
    action: &'static str,
    call: F,
) -> Result<(), ControlError>
where
    F: Fn(Api, String) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), ApiError>> + Send,
{
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ControlError {
        action,
        agent: target.called(agent),
        source,
    };
    let agents = Directory::of(target);
    let nodes = agents
        .ask(|api| async move { api.nodes().await })
        .await
        .map_err(|error| failed(error.into()))?;
    let node = nodes.into_iter().find(|node| node.name == agent.as_str());
    let id = node
        .map(|node| node.id)
        .ok_or_else(|| failed("it has no node: only clients have".into()))?;
    agents
        .ask(|api| call(api, id.clone()))
        .await
        .map_err(|error| failed(error.into()))
}
