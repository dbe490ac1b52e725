//! The hands that play: each takes the next scenario from one list and has a cluster of its own.
//! A hand prefers what its cluster is made for, so that compatible scenarios share one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;
use nomad_harness::docker::probe::EngineReport;
use nomad_harness::runner::{self, Folder, Interrupt};

use super::stage::{NoCluster, Stage};
use super::{Desk, Work, passed};
use crate::Context;
use crate::cluster_args::{ClusterArgs, Size};
use crate::failure::Failure;

/// Memory that one agent needs, in MiB: what was measured, doubled.
const SIMULATED_AGENT: u64 = 40;
const NOMAD_AGENT: u64 = 200;
/// The part of a machine's memory that clusters may take, in percent.
const SHARE: u64 = 75;

/// What is played on.
pub enum Ground {
    /// A cluster that is there and stays.
    Given {
        /// Its name.
        name: String,
    },
    /// Clusters of our own.
    Own {
        /// What they are made from.
        args: Box<ClusterArgs>,
    },
}

/// How it is to be played.
pub struct Orders<'o> {
    pub context: &'o Context,
    pub ground: &'o Ground,
    pub desk: &'o Desk,
    pub reports: &'o std::path::Path,
    /// Whether a cluster on which a run did not pass stays as it is, with its jobs.
    pub keep_failed: bool,
    pub interrupt: Interrupt,
    /// How many clusters at a time, at most.
    pub jobs: usize,
    /// The command with which scenarios may restart the Docker engine.
    pub restart_engine_with: Option<&'o str>,
    /// Ends a run's middle after this long (a soak's).
    pub until: Option<std::time::Duration>,
}

/// The list that all hands take from.
struct Queue {
    works: Mutex<VecDeque<(usize, Size, Work)>>,
    /// Set when nothing more is to be begun.
    closed: AtomicBool,
}

impl Queue {
    fn take(&self, size: Option<&Size>) -> Option<(usize, Size, Work)> {
        if self.closed.load(Ordering::Relaxed) {
            return None;
        }
        let mut works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = works.iter().position(|(_, wanted, _)| Some(wanted) == size);
        works.remove(fits.unwrap_or(0))
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// Plays all works; returns the names of those that were not begun.
pub async fn play(orders: &Orders<'_>, works: Vec<Work>) -> Result<Vec<String>, Failure> {
    let docker = orders.context.docker().await?;
    let listed: VecDeque<_> = works
        .into_iter()
        .enumerate()
        .map(|(number, work)| (number, orders.ground.size_for(&work), work))
        .collect();
    let jobs = match orders.ground {
        Ground::Given { .. } => 1,
        Ground::Own { args } => {
            let machine = docker.report().await?;
            let largest = listed.iter().map(|(_, size, _)| size.agents()).max();
            let most = most_clusters(&machine, largest.unwrap_or(0), args.is_simulated());
            let jobs = orders.jobs.min(most).min(listed.len()).max(1);
            if most < orders.jobs.min(listed.len()) {
                orders.desk.say(&format!(
                    "{jobs} of {} clusters at a time: this engine's machine has {} processors and \
                     {} MiB of memory",
                    orders.jobs,
                    machine.processors,
                    machine.memory >> 20
                ));
            }
            jobs
        }
    };
    let queue = Queue {
        works: Mutex::new(listed),
        closed: AtomicBool::new(false),
    };
    let hands = (0..jobs).map(|_| {
        let stage = Stage::new(orders, docker.clone(), jobs > 1);
        hand(orders, &queue, stage)
    });
    let outcomes = join_all(hands).await;
    let left = queue
        .works
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    for outcome in outcomes {
        outcome?;
    }
    Ok(left
        .into_iter()
        .map(|(_, _, work)| work.scenario.name)
        .collect())
}

/// One hand's work, and its cluster's end.
async fn hand(orders: &Orders<'_>, queue: &Queue, mut stage: Stage<'_>) -> Result<(), Failure> {
    let mut kept = false;
    let played = loop {
        if orders.interrupt.is_raised() {
            break Ok(());
        }
        let Some(next) = queue.take(stage.size()) else {
            break Ok(());
        };
        match one(orders, queue, &mut stage, next).await {
            Ok(to_keep) => kept = to_keep,
            Err(failure) => {
                queue.close();
                break Err(failure);
            }
        }
        if kept {
            queue.close();
            break Ok(());
        }
    };
    let cleared = stage.clear(kept).await;
    played.and(cleared)
}

/// Plays one work; returns whether the cluster is to be kept as it is.
async fn one(
    orders: &Orders<'_>,
    queue: &Queue,
    stage: &mut Stage<'_>,
    (number, size, work): (usize, Size, Work),
) -> Result<bool, Failure> {
    let folder = Folder::create(orders.reports, &work.scenario.name)
        .map_err(|error| Failure::environment(error).hint("rehearse run --report DIR"))?;
    let cluster = match stage.cluster(&size).await {
        Ok(cluster) => cluster,
        Err(NoCluster::Interrupted) => {
            let mut works = queue.works.lock().unwrap_or_else(PoisonError::into_inner);
            works.push_front((number, size, work));
            return Ok(false);
        }
        Err(NoCluster::Failed(failure)) => return Err(failure),
    };
    let options = runner::Options {
        seed: work.seed,
        folder: Some(folder),
        keep_failed: orders.keep_failed,
        interrupt: orders.interrupt.clone(),
        listener: orders.desk.listener(&work.scenario.name, cluster),
        until: orders.until,
        notes: orders.ground.notes_on(&size, &work).into_iter().collect(),
    };
    let report = runner::run(&work.scenario, cluster, options).await;
    let (failed, fit) = (!passed(&report), report.cluster_fit);
    orders.desk.ended(number, report);
    if failed && orders.keep_failed {
        return Ok(true);
    }
    if !fit {
        stage.give_up().await?;
    }
    Ok(false)
}

impl Ground {
    /// Says where a scenario does not get what was asked for.
    fn notes_on(&self, size: &Size, work: &Work) -> Option<String> {
        match self {
            Self::Own { args } if size.time_scale < args.time_scale() => Some(format!(
                "`{}` runs at time scale {} at most, not at {}",
                work.scenario.name,
                size.time_scale,
                args.time_scale()
            )),
            Self::Given { .. } | Self::Own { .. } => None,
        }
    }

    fn size_for(&self, work: &Work) -> Size {
        match self {
            Self::Given { .. } => Size::default(),
            Self::Own { args } => args.size_for(&work.scenario),
        }
    }
}

/// How many clusters a machine bears: each keeps about a core busy at an election, and a machine
/// without memory kills agents.
fn most_clusters(machine: &EngineReport, agents: u64, simulated: bool) -> usize {
    let each = if simulated {
        SIMULATED_AGENT
    } else {
        NOMAD_AGENT
    };
    let memory = (machine.memory >> 20) * SHARE / 100;
    let by_memory = memory / (each * agents).max(1);
    usize::try_from(by_memory.min(machine.processors).max(1)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nomad_harness::scenario::Scenario;

    #[test]
    fn clusters_side_by_side_are_as_many_as_memory_and_processors_bear() {
        let machine = |memory_gib: u64, processors| EngineReport {
            memory: memory_gib << 30,
            processors,
            ..EngineReport::default()
        };
        assert_eq!(most_clusters(&machine(64, 4), 6, false), 4);
        assert_eq!(most_clusters(&machine(4, 16), 6, false), 2);
        assert_eq!(most_clusters(&machine(4, 16), 6, true), 12);
        assert_eq!(most_clusters(&machine(0, 0), 6, true), 1);
    }

    #[test]
    fn a_hand_takes_what_its_cluster_is_made_for() {
        let work = |name: &str| Work {
            scenario: Scenario::new(name, ""),
            seed: 1,
        };
        let (small, large) = (
            Size {
                servers: 3,
                ..Size::default()
            },
            Size {
                servers: 5,
                ..Size::default()
            },
        );
        let works = [
            (0, small.clone(), work("a")),
            (1, large.clone(), work("b")),
            (2, small, work("c")),
        ];
        let queue = Queue {
            works: Mutex::new(works.into_iter().collect()),
            closed: AtomicBool::new(false),
        };
        let taken = |size: Option<&Size>| queue.take(size).map(|(number, ..)| number);
        assert_eq!(taken(Some(&large)), Some(1));
        assert_eq!(taken(Some(&large)), Some(0), "the next one where none fits");
        queue.close();
        assert_eq!(taken(None), None);
    }
}
