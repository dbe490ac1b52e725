//! Bad lines: what an agent sends comes late, is lost now and then, or passes slowly.

use async_trait::async_trait;

use super::{Lever, Sheet};
use crate::spec::AgentName;
use crate::target::{Capability, ControlError, Line, Target};

/// One such line.
pub(super) struct Shape {
    name: &'static str,
    about: &'static str,
    needs: Capability,
    line: Line,
}

pub(super) const DELAY: Shape = Shape {
    name: "delay",
    about: "everything an agent sends comes 100 ms late: a round trip takes 100 ms more",
    needs: Capability::Delay,
    line: Line::Late { ms: 100 },
};

pub(super) const LOSS: Shape = Shape {
    name: "loss",
    about: "a tenth of the packets that an agent sends are lost",
    needs: Capability::Loss,
    line: Line::Lossy { percent: 10 },
};

pub(super) const RATE: Shape = Shape {
    name: "rate",
    about: "an agent sends 256 kbit/s at most, and what waits for more than 2 s is lost",
    needs: Capability::Rate,
    line: Line::Slow { kbit_per_s: 256 },
};

#[async_trait]
impl Lever for Shape {
    fn sheet(&self) -> Sheet {
        Sheet {
            name: self.name,
            about: self.about,
            needs: Some(self.needs),
            takes_down: false,
        }
    }

    async fn inject(
        &self,
        target: &dyn Target,
        agent: &AgentName,
        _: &[AgentName],
    ) -> Result<(), ControlError> {
        target.shape(agent, self.line).await
    }

    async fn heal(&self, target: &dyn Target, agent: &AgentName) -> Result<(), ControlError> {
        target.heal(agent).await
    }
}
