//! The same step on a cluster whose timers run faster: waits, watches and limits on times are in
//! Nomad's time in a script, and get shorter here.

use super::Step;
use crate::time_scale::TimeScale;

/// Measures of this ending are times; others are counts, which no scale changes.
const MILLIS: &str = "_ms";

impl Step {
    /// Returns the step as it is run at a time scale.
    #[must_use]
    pub fn at_time_scale(&self, scale: TimeScale) -> Self {
        let mut step = self.clone();
        step.shorten(scale);
        step
    }

    fn shorten(&mut self, scale: TimeScale) {
        match self {
            Self::Expect { within, .. } => *within = scale.allowed(*within),
            Self::Hold { lasting, .. } | Self::Never { lasting, .. } => {
                *lasting = scale.watched(*lasting);
            }
            Self::Call(call) => call.within = call.within.map(|within| scale.allowed(within)),
            Self::Measure {
                name,
                at_most,
                at_least,
            } if name.ends_with(MILLIS) => {
                *at_most = at_most.map(|limit| scale.allowed_ms(limit));
                *at_least = at_least.map(|limit| scale.exact_ms(limit));
            }
            Self::Parallel { steps } | Self::ForEach { steps, .. } => {
                steps.iter_mut().for_each(|step| step.shorten(scale));
            }
            Self::Measure { .. }
            | Self::Submit { .. }
            | Self::Inject { .. }
            | Self::Heal { .. }
            | Self::Restart { .. }
            | Self::Upgrade { .. }
            | Self::Start { .. }
            | Self::StopAll
            | Self::Scale { .. }
            | Self::Promote { .. }
            | Self::Revert { .. }
            | Self::StopJob { .. }
            | Self::Dispatch { .. }
            | Self::Signal { .. }
            // Its deadline is kept by the cluster, whose clock runs faster already.
            | Self::Drain { .. }
            | Self::TransferLeadership { .. }
            | Self::Snapshot
            | Self::Restore
            | Self::RotateGossipKey
            | Self::RotateCertificate { .. }
            | Self::Exec { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_get_shorter_and_counts_stay() {
        let scale = TimeScale::new(10).unwrap();
        let hold = |seconds| Step::Hold {
            that: None,
            lasting: Duration::from_secs(seconds),
        };
        let limit = |name: &str, most| Step::Measure {
            name: name.to_owned(),
            at_most: Some(most),
            at_least: None,
        };
        let all = |seconds, millis| Step::Parallel {
            steps: vec![
                hold(seconds),
                limit("gap_ms", millis),
                limit("requests_lost", 300_000.0),
            ],
        };
        assert_eq!(all(60, 300_000.0).at_time_scale(scale), all(6, 30_000.0));
    }
}
