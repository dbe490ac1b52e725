//! Steps: what a scenario does, one after the other. Each is a value that can be printed, kept in
//! a report and read from a script; running it changes the [`Scene`].

mod background;
mod call;
mod dispatch;
mod drain;
mod exec;
mod expect;
mod for_each;
mod form;
mod heal;
mod hold;
mod inject;
mod json_path;
mod ledger;
mod measure;
mod parallel;
mod play;
mod promote;
mod region;
mod restart;
mod revert;
mod rotate;
mod scale;
mod scene;
mod signal;
mod snapshot;
mod stop_job;
mod submit;
mod time_scale;
mod transfer;
mod upgrade;
mod words;
mod write;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::causes::with_causes;
use crate::fault::Fault;
use crate::pick::{Pick, PickError};
use crate::poll::PollError;
use crate::probe::Condition;
use crate::spec::Role;
use crate::target::{Capability, ControlError};
use crate::workload::Workload;

pub use call::{Call, Certificate, TokenSent};
pub use form::{Choice, Form, Label, Object, Statement};
pub use heal::heal_all;
pub use json_path::check_path;
pub use ledger::{Injection, Ledger};
pub use play::Place;
pub use region::measure_in;
pub use scene::{Cut, Left, Scene};

/// Every kind of step, as scripts write it.
pub const FORMS: &[Form] = &[
    submit::FORM,
    expect::FORM,
    hold::FORM,
    inject::FORM,
    heal::FORM,
    restart::FORM,
    upgrade::FORM,
    background::START,
    background::STOP,
    measure::FORM,
    scale::FORM,
    promote::FORM,
    revert::FORM,
    stop_job::FORM,
    dispatch::FORM,
    signal::FORM,
    drain::FORM,
    transfer::FORM,
    snapshot::SNAPSHOT,
    snapshot::RESTORE,
    rotate::GOSSIP_KEY,
    rotate::CERTIFICATE,
    exec::FORM,
    call::FORM,
    parallel::FORM,
    for_each::FORM,
    region::FORM,
];

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
        /// The region that the servers are to hand it on to, if it is another than theirs.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        to: Option<String>,
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
    /// Lets time pass, in which something must not once be so.
    Never {
        /// What.
        that: Condition,
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
        /// Of which agents; of all where it is left out.
        of: Option<Role>,
    },
    /// Stops agents in good order and starts them again; nothing is left to heal.
    Restart {
        /// Whom.
        on: Pick,
    },
    /// Replaces agents' program by the cluster's second version.
    Upgrade {
        /// Whose.
        on: Pick,
    },
    /// Starts a workload beside the steps.
    Start {
        /// What to run.
        workload: Workload,
    },
    /// Stops the workloads and watches, takes their numbers and hears what they saw broken.
    StopAll,
    /// Demands that a number taken before keeps within limits.
    Measure {
        /// Its name.
        name: String,
        /// The most that it may be.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at_most: Option<f64>,
        /// The least that it may be.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at_least: Option<f64>,
    },
    /// Changes the count of a group.
    Scale {
        /// The job.
        job: String,
        /// The group.
        group: String,
        /// How many instances from now on.
        count: u32,
    },
    /// Promotes the canaries of a job's running deployment.
    Promote {
        /// The job.
        job: String,
    },
    /// Brings back an older version of a job, as a new one.
    Revert {
        /// The job.
        job: String,
        /// The version, as the cluster counts them.
        version: u64,
    },
    /// Stops a job.
    StopJob {
        /// The job.
        job: String,
        /// Whether the servers forget it too.
        purge: bool,
    },
    /// Starts a child of a parameterized job.
    Dispatch {
        /// The job.
        job: String,
        /// What its `meta` gets.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        meta: BTreeMap<String, String>,
        /// Its payload.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        payload: Option<String>,
        /// How many.
        times: usize,
    },
    /// Sends a signal to the tasks of an allocation.
    Signal {
        /// The job.
        job: String,
        /// `SIGKILL`.
        signal: String,
    },
    /// Drains nodes; healed as the fault `drain`.
    Drain {
        /// Whose.
        on: Pick,
        /// What has not moved by then is stopped.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        deadline: Option<Duration>,
        /// Whether all is stopped at once.
        force: bool,
        /// Whether allocations of system jobs stay.
        ignore_system_jobs: bool,
    },
    /// Hands the leadership to another server.
    TransferLeadership {
        /// To whom.
        to: Pick,
    },
    /// Keeps the servers' state.
    Snapshot,
    /// Brings the state that was kept back.
    Restore,
    /// Gives the servers a new gossip key.
    RotateGossipKey,
    /// Gives agents new certificates.
    RotateCertificate {
        /// Whom.
        on: Pick,
    },
    /// Runs a command in agents' containers.
    Exec {
        /// Beside whom.
        on: Pick,
        /// The program and its arguments.
        command: Vec<String>,
        /// How it must end.
        exit_code: i64,
        /// What it must print.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        contains: Option<String>,
    },
    /// Calls the HTTP API and checks the answer.
    Call(Call),
    /// Runs steps side by side.
    Parallel {
        /// The steps.
        steps: Vec<Step>,
    },
    /// Runs steps for one agent after the other.
    ForEach {
        /// For whom.
        agents: Pick,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Runs steps in one of several regions.
    InRegion {
        /// Its name.
        region: String,
        /// The steps.
        steps: Vec<Step>,
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
        // Also what can never be so any more, and what was not so throughout: a client that had no time to
        // send its heartbeat is taken for lost, and its work done again.
        Self::Failed {
            timed: true,
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

impl Step {
    /// Runs the step; returns what was seen in the end.
    async fn run(&self, scene: &Scene<'_>, place: &Place) -> Result<String, StepError> {
        match self {
            Self::Submit { name, hcl, to } => submit::run(scene, name, hcl, to.as_deref()).await,
            Self::Expect {
                that,
                within,
                measured_as,
            } => expect::run(scene, that, *within, measured_as.as_deref()).await,
            Self::Hold { that, lasting } => hold::run(scene, that.as_ref(), *lasting).await,
            Self::Never { that, lasting } => hold::never(scene, that, *lasting).await,
            Self::Inject { fault, on } => inject::run(scene, *fault, on).await,
            Self::Heal { fault, of } => heal::run(scene, *fault, *of).await,
            Self::Restart { on } => restart::run(scene, on).await,
            Self::Upgrade { on } => upgrade::run(scene, on).await,
            Self::Start { workload } => Ok(background::start(scene, workload)),
            Self::StopAll => background::stop(scene).await,
            Self::Measure {
                name,
                at_most,
                at_least,
            } => measure::run(scene, name, *at_most, *at_least),
            Self::Scale { job, group, count } => scale::run(scene, job, group, *count).await,
            Self::Promote { job } => promote::run(scene, job).await,
            Self::Revert { job, version } => revert::run(scene, job, *version).await,
            Self::StopJob { job, purge } => stop_job::run(scene, job, *purge).await,
            Self::Dispatch {
                job,
                meta,
                payload,
                times,
            } => dispatch::run(scene, job, meta, payload.as_deref(), *times).await,
            Self::Signal { job, signal } => signal::run(scene, job, signal).await,
            Self::Drain {
                on,
                deadline,
                force,
                ignore_system_jobs,
            } => {
                let spec = drain::spec(*deadline, *force, *ignore_system_jobs);
                drain::run(scene, on, &spec).await
            }
            Self::TransferLeadership { to } => transfer::run(scene, to).await,
            Self::Snapshot => snapshot::take(scene).await,
            Self::Restore => snapshot::restore(scene).await,
            Self::RotateGossipKey => rotate::gossip_key(scene).await,
            Self::RotateCertificate { on } => rotate::certificate(scene, on).await,
            Self::Exec {
                on,
                command,
                exit_code,
                contains,
            } => exec::run(scene, on, command, *exit_code, contains.as_deref()).await,
            Self::Call(call) => call::run(scene, call).await,
            Self::Parallel { steps } => parallel::run(scene, steps, place).await,
            Self::ForEach { agents, steps } => for_each::run(scene, agents, steps, place).await,
            Self::InRegion { region, steps } => region::run(scene, region, steps, place).await,
        }
    }

    /// Whether the step may be dropped half-way: a fault half injected could not be healed, and
    /// steps in steps end for themselves.
    fn can_be_cut(&self) -> bool {
        !matches!(
            self,
            Self::Inject { .. }
                | Self::Drain { .. }
                | Self::Heal { .. }
                | Self::Restart { .. }
                | Self::Upgrade { .. }
                | Self::RotateGossipKey
                | Self::RotateCertificate { .. }
                | Self::Parallel { .. }
                | Self::ForEach { .. }
                | Self::InRegion { .. }
        )
    }

    /// Returns the steps inside.
    #[must_use]
    pub fn inner(&self) -> &[Step] {
        match self {
            Self::Parallel { steps }
            | Self::ForEach { steps, .. }
            | Self::InRegion { steps, .. } => steps,
            _ => &[],
        }
    }

    /// Returns the levers that the step wants.
    #[must_use]
    pub fn needs(&self) -> Vec<Capability> {
        match self {
            Self::Inject { fault, .. } => fault.needs().into_iter().collect(),
            Self::Restart { .. } => Fault::Restart.needs().into_iter().collect(),
            Self::Upgrade { .. } => vec![Capability::Upgrade],
            Self::RotateGossipKey | Self::RotateCertificate { .. } => {
                vec![Capability::Reconfigure]
            }
            Self::Exec { .. } => vec![Capability::Exec],
            _ => self.inner().iter().flat_map(Self::needs).collect(),
        }
    }
}
