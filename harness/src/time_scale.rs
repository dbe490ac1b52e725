//! How many times faster than Nomad's own a simulated cluster's timers run.
//!
//! Scenarios speak in Nomad's time; what they wait for and what they allow is made shorter here,
//! so that a wait for a timer of Nomad's remains one. What this machine itself takes (starting a
//! container, an election's messages, a disk) runs no faster: no allowance gets shorter than
//! [`MACHINE`], unless it was.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a machine may take for something that Nomad would do at once.
pub const MACHINE: Duration = Duration::from_secs(10);
/// The shortest time in which something is looked at often enough to say that it held.
const LOOKED_AT: Duration = Duration::from_secs(1);
/// The most: beyond it Raft's and gossip's messages take longer than their timers.
const MOST: u32 = 100;

/// Times faster than Nomad's own timers; 1 is Nomad's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeScale(u32);

impl Default for TimeScale {
    fn default() -> Self {
        Self(1)
    }
}

impl TimeScale {
    /// So many times faster: 1 to 100.
    ///
    /// # Errors
    /// For any other number.
    pub fn new(times: u32) -> Result<Self, NoTimeScale> {
        match times {
            1..=MOST => Ok(Self(times)),
            _ => Err(NoTimeScale {
                text: times.to_string(),
            }),
        }
    }

    /// Whether the timers are Nomad's own.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.0 == 1
    }

    /// Returns what a limit in Nomad's time allows on this cluster.
    #[must_use]
    pub fn allowed(self, limit: Duration) -> Duration {
        (limit / self.0).max(limit.min(MACHINE))
    }

    /// Returns for how long something is watched that is to hold for a time of Nomad's.
    #[must_use]
    pub fn watched(self, lasting: Duration) -> Duration {
        (lasting / self.0).max(lasting.min(LOOKED_AT))
    }

    /// Returns a time of Nomad's on this cluster.
    #[must_use]
    pub fn exact(self, time: Duration) -> Duration {
        time / self.0
    }

    /// As [`Self::allowed`], of a number of milliseconds.
    #[must_use]
    pub fn allowed_ms(self, limit: f64) -> f64 {
        self.exact_ms(limit)
            .max(limit.min(MACHINE.as_secs_f64() * 1000.0))
    }

    /// Returns a number of milliseconds of Nomad's time on this cluster: the least that something
    /// must take takes no longer for a slow machine.
    #[must_use]
    pub fn exact_ms(self, limit: f64) -> f64 {
        limit / f64::from(self.0)
    }
}

impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for TimeScale {
    type Err = NoTimeScale;

    fn from_str(text: &str) -> Result<Self, NoTimeScale> {
        let times = text.parse().map_err(|_| NoTimeScale {
            text: text.to_owned(),
        })?;
        Self::new(times)
    }
}

/// It is no time scale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no time scale (expected 1 to {MOST}: so many times faster than Nomad's own timers)"
)]
pub struct NoTimeScale {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: TimeScale = TimeScale(10);

    #[test]
    fn nomads_times_get_shorter_and_the_machines_do_not() {
        let secs = Duration::from_secs;
        assert_eq!(TEN.allowed(secs(330)), secs(33));
        assert_eq!(TEN.allowed(secs(60)), MACHINE);
        assert_eq!(TEN.allowed(secs(5)), secs(5));
        assert_eq!(TEN.watched(secs(300)), secs(30));
        assert_eq!(TEN.watched(secs(3)), secs(1));
        assert_eq!(
            TEN.watched(Duration::from_millis(300)),
            Duration::from_millis(300)
        );
        assert!((TEN.allowed_ms(15_000.0) - 10_000.0).abs() < 0.1);
        assert!((TEN.exact_ms(15_000.0) - 1500.0).abs() < 0.1);
    }

    #[test]
    fn nothing_changes_at_nomads_own_time() {
        let one = TimeScale::default();
        for millis in [1, 900, 15_000, 700_000] {
            let time = Duration::from_millis(millis);
            assert_eq!((one.allowed(time), one.watched(time)), (time, time));
        }
        assert!((one.allowed_ms(15_000.0) - 15_000.0).abs() < 0.1);
    }

    #[test]
    fn only_one_to_a_hundred_is_a_time_scale() {
        assert_eq!("10".parse(), Ok(TEN));
        for wrong in ["0", "101", "-1", "1.5", "fast", ""] {
            let told = wrong.parse::<TimeScale>().unwrap_err().to_string();
            assert!(told.contains(&format!("`{wrong}`")), "{told}");
        }
    }
}
