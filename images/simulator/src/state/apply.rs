//! Applying log entries.

use super::{Applied, Command, State};

impl State {
    /// Applies one committed entry. Deterministic: the same entries give the same state.
    pub fn apply(&mut self, index: u64, command: &Command) -> Applied {
        self.index = index;
        if let Command::Autopilot { config, .. } = command {
            self.autopilot = Some(config.clone());
        }
        Applied {
            index,
            refused: None,
        }
    }
}
