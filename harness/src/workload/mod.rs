//! What runs beside the steps: loads that a cluster serves, and watches that look without pause.
//! Each is started by one step and stopped by a later one; at its stop it hands over the numbers
//! it took and the laws it saw broken.

mod instances;
mod leader_watch;
mod load;
mod rollout;
mod term_watch;
mod writer;
mod writer_book;
mod writer_lane;

use std::fmt;
use std::future::Future;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::directory::Directory;
use crate::grammar::Word;
use crate::measure::Measure;
use crate::timeline::{Kind, Recorder};

pub use writer::JOB_PREFIX as WRITER_JOB_PREFIX;

/// Every workload and watch, as scripts name it.
pub const WORKLOADS: &[Word<Workload>] = &[
    writer::WORD,
    load::WORD,
    leader_watch::WORD,
    term_watch::WORD,
    rollout::WORD,
];

/// What to run beside the steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Writes counters through all servers in turn and checks at the end that every acknowledged
    /// one is there.
    Writer {
        /// Writes a second, all lanes together.
        rate: u32,
    },
    /// Asks the healthy instances of a job in turn.
    Load {
        /// The job.
        job: String,
        /// The label of the port.
        port: String,
        /// Requests a second.
        rate: u32,
        /// Whether failures break no law, because clients are meant to fail.
        #[serde(default)]
        tolerant: bool,
    },
    /// Asks every server who leads, each 20 ms.
    LeaderWatch,
    /// Asks every server for its Raft term: no term has two leaders.
    TermWatch,
    /// Checks each state of a job's allocations against what its update block promises.
    Rollout {
        /// The job.
        job: String,
    },
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writer { rate } => write!(f, "{rate} writes/s through all servers"),
            Self::Load { job, rate, .. } => write!(f, "{rate} requests/s to `{job}`"),
            Self::LeaderWatch => f.write_str("a watch on who leads"),
            Self::TermWatch => f.write_str("a watch on the leaders' terms"),
            Self::Rollout { job } => write!(f, "a watch on the rollout of `{job}`"),
        }
    }
}

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What was found.
    pub what: String,
    /// Whether a machine that is too slow could be the reason. A lost write has no such excuse.
    pub timed: bool,
}

/// What a workload hands over at its end.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The numbers it took.
    pub measures: Vec<Measure>,
    /// The laws it saw broken.
    pub breaches: Vec<Breach>,
    /// The whole in a line.
    pub summary: String,
}

/// What the workloads' tasks share.
#[derive(Clone)]
pub(crate) struct Beside {
    pub(crate) agents: Directory,
    pub(crate) recorder: Recorder,
    stop: watch::Receiver<bool>,
}

impl Beside {
    /// Returns when the workload is to stop.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.clone();
        async move {
            // An error means that nobody can ask for the stop any more: that is one too.
            let _ended = stop.wait_for(|stopped| *stopped).await.is_ok();
        }
    }
}

/// A workload under way. Dropped without [`Running::stop`], it is ended and nothing is said of it.
pub struct Running {
    what: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<Outcome>,
    recorder: Recorder,
}

impl Workload {
    /// Starts it.
    #[must_use]
    pub fn start(&self, agents: &Directory, recorder: &Recorder) -> Running {
        let (stop, stopped) = watch::channel(false);
        let beside = Beside {
            agents: agents.clone(),
            recorder: recorder.clone(),
            stop: stopped,
        };
        let task = match self.clone() {
            Self::Writer { rate } => tokio::spawn(writer::run(beside, rate)),
            Self::Load {
                job,
                port,
                rate,
                tolerant,
            } => tokio::spawn(load::run(
                beside,
                load::Order {
                    job,
                    port,
                    rate,
                    tolerant,
                },
            )),
            Self::LeaderWatch => tokio::spawn(leader_watch::run(beside)),
            Self::TermWatch => tokio::spawn(term_watch::run(beside)),
            Self::Rollout { job } => tokio::spawn(rollout::run(beside, job)),
        };
        Running {
            what: self.to_string(),
            stop,
            task,
            recorder: recorder.clone(),
        }
    }
}

impl Running {
    /// Asks it to stop and waits for what it has to say.
    pub async fn stop(mut self) -> Outcome {
        self.stop.send_replace(true);
        let outcome = match (&mut self.task).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome {
                breaches: vec![Breach {
                    what: format!("{} broke down: {error}", self.what),
                    timed: true,
                }],
                ..Outcome::default()
            },
        };
        self.recorder
            .record(Kind::Workload, None, outcome.summary.clone());
        outcome
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
