//! Two sides of what should be the same, and what differs beyond what is tolerated. Reads files
//! only: a comparison can be made long after the clusters are gone, on another machine.
//!
//! Here: runs of scenarios ([`runs`]): verdicts, the order of events, measures as ratios, and what their agents said
//! that they are configured with; and the configurations of two clusters' agents ([`config`]), key by key, and what
//! their timers predict ([`drifts`] shows it).
//! A side may have run anywhere: on the simulator or on Nomad, on another architecture or
//! version. What cannot be compared in earnest is listed, never left out in silence.

pub mod config;
mod configured;
mod defaults;
pub mod drifts;
mod html;
mod order;
pub mod runs;
mod side;
mod text;
mod tolerance;
mod windows;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use configured::TimerRow;
pub use html::to_html;
pub use runs::{Comparison, compare};
pub use side::{Side, SideError};
pub use text::{to_markdown, to_text};
pub use tolerance::{Tolerance, ToleranceError, Tolerances};

/// Something that is not the same on two sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What sort of thing differs: `verdict`, `order`, `measure`, `configuration`, `timers`.
    pub area: String,
    /// What it is of, as `leader-failover: leaderless_ms`.
    pub of: String,
    /// The sides that differ: their places among those compared.
    pub sides: (usize, usize),
    /// What each has, in words.
    pub here: String,
    /// What the other has.
    pub there: String,
    /// By how much, or what is tolerated, where that says more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub beyond: Option<String>,
    /// Where it stands, as `terraform/server.tf:31`, where it stands in a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} on one side, {} on the other",
            self.of, self.here, self.there
        )?;
        if let Some(beyond) = &self.beyond {
            write!(f, ": {beyond}")?;
        }
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        Ok(())
    }
}

/// Something that both sides could not be compared in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotCompared {
    /// What, as `leader-failover: leaderless_ms`.
    pub of: String,
    /// Why.
    pub why: String,
}

#[cfg(test)]
mod tests;
