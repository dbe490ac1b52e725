//! In which order a group's tasks start and end, by their `lifecycle` hooks.

use std::collections::BTreeMap;

use crate::types::{Hook, Task, TaskState, TaskStateKind};

/// When a task has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the main tasks: they wait for its end, or (a sidecar) for its start.
    Prestart { sidecar: bool },
    /// The group's work.
    Main,
    /// As soon as the main tasks run.
    Poststart { sidecar: bool },
    /// When everything else has ended.
    Poststop,
}

impl Phase {
    /// A task's.
    pub(super) fn of(task: &Task) -> Self {
        match &task.lifecycle {
            None => Self::Main,
            Some(lifecycle) => match lifecycle.hook {
                Hook::Prestart => Self::Prestart {
                    sidecar: lifecycle.sidecar,
                },
                Hook::Poststart => Self::Poststart {
                    sidecar: lifecycle.sidecar,
                },
                Hook::Poststop => Self::Poststop,
            },
        }
    }

    /// Whether it lives as long as the main tasks do.
    pub(super) fn is_sidecar(self) -> bool {
        matches!(
            self,
            Self::Prestart { sidecar: true } | Self::Poststart { sidecar: true }
        )
    }

    /// Whether it does its work once and ends, whatever the job's type.
    pub(super) fn is_ephemeral(self) -> bool {
        !self.is_sidecar() && self != Self::Main
    }

    /// Whether a task may start now; `states` are those of all tasks of the group.
    pub(super) fn may_start(
        self,
        tasks: &[Task],
        states: &BTreeMap<String, TaskState>,
        started: &dyn Fn(&str) -> bool,
    ) -> bool {
        let of = |phase: fn(Phase) -> bool| tasks.iter().filter(move |t| phase(Phase::of(t)));
        let state = |task: &Task| states.get(&task.name).cloned().unwrap_or_default();
        let dead = |task: &Task| state(task).state == TaskStateKind::Dead;
        match self {
            Self::Prestart { .. } => true,
            Self::Main => of(|p| matches!(p, Self::Prestart { .. })).all(|task| {
                if Self::of(task).is_sidecar() {
                    return started(&task.name);
                }
                dead(task) && !state(task).failed
            }),
            // A group may have no main task: what prepares it still comes first.
            Self::Poststart { .. } => {
                Self::Main.may_start(tasks, states, started)
                    && of(|p| p == Self::Main).all(|task| started(&task.name))
            }
            Self::Poststop => of(|p| p != Self::Poststop).all(dead),
        }
    }
}

/// Whether the main tasks have all ended, so that their sidecars may go.
pub(super) fn main_is_over(tasks: &[Task], states: &BTreeMap<String, TaskState>) -> bool {
    let mut main = tasks
        .iter()
        .filter(|t| Phase::of(t) == Phase::Main)
        .peekable();
    let dead = |task: &Task| {
        let state = states.get(&task.name);
        state.is_some_and(|state| state.state == TaskStateKind::Dead)
    };
    main.peek().is_some() && main.all(dead)
}
