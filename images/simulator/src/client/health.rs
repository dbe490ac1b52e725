//! Whether an allocation is healthy in the sense of its `update` (or `migrate`) block: all its
//! tasks run for long enough, in time.

use std::collections::BTreeMap;

use super::lifecycle::Phase;
use crate::clock;
use crate::jobspec::duration;
use crate::plant::{self, Plant};
use crate::types::{Allocation, JobType, Nanos, Task, TaskState, TaskStateKind};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not known yet.
    Undecided,
    /// Healthy.
    Healthy,
    /// Unhealthy; what each task did wrong, in Nomad's words.
    Unhealthy(BTreeMap<String, String>),
}

/// The rule for one allocation.
#[derive(Clone, Debug)]
pub(super) struct HealthRule {
    min_healthy_time: Nanos,
    healthy_deadline: Nanos,
    /// When watching began ([`Nanos`] since the epoch).
    since: Nanos,
    /// Whether the checks of its services must pass as well.
    pub(super) by_checks: bool,
}

impl HealthRule {
    /// The rule that applies to an allocation from `now` on; `None` where its health is known,
    /// set by hand, or of no interest.
    pub(super) fn of(alloc: &Allocation, now: Nanos) -> Option<Self> {
        let job = alloc.job.as_ref()?;
        let group = job
            .task_groups
            .iter()
            .find(|g| g.name == alloc.task_group)?;
        let known = alloc.deployment_status.as_ref().and_then(|s| s.healthy);
        if job.job_type != JobType::Service || known.is_some() {
            return None;
        }
        let (check, min, deadline) = if alloc.deployment_id.is_empty() {
            let m = group.migrate.as_ref()?;
            (&m.health_check, m.min_healthy_time, m.healthy_deadline)
        } else {
            let u = group.update.as_ref()?;
            (&u.health_check, u.min_healthy_time, u.healthy_deadline)
        };
        (check != "manual").then_some(Self {
            min_healthy_time: min,
            healthy_deadline: deadline,
            since: now,
            by_checks: check == "checks",
        })
    }

    /// Whether what is so since then has been so for long enough.
    pub(super) fn is_enough(&self, since: Nanos, now: Nanos) -> bool {
        let min = if plant::is(Plant::MinHealthyTimeIgnored) {
            0
        } else {
            clock::scaled_time(self.min_healthy_time)
        };
        now - since >= min
    }

    /// Judges the tasks by name; with each comes when it last started. `checks` is whether those
    /// of its services have passed for long enough.
    ///
    /// A failure counts once all tasks have ended (the others are killed for it), as in Nomad.
    pub(super) fn judge(
        &self,
        group: &[Task],
        states: &BTreeMap<String, TaskState>,
        started: &BTreeMap<String, Nanos>,
        checks: bool,
        now: Nanos,
    ) -> Verdict {
        // What prepares or cleans up need not run, but must not fail.
        let lasts = |(name, state): &(&String, &TaskState)| {
            let mut own = group.iter().filter(|task| task.name == **name);
            state.failed || !own.any(|task| Phase::of(task).is_ephemeral())
        };
        let lasting = states.iter().filter(lasts);
        let tasks: BTreeMap<String, TaskState> = lasting
            .map(|(name, state)| (name.clone(), state.clone()))
            .collect();
        let since = |name: &str, state: &TaskState| match state.state {
            TaskStateKind::Running => started.get(name).copied(),
            TaskStateKind::Pending | TaskStateKind::Dead => None,
        };
        let ran = |(name, state): (&String, &TaskState)| {
            since(name, state).is_some_and(|at| self.is_enough(at, now))
        };
        if checks && tasks.iter().all(ran) {
            return Verdict::Healthy;
        }
        let over = tasks
            .values()
            .all(|state| state.state == TaskStateKind::Dead);
        if !over && now - self.since < clock::scaled_time(self.healthy_deadline) {
            return Verdict::Undecided;
        }
        let wrong = tasks.iter().filter(|(name, state)| !ran((name, state)));
        let wrong = wrong.map(|(name, state)| (name.clone(), self.reason(state)));
        Verdict::Unhealthy(wrong.collect())
    }

    fn reason(&self, state: &TaskState) -> String {
        let deadline = duration::format(self.healthy_deadline);
        match state.state {
            TaskStateKind::Dead if state.failed => "Unhealthy because of failed task".to_owned(),
            TaskStateKind::Dead => "Unhealthy because of dead task".to_owned(),
            TaskStateKind::Pending => {
                format!("Task not running by healthy_deadline of {deadline}")
            }
            TaskStateKind::Running => format!(
                "Task not running for min_healthy_time of {} by healthy_deadline of {deadline}",
                duration::format(self.min_healthy_time)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SECOND;

    const RULE: HealthRule = HealthRule {
        min_healthy_time: 10 * SECOND,
        healthy_deadline: 60 * SECOND,
        since: 100 * SECOND,
        by_checks: true,
    };

    fn judge(state: TaskStateKind, failed: bool, started: Option<i64>, now: i64) -> Verdict {
        let task = TaskState {
            state,
            failed,
            ..TaskState::default()
        };
        let started = started.map(|s| ("t".to_owned(), s * SECOND));
        RULE.judge(
            &[],
            &BTreeMap::from([("t".to_owned(), task)]),
            &started.into_iter().collect(),
            true,
            now * SECOND,
        )
    }

    fn unhealthy(why: &str) -> Verdict {
        Verdict::Unhealthy(BTreeMap::from([("t".to_owned(), why.to_owned())]))
    }

    #[test]
    fn healthy_is_who_runs_for_long_enough_in_time() {
        use TaskStateKind::{Pending, Running};
        assert_eq!(judge(Running, false, Some(105), 114), Verdict::Undecided);
        assert_eq!(judge(Running, false, Some(105), 115), Verdict::Healthy);
        // A restart begins anew.
        assert_eq!(judge(Running, false, Some(112), 115), Verdict::Undecided);
        assert_eq!(judge(Pending, false, None, 159), Verdict::Undecided);
    }

    #[test]
    fn the_defect_min_healthy_time_ignored_is_content_at_once() {
        use TaskStateKind::Running;
        let _planted = crate::plant::trial::plant(Plant::MinHealthyTimeIgnored);
        assert_eq!(judge(Running, false, Some(105), 105), Verdict::Healthy);
    }

    #[test]
    fn what_was_wrong_is_said_of_each_task() {
        use TaskStateKind::{Dead, Pending, Running};
        for (verdict, why) in [
            (
                judge(Pending, false, None, 160),
                "Task not running by healthy_deadline of 1m0s",
            ),
            (
                judge(Running, false, Some(155), 160),
                "Task not running for min_healthy_time of 10s by healthy_deadline of 1m0s",
            ),
            (
                judge(Dead, true, None, 106),
                "Unhealthy because of failed task",
            ),
            (
                judge(Dead, false, None, 106),
                "Unhealthy because of dead task",
            ),
        ] {
            assert_eq!(verdict, unhealthy(why));
        }
    }

    #[test]
    fn a_failure_counts_when_all_have_ended() {
        let task = |state, failed| TaskState {
            state,
            failed,
            ..TaskState::default()
        };
        let mut tasks = BTreeMap::from([
            ("bad".to_owned(), task(TaskStateKind::Dead, true)),
            ("good".to_owned(), task(TaskStateKind::Running, false)),
        ]);
        let started = BTreeMap::from([("good".to_owned(), 101 * SECOND)]);
        let at = 105 * SECOND;
        assert_eq!(
            RULE.judge(&[], &tasks, &started, true, at),
            Verdict::Undecided
        );
        tasks.insert("good".to_owned(), task(TaskStateKind::Dead, false));
        let verdict = RULE.judge(&[], &tasks, &started, true, at);
        let Verdict::Unhealthy(why) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(why["bad"], "Unhealthy because of failed task");
        assert_eq!(why["good"], "Unhealthy because of dead task");
    }

    #[test]
    fn checks_that_do_not_pass_keep_it_from_being_healthy() {
        let running = TaskState {
            state: TaskStateKind::Running,
            ..TaskState::default()
        };
        let states = BTreeMap::from([("t".to_owned(), running)]);
        let started = BTreeMap::from([("t".to_owned(), 101 * SECOND)]);
        let judge = |checks, at: i64| RULE.judge(&[], &states, &started, checks, at * SECOND);
        assert_eq!(judge(true, 111), Verdict::Healthy);
        assert_eq!(judge(false, 111), Verdict::Undecided);
        // No task is to blame.
        assert_eq!(judge(false, 160), Verdict::Unhealthy(BTreeMap::new()));
    }
}
