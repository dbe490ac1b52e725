//! A certificate that nobody should believe: the agent is started again with it, and healing starts
//! it with a good one.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Paper, Target};

/// An agent that shows another certificate.
pub(super) struct Shows {
    name: &'static str,
    about: &'static str,
    paper: Paper,
}

pub(super) const FOREIGN: Shows = Shows {
    name: "foreign-certificate",
    about: "starts an agent again with a certificate of another authority",
    paper: Paper::Foreign,
};

pub(super) const EXPIRED: Shows = Shows {
    name: "expired-certificate",
    about: "starts an agent again with a certificate that is over since yesterday",
    paper: Paper::Expired,
};

#[async_trait]
impl Lever for Shows {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: self.name,
            about: self.about,
            needs: Some(Capability::Reconfigure),
            // It may refuse to start with such a certificate, and is stopped in between.
            takes_down: true,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        super::stop_if_running(target, agent).await?;
        target.give_certificate(agent, self.paper).await?;
        target.start(agent).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        super::stop_if_running(target, agent).await?;
        target.give_certificate(agent, Paper::Own).await?;
        target.start(agent).await
    }
}
