//! How many times longer agents under an emulator take than this machine's own would.
//!
//! What is waited for, and what a measured time may be at most, is stretched by it: a limit taken
//! from Nomad's own timers says nothing of an emulator's speed. What must hold for a while, and
//! the least that something takes, stay as they are.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most: whatever is slower than that is no cluster to rehearse on, and nobody waits for it.
const MOST: u32 = 20;

/// Times longer than on a machine of the agents' own architecture; 1 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slowness(u32);

impl Default for Slowness {
    fn default() -> Self {
        Self(1)
    }
}

impl Slowness {
    /// From a measured ratio, rounded up: 1 to 20 times.
    #[must_use]
    pub fn of_ratio(ratio: f64) -> Self {
        let whole = (1..MOST).find(|times| ratio <= f64::from(*times));
        Self(whole.unwrap_or(MOST))
    }

    /// Whether nothing is slower.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.0 == 1
    }

    /// Returns what a time limit allows on this cluster.
    #[must_use]
    pub fn allowed(self, limit: Duration) -> Duration {
        limit * self.0
    }

    /// As [`Self::allowed`], of a number of milliseconds.
    #[must_use]
    pub fn allowed_ms(self, limit: f64) -> f64 {
        limit * f64::from(self.0)
    }
}

impl fmt::Display for Slowness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_rounded_up_and_kept_within_reason() {
        let times = |ratio| Slowness::of_ratio(ratio).to_string();
        assert_eq!(times(0.8), "1");
        assert_eq!(times(1.0), "1");
        assert_eq!(times(7.1), "8");
        assert_eq!(times(300.0), "20");
        assert_eq!(times(f64::NAN), "20");
    }

    #[test]
    fn limits_are_stretched() {
        let eight = Slowness::of_ratio(7.4);
        assert_eq!(
            eight.allowed(Duration::from_secs(15)),
            Duration::from_secs(120)
        );
        assert!((eight.allowed_ms(15_000.0) - 120_000.0).abs() < f64::EPSILON);
    }
}
