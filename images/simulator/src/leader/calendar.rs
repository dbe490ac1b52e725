//! Launches periodic jobs when their time comes.
//!
//! Works from the replicated state: the last launch of each job is in it, so a launch that was
//! missed without a leader is made up for, once.

use super::look_again::look_again;
use super::{insist, new_eval};
use crate::clock;
use crate::http::Context;
use crate::periodic;
use crate::state::{Command, State, Table};
use crate::types::{EvalTrigger, Job, JobStatus, Nanos, SECOND};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) async fn run(ctx: Context) {
    let mut applied = ctx.consensus.applied();
    // Launches that were passed over, because the one before still ran.
    let mut skipped = BTreeMap::new();
    loop {
        applied.borrow_and_update();
        let state = ctx.consensus.snapshot();
        let now = clock::now();
        let (due, wake_at) = due(&state, &skipped, now);
        for (key, job, at) in due {
            if overlaps(&state, &job) {
                tracing::debug!(target: "nomad.periodic", job = job.id, "skipping launch of periodic job because job prohibits overlap");
                skipped.insert(key, at);
            } else {
                skipped.remove(&key);
                insist(&ctx, launch(&job, at, now)).await;
            }
        }
        let seen = relevant(&state);
        if !look_again(&ctx, &mut applied, wake_at, seen, relevant).await {
            return;
        }
    }
}

/// What the calendar looks at.
fn relevant(state: &State) -> u64 {
    state.index_of(Table::Jobs)
}

/// A job by its key, and the time it is launched for.
type Launch = (String, Arc<Job>, Nanos);

/// What is to be launched now, with its time; and when to look again.
fn due(
    state: &State,
    skipped: &BTreeMap<String, Nanos>,
    now: Nanos,
) -> (Vec<Launch>, Option<Nanos>) {
    let mut launches = Vec::new();
    let mut wake_at: Option<Nanos> = None;
    for (key, last) in &state.periodic_launches {
        let Some(job) = state.jobs.get(key).filter(|job| !job.stop) else {
            continue;
        };
        let Some(calendar) = job.periodic.as_ref().filter(|p| p.enabled) else {
            continue;
        };
        let last = skipped.get(key).map_or(*last, |at| *last.max(at));
        let Some(mut at) = periodic::next(calendar, last) else {
            continue;
        };
        if at <= now {
            let missed = periodic::next(calendar, at).is_some_and(|second| second <= now);
            if missed {
                at = now / SECOND * SECOND;
            }
            launches.push((key.clone(), Arc::clone(job), at));
            at = periodic::next(calendar, now).unwrap_or(Nanos::MAX);
        }
        wake_at = Some(wake_at.map_or(at, |first| first.min(at)));
    }
    (launches, wake_at)
}

fn overlaps(state: &State, job: &Job) -> bool {
    let prohibited = job.periodic.as_ref().is_some_and(|p| p.prohibit_overlap);
    let mut children = state.children_of(job);
    prohibited && children.any(|child| child.status != JobStatus::Dead)
}

/// Registers what a periodic job launches at a time.
#[must_use]
pub fn launch(job: &Job, at: Nanos, now: Nanos) -> Command {
    let child = periodic::child(job, at);
    let eval = new_eval(&child, EvalTrigger::PeriodicJob, now);
    Command::JobRegister {
        job: child,
        eval: Some(eval),
        enforce_index: None,
        submission: None,
        now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::world::{World, from_hcl};
    use crate::types::AllocClientStatus;

    /// Noon of a day; [`World`] starts elsewhere.
    const NOON: Nanos = 1_772_366_400 * SECOND;
    const MINUTE: Nanos = 60 * SECOND;

    fn hourly(extra: &str) -> Job {
        from_hcl(&format!(
            r#"
job "report" {{
  type = "batch"
  periodic {{
    cron = "0 * * * *"
    {extra}
  }}
  group "g" {{
    task "t" {{
      driver = "raw_exec"
      config {{
        command = "/bin/report"
      }}
    }}
  }}
}}
"#
        ))
    }

    fn world(job: &Job) -> World {
        let mut world = World::with_nodes(1);
        world.now = NOON + MINUTE;
        world.write(Command::JobRegister {
            job: job.clone(),
            eval: None,
            enforce_index: None,
            submission: None,
            now: world.now,
        });
        world
    }

    /// One look; the IDs that it launches.
    fn look(world: &mut World, skipped: &mut BTreeMap<String, Nanos>) -> Vec<String> {
        let mut launched = Vec::new();
        for (key, job, at) in due(&world.state, skipped, world.now).0 {
            if overlaps(&world.state, &job) {
                skipped.insert(key, at);
                continue;
            }
            let command = launch(&job, at, world.now);
            launched.push(periodic::child(&job, at).id);
            world.write(command);
        }
        launched
    }

    fn id(at: Nanos) -> String {
        format!("report/periodic-{}", at / SECOND)
    }

    #[test]
    fn a_job_is_launched_each_time_once() {
        let mut world = world(&hourly(""));
        let mut skipped = BTreeMap::new();
        assert!(look(&mut world, &mut skipped).is_empty());
        for hour in 1..4 {
            let at = NOON + hour * 60 * MINUTE;
            assert_eq!(due(&world.state, &skipped, world.now).1, Some(at));
            world.now = at + SECOND;
            assert_eq!(look(&mut world, &mut skipped), [id(at)]);
            assert!(look(&mut world, &mut skipped).is_empty());
        }
        let parent = world.state.job("default", "report").expect("it is there");
        assert_eq!(parent.status, JobStatus::Running);
        assert_eq!(world.state.children_of(parent).count(), 3);
    }

    #[test]
    fn launches_that_were_missed_are_made_up_for_by_one() {
        let mut world = world(&hourly(""));
        world.now = NOON + 10 * 60 * MINUTE + 5 * MINUTE;
        let now = world.now;
        assert_eq!(look(&mut world, &mut BTreeMap::new()), [id(now)]);
        assert!(look(&mut world, &mut BTreeMap::new()).is_empty());
    }

    #[test]
    fn nothing_is_launched_while_the_last_one_runs_where_that_is_prohibited() {
        let mut world = world(&hourly("prohibit_overlap = true"));
        let mut skipped = BTreeMap::new();
        world.now = NOON + 60 * MINUTE;
        assert_eq!(look(&mut world, &mut skipped).len(), 1);
        world.settle();
        world.now = NOON + 120 * MINUTE;
        assert!(look(&mut world, &mut skipped).is_empty());
        let mut done = crate::types::Allocation::clone(&world.wanted()[0]);
        done.client_status = AllocClientStatus::Complete;
        world.report(done);
        world.now += MINUTE;
        assert!(
            look(&mut world, &mut skipped).is_empty(),
            "passed over, not put off"
        );
        world.now = NOON + 180 * MINUTE;
        assert_eq!(look(&mut world, &mut skipped), [id(NOON + 180 * MINUTE)]);
    }

    #[test]
    fn a_stopped_or_disabled_job_is_not_launched() {
        let mut disabled = world(&hourly("enabled = false"));
        disabled.now += 120 * MINUTE;
        assert!(look(&mut disabled, &mut BTreeMap::new()).is_empty());
        let job = hourly("");
        let mut stopped = world(&job);
        stopped.stop(&job);
        stopped.now += 120 * MINUTE;
        assert!(look(&mut stopped, &mut BTreeMap::new()).is_empty());
        let parent = stopped.state.job("default", "report").expect("it is there");
        assert_eq!(parent.status, JobStatus::Dead);
    }
}
