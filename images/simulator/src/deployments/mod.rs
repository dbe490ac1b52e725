//! The deployment watcher: what a leader must propose so that rollouts go on, succeed, fail,
//! promote or revert. Pure, over a snapshot.

use crate::state::{Command, State};
use crate::types::Nanos;

/// What the watcher wants now, and when it wants to be asked again at the latest.
#[derive(Debug, Default)]
pub struct Advance {
    /// To propose, in order.
    pub commands: Vec<Command>,
    /// Next deadline ([`Nanos`] since the epoch), `None` where only a change matters.
    pub wake_at: Option<Nanos>,
}

/// Looks at every active deployment.
#[must_use]
pub fn advance(_state: &State, _now: Nanos) -> Advance {
    Advance::default()
}
