//! By how much measures may differ.

use serde::{Deserialize, Serialize};

/// How a measure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "as")]
pub enum Tolerance {
    /// Neither side more than `times` the other; differences of up to `slack`, in the measure's
    /// own unit, are never drift, whatever the ratio.
    Ratio {
        /// From 1 on.
        times: f64,
        /// In the measure's unit.
        slack: f64,
    },
    /// The same on both sides.
    Exact,
    /// Not compared: it says how long a run lasted, or how fast its machine is.
    Free,
}

/// The tolerances of all measures: the last pattern that fits a name counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerances(Vec<(String, Tolerance)>);

/// What is tolerated where nothing else is said. Elections are a matter of dice: Nomad's followers
/// wait 1 to 2 s before they call one, so a time without a leader may well double.
const USUAL: &[(&str, Tolerance)] = &[
    ("*", Tolerance::Exact),
    (
        "*_ms",
        Tolerance::Ratio {
            times: 2.0,
            slack: 500.0,
        },
    ),
    (
        "*_ms_p*",
        Tolerance::Ratio {
            times: 2.0,
            slack: 50.0,
        },
    ),
    ("writes_acknowledged", Tolerance::Free),
    ("writes_failed", Tolerance::Free),
    ("requests_answered", Tolerance::Free),
    ("requests_lost_to_stops", Tolerance::Free),
    (
        "leader_changes",
        Tolerance::Ratio {
            times: 1.0,
            slack: 1.0,
        },
    ),
];

/// A tolerance that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no tolerance (expected NAME=TIMES as `leaderless_ms=1.5`, `NAME=exact` or \
     `NAME=free`; `*` in a name stands for any text)"
)]
pub struct ToleranceError {
    text: String,
}

impl Default for Tolerances {
    fn default() -> Self {
        let owned = USUAL.iter().map(|(name, one)| ((*name).to_owned(), *one));
        Self(owned.collect())
    }
}

impl Tolerances {
    /// Adds one, as `leaderless_ms=1.5`; the slack of a ratio stays as it was.
    ///
    /// # Errors
    /// [`ToleranceError`].
    pub fn add(&mut self, text: &str) -> Result<(), ToleranceError> {
        let unread = || ToleranceError {
            text: text.to_owned(),
        };
        let (name, value) = text.split_once('=').ok_or_else(unread)?;
        let tolerance = match value {
            "exact" => Tolerance::Exact,
            "free" => Tolerance::Free,
            times => {
                let times: f64 = times.parse().map_err(|_| unread())?;
                if name.is_empty() || !times.is_finite() || times < 1.0 {
                    return Err(unread());
                }
                let slack = match self.of(name) {
                    Tolerance::Ratio { slack, .. } => slack,
                    Tolerance::Exact | Tolerance::Free => 0.0,
                };
                Tolerance::Ratio { times, slack }
            }
        };
        self.0.push((name.to_owned(), tolerance));
        Ok(())
    }

    /// Sets the slack of all times, in milliseconds.
    pub fn set_slack(&mut self, ms: f64) {
        for (name, tolerance) in &mut self.0 {
            if let Tolerance::Ratio { slack, .. } = tolerance
                && name.contains("_ms")
            {
                *slack = ms;
            }
        }
    }

    /// Returns the tolerance of a measure.
    #[must_use]
    pub fn of(&self, measure: &str) -> Tolerance {
        let fitting = self
            .0
            .iter()
            .rev()
            .find(|(pattern, _)| fits(pattern, measure));
        fitting.map_or(Tolerance::Exact, |(_, tolerance)| *tolerance)
    }
}

/// Whether a name is of a pattern in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            let ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            ends.into_iter().any(|at| fits(rest, &tail[at..]))
        }),
    }
}

impl Tolerance {
    /// Returns what is said of two values that differ by too much; `None` where they do not.
    #[must_use]
    pub fn broken_by(self, one: f64, other: f64) -> Option<String> {
        match self {
            Self::Free => None,
            Self::Exact => (one.to_bits() != other.to_bits() && one != other)
                .then(|| "it should be the same".to_owned()),
            Self::Ratio { times, slack } => {
                let (low, high) = (one.min(other), one.max(other));
                // `min` and `max` pass over a number that is none: it is within nothing.
                let numbers = !one.is_nan() && !other.is_nan();
                if numbers && (high - low <= slack || high <= low * times) {
                    return None;
                }
                Some(format!("{}, tolerated is {times}", ratio(one, other)))
            }
        }
    }
}

/// Returns the second in times of the first.
pub(super) fn ratio(one: f64, other: f64) -> String {
    if one == 0.0 {
        return if other == 0.0 {
            "1.00 times".into()
        } else {
            "from nothing".into()
        };
    }
    format!("{:.2} times", other / one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_fits_counts() {
        let mut all = Tolerances::default();
        assert_eq!(all.of("requests_lost"), Tolerance::Exact);
        assert_eq!(all.of("requests_answered"), Tolerance::Free);
        let usual = Tolerance::Ratio {
            times: 2.0,
            slack: 500.0,
        };
        assert_eq!(all.of("leaderless_ms"), usual);
        all.add("leaderless_ms=1.2").expect("a ratio");
        all.add("requests_*=free").expect("a word");
        let stricter = Tolerance::Ratio {
            times: 1.2,
            slack: 500.0,
        };
        assert_eq!(all.of("leaderless_ms"), stricter);
        assert_eq!(all.of("requests_lost"), Tolerance::Free);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let mut all = Tolerances::default();
        for wrong in ["leaderless_ms", "a=b", "a=0.5", "=2", "a=NaN", "a=inf"] {
            let error = all.add(wrong).expect_err(wrong);
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_ratio_is_broken_on_either_side_and_slack_forgives() {
        let ratio = Tolerance::Ratio {
            times: 2.0,
            slack: 500.0,
        };
        assert_eq!(ratio.broken_by(1_000.0, 1_900.0), None);
        assert!(ratio.broken_by(1_000.0, 2_600.0).is_some());
        assert!(ratio.broken_by(2_600.0, 1_000.0).is_some());
        assert_eq!(ratio.broken_by(2.0, 400.0), None, "within the slack");
        assert!(ratio.broken_by(f64::NAN, 1.0).is_some());
        assert!(Tolerance::Exact.broken_by(0.0, 1.0).is_some());
        assert_eq!(Tolerance::Free.broken_by(0.0, 1e9), None);
    }
}
