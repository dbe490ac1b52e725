//! Whether, and when, a task that ended is started again on its node.

use std::time::Duration;

use rand::Rng as _;

use crate::clock;
use crate::drivers::raw_exec::Exit;
use crate::jobspec::duration;
use crate::plant::{self, Plant};
use crate::types::{Nanos, RestartPolicy};

/// Part of the delay that is added by chance (Nomad's `jitter`).
const JITTER: f64 = 0.25;

/// Counts the restarts of one task.
#[derive(Debug)]
pub(super) struct Restarts {
    count: i64,
    /// Start of the interval in which they are counted.
    since: Nanos,
    /// Whether a task that exits with 0 is started again: services and system jobs.
    on_success: bool,
}

/// What follows on the end of a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// Start it again after a (scaled) delay.
    Restart {
        delay: Duration,
        /// The delay as the event tells it, unscaled.
        told: Nanos,
        /// Said in the event where the policy's own delay does not apply.
        reason: Option<&'static str>,
    },
    /// It has failed for good.
    Fail(String),
    /// It has done its work.
    Done,
}

impl Restarts {
    /// Starts counting at `now`.
    pub(super) fn new(on_success: bool, now: Nanos) -> Self {
        Self {
            count: 0,
            since: now,
            on_success,
        }
    }

    /// Decides after an exit.
    pub(super) fn after_exit(&mut self, policy: &RestartPolicy, exit: Exit, now: Nanos) -> Next {
        if exit.is_success() && !self.on_success {
            return Next::Done;
        }
        if policy.attempts == 0 || plant::is(Plant::RestartsIgnored) {
            return Next::Fail("Policy allows no restarts".to_owned());
        }
        let interval = Nanos::try_from(clock::scaled_nanos(policy.interval).as_nanos());
        let end = self.since + interval.unwrap_or(Nanos::MAX);
        if now > end {
            self.count = 0;
            self.since = now;
        }
        self.count += 1;
        if self.count <= policy.attempts {
            let told = jittered(policy.delay);
            return Next::Restart {
                delay: clock::scaled_nanos(told),
                told,
                reason: None,
            };
        }
        if policy.mode == "delay" {
            let left = u64::try_from(end - now).unwrap_or(0);
            return Next::Restart {
                delay: Duration::from_nanos(left),
                told: end - now,
                reason: Some("Exceeded allowed attempts, applying a delay"),
            };
        }
        Next::Fail(format!(
            "Exceeded allowed attempts {} in interval {} and mode is \"fail\"",
            policy.attempts,
            duration::format(policy.interval)
        ))
    }
}

fn jittered(delay: Nanos) -> Nanos {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a quarter of a delay in a job file"
    )]
    let most = (delay as f64 * JITTER) as Nanos;
    if most <= 0 {
        return delay;
    }
    delay + rand::rng().random_range(0..=most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SECOND;

    const FAILED: Exit = Exit { code: 1, signal: 0 };
    const FINE: Exit = Exit { code: 0, signal: 0 };

    fn policy(mode: &str) -> RestartPolicy {
        RestartPolicy {
            attempts: 2,
            interval: 60 * SECOND,
            delay: 10 * SECOND,
            mode: mode.to_owned(),
        }
    }

    fn is_restart(next: &Next) -> bool {
        matches!(next, Next::Restart { .. })
    }

    #[test]
    fn a_task_is_restarted_as_often_as_its_policy_allows() {
        let mut restarts = Restarts::new(true, 0);
        for _ in 0..2 {
            let next = restarts.after_exit(&policy("fail"), FAILED, SECOND);
            let Next::Restart { told, .. } = next else {
                panic!("{next:?}");
            };
            assert!(
                (10 * SECOND..=12 * SECOND + SECOND / 2).contains(&told),
                "{told}"
            );
        }
        assert_eq!(
            restarts.after_exit(&policy("fail"), FAILED, SECOND),
            Next::Fail(
                "Exceeded allowed attempts 2 in interval 1m0s and mode is \"fail\"".to_owned()
            )
        );
    }

    #[test]
    fn a_new_interval_counts_from_zero() {
        let mut restarts = Restarts::new(true, 0);
        for at in [1, 2, 70, 71] {
            let next = restarts.after_exit(&policy("fail"), FAILED, at * SECOND);
            assert!(is_restart(&next), "{at}: {next:?}");
        }
    }

    #[test]
    fn mode_delay_waits_for_the_next_interval() {
        let mut restarts = Restarts::new(true, 0);
        restarts.count = 2;
        let next = restarts.after_exit(&policy("delay"), FAILED, 20 * SECOND);
        assert!(
            matches!(next, Next::Restart { told, .. } if told == 40 * SECOND),
            "{next:?}"
        );
    }

    #[test]
    fn success_ends_a_batch_task_and_restarts_a_service() {
        let next = Restarts::new(false, 0).after_exit(&policy("fail"), FINE, 1);
        assert_eq!(next, Next::Done);
        assert!(is_restart(&Restarts::new(true, 0).after_exit(
            &policy("fail"),
            FINE,
            1
        )));
    }
}
