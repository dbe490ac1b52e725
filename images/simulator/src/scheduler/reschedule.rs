//! When a failed allocation may be replaced, by its group's `reschedule` policy.

use crate::clock;
use crate::plant::{self, Plant};
use crate::types::{
    AllocClientStatus, AllocDesiredStatus, Allocation, Nanos, RescheduleEvent, ReschedulePolicy,
    SECOND,
};

/// Nomad's window: what is due within it is replaced now (`rescheduleWindowSize`).
const WINDOW: Nanos = SECOND;

/// Reschedules that an allocation remembers. Nomad keeps five with their delays; the delays
/// are counted from the length here, so more are kept.
const REMEMBERED: usize = 20;

/// What to do with a failed allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: it did not fail, or its policy is exhausted or absent.
    Never,
    /// Replace it now.
    Now,
    /// Replace it at that time ([`Nanos`] since the epoch).
    At(Nanos),
}

/// Decides for one allocation; `eval_id` may be the follow-up that was made for it.
pub(super) fn due(alloc: &Allocation, eval_id: &str, now: Nanos) -> Due {
    let Some(at) = next_time(alloc).filter(|_| !plant::is(Plant::NotRescheduled)) else {
        return Due::Never;
    };
    if alloc.followup_eval_id == eval_id || at - now <= WINDOW {
        return Due::Now;
    }
    if alloc.followup_eval_id.is_empty() {
        return Due::At(at);
    }
    // Its follow-up evaluation is on its way.
    Due::Never
}

/// Whether its policy has a replacement left for it, failed or not.
pub(crate) fn has_attempts_left(alloc: &Allocation, now: Nanos) -> bool {
    policy_of(alloc).is_some_and(|policy| attempts_left(policy, &times(alloc), now))
}

fn attempts_left(policy: &ReschedulePolicy, history: &[Nanos], now: Nanos) -> bool {
    if policy.unlimited {
        return true;
    }
    let window = clock::scaled_time(policy.interval);
    let recent = history.iter().filter(|at| now - **at < window).count();
    recent < usize::try_from(policy.attempts).unwrap_or(0)
}

/// The history that the replacement of `alloc` carries.
pub(super) fn history(alloc: &Allocation, now: Nanos) -> Vec<RescheduleEvent> {
    let mut history = alloc.reschedules.clone();
    if let Some(policy) = policy_of(alloc).filter(|policy| !policy.unlimited) {
        let window = clock::scaled_time(policy.interval);
        history.retain(|event| now - event.reschedule_time < window);
    }
    let waited = policy_of(alloc).map(|policy| delay(policy, &times(alloc), failed_at(alloc)));
    history.push(RescheduleEvent {
        reschedule_time: now,
        prev_alloc_id: alloc.id.clone(),
        prev_node_id: alloc.node_id.clone(),
        delay: waited.unwrap_or(0),
    });
    let extra = history.len().saturating_sub(REMEMBERED);
    history.drain(..extra);
    history
}

fn times(alloc: &Allocation) -> Vec<Nanos> {
    let events = alloc.reschedules.iter();
    events.map(|event| event.reschedule_time).collect()
}

fn policy_of(alloc: &Allocation) -> Option<&ReschedulePolicy> {
    let job = alloc.job.as_ref()?;
    let group = job
        .task_groups
        .iter()
        .find(|g| g.name == alloc.task_group)?;
    group.reschedule_policy.as_ref()
}

fn next_time(alloc: &Allocation) -> Option<Nanos> {
    let failed = alloc.client_status == AllocClientStatus::Failed
        && alloc.desired_status == AllocDesiredStatus::Run;
    let policy = policy_of(alloc).filter(|_| failed)?;
    let (failed_at, times) = (failed_at(alloc), times(alloc));
    if !attempts_left(policy, &times, failed_at) {
        return None;
    }
    Some(failed_at + delay(policy, &times, failed_at))
}

/// When the last of its tasks ended: the newest event, or the last change.
fn failed_at(alloc: &Allocation) -> Nanos {
    let events = alloc.task_states.values().flat_map(|state| &state.events);
    events
        .map(|event| event.time)
        .max()
        .filter(|at| *at > 0)
        .unwrap_or(alloc.modify_time)
}

/// The delay after `history`'s reschedules: constant, doubling, or by Fibonacci's numbers, up
/// to `max_delay`. One that ran longer than the longest delay starts again at the first.
fn delay(policy: &ReschedulePolicy, history: &[Nanos], failed_at: Nanos) -> Nanos {
    let base = clock::scaled_time(policy.delay);
    let max = clock::scaled_time(policy.max_delay);
    let grown = |n: usize| match policy.delay_function.as_str() {
        "exponential" => base.saturating_mul(1_i64 << n.min(40)),
        "fibonacci" => base.saturating_mul(fibonacci(n)),
        _ => base,
    };
    if policy.delay_function == "constant" {
        return base;
    }
    let next = grown(history.len());
    if max == 0 || next <= max {
        return next;
    }
    match history.last() {
        Some(last) if failed_at - last > max => base,
        _ => max,
    }
}

/// 1, 1, 2, 3, 5, ...
fn fibonacci(n: usize) -> i64 {
    let (mut a, mut b) = (1_i64, 1_i64);
    for _ in 0..n.min(80) {
        (a, b) = (b, a + b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Job, TaskGroup};

    fn failed(policy: ReschedulePolicy, reschedules: &[Nanos]) -> Allocation {
        Allocation {
            task_group: "g".to_owned(),
            client_status: AllocClientStatus::Failed,
            modify_time: 1000 * SECOND,
            reschedules: reschedules
                .iter()
                .map(|at| RescheduleEvent {
                    reschedule_time: *at,
                    ..RescheduleEvent::default()
                })
                .collect(),
            job: Some(Job {
                task_groups: vec![TaskGroup {
                    name: "g".to_owned(),
                    reschedule_policy: Some(policy),
                    ..TaskGroup::default()
                }],
                ..Job::default()
            }),
            ..Allocation::default()
        }
    }

    fn unlimited(function: &str) -> ReschedulePolicy {
        ReschedulePolicy {
            delay: 30 * SECOND,
            delay_function: function.to_owned(),
            max_delay: 3600 * SECOND,
            unlimited: true,
            ..ReschedulePolicy::default()
        }
    }

    #[test]
    fn delays_grow_as_their_function_says() {
        let at = 1000 * SECOND;
        for (function, delays) in [
            ("constant", [30, 30, 30, 30]),
            ("exponential", [30, 60, 120, 240]),
            ("fibonacci", [30, 30, 60, 90]),
        ] {
            for (n, seconds) in delays.into_iter().enumerate() {
                let alloc = failed(unlimited(function), &vec![990 * SECOND; n]);
                assert_eq!(
                    due(&alloc, "e", at),
                    Due::At(at + seconds * SECOND),
                    "{function}"
                );
            }
        }
    }

    #[test]
    fn the_delay_never_exceeds_its_maximum_and_starts_again_after_a_long_run() {
        let at = 1000 * SECOND;
        let often = failed(unlimited("exponential"), &[990 * SECOND; 10]);
        assert_eq!(due(&often, "e", at), Due::At(at + 3600 * SECOND));
        let rarely = failed(unlimited("exponential"), &[-9000 * SECOND; 10]);
        assert_eq!(due(&rarely, "e", at), Due::At(at + 30 * SECOND));
    }

    #[test]
    fn a_limited_policy_ends() {
        let policy = ReschedulePolicy {
            attempts: 1,
            interval: 100 * SECOND,
            delay: 5 * SECOND,
            delay_function: "constant".to_owned(),
            ..ReschedulePolicy::default()
        };
        let at = 1000 * SECOND;
        assert_eq!(
            due(&failed(policy.clone(), &[]), "e", at),
            Due::At(at + 5 * SECOND)
        );
        assert_eq!(
            due(&failed(policy.clone(), &[950 * SECOND]), "e", at),
            Due::Never
        );
        assert_ne!(due(&failed(policy, &[850 * SECOND]), "e", at), Due::Never);
    }

    #[test]
    fn the_follow_up_evaluation_replaces_at_once_and_others_wait_for_it() {
        let mut alloc = failed(unlimited("constant"), &[]);
        alloc.followup_eval_id = "later".to_owned();
        assert_eq!(due(&alloc, "later", 1000 * SECOND), Due::Now);
        assert_eq!(due(&alloc, "other", 1000 * SECOND), Due::Never);
        assert_eq!(due(&alloc, "other", 1030 * SECOND), Due::Now);
    }
}
