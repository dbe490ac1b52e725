//! The same step on a cluster whose timers run faster, or whose agents are slower: waits, watches
//! and limits on times are in Nomad's time in a script, and become the cluster's here.

use super::Step;
use crate::slowness::Slowness;
use crate::time_scale::TimeScale;

/// Measures of this ending are times; others are counts, which no scale changes.
const MILLIS: &str = "_ms";

impl Step {
    /// Returns the step as it is run at a time scale, on agents that are so slow.
    #[must_use]
    pub fn in_time_of(&self, scale: TimeScale, slowness: Slowness) -> Self {
        let mut step = self.clone();
        step.adapt(scale, slowness);
        step
    }

    fn adapt(&mut self, scale: TimeScale, slowness: Slowness) {
        let allowed = |limit| slowness.allowed(scale.allowed(limit));
        match self {
            Self::Expect { within, .. } => *within = allowed(*within),
            Self::Hold { lasting, .. } | Self::Never { lasting, .. } => {
                *lasting = scale.watched(*lasting);
            }
            Self::Call(call) => call.within = call.within.map(allowed),
            Self::Measure {
                name,
                at_most,
                at_least,
            } if name.ends_with(MILLIS) => {
                *at_most = at_most.map(|limit| slowness.allowed_ms(scale.allowed_ms(limit)));
                *at_least = at_least.map(|limit| scale.exact_ms(limit));
            }
            Self::Parallel { steps }
            | Self::ForEach { steps, .. }
            | Self::InRegion { steps, .. } => {
                steps.iter_mut().for_each(|step| step.adapt(scale, slowness));
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
        let here = |scale, slowness| all(60, 300_000.0).in_time_of(scale, slowness);
        assert_eq!(here(scale, Slowness::default()), all(6, 30_000.0));
        let eight = Slowness::of_ratio(8.0);
        assert_eq!(here(TimeScale::default(), eight), all(60, 2_400_000.0));
        assert_eq!(here(scale, eight), all(6, 240_000.0));
    }
}
