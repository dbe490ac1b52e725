//! What the steps of a run work on. Steps may run side by side, so what they change is behind a
//! lock, and clones share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, join_all};
use rand::SeedableRng;
use rand::rngs::StdRng;
use semver::Version;

use super::{Ledger, StepError, measure_in};
use crate::directory::Directory;
use crate::fault::Fault;
use crate::measure::Measure;
use crate::pick::{Pick, PickError};
use crate::spec::AgentName;
use crate::target::Target;
use crate::timeline::{Kind, Recorder};
use crate::workload::{Outcome, Running};

/// Comes when the run is to end at once, and says why.
pub type Cut<'t> = Shared<BoxFuture<'t, String>>;

/// What the steps of a run work on.
#[derive(Clone)]
pub struct Scene<'t> {
    /// The cluster.
    pub target: &'t dyn Target,
    /// The agents of the region that the steps are in: of the cluster's first, unless a step says otherwise.
    pub agents: Directory,
    /// Where events go.
    pub recorder: Recorder,
    /// The faults that are in.
    pub ledger: Ledger,
    /// The region that a step put those in it into.
    region: Option<String>,
    /// Whose turn it is in a `for_each`.
    each: Option<AgentName>,
    cut: Cut<'t>,
    /// What is to be over before the first fault.
    first: Shared<BoxFuture<'t, ()>>,
    shared: Arc<Mutex<Shelf>>,
}

/// What the steps change.
struct Shelf {
    rng: StdRng,
    last: Vec<AgentName>,
    /// With the region that each is in, where a step says one.
    background: Vec<(Option<String>, Running)>,
    measures: Vec<Measure>,
    jobs: Vec<Left>,
    snapshot: Option<Arc<[u8]>>,
    upgraded: Option<Version>,
}

/// A job that the run leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its ID.
    pub id: String,
    /// Its region, where it is another than the cluster's first.
    pub region: Option<String>,
}

impl<'t> Scene<'t> {
    /// Sets the scene: no fault is in, nothing runs.
    #[must_use]
    pub fn new(target: &'t dyn Target, recorder: Recorder, ledger: Ledger, seed: u64) -> Self {
        let shelf = Shelf {
            rng: StdRng::seed_from_u64(seed),
            last: Vec::new(),
            background: Vec::new(),
            measures: Vec::new(),
            jobs: Vec::new(),
            snapshot: None,
            upgraded: None,
        };
        Self {
            target,
            agents: Directory::of(target).of_region(None),
            recorder,
            ledger,
            region: None,
            each: None,
            cut: futures::future::pending().boxed().shared(),
            first: futures::future::ready(()).boxed().shared(),
            shared: Arc::new(Mutex::new(shelf)),
        }
    }

    /// Returns the same scene, whose steps end when `cut` comes.
    #[must_use]
    pub fn cut_by(&self, cut: Cut<'t>) -> Self {
        Self {
            cut,
            ..self.clone()
        }
    }

    /// Returns the same scene, in which no fault goes in before `first` is over. Who calls this sees to it
    /// that `first` goes on whether a step waits for it or not.
    #[must_use]
    pub fn no_fault_before(&self, first: impl Future<Output = ()> + Send + 't) -> Self {
        Self {
            first: first.boxed().shared(),
            ..self.clone()
        }
    }

    /// Enters a fault that is about to be injected into the ledger and the timeline, as `word`.
    pub(super) async fn enter(&self, fault: Fault, agent: &AgentName, word: &str) {
        self.first.clone().await;
        self.ledger.enter(fault, agent);
        self.recorder.record(Kind::Injecting, Some(agent), word);
    }

    /// Returns the same scene, in which it is this agent's turn.
    #[must_use]
    pub(super) fn turn_of(&self, agent: &AgentName) -> Self {
        Self {
            each: Some(agent.clone()),
            ..self.clone()
        }
    }

    /// Returns the same scene in one of the cluster's regions.
    #[must_use]
    pub(super) fn in_region(&self, region: &str) -> Self {
        let first = self.target.regions().first().copied() == Some(region);
        let further = (!first).then_some(region);
        Self {
            agents: self.everywhere().of_region(further),
            region: Some(region.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the same scene in the cluster's first region.
    #[must_use]
    pub(super) fn in_first_region(&self) -> Self {
        Self {
            agents: self.everywhere().of_region(None),
            region: None,
            ..self.clone()
        }
    }

    /// Returns the agents of all regions.
    #[must_use]
    pub fn everywhere(&self) -> Directory {
        Directory::of(self.target)
    }

    /// Returns when the run is to end, as the error that its step then gives.
    pub(super) async fn is_cut(&self) -> StepError {
        let why = self.cut.clone().await;
        StepError::Inconclusive { why }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the agents that no fault touches: those that can be demanded something of.
    #[must_use]
    pub fn untouched(&self) -> Directory {
        let names = self.agents.all().iter();
        let names = names.map(|entry| entry.info.name.clone()).collect();
        self.agents.without(&self.ledger.touched_of(&names))
    }

    /// Chooses agents among those that no fault touches.
    ///
    /// # Errors
    /// [`PickError`].
    pub(super) async fn pick(&self, pick: &Pick) -> Result<Vec<AgentName>, PickError> {
        // Dice of its own, taken before anything is awaited: steps that run side by side get the
        // same ones in every run with the same seed.
        let mut dice = StdRng::from_rng(&mut self.lock().rng);
        let known = match pick {
            Pick::Each => Some(self.each.iter().cloned().collect()),
            Pick::Last => Some(self.lock().last.clone()),
            _ => None,
        };
        let pick = known.map_or_else(|| pick.clone(), Pick::Named);
        // Someone named, or picked before, may well be touched by a fault.
        let among = match &pick {
            Pick::Named(_) => self.agents.clone(),
            _ => self.untouched(),
        };
        let picked = pick.choose(&among, &mut dice).await?;
        self.lock().last.clone_from(&picked);
        Ok(picked)
    }

    /// Returns what a time limit of ours allows on agents that are so slow.
    #[must_use]
    pub fn allowed(&self, limit: Duration) -> Duration {
        self.target.engine().slowness.allowed(limit)
    }

    /// Keeps a number.
    pub(super) fn keep(&self, measure: Measure) {
        self.lock().measures.push(measure);
    }

    /// Returns the numbers taken so far, oldest first.
    #[must_use]
    pub fn measures(&self) -> Vec<Measure> {
        self.lock().measures.clone()
    }

    /// Sets limits on the numbers of a name; returns those.
    pub(super) fn limit(
        &self,
        name: &str,
        at_most: Option<f64>,
        at_least: Option<f64>,
    ) -> Vec<Measure> {
        let mut shelf = self.lock();
        let limited = shelf.measures.iter_mut().filter(|one| one.name == name);
        limited
            .map(|one| {
                one.at_most = at_most.or(one.at_most);
                one.at_least = at_least.or(one.at_least);
                one.clone()
            })
            .collect()
    }

    /// Notes a job that the run leaves, to be removed in the end.
    pub(super) fn leaves_job(&self, id: &str) {
        let mut agents = self.agents.all().iter();
        let left = Left {
            id: id.to_owned(),
            region: agents.next().and_then(|entry| entry.info.region.clone()),
        };
        let mut shelf = self.lock();
        if !shelf.jobs.contains(&left) {
            shelf.jobs.push(left);
        }
    }

    /// Returns the jobs that the run made.
    #[must_use]
    pub fn jobs(&self) -> Vec<Left> {
        self.lock().jobs.clone()
    }

    /// Keeps a snapshot of the servers' state, in place of the one before.
    pub(super) fn keep_snapshot(&self, snapshot: Vec<u8>) {
        self.lock().snapshot = Some(snapshot.into());
    }

    /// Returns the last snapshot.
    pub(super) fn snapshot(&self) -> Option<Arc<[u8]>> {
        self.lock().snapshot.clone()
    }

    /// Notes that agents are about to be upgraded.
    pub(super) fn upgrades_to(&self, version: &Version) {
        self.lock().upgraded = Some(version.clone());
    }

    /// Returns the version that agents were upgraded to, if any were.
    #[must_use]
    pub fn upgraded(&self) -> Option<Version> {
        self.lock().upgraded.clone()
    }

    pub(super) fn runs_beside(&self, running: Running) {
        self.lock().background.push((self.region.clone(), running));
    }

    /// Stops all workloads, keeps their numbers and returns what else they had to say.
    pub async fn stop_background(&self) -> Vec<Outcome> {
        let running = std::mem::take(&mut self.lock().background);
        let stops = running.into_iter().map(|(region, running)| async move {
            let mut outcome = running.stop().await;
            for measure in &mut outcome.measures {
                measure.name = measure_in(region.as_deref(), &measure.name);
            }
            outcome
        });
        let outcomes = join_all(stops).await;
        for outcome in &outcomes {
            self.lock()
                .measures
                .extend(outcome.measures.iter().cloned());
        }
        outcomes
    }
}
