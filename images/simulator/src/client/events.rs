//! Task events with Nomad's texts.

use std::collections::BTreeMap;

use crate::clock;
use crate::drivers::raw_exec::Exit;
use crate::jobspec::duration;
use crate::types::{Nanos, TaskEvent, TaskState};

/// Events that a task keeps (Nomad's `maxTaskEvents`).
const KEPT: usize = 10;

/// Adds an event, forgetting the oldest.
pub(super) fn push(state: &mut TaskState, event: TaskEvent) {
    state.events.push(event);
    let extra = state.events.len().saturating_sub(KEPT);
    state.events.drain(..extra);
}

fn event(kind: &str, message: String, details: &[(&str, String)]) -> TaskEvent {
    TaskEvent {
        event_type: kind.to_owned(),
        time: clock::now(),
        display_message: message,
        details: details
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// The client has it.
pub(super) fn received() -> TaskEvent {
    event("Received", "Task received by client".to_owned(), &[])
}

/// Its directories are made.
pub(super) fn setup() -> TaskEvent {
    let message = "Building Task Directory";
    event(
        "Task Setup",
        message.to_owned(),
        &[("message", message.to_owned())],
    )
}

/// They could not be made.
pub(super) fn setup_failure(why: &str) -> TaskEvent {
    event(
        "Setup Failure",
        why.to_owned(),
        &[("setup_error", why.to_owned())],
    )
}

/// Its process runs.
pub(super) fn started() -> TaskEvent {
    event("Started", "Task started by client".to_owned(), &[])
}

/// Its process could not be started.
pub(super) fn driver_failure(why: &str) -> TaskEvent {
    event(
        "Driver Failure",
        why.to_owned(),
        &[("driver_error", why.to_owned())],
    )
}

/// Its driver does not understand its `config` block.
pub(super) fn failed_validation(why: &str) -> TaskEvent {
    event(
        "Failed Validation",
        why.to_owned(),
        &[("validation_error", why.to_owned())],
    )
}

/// Its process ended.
pub(super) fn terminated(exit: Exit) -> TaskEvent {
    let mut message = format!("Exit Code: {}", exit.code);
    if exit.signal != 0 {
        message.push_str(&format!(", Signal: {}", exit.signal));
    }
    event(
        "Terminated",
        message,
        &[
            ("exit_code", exit.code.to_string()),
            ("signal", exit.signal.to_string()),
            ("oom_killed", "false".to_owned()),
        ],
    )
}

/// It will be started again; `reason` is said where it is not the policy's own.
pub(super) fn restarting(delay: Nanos, reason: Option<&str>) -> TaskEvent {
    let wait = format!("Task restarting in {}", duration::format(delay));
    let message = match reason {
        Some(reason) if !reason.is_empty() => format!("{reason} - {wait}"),
        _ => wait,
    };
    let reason = reason.unwrap_or("Restart within policy").to_owned();
    event(
        "Restarting",
        message,
        &[
            ("restart_reason", reason),
            ("start_delay", delay.to_string()),
        ],
    )
}

/// It will not.
pub(super) fn not_restarting(reason: &str) -> TaskEvent {
    event(
        "Not Restarting",
        reason.to_owned(),
        &[
            ("restart_reason", reason.to_owned()),
            ("fails_task", "true".to_owned()),
        ],
    )
}

/// It was told to end.
pub(super) fn killing(timeout: Nanos) -> TaskEvent {
    let shown = duration::format(timeout);
    event(
        "Killing",
        format!("Sent interrupt. Waiting {shown} before force killing"),
        &[("kill_timeout", shown)],
    )
}

/// It has ended because it was told to.
pub(super) fn killed() -> TaskEvent {
    event("Killed", "Task successfully killed".to_owned(), &[])
}

/// A user sent a signal.
pub(super) fn signaling(signal: &str) -> TaskEvent {
    event(
        "Signaling",
        "Task being sent a signal".to_owned(),
        &[("signal", signal.to_owned())],
    )
}

/// A user asked for a restart.
pub(super) fn restart_signaled(reason: &str) -> TaskEvent {
    event(
        "Restart Signaled",
        reason.to_owned(),
        &[("restart_reason", reason.to_owned())],
    )
}

/// It ends because another task of its group failed.
pub(super) fn sibling_failed(task: &str) -> TaskEvent {
    event(
        "Sibling Task Failed",
        format!("Task's sibling \"{task}\" failed"),
        &[("failed_sibling", task.to_owned())],
    )
}

/// It ends because its group's leader did.
pub(super) fn leader_dead() -> TaskEvent {
    event(
        "Leader Task Dead",
        "Leader Task in Group dead".to_owned(),
        &[],
    )
}

/// A sidecar ends because its group's main tasks did.
pub(super) fn main_dead() -> TaskEvent {
    event(
        "Main Tasks Dead",
        "Main tasks in the group died".to_owned(),
        &[],
    )
}

/// The servers hear of it again.
pub(super) fn reconnected() -> TaskEvent {
    event("Reconnected", "Client reconnected".to_owned(), &[])
}

/// The deployment counts it as unhealthy.
pub(super) fn unhealthy(why: &str) -> TaskEvent {
    event(
        "Alloc Unhealthy",
        why.to_owned(),
        &[("message", why.to_owned())],
    )
}
