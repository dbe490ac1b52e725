//! Cuts that are not whole: only one way, or only one of Nomad's ports.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Target, Traffic, Way};

/// One such cut.
pub(super) struct Block {
    name: &'static str,
    about: &'static str,
    way: Way,
    traffic: Traffic,
}

pub(super) const MUTE: Block = Block {
    name: "mute",
    about: "loses what an agent sends to others; what they send still reaches it",
    way: Way::Out,
    traffic: Traffic::All,
};

pub(super) const DEAFEN: Block = Block {
    name: "deafen",
    about: "loses what others send to an agent; what it sends still reaches them",
    way: Way::In,
    traffic: Traffic::All,
};

pub(super) const HTTP: Block = Block {
    name: "block-http",
    about: "loses what goes between an agent and others by the HTTP API's port, 4646",
    way: Way::Both,
    traffic: Traffic::Http,
};

pub(super) const RPC: Block = Block {
    name: "block-rpc",
    about: "loses what goes between an agent and others by the port of RPC and Raft, 4647",
    way: Way::Both,
    traffic: Traffic::Rpc,
};

pub(super) const GOSSIP: Block = Block {
    name: "block-gossip",
    about: "loses what goes between an agent and others by gossip's port, 4648, TCP and UDP",
    way: Way::Both,
    traffic: Traffic::Gossip,
};

#[async_trait]
impl Lever for Block {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: self.name,
            about: self.about,
            needs: Some(Capability::Block),
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        let others = super::agents(target, |info| info.name != *agent);
        target.block(agent, &others, self.way, self.traffic).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.heal(agent).await
    }
}
