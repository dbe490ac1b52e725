//! Steps: what a scenario does, one after the other. Each is a value that can be printed, kept in
//! a report and, one day, read from a script; running it changes the [`Scene`].

mod background;
mod expect;
mod heal;
mod hold;
mod inject;
mod ledger;
mod measure;
mod submit;

use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::fault::Fault;
use crate::measure::Measure;
use crate::pick::{Pick, PickError};
use crate::poll::PollError;
use crate::probe::Condition;
use crate::target::{Capability, ControlError, Target};
use crate::timeline::Recorder;
use crate::workload::{Outcome, Running, Workload};

pub use heal::heal_all;
pub use ledger::{Injection, Ledger};

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Step {
    /// Registers a job from its text.
    Submit {
        /// What the step calls it; the job's own ID is in the text.
        name: String,
        /// The job in HCL.
        #[serde(skip_serializing, default)]
        hcl: String,
    },
    /// Waits until something is so.
    Expect {
        /// What.
        that: Condition,
        /// For at most this long.
        #[serde(with = "seconds")]
        within: Duration,
        /// Under which name the time it took is kept, if at all.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        measured_as: Option<String>,
    },
    /// Lets time pass; where a condition is given, it must hold all the while.
    Hold {
        /// What must hold.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        that: Option<Condition>,
        /// For how long.
        #[serde(with = "seconds")]
        lasting: Duration,
    },
    /// Does a fault to agents.
    Inject {
        /// The fault.
        fault: Fault,
        /// To whom.
        on: Pick,
    },
    /// Undoes the faults of one kind that are in.
    Heal {
        /// The fault.
        fault: Fault,
    },
    /// Starts a workload beside the steps.
    Start {
        /// What to run.
        workload: Workload,
    },
    /// Stops the workloads and watches, takes their numbers and hears what they saw broken.
    StopAll,
    /// Demands that a number taken before is at most so much.
    Measure {
        /// Its name.
        name: String,
        /// The most that it may be.
        at_most: f64,
    },
}

/// Durations in JSON are seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(d)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}

/// Why a step did not pass.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The cluster broke a law.
    #[error("{why}")]
    Failed {
        /// Which, and what was seen.
        why: String,
        /// Whether a machine that is too slow could be the reason.
        timed: bool,
    },
    /// Trouble of our own: nothing is proved.
    #[error("{why}")]
    Inconclusive {
        /// Which.
        why: String,
    },
}

impl From<PollError> for StepError {
    fn from(error: PollError) -> Self {
        Self::Failed {
            timed: matches!(error, PollError::TimedOut { .. }),
            why: error.to_string(),
        }
    }
}

impl From<PickError> for StepError {
    fn from(error: PickError) -> Self {
        let why = match &error {
            PickError::NoLeader(poll) => format!("{error}: {poll}"),
            _ => error.to_string(),
        };
        Self::Failed { why, timed: true }
    }
}

impl From<ControlError> for StepError {
    fn from(error: ControlError) -> Self {
        Self::Inconclusive {
            why: with_causes(&error),
        }
    }
}

/// Returns an error's words and those of its causes.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    words
}

/// What the steps of a run work on.
pub struct Scene<'t> {
    /// The cluster.
    pub target: &'t dyn Target,
    /// All its agents.
    pub agents: Directory,
    /// Where events go.
    pub recorder: Recorder,
    /// Where random picks come from.
    pub rng: StdRng,
    /// The faults that are in.
    pub ledger: Ledger,
    /// The workloads that run.
    pub background: Vec<Running>,
    /// The numbers taken so far.
    pub measures: Vec<Measure>,
    /// The jobs that were submitted.
    pub jobs: Vec<String>,
}

impl Scene<'_> {
    /// Returns the agents that no fault touches: those that can be demanded something of.
    #[must_use]
    pub fn untouched(&self) -> Directory {
        self.agents.without(&self.ledger.touched())
    }

    /// Stops all workloads, keeps their numbers and returns what else they had to say.
    pub async fn stop_background(&mut self) -> Vec<Outcome> {
        let outcomes = join_all(self.background.drain(..).map(Running::stop)).await;
        for outcome in &outcomes {
            self.measures.extend(outcome.measures.iter().cloned());
        }
        outcomes
    }
}

impl Step {
    /// Runs the step; returns what was seen in the end.
    ///
    /// # Errors
    /// [`StepError`].
    pub async fn run(&self, scene: &mut Scene<'_>) -> Result<String, StepError> {
        match self {
            Self::Submit { name, hcl } => submit::run(scene, name, hcl).await,
            Self::Expect {
                that,
                within,
                measured_as,
            } => expect::run(scene, that, *within, measured_as.as_deref()).await,
            Self::Hold { that, lasting } => hold::run(scene, that.as_ref(), *lasting).await,
            Self::Inject { fault, on } => inject::run(scene, *fault, on).await,
            Self::Heal { fault } => heal::run(scene, *fault).await,
            Self::Start { workload } => Ok(background::start(scene, workload)),
            Self::StopAll => background::stop(scene).await,
            Self::Measure { name, at_most } => measure::run(scene, name, *at_most),
        }
    }

    /// Whether the step may be dropped half-way: a fault half injected could not be healed.
    #[must_use]
    pub fn can_be_cut(&self) -> bool {
        !matches!(self, Self::Inject { .. } | Self::Heal { .. })
    }

    /// Returns the lever that the step wants, if any.
    #[must_use]
    pub fn needs(&self) -> Option<Capability> {
        match self {
            Self::Inject { fault, .. } => Some(fault.needs()),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit { name, .. } => write!(f, "submit `{name}`"),
            Self::Expect { that, within, .. } => {
                write!(f, "expect {that} within {} s", within.as_secs_f64())
            }
            Self::Hold { that, lasting } => match that {
                Some(that) => write!(f, "expect {that} for {} s", lasting.as_secs_f64()),
                None => write!(f, "let {} s pass", lasting.as_secs_f64()),
            },
            Self::Inject { fault, on } => write!(f, "{fault} {on}"),
            Self::Heal { fault } => write!(f, "heal {fault}"),
            Self::Start { workload } => write!(f, "start {workload}"),
            Self::StopAll => f.write_str("stop the workloads and judge what they saw"),
            Self::Measure { name, at_most } => write!(f, "expect {name} at most {at_most}"),
        }
    }
}
