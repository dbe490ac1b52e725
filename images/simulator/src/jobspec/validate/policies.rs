//! `restart`, `reschedule`, `update`, `migrate`.

use super::Findings;
use crate::jobspec::duration::format as shown;
use crate::types::{
    JobType, MigrateStrategy, Nanos, ReschedulePolicy, RestartPolicy, SECOND, TaskGroup,
    UpdateStrategy,
};

pub(super) fn restart(policy: &RestartPolicy) -> Vec<String> {
    let mut found = Findings::default();
    found.check(
        !matches!(policy.mode.as_str(), "fail" | "delay"),
        format!("Unsupported restart mode: {:?}", policy.mode),
    );
    // No attempts and mode `delay` would wait for ever without doing anything.
    if policy.attempts == 0 && policy.mode != "fail" {
        found.0.push(format!(
            "Restart policy {:?} with {} attempts is ambiguous",
            policy.mode, policy.attempts
        ));
    }
    found.check(
        policy.interval < 5 * SECOND,
        format!(
            "Interval can not be less than 5s (got {})",
            shown(policy.interval)
        ),
    );
    found.check(
        policy.attempts.saturating_mul(policy.delay) > policy.interval,
        format!(
            "Nomad can't restart the TaskGroup {} times in an interval of {} with a delay of {}",
            policy.attempts,
            shown(policy.interval),
            shown(policy.delay)
        ),
    );
    found.0
}

pub(super) fn reschedule(policy: &ReschedulePolicy) -> Vec<String> {
    let mut found = Findings::default();
    if !policy.unlimited && policy.attempts == 0 {
        return found.0;
    }
    if policy.unlimited && policy.attempts > 0 {
        found.check(
            policy.interval > 0,
            format!(
                "Reschedule Policy with Attempts = {}, Interval = {}, and Unlimited = true is ambiguous",
                policy.attempts,
                shown(policy.interval)
            ),
        );
        found
            .0
            .push("If Attempts >0, Unlimited cannot also be set to true".to_owned());
    }
    let before = found.0.len();
    found.check(
        policy.delay < 5 * SECOND,
        format!("Delay cannot be less than 5s (got {})", shown(policy.delay)),
    );
    let function = policy.delay_function.as_str();
    found.check(
        !matches!(function, "constant" | "exponential" | "fibonacci"),
        format!(
            "Invalid delay function {function:?}, must be one of [\"constant\" \"exponential\" \"fibonacci\"]"
        ),
    );
    found.check(
        function != "constant" && policy.max_delay < policy.delay,
        format!(
            "Max Delay cannot be less than Delay {} (got {})",
            shown(policy.delay),
            shown(policy.max_delay)
        ),
    );
    if policy.unlimited {
        return found.0;
    }
    found.check(
        policy.interval < 15 * SECOND,
        format!(
            "Interval cannot be less than 15s (got {})",
            shown(policy.interval)
        ),
    );
    if found.0.len() == before {
        attempts_fit(policy, &mut found);
    }
    found.0
}

/// Whether the attempts, with their delays, fit into the interval.
fn attempts_fit(policy: &ReschedulePolicy, found: &mut Findings) {
    let (mut needed, mut possible, mut delays) = (0_i64, 0_i64, (0_i64, policy.delay));
    for i in 0..policy.attempts {
        let next = match policy.delay_function.as_str() {
            "constant" => policy.delay,
            "exponential" => policy
                .delay
                .saturating_mul(1 << i.min(40))
                .min(policy.max_delay),
            _ => {
                delays = (delays.1, delays.0.saturating_add(delays.1));
                delays.0.min(policy.max_delay)
            }
        };
        needed += next;
        possible += i64::from(needed <= policy.interval);
    }
    if possible >= policy.attempts {
        return;
    }
    let ceiling = match policy.delay_function.as_str() {
        "constant" => String::new(),
        _ => format!(", and delay ceiling {}", shown(policy.max_delay)),
    };
    let and = if ceiling.is_empty() { " and" } else { "," };
    found.0.push(format!(
        "Nomad can only make {possible} attempts in {} with initial delay {}{and} delay function {:?}{ceiling}",
        shown(policy.interval),
        shown(policy.delay),
        policy.delay_function
    ));
    found.0.push(format!(
        "Set the interval to at least {} to accommodate {} attempts",
        shown(needed),
        policy.attempts
    ));
}

pub(super) fn migrate(strategy: &MigrateStrategy) -> Vec<String> {
    let mut found = Findings::default();
    let (min, deadline): (Nanos, Nanos) = (strategy.min_healthy_time, strategy.healthy_deadline);
    found.check(
        strategy.max_parallel < 0,
        format!(
            "MaxParallel must be >= 0 but found {}",
            strategy.max_parallel
        ),
    );
    found.check(
        !matches!(strategy.health_check.as_str(), "checks" | "task_states"),
        format!("Invalid HealthCheck: {:?}", strategy.health_check),
    );
    found.check(
        min < 0,
        format!("MinHealthyTime is {} and must be >= 0", shown(min)),
    );
    found.check(
        deadline < 0,
        format!("HealthyDeadline is {} and must be >= 0", shown(deadline)),
    );
    found.check(
        min > deadline,
        "MinHealthyTime must be less than HealthyDeadline",
    );
    found.0
}

pub(super) fn update(strategy: &UpdateStrategy) -> Vec<String> {
    let mut found = Findings::default();
    let (min, healthy, progress) = (
        strategy.min_healthy_time,
        strategy.healthy_deadline,
        strategy.progress_deadline,
    );
    let (parallel, canary) = (strategy.max_parallel, strategy.canary);
    let check = strategy.health_check.as_str();
    found.check(
        !matches!(check, "checks" | "task_states" | "manual"),
        format!("Invalid health check given: {check:?}"),
    );
    found.check(
        parallel < 0,
        format!("Max parallel can not be less than zero: {parallel} < 0"),
    );
    found.check(
        canary < 0,
        format!("Canary count can not be less than zero: {canary} < 0"),
    );
    found.check(
        canary == 0 && strategy.auto_promote,
        "Auto Promote requires a Canary count greater than zero",
    );
    found.check(
        min < 0,
        format!(
            "Minimum healthy time may not be less than zero: {}",
            shown(min)
        ),
    );
    found.check(
        healthy <= 0,
        format!(
            "Healthy deadline must be greater than zero: {}",
            shown(healthy)
        ),
    );
    found.check(
        progress < 0,
        format!(
            "Progress deadline must be zero or greater: {}",
            shown(progress)
        ),
    );
    let than = |a, b| format!("{} > {}", shown(a), shown(b));
    found.check(
        min >= healthy,
        format!(
            "Minimum healthy time must be less than healthy deadline: {}",
            than(min, healthy)
        ),
    );
    found.check(
        progress != 0 && healthy >= progress,
        format!(
            "Healthy deadline must be less than progress deadline: {}",
            than(healthy, progress)
        ),
    );
    found.check(
        strategy.stagger <= 0,
        format!(
            "Stagger must be greater than zero: {}",
            shown(strategy.stagger)
        ),
    );
    found.0
}

/// `disconnect`, and the older fields that it replaces (Nomad 1.8 takes either, not both).
pub(super) fn disconnect(group: &TaskGroup, kind: JobType) -> Vec<String> {
    let mut found = Findings::default();
    let older = [
        (
            group.max_client_disconnect.is_some(),
            "max_client_disconnect",
        ),
        (
            group.stop_after_client_disconnect.is_some(),
            "stop_after_client_disconnect",
        ),
        (
            group.prevent_reschedule_on_lost,
            "prevent_reschedule_on_lost",
        ),
    ];
    let Some(disconnect) = &group.disconnect else {
        let both = group.lost_after().is_some() && group.stop_on_client_after().is_some();
        found.check(
            both,
            "Task group cannot be configured with both max_client_disconnect and stop_after_client_disconnect",
        );
        found.check(
            group.max_client_disconnect.is_some_and(|t| t < 0),
            "max_client_disconnect cannot be negative",
        );
        return found.0;
    };
    for (_, name) in older.into_iter().filter(|(set, _)| *set) {
        found
            .0
            .push(format!("using both {name} and disconnect.* is not allowed"));
    }
    let (lost, stop) = (disconnect.lost_after, disconnect.stop_on_client_after);
    found.check(
        lost.is_some() && stop.is_some(),
        "Disconnect Group cannot be configured with both lost_after and stop_on_client_after",
    );
    found.check(
        lost.is_some_and(|t| t < 0),
        "lost_after cannot be a negative duration",
    );
    found.check(
        stop.is_some_and(|t| t < 0),
        "stop_on_client_after cannot be a negative duration",
    );
    found.check(
        stop.is_some() && !matches!(kind, JobType::Service | JobType::Batch),
        "stop_on_client_after can only be used with service and batch job types",
    );
    let rule = disconnect.reconcile.as_str();
    let known = [
        "",
        "best_score",
        "keep_original",
        "keep_replacement",
        "longest_running",
    ];
    found.check(
        !known.contains(&rule),
        format!("reconcile option is invalid: {rule:?}"),
    );
    found.0
}
