//! A gossip key that the others do not have: what the server says in gossip is noise to them, and
//! what they say is noise to it.

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target};

pub(super) struct WrongGossipKey;

#[async_trait]
impl Lever for WrongGossipKey {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: "wrong-gossip-key",
            about: "starts a server again with a gossip key that no other has",
            needs: Some(Capability::Reconfigure),
            // It is stopped in between.
            takes_down: true,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        let other = BASE64.encode(rand::random::<[u8; 32]>());
        restart_with(target, agent, &other).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        let known = target.gossip_key();
        let own = known.ok_or_else(|| ControlError {
            action: "heal",
            agent: target.called(agent),
            source: "the cluster's gossip key is not known".into(),
        })?;
        restart_with(target, agent, &own).await
    }
}

async fn restart_with(
    target: &dyn Target,
    agent: &AgentName,
    key: &str,
) -> Result<(), ControlError> {
    super::stop_if_running(target, agent).await?;
    // A keyring that is there already counts for more than the configuration.
    target.give_gossip_key(agent, key, true).await?;
    target.start(agent).await
}
