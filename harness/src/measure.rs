//! Numbers that a run took, with the limits that a scenario set on them.

use serde::{Deserialize, Serialize};

/// A number with its name; the unit is the name's last word, as `leaderless_ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// `leaderless_ms`, `requests_failed`.
    pub name: String,
    /// The number, in the unit that the name says.
    pub value: f64,
    /// The most that it may be, if the scenario says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at_most: Option<f64>,
    /// The least that it may be, if the scenario says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at_least: Option<f64>,
}

impl Measure {
    /// A number without a limit.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            at_most: None,
            at_least: None,
        }
    }

    /// A count. (Exact up to 2^53.)
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a run stay far below 2^53"
    )]
    pub fn count(name: impl Into<String>, value: usize) -> Self {
        Self::new(name, value as f64)
    }

    /// Whether it is within its limits; one without limits is. A number that is none is not.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.at_most.is_none_or(|limit| self.value <= limit)
            && self.at_least.is_none_or(|limit| self.value >= limit)
    }
}

/// Returns the value below which the given share (0 to 1) of `sorted` lies; `None` for no values.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the share is clamped and the counts are small"
)]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
    sorted.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_taken() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(quantile(&sorted, 0.5), Some(3.0));
        assert_eq!(quantile(&sorted, 0.99), Some(5.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_number_that_is_none_is_within_no_limit() {
        let measure = Measure {
            at_most: Some(1.0),
            ..Measure::new("gap_ms", f64::NAN)
        };
        assert!(!measure.is_within());
    }
}
