//! A watch on a rollout: every state of a job's allocations that the API shows, checked against
//! what the update block promises. A blocking query brings each state when it comes, so that none
//! stays unseen for longer than one call takes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Beside, Breach, Outcome, Workload};
use crate::grammar::{Arg, Number, Type, Word};
use crate::measure::Measure;
use crate::nomad::types::{AllocStub, Job, UpdateStrategy};
use crate::nomad::{ApiError, Reply};
use crate::poll;
use crate::spec::AgentName;
use crate::timeline::Kind;

/// As scripts name it.
pub(super) const WORD: Word<Workload> = Word {
    name: "rollout_watch",
    about: "checks each state of a job's allocations that the API shows against what its update \
            block promises",
    args: &[Arg::required("job", Type::Job, "the job")],
    takes: &[
        Number {
            name: "healthy_least",
            about: "fewest healthy instances at any time",
        },
        Number {
            name: "replacing_most",
            about: "most instances that were being replaced at a time",
        },
    ],
    build: |args| Workload::Rollout {
        job: args.text("job"),
    },
};

/// How long a blocking query waits at most: also how late a stop may be noticed by a server.
const WAIT: Duration = Duration::from_secs(2);
/// The least time between two looks, for servers that answer a blocking query at once.
const REST: Duration = Duration::from_millis(10);
/// At most so many breaches are kept: they repeat themselves.
const BREACHES: usize = 5;

/// What one group of the job promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Promise {
    count: usize,
    max_parallel: usize,
}

#[derive(Default)]
struct Watch {
    job: Option<Job>,
    states: BTreeMap<String, String>,
    looks: usize,
    least_healthy: Option<usize>,
    most_replacing: usize,
    breaches: Vec<Breach>,
}

pub(super) async fn run(beside: Beside, job: String) -> Outcome {
    let mut watch = Watch::default();
    let stopped = beside.stopped();
    tokio::select! {
        () = stopped => {}
        () = watch.look_on(&beside, &job) => {}
    }
    watch.sum_up(&job)
}

impl Watch {
    async fn look_on(&mut self, beside: &Beside, job: &str) {
        let mut index = 0;
        loop {
            match allocations(beside, job, index).await {
                Ok(reply) => {
                    // An index that falls means that the state was restored: start anew.
                    let next = reply.index.unwrap_or(0);
                    index = if next < index { 0 } else { next };
                    self.enter(beside, job, &reply.value).await;
                }
                Err(error) => {
                    index = 0;
                    tracing::debug!("rollout watch: {error}");
                }
            }
            poll::rest(REST).await;
        }
    }

    async fn enter(&mut self, beside: &Beside, job: &str, allocations: &[AllocStub]) {
        let newest = allocations.iter().map(|alloc| alloc.job_version).max();
        let known = self.job.as_ref().map(|job| job.version);
        if newest.is_some() && known < newest {
            let read = beside.agents.ask(|api| async move { api.job(job).await });
            if let Ok(read) = read.await {
                self.job = Some(read);
            }
        }
        self.record_changes(beside, allocations);
        if let Some(job) = self.job.clone() {
            self.looks += 1;
            for (group, promise) in promises(&job) {
                self.check(&group, promise, &job, allocations);
            }
        }
    }

    fn record_changes(&mut self, beside: &Beside, allocations: &[AllocStub]) {
        for alloc in allocations {
            let health = if alloc.is_healthy() { ", healthy" } else { "" };
            let state = format!(
                "{} (wanted: {}{health})",
                alloc.client_status, alloc.desired_status
            );
            let before = self.states.insert(alloc.id.clone(), state.clone());
            if before.as_ref() != Some(&state) {
                beside.recorder.record(
                    Kind::Allocation,
                    Some(&AgentName(alloc.node_name.clone())),
                    format!("`{}` version {}: {state}", alloc.name, alloc.job_version),
                );
            }
        }
    }

    fn check(&mut self, group: &str, promise: Promise, job: &Job, all: &[AllocStub]) {
        let of_group = || all.iter().filter(|alloc| alloc.task_group == group);
        let healthy = of_group()
            .filter(|alloc| alloc.is_running() && alloc.is_healthy())
            .count();
        let replacing = of_group()
            .filter(|alloc| alloc.job_version == job.version && !alloc.is_told_to_stop())
            .filter(|alloc| !alloc.is_healthy())
            .count();
        self.least_healthy = Some(self.least_healthy.map_or(healthy, |l| l.min(healthy)));
        self.most_replacing = self.most_replacing.max(replacing);
        let least = promise.count.saturating_sub(promise.max_parallel);
        if healthy < least {
            self.breach(format!(
                "only {healthy} healthy instances of `{group}`, promised are {least} ({} less \
                 `max_parallel` {})",
                promise.count, promise.max_parallel
            ));
        }
        if replacing > promise.max_parallel {
            self.breach(format!(
                "{replacing} instances of `{group}` are being replaced, allowed are {}",
                promise.max_parallel
            ));
        }
    }

    fn breach(&mut self, what: String) {
        let breach = Breach { what, timed: false };
        if self.breaches.len() < BREACHES && !self.breaches.contains(&breach) {
            self.breaches.push(breach);
        }
    }

    fn sum_up(mut self, job: &str) -> Outcome {
        if self.looks == 0 {
            self.breaches.push(Breach {
                what: format!("no state of `{job}` was seen"),
                timed: true,
            });
        }
        let least = self.least_healthy.unwrap_or(0);
        Outcome {
            measures: vec![
                Measure::count("healthy_least", least),
                Measure::count("replacing_most", self.most_replacing),
            ],
            summary: format!(
                "`{job}`: {} states seen, never fewer than {least} healthy, at most {} replaced \
                 at a time",
                self.looks, self.most_replacing
            ),
            breaches: self.breaches,
        }
    }
}

async fn allocations(
    beside: &Beside,
    job: &str,
    index: u64,
) -> Result<Reply<Vec<AllocStub>>, ApiError> {
    beside
        .agents
        .ask(|api| async move { api.job_allocations_since(job, index, WAIT).await })
        .await
}

fn promises(job: &Job) -> Vec<(String, Promise)> {
    job.task_groups
        .iter()
        .map(|group| {
            let update = group.update.as_ref().or(job.update.as_ref());
            let max_parallel = update.map_or(1, |UpdateStrategy { max_parallel, .. }| {
                // 0 is all at once.
                if *max_parallel == 0 {
                    group.count
                } else {
                    *max_parallel
                }
            });
            let promise = Promise {
                count: group.count as usize,
                max_parallel: max_parallel as usize,
            };
            (group.name.clone(), promise)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomad::types::{AllocDeploymentStatus, TaskGroup};

    fn job(version: u64) -> Job {
        let group = TaskGroup {
            name: "web".into(),
            count: 3,
            update: Some(UpdateStrategy {
                max_parallel: 1,
                ..UpdateStrategy::default()
            }),
            ..TaskGroup::default()
        };
        Job {
            version,
            task_groups: vec![group],
            ..Job::default()
        }
    }

    fn alloc(version: u64, desired: &str, healthy: bool) -> AllocStub {
        AllocStub {
            task_group: "web".into(),
            job_version: version,
            client_status: "running".into(),
            desired_status: desired.into(),
            deployment_status: healthy.then(|| AllocDeploymentStatus {
                healthy: Some(true),
                ..AllocDeploymentStatus::default()
            }),
            ..AllocStub::default()
        }
    }

    fn checked(all: &[AllocStub]) -> Watch {
        let mut watch = Watch::default();
        let job = job(1);
        let promise = promises(&job)[0].1;
        watch.check("web", promise, &job, all);
        watch
    }

    #[test]
    fn one_at_a_time_with_two_left_keeps_the_promise() {
        let watch = checked(&[
            alloc(0, "run", true),
            alloc(0, "run", true),
            alloc(0, "stop", true),
            alloc(1, "run", false),
        ]);
        assert_eq!(watch.breaches, []);
        assert_eq!((watch.least_healthy, watch.most_replacing), (Some(2), 1));
    }

    #[test]
    fn two_at_a_time_break_it() {
        let watch = checked(&[
            alloc(0, "run", true),
            alloc(0, "stop", true),
            alloc(0, "stop", true),
            alloc(1, "run", false),
            alloc(1, "run", false),
        ]);
        assert_eq!(watch.breaches.len(), 2, "{:?}", watch.breaches);
    }
}
