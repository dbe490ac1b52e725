//! Whether an allocation is healthy in the sense of its `update` (or `migrate`) block: all its
//! tasks run for long enough, in time.

use crate::clock;
use crate::jobspec::duration;
use crate::types::{Allocation, JobType, Nanos, TaskState, TaskStateKind};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not known yet.
    Undecided,
    /// Healthy.
    Healthy,
    /// Unhealthy, in Nomad's words.
    Unhealthy(String),
}

/// The rule for one allocation.
#[derive(Clone, Debug)]
pub(super) struct HealthRule {
    min_healthy_time: Nanos,
    healthy_deadline: Nanos,
    /// When watching began ([`Nanos`] since the epoch).
    since: Nanos,
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
        })
    }

    /// Judges the tasks; `started` is when each of them last started.
    pub(super) fn judge<'a>(
        &self,
        tasks: impl Iterator<Item = (&'a TaskState, Option<Nanos>)>,
        now: Nanos,
    ) -> Verdict {
        let mut latest = 0;
        let mut all_run = true;
        for (state, started) in tasks {
            if state.failed {
                return Verdict::Unhealthy("Unhealthy because of failed task".to_owned());
            }
            match started {
                Some(at) if state.state == TaskStateKind::Running => latest = latest.max(at),
                _ => all_run = false,
            }
        }
        if all_run && now - latest >= scaled(self.min_healthy_time) {
            return Verdict::Healthy;
        }
        if now - self.since < scaled(self.healthy_deadline) {
            return Verdict::Undecided;
        }
        let deadline = duration::format(self.healthy_deadline);
        Verdict::Unhealthy(if all_run {
            format!(
                "Task not running for min_healthy_time of {} by healthy_deadline of {deadline}",
                duration::format(self.min_healthy_time)
            )
        } else {
            format!("Task not running by healthy_deadline of {deadline}")
        })
    }
}

fn scaled(timer: Nanos) -> Nanos {
    Nanos::try_from(clock::scaled_nanos(timer).as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SECOND;

    const RULE: HealthRule = HealthRule {
        min_healthy_time: 10 * SECOND,
        healthy_deadline: 60 * SECOND,
        since: 100 * SECOND,
    };

    fn judge(state: TaskStateKind, failed: bool, started: Option<i64>, now: i64) -> Verdict {
        let task = TaskState {
            state,
            failed,
            ..TaskState::default()
        };
        let started = started.map(|s| s * SECOND);
        RULE.judge([(&task, started)].into_iter(), now * SECOND)
    }

    #[test]
    fn healthy_is_who_runs_for_long_enough_in_time() {
        use TaskStateKind::{Dead, Pending, Running};
        assert_eq!(judge(Running, false, Some(105), 114), Verdict::Undecided);
        assert_eq!(judge(Running, false, Some(105), 115), Verdict::Healthy);
        // A restart begins anew.
        assert_eq!(judge(Running, false, Some(112), 115), Verdict::Undecided);
        assert_eq!(judge(Pending, false, None, 159), Verdict::Undecided);
        let late = |verdict| matches!(verdict, Verdict::Unhealthy(why) if why.contains("1m0s"));
        assert!(late(judge(Pending, false, None, 160)));
        assert!(late(judge(Running, false, Some(155), 160)));
        let failed = judge(Dead, true, Some(105), 106);
        assert_eq!(
            failed,
            Verdict::Unhealthy("Unhealthy because of failed task".to_owned())
        );
    }
}
