//! A cluster that is not there, for the tests of what works on clusters: a [`Target`] whose levers
//! only change a table, and an HTTP server that answers as the agents of that table would.
//! Outages last exactly as long as a test says, and defects can be planted.

mod nomad;
mod target;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use target::FakeTarget;

use crate::nomad::types::Job;
use crate::spec::AgentName;
use crate::target::AgentState;

/// What is wrong with the cluster on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Defects {
    /// The write with this number (from 1) is acknowledged and not stored.
    pub(crate) lose_write: Option<u64>,
    /// Killing the leader never brings a new one.
    pub(crate) no_election: bool,
    /// The service breaks connections after so many answers.
    pub(crate) service_fails_after: Option<u64>,
    /// The instances are told to stop at the first failure.
    pub(crate) failing_instances_are_stopping: bool,
    /// Healing a cut leaves a route behind.
    pub(crate) residue: bool,
}

/// A stored job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) versions: Vec<Job>,
    pub(crate) places: bool,
}

/// The table.
pub(crate) struct Cluster {
    pub(crate) states: BTreeMap<AgentName, AgentState>,
    /// Who runs and does not answer, as long as it stands here.
    pub(crate) hanging: Option<AgentName>,
    /// Who runs and has heard of no leader.
    pub(crate) unaware: Option<AgentName>,
    pub(crate) leader: Option<AgentName>,
    /// When an election under way ends, and who wins.
    pub(crate) election: Option<(Instant, AgentName)>,
    /// How long the cluster is without a leader after its leader is lost.
    pub(crate) outage: Duration,
    /// When the leader was lost and when another one led: the truth to measure against.
    pub(crate) truth: Option<(Instant, Instant)>,
    pub(crate) index: u64,
    pub(crate) writes: u64,
    pub(crate) jobs: BTreeMap<String, Stored>,
    pub(crate) answers: u64,
    pub(crate) stopping: bool,
    pub(crate) calls: Vec<String>,
    pub(crate) network: BTreeMap<AgentName, String>,
    pub(crate) defects: Defects,
}

impl Cluster {
    /// Lets time do its work: an election that is over is over.
    pub(crate) fn settle(&mut self) {
        if let Some((at, winner)) = self.election.clone()
            && Instant::now() >= at
        {
            self.leader = Some(winner);
            self.election = None;
        }
    }

    pub(crate) fn is_up(&self, agent: &AgentName) -> bool {
        self.states.get(agent) == Some(&AgentState::Running)
    }

    /// Takes the leader away, if it is this one.
    pub(crate) fn lose_leader(&mut self, agent: &AgentName) {
        if self.leader.as_ref() != Some(agent) {
            return;
        }
        self.leader = None;
        let winner = self
            .states
            .iter()
            .find(|(name, state)| {
                name.as_str().starts_with("server")
                    && *name != agent
                    && **state == AgentState::Running
            })
            .map(|(name, _)| name.clone());
        if let (Some(winner), false) = (winner, self.defects.no_election) {
            let now = Instant::now();
            let at = now + self.outage;
            self.truth = Some((now, at));
            self.election = Some((at, winner));
        }
    }
}

/// The table, shared by the levers and the HTTP server.
pub(crate) type Shared = Arc<Mutex<Cluster>>;

pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Cluster> {
    let mut cluster = shared.lock().unwrap_or_else(PoisonError::into_inner);
    cluster.settle();
    cluster
}
