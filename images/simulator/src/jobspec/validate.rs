//! What Nomad's servers refuse in a job, with their texts.

use std::collections::BTreeSet;

use crate::types::{
    Constraint, Job, JobType, ReschedulePolicy, RestartPolicy, SECOND, Task, TaskGroup,
    UpdateStrategy,
};

/// Returns what Nomad's servers would refuse, a line each.
#[must_use]
pub fn validate(job: &Job) -> Vec<String> {
    let mut errors = Vec::new();
    let mut check = |wrong: bool, text: &str| {
        if wrong {
            errors.push(text.to_owned());
        }
    };
    check(job.region.is_empty(), "Missing job region");
    check(job.id.is_empty(), "Missing job ID");
    check(job.id.contains(' '), "Job ID contains a space");
    check(job.id.contains('\0'), "Job ID contains a null character");
    check(job.name.is_empty(), "Missing job name");
    check(
        job.name.contains('\0'),
        "Job Name contains a null character",
    );
    check(job.namespace.is_empty(), "Job must be in a namespace");
    check(
        !(1..=100).contains(&job.priority),
        "Job priority must be between [1, 100]",
    );
    check(
        job.datacenters.as_ref().is_none_or(Vec::is_empty),
        "Missing job datacenters",
    );
    check(job.task_groups.is_empty(), "Missing job task groups");
    if job.datacenters.iter().flatten().any(String::is_empty) {
        errors.push("Job datacenter must be non-empty string".to_owned());
    }
    for (i, constraint) in job.constraints.iter().flatten().enumerate() {
        errors.extend(prefixed(
            &format!("Constraint {} validation failed", i + 1),
            constraint_errors(constraint),
        ));
    }
    if job.job_type == JobType::System && job.affinities.iter().flatten().next().is_some() {
        errors.push("System jobs may not have an affinity block".to_owned());
    }
    if job.job_type == JobType::System && job.spreads.iter().flatten().next().is_some() {
        errors.push("System jobs may not have a spread block".to_owned());
    }
    group_names(job, &mut errors);
    for group in &job.task_groups {
        let title = format!("Task group {} validation failed", group.name);
        errors.extend(prefixed(&title, group_errors(group, job.job_type)));
    }
    errors
}

fn prefixed(title: &str, errors: Vec<String>) -> Vec<String> {
    errors
        .into_iter()
        .map(|e| format!("{title}: {e}"))
        .collect()
}

fn group_names(job: &Job, errors: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (i, group) in job.task_groups.iter().enumerate() {
        if group.name.is_empty() {
            errors.push(format!("Job task group {} missing name", i + 1));
        } else if !seen.insert(&group.name) {
            errors.push(format!(
                "Job task group {} redefines '{}'",
                i + 1,
                group.name
            ));
        }
        if job.job_type == JobType::System && group.count > 1 {
            errors.push(format!(
                "Job task group {} has count {}. Count cannot exceed 1 with system scheduler",
                group.name, group.count
            ));
        }
    }
}

fn group_errors(group: &TaskGroup, kind: JobType) -> Vec<String> {
    let mut errors = Vec::new();
    if group.count < 0 {
        errors.push("Task group count can't be negative".to_owned());
    }
    if group.tasks.is_empty() {
        errors.push("Missing tasks for task group".to_owned());
    }
    match &group.restart_policy {
        Some(policy) => errors.extend(restart_errors(policy)),
        None => errors.push(format!(
            "Task Group {} should have a restart policy",
            group.name
        )),
    }
    for (i, constraint) in group.constraints.iter().flatten().enumerate() {
        errors.extend(prefixed(
            &format!("Constraint {} validation failed", i + 1),
            constraint_errors(constraint),
        ));
    }
    match (kind, &group.reschedule_policy) {
        (JobType::System, Some(_)) => {
            errors.push("System jobs should not have a reschedule policy".to_owned());
        }
        (JobType::Service | JobType::Batch, Some(policy)) => {
            errors.extend(reschedule_errors(policy));
        }
        _ => {}
    }
    if let Some(update) = &group.update {
        match kind {
            JobType::Service | JobType::System => errors.extend(update_errors(update)),
            JobType::Batch | JobType::Sysbatch => errors.push(format!(
                "Job type \"{}\" does not allow update block",
                if kind == JobType::Batch {
                    "batch"
                } else {
                    "sysbatch"
                }
            )),
        }
    }
    if kind == JobType::Batch && group.migrate.is_some() {
        errors.push("Job type \"batch\" does not allow migrate block".to_owned());
    }
    errors.extend(port_errors(group));
    errors.extend(task_list_errors(group));
    errors
}

fn task_list_errors(group: &TaskGroup) -> Vec<String> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (i, task) in group.tasks.iter().enumerate() {
        if task.name.is_empty() {
            errors.push(format!("Task {} missing name", i + 1));
        } else if !seen.insert(&task.name) {
            errors.push(format!("Task {} redefines '{}'", i + 1, task.name));
        }
        errors.extend(prefixed(
            &format!("Task {} validation failed", task.name),
            task_errors(task),
        ));
    }
    if group.tasks.iter().filter(|t| t.leader).count() > 1 {
        errors.push("Only one task may be marked as leader".to_owned());
    }
    errors
}

fn task_errors(task: &Task) -> Vec<String> {
    let mut errors = Vec::new();
    let mut check = |wrong: bool, text: String| {
        if wrong {
            errors.push(text);
        }
    };
    check(task.name.is_empty(), "Missing task name".to_owned());
    check(
        task.name.contains(['/', '\\']),
        "Task name cannot include slashes".to_owned(),
    );
    check(task.driver.is_empty(), "Missing task driver".to_owned());
    check(
        task.kill_timeout.is_some_and(|t| t < 0),
        "KillTimeout must be a positive value".to_owned(),
    );
    check(
        task.shutdown_delay < 0,
        "ShutdownDelay must be a positive value".to_owned(),
    );
    match &task.resources {
        None => check(true, "Missing task resources".to_owned()),
        Some(r) => {
            check(r.cpu < 1, format!("minimum CPU value is 1; got {}", r.cpu));
            check(
                r.memory_mb < 10,
                format!("minimum MemoryMB value is 10; got {}", r.memory_mb),
            );
        }
    }
    if let Some(logs) = &task.log_config {
        check(
            logs.max_files < 1,
            format!("minimum number of files is 1; got {}", logs.max_files),
        );
        check(
            logs.max_file_size_mb < 1,
            format!("minimum file size is 1MB; got {}", logs.max_file_size_mb),
        );
    }
    if task.driver == "raw_exec" {
        let command = task.config.as_ref().and_then(|c| c.get("command"));
        let missing = command.and_then(|c| c.as_str()).is_none_or(str::is_empty);
        check(missing, "missing command for driver raw_exec".to_owned());
    }
    errors
}

fn port_errors(group: &TaskGroup) -> Vec<String> {
    let mut errors = Vec::new();
    let mut labels = BTreeSet::new();
    let mut fixed = BTreeSet::new();
    for network in group.networks.iter().flatten() {
        let reserved = network.reserved_ports.iter().flatten();
        for port in reserved
            .clone()
            .chain(network.dynamic_ports.iter().flatten())
        {
            if !labels.insert(&port.label) {
                errors.push(format!("Port label {} already in use", port.label));
            }
        }
        for port in reserved {
            if port.value == 0 {
                errors.push(format!("Port label {} has an invalid value 0", port.label));
            } else if !fixed.insert(port.value) {
                errors.push(format!("Static port {} already reserved", port.value));
            }
        }
    }
    for service in group.services.iter().flatten() {
        let known = service.port_label.is_empty()
            || service.port_label.parse::<u16>().is_ok()
            || labels.contains(&service.port_label);
        if !known {
            errors.push(format!(
                "port label \"{}\" referenced by services {} does not exist",
                service.port_label, service.name
            ));
        }
    }
    errors
}

fn restart_errors(policy: &RestartPolicy) -> Vec<String> {
    let mut errors = Vec::new();
    if !matches!(policy.mode.as_str(), "fail" | "delay") {
        errors.push(format!("Unsupported restart mode: \"{}\"", policy.mode));
    }
    // No attempts and mode `delay` would wait for ever without doing anything.
    if policy.attempts == 0 && policy.mode != "fail" {
        errors.push(format!(
            "Restart policy \"{}\" with {} attempts is ambiguous",
            policy.mode, policy.attempts
        ));
    }
    if policy.interval < 5 * SECOND {
        errors.push(format!(
            "Interval can not be less than 5s (got {})",
            super::duration::format(policy.interval)
        ));
    }
    if policy.attempts.saturating_mul(policy.delay) > policy.interval {
        errors.push(format!(
            "Nomad can't restart the TaskGroup {} times in an interval of {} with a delay of {}",
            policy.attempts,
            super::duration::format(policy.interval),
            super::duration::format(policy.delay)
        ));
    }
    errors
}

fn reschedule_errors(policy: &ReschedulePolicy) -> Vec<String> {
    let mut errors = Vec::new();
    if !policy.unlimited && policy.attempts == 0 {
        return errors;
    }
    if policy.unlimited && policy.attempts > 0 && policy.interval > 0 {
        errors.push(
            "Reschedule Policy is ambiguous: either unlimited or attempts and interval".to_owned(),
        );
    }
    if policy.delay < 5 * SECOND {
        errors.push(format!(
            "Delay cannot be less than 5s (got {})",
            super::duration::format(policy.delay)
        ));
    }
    if !policy.unlimited && policy.interval < 15 * SECOND {
        errors.push(format!(
            "Interval cannot be less than 15s (got {})",
            super::duration::format(policy.interval)
        ));
    }
    match policy.delay_function.as_str() {
        "constant" => {}
        "exponential" | "fibonacci" => {
            if policy.max_delay < policy.delay {
                errors.push(format!(
                    "Max Delay cannot be less than Delay {} (got {})",
                    super::duration::format(policy.delay),
                    super::duration::format(policy.max_delay)
                ));
            }
        }
        other => errors.push(format!("Invalid delay function \"{other}\"")),
    }
    errors
}

fn update_errors(update: &UpdateStrategy) -> Vec<String> {
    let health_check = update.health_check.as_str();
    let known = matches!(health_check, "checks" | "task_states" | "manual");
    let (parallel, canary) = (update.max_parallel, update.canary);
    let counts = [
        (
            !known,
            format!("Invalid health check given: {health_check:?}"),
        ),
        (
            parallel < 0,
            format!("Max parallel can not be less than zero: {parallel} < 0"),
        ),
        (
            canary < 0,
            format!("Canary count can not be less than zero: {canary} < 0"),
        ),
        (
            canary == 0 && update.auto_promote,
            "Auto Promote requires a Canary count greater than zero".to_owned(),
        ),
    ];
    let wrong = counts.into_iter().chain(update_time_errors(update));
    wrong
        .filter(|(wrong, _)| *wrong)
        .map(|(_, text)| text)
        .collect()
}

/// What is asked of an update's times, and whether each is wrong.
fn update_time_errors(update: &UpdateStrategy) -> [(bool, String); 6] {
    let (min, healthy) = (update.min_healthy_time, update.healthy_deadline);
    let (progress, stagger) = (update.progress_deadline, update.stagger);
    let shown = super::duration::format;
    let (min_text, healthy_text, progress_text) = (shown(min), shown(healthy), shown(progress));
    [
        (
            min < 0,
            format!("Minimum healthy time may not be less than zero: {min_text}"),
        ),
        (
            healthy <= 0,
            format!("Healthy deadline must be greater than zero: {healthy_text}"),
        ),
        (
            progress < 0,
            format!("Progress deadline must be zero or greater: {progress_text}"),
        ),
        (
            min >= healthy,
            format!(
                "Minimum healthy time must be less than healthy deadline: {min_text} > {healthy_text}"
            ),
        ),
        (
            progress != 0 && healthy >= progress,
            format!(
                "Healthy deadline must be less than progress deadline: {healthy_text} > {progress_text}"
            ),
        ),
        (
            stagger <= 0,
            format!("Stagger must be greater than zero: {}", shown(stagger)),
        ),
    ]
}

const OPERANDS: &[&str] = &[
    "=",
    "==",
    "is",
    "!=",
    "not",
    "<",
    "<=",
    ">",
    ">=",
    "regexp",
    "version",
    "semver",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
    "distinct_hosts",
    "distinct_property",
    "is_set",
    "is_not_set",
];

fn constraint_errors(constraint: &Constraint) -> Vec<String> {
    let mut errors = Vec::new();
    let operand = constraint.operand.as_str();
    if !OPERANDS.contains(&operand) {
        errors.push(format!("Unknown constraint type \"{operand}\""));
        return errors;
    }
    let needs_left = operand != "distinct_hosts";
    let needs_right = !matches!(
        operand,
        "distinct_hosts" | "distinct_property" | "is_set" | "is_not_set"
    );
    if needs_left && constraint.l_target.is_empty() {
        errors.push("No LTarget provided but is required by constraint".to_owned());
    }
    if needs_right && constraint.r_target.is_empty() {
        errors.push(format!("Operator \"{operand}\" requires an RTarget"));
    }
    if operand == "regexp" && crate::scheduler::pattern_error(&constraint.r_target).is_some() {
        let why = crate::scheduler::pattern_error(&constraint.r_target).unwrap_or_default();
        errors.push(format!("Regular expression failed to compile: {why}"));
    }
    errors
}
