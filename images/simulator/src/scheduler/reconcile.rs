//! Compares what a service or batch job wants with what there is, group by group.
//!
//! Only decides *what* is to happen (stop, place, update in place or by replacement), never
//! where. The order of the steps follows Nomad's reconciler, because their interplay (canaries,
//! limits, failed deployments) is what scenarios observe.

mod unseen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::DesiredUpdates;
use super::names::{self, NameIndex};
use super::reschedule::{self, Due};
use super::rollout::Rollout;
use crate::plant::{self, Plant};
use crate::state::State;
use crate::types::{
    AllocClientStatus, AllocDesiredStatus, Allocation, Deployment, DeploymentState,
    DeploymentStatus, Job, JobType, Nanos, NodeStatus, TaskGroup,
};
use unseen::is_out_of_sight;

/// Nomad's descriptions of a stop (`scheduler/util.go`).
pub(super) const NOT_NEEDED: &str = "alloc not needed due to job update";
/// See [`NOT_NEEDED`].
pub(super) const MIGRATING: &str = "alloc is being migrated";
/// See [`NOT_NEEDED`].
pub(super) const UPDATING: &str = "alloc is being updated due to job update";
/// See [`NOT_NEEDED`].
pub(super) const LOST: &str = "alloc is lost since its node is down";
/// See [`NOT_NEEDED`].
pub(super) const RESCHEDULED: &str = "alloc was rescheduled because it failed";
/// See [`NOT_NEEDED`].
pub(super) const TAINTED: &str = "alloc not needed as node is tainted";

/// An allocation to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) alloc: Arc<Allocation>,
    pub(super) description: &'static str,
    pub(super) lost: bool,
}

/// An allocation to place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) group: String,
    /// The one that it replaces.
    pub(super) previous: Option<Arc<Allocation>>,
    /// The one that is stopped for it (a destructive update), if it finds a node.
    pub(super) replaces: Option<Arc<Allocation>>,
    /// Replaces a failed one.
    pub(super) reschedule: bool,
    pub(super) canary: bool,
    /// While canaries await promotion, others are replaced by the version that they ran.
    pub(super) keep_version: bool,
}

/// How a running allocation relates to the job as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It runs this version.
    None,
    /// The new version can be put under it.
    InPlace,
    /// It must be replaced.
    Destructive,
}

/// Everything that is to happen.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub(super) stops: Vec<Stop>,
    pub(super) places: Vec<Place>,
    pub(super) in_place: Vec<Arc<Allocation>>,
    /// Allocations that were unknown, and stay now that they are heard of again.
    pub(super) reconnected: Vec<Arc<Allocation>>,
    /// Allocations that become unknown, why, and when they are lost (if ever).
    pub(super) unknown: Vec<(Arc<Allocation>, &'static str, Option<Nanos>)>,
    /// Failed allocations that wait, and until when.
    pub(super) later: Vec<(Arc<Allocation>, Nanos)>,
    /// A new deployment, or the current one with a new group or description.
    pub(super) deployment: Option<Deployment>,
    pub(super) deployment_updates: Vec<(String, DeploymentStatus, String)>,
    pub(super) desired: BTreeMap<String, DesiredUpdates>,
}

/// What the reconciler looks at.
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    /// The job; `None` where it was purged.
    pub(super) job: Option<&'a Job>,
    pub(super) eval_id: &'a str,
    pub(super) now: Nanos,
    /// Judges an allocation of an older version.
    pub(super) change: &'a dyn Fn(&Allocation, &TaskGroup) -> Change,
}

type Allocs = Vec<Arc<Allocation>>;

/// The allocations of one group, by what became of them.
#[derive(Default)]
struct Sorted {
    untainted: Allocs,
    migrate: Allocs,
    lost: Allocs,
    reschedule: Allocs,
    later: Vec<(Arc<Allocation>, Nanos)>,
    /// Newly unknown: with when they will be lost, if ever.
    disconnecting: Vec<(Arc<Allocation>, Option<Nanos>)>,
    /// Unknown for a while.
    unknown: Allocs,
    /// Heard of again.
    reconnecting: Allocs,
}

impl View<'_> {
    fn is_batch(&self) -> bool {
        self.job.is_some_and(|job| job.job_type == JobType::Batch)
    }

    /// Decides for the whole job.
    pub(super) fn decide(&self, allocs: &[Arc<Allocation>], rollout: &mut Rollout) -> Decisions {
        let mut decisions = Decisions::default();
        decisions.deployment_updates.append(&mut rollout.ended);
        let mut groups: BTreeSet<&str> = allocs.iter().map(|a| a.task_group.as_str()).collect();
        let stopped = self.job.is_none_or(|job| job.stop);
        if !stopped {
            groups.extend(
                self.job
                    .iter()
                    .flat_map(|job| &job.task_groups)
                    .map(|g| g.name.as_str()),
            );
        }
        let mut complete = true;
        for name in groups {
            let own: Allocs = allocs
                .iter()
                .filter(|a| a.task_group == name)
                .cloned()
                .collect();
            let group = self
                .job
                .and_then(|job| job.task_groups.iter().find(|g| g.name == name));
            match group.filter(|_| !stopped) {
                None => self.stop_group(name, own, rollout, &mut decisions),
                Some(group) => complete &= self.group(group, &own, rollout, &mut decisions),
            }
        }
        rollout.finish(complete && !stopped, &mut decisions);
        decisions
    }

    /// A group that is no longer wanted.
    fn stop_group(&self, name: &str, own: Allocs, rollout: &Rollout, decisions: &mut Decisions) {
        let sorted = self.sort(own, rollout.current());
        let desired = decisions.desired.entry(name.to_owned()).or_default();
        let mut stop = |allocs: Allocs, description, lost| {
            for alloc in allocs {
                desired.stop += 1;
                decisions.stops.push(Stop {
                    alloc,
                    description,
                    lost,
                });
            }
        };
        let running = |allocs: Allocs| -> Allocs {
            allocs
                .into_iter()
                .filter(|a| !a.client_status.is_terminal())
                .collect()
        };
        stop(running(sorted.untainted), NOT_NEEDED, false);
        stop(sorted.migrate, NOT_NEEDED, false);
        stop(sorted.lost, LOST, true);
        stop(sorted.reconnecting, NOT_NEEDED, false);
        stop(sorted.unknown, NOT_NEEDED, false);
        let disconnecting = sorted.disconnecting.into_iter().map(|(alloc, _)| alloc);
        stop(disconnecting.collect(), NOT_NEEDED, false);
    }

    /// One group; returns whether nothing is left to do for its deployment.
    fn group(
        &self,
        group: &TaskGroup,
        own: &[Arc<Allocation>],
        rollout: &mut Rollout,
        decisions: &mut Decisions,
    ) -> bool {
        let job = self.job.expect("only called for a job that exists");
        let mut plan = GroupPlan::new(job, group, rollout);
        let mut sorted = self.sort(own.to_vec(), rollout.current());
        plan.stop_unneeded_canaries(&mut sorted, rollout);
        plan.reconcile_reconnecting(&mut sorted, decisions);
        plan.settle_unknown(&mut sorted, decisions);
        let waiting: BTreeSet<String> = sorted.later.iter().map(|(a, _)| a.id.clone()).collect();
        let canaries = plan.split_canaries(&sorted.untainted, rollout);
        let mut names = plan.names(&sorted);
        plan.compute_stops(&mut sorted, &canaries, &mut names);

        let mut destructive = Allocs::new();
        let mut in_place = Allocs::new();
        for alloc in &sorted.untainted {
            match self.change_of(alloc, group) {
                Change::None => plan.desired.ignore += 1,
                Change::InPlace => in_place.push(Arc::clone(alloc)),
                Change::Destructive => destructive.push(Arc::clone(alloc)),
            }
        }
        destructive.sort_by_key(|a| names::index_of(&a.name));
        plan.desired.in_place_update = in_place.len();
        if plan.is_canarying() {
            let ids: BTreeSet<&str> = canaries.iter().map(|a| a.id.as_str()).collect();
            sorted.untainted.retain(|a| !ids.contains(a.id.as_str()));
        }
        let requires_canaries = plan.requires_canaries(&destructive, &canaries);
        if requires_canaries {
            plan.place_canaries(&destructive, &canaries, &mut names);
        }
        let limit = plan.limit(&sorted.untainted, &destructive, rollout);
        let places = plan.placements(&sorted, &mut names);
        plan.count_total(&places, &destructive, &in_place);
        let pending = places.len() + destructive.len() + in_place.len();
        let moved = sorted.migrate.len() + sorted.reschedule.len();
        let limit = plan.place(places, &sorted, limit, rollout);
        plan.replace(&destructive, limit, rollout);
        plan.migrate(&sorted.migrate);
        let had_running = own.iter().any(|a| is_version(a, job));
        let updating = !destructive.is_empty() || !in_place.is_empty();
        plan.join_deployment(rollout, had_running, updating);
        let complete = pending + moved + waiting.len() == 0 && !requires_canaries;
        let complete = complete && rollout.group_is_healthy(&group.name);
        decisions.in_place.extend(in_place);
        decisions.later.append(&mut sorted.later);
        plan.into(decisions);
        complete
    }

    fn change_of(&self, alloc: &Allocation, group: &TaskGroup) -> Change {
        let job = self.job.expect("only called for a job that exists");
        // A batch allocation that is done stays as it is.
        let unseen = self
            .state
            .nodes
            .get(&alloc.node_id)
            .is_none_or(|n| is_out_of_sight(n));
        if is_version(alloc, job) || alloc.client_status.is_terminal() || unseen {
            return Change::None;
        }
        (self.change)(alloc, group)
    }

    /// Sorts a group's allocations; those that are over and replaced are dropped.
    fn sort(&self, own: Allocs, current: Option<&Deployment>) -> Sorted {
        let mut sorted = Sorted::default();
        for alloc in own {
            if self.is_over(&alloc) {
                continue;
            }
            if alloc.desired_status != AllocDesiredStatus::Run {
                // A batch allocation that succeeded before it was stopped.
                sorted.untainted.push(alloc);
                continue;
            }
            let node = self.state.nodes.get(&alloc.node_id);
            let alive =
                node.is_some_and(|node| !is_out_of_sight(node)) || plant::is(Plant::LostNodeKept);
            if !alloc.client_status.is_terminal() {
                if !alive {
                    let there = node.is_some_and(|n| n.status == NodeStatus::Disconnected);
                    self.sort_unseen(alloc, there, &mut sorted);
                    continue;
                }
                if alloc.client_status == AllocClientStatus::Unknown {
                    // Its client has not said yet how it is.
                    sorted.unknown.push(alloc);
                    continue;
                }
                if alloc.unknown_since > 0 {
                    sorted.reconnecting.push(alloc);
                    continue;
                }
                if alloc.desired_transition.migrate == Some(true) {
                    sorted.migrate.push(alloc);
                    continue;
                }
            }
            match self.due(&alloc, current) {
                Due::Now => sorted.reschedule.push(alloc),
                Due::At(at) => {
                    sorted.later.push((Arc::clone(&alloc), at));
                    sorted.untainted.push(alloc);
                }
                Due::Never => sorted.untainted.push(alloc),
            }
        }
        sorted
    }

    /// Whether an allocation no longer counts for its group.
    fn is_over(&self, alloc: &Allocation) -> bool {
        let ended = alloc.client_status.is_terminal();
        if ended && !alloc.next_allocation.is_empty() {
            return true;
        }
        let stopped = alloc.desired_status != AllocDesiredStatus::Run;
        if self.is_batch() {
            let succeeded = alloc.client_status == AllocClientStatus::Complete
                && alloc.task_states.values().all(|task| !task.failed);
            let old = self.job.is_some_and(|job| !is_version(alloc, job)) && alloc.is_terminal();
            return old || stopped && !succeeded || alloc.client_status == AllocClientStatus::Lost;
        }
        stopped
            || matches!(
                alloc.client_status,
                AllocClientStatus::Complete | AllocClientStatus::Lost
            )
    }

    fn due(&self, alloc: &Allocation, current: Option<&Deployment>) -> Due {
        let transition = &alloc.desired_transition;
        if alloc.client_status == AllocClientStatus::Failed
            && transition.force_reschedule == Some(true)
        {
            return Due::Now;
        }
        // Within a deployment its watcher says when a failed one may be replaced.
        let held = current.is_some_and(|d| d.status.is_active() && d.id == alloc.deployment_id);
        if held && transition.reschedule != Some(true) {
            return Due::Never;
        }
        reschedule::due(alloc, self.eval_id, self.now)
    }
}

/// Whether an allocation runs the job as it is now.
pub(super) fn is_version(alloc: &Allocation, job: &Job) -> bool {
    alloc
        .job
        .as_ref()
        .is_some_and(|own| own.version == job.version && own.create_index == job.create_index)
}

/// The decisions for one group while they are made.
struct GroupPlan<'a> {
    job: &'a Job,
    group: &'a TaskGroup,
    /// The group's part of the deployment; new where there is none yet.
    rollout: DeploymentState,
    existing: bool,
    paused: bool,
    failed: bool,
    stops: Vec<Stop>,
    places: Vec<Place>,
    desired: DesiredUpdates,
}

impl<'a> GroupPlan<'a> {
    fn new(job: &'a Job, group: &'a TaskGroup, rollout: &Rollout) -> Self {
        let (state, existing) = rollout.group_state(group);
        Self {
            job,
            group,
            rollout: state,
            existing,
            paused: rollout.is_paused(),
            failed: rollout.has_failed(),
            stops: Vec::new(),
            places: Vec::new(),
            desired: DesiredUpdates::default(),
        }
    }

    fn count(&self) -> usize {
        usize::try_from(self.group.count).unwrap_or(0)
    }

    fn is_canarying(&self) -> bool {
        self.rollout.desired_canaries != 0 && !self.rollout.promoted
    }

    fn is_ready(&self) -> bool {
        !self.paused && !self.failed && !self.is_canarying()
    }

    fn stop(&mut self, alloc: &Arc<Allocation>, description: &'static str, lost: bool) {
        self.stops.push(Stop {
            alloc: Arc::clone(alloc),
            description,
            lost,
        });
    }

    fn names(&self, sorted: &Sorted) -> NameIndex<'a> {
        let parts = [
            &sorted.untainted,
            &sorted.migrate,
            &sorted.reschedule,
            &sorted.lost,
        ];
        let unseen = sorted.disconnecting.iter().map(|(alloc, _)| alloc);
        let all = parts.into_iter().flatten().chain(unseen);
        let all = all.map(|a| a.name.as_str());
        NameIndex::new(&self.job.id, &self.group.name, self.count(), all)
    }

    /// Canaries of a deployment that failed or was replaced do not stay.
    fn stop_unneeded_canaries(&mut self, sorted: &mut Sorted, rollout: &Rollout) {
        let unneeded = rollout.unneeded_canaries(&self.group.name);
        let (stop, keep): (Allocs, Allocs) = std::mem::take(&mut sorted.untainted)
            .into_iter()
            .partition(|a| unneeded.contains(&a.id));
        sorted.untainted = keep;
        sorted.later.retain(|(a, _)| !unneeded.contains(&a.id));
        for parts in [&mut sorted.migrate, &mut sorted.reschedule] {
            parts.retain(|a| {
                let stop = unneeded.contains(&a.id);
                if stop {
                    self.stops.push(Stop {
                        alloc: Arc::clone(a),
                        description: NOT_NEEDED,
                        lost: false,
                    });
                }
                !stop
            });
        }
        for alloc in stop {
            self.desired.stop += 1;
            self.stop(&alloc, NOT_NEEDED, false);
        }
    }

    /// The current deployment's canaries among the running allocations.
    fn split_canaries(&self, untainted: &[Arc<Allocation>], rollout: &Rollout) -> Allocs {
        let placed = rollout.current_canaries(&self.group.name);
        untainted
            .iter()
            .filter(|a| placed.contains(&a.id))
            .cloned()
            .collect()
    }

    /// Stops what is lost and what is too many.
    fn compute_stops(
        &mut self,
        sorted: &mut Sorted,
        canaries: &[Arc<Allocation>],
        names: &mut NameIndex<'_>,
    ) {
        for alloc in &sorted.lost {
            self.stops.push(Stop {
                alloc: Arc::clone(alloc),
                description: LOST,
                lost: true,
            });
            self.desired.stop += 1;
        }
        let canary_ids: BTreeSet<&str> = canaries.iter().map(|a| a.id.as_str()).collect();
        let counted =
            |a: &Arc<Allocation>| !self.is_canarying() || !canary_ids.contains(a.id.as_str());
        let present = sorted.untainted.iter().filter(|a| counted(a)).count() + sorted.migrate.len();
        let mut excess = present.saturating_sub(self.count());
        if excess == 0 {
            return;
        }
        let mut gone = BTreeSet::new();
        if !self.is_canarying() {
            // Promoted canaries take the place of their namesakes.
            let by_canary: BTreeSet<&str> = canaries.iter().map(|a| a.name.as_str()).collect();
            for alloc in &sorted.untainted {
                let twin = by_canary.contains(alloc.name.as_str())
                    && !canary_ids.contains(alloc.id.as_str());
                if twin && excess > 0 && !alloc.client_status.is_terminal() {
                    gone.insert(alloc.id.clone());
                    excess -= 1;
                }
            }
        }
        gone.extend(self.highest(sorted, &gone, excess, names, &counted));
        for alloc in sorted.untainted.iter().chain(&sorted.migrate) {
            if gone.contains(&alloc.id) {
                self.stops.push(Stop {
                    alloc: Arc::clone(alloc),
                    description: NOT_NEEDED,
                    lost: false,
                });
                self.desired.stop += 1;
            }
        }
        for parts in [&mut sorted.untainted, &mut sorted.migrate] {
            parts.retain(|a| !gone.contains(&a.id));
        }
        sorted.later.retain(|(a, _)| !gone.contains(&a.id));
    }

    /// The IDs of `excess` allocations to stop: those that leave their node anyway first, then
    /// the highest indices.
    fn highest(
        &self,
        sorted: &Sorted,
        gone: &BTreeSet<String>,
        mut excess: usize,
        names: &mut NameIndex<'_>,
        counted: &dyn Fn(&Arc<Allocation>) -> bool,
    ) -> BTreeSet<String> {
        let mut chosen = BTreeSet::new();
        let mut order: Vec<&Arc<Allocation>> = sorted.migrate.iter().collect();
        order.sort_by_key(|a| std::cmp::Reverse(names::index_of(&a.name)));
        let mut rest: Vec<&Arc<Allocation>> = sorted
            .untainted
            .iter()
            .filter(|a| counted(a) && !a.client_status.is_terminal())
            .collect();
        // Of two with the same name, the one that runs the older version goes first.
        rest.sort_by_key(|a| (std::cmp::Reverse(names::index_of(&a.name)), a.job_version()));
        order.extend(rest);
        for alloc in order {
            if excess == 0 {
                break;
            }
            if !gone.contains(&alloc.id) && chosen.insert(alloc.id.clone()) {
                names.release(&alloc.name);
                excess -= 1;
            }
        }
        chosen
    }

    fn requires_canaries(
        &self,
        destructive: &[Arc<Allocation>],
        canaries: &[Arc<Allocation>],
    ) -> bool {
        let wanted = self.group.update.as_ref().map_or(0, |u| u.canary);
        let have = i64::try_from(canaries.len()).unwrap_or(i64::MAX);
        !destructive.is_empty() && have < wanted && !self.rollout.promoted
    }

    fn place_canaries(
        &mut self,
        destructive: &[Arc<Allocation>],
        canaries: &[Arc<Allocation>],
        names: &mut NameIndex<'_>,
    ) {
        let wanted = self.group.update.as_ref().map_or(0, |u| u.canary);
        self.rollout.desired_canaries = wanted;
        if self.paused || self.failed {
            return;
        }
        let missing = usize::try_from(wanted)
            .unwrap_or(0)
            .saturating_sub(canaries.len());
        let indices = |allocs: &[Arc<Allocation>]| -> BTreeSet<usize> {
            allocs
                .iter()
                .filter_map(|a| names::index_of(&a.name))
                .collect()
        };
        let given = names.next_canaries(missing, &indices(canaries), &indices(destructive));
        self.desired.canary = given.len();
        for name in given {
            let place = self.new_place(name, None);
            self.places.push(Place {
                canary: true,
                keep_version: false,
                ..place
            });
        }
    }

    fn new_place(&self, name: String, previous: Option<Arc<Allocation>>) -> Place {
        let canary = previous.as_ref().is_some_and(|a| is_canary(a));
        Place {
            name,
            group: self.group.name.clone(),
            previous,
            replaces: None,
            reschedule: false,
            canary,
            keep_version: self.is_canarying() && !canary,
        }
    }

    /// How many may be replaced in this pass.
    fn limit(
        &self,
        untainted: &[Arc<Allocation>],
        destructive: &[Arc<Allocation>],
        rollout: &Rollout,
    ) -> usize {
        let update = self.group.update.as_ref().filter(|u| u.max_parallel > 0);
        let update = update.filter(|_| !plant::is(Plant::MaxParallelIgnored));
        let Some(update) = update.filter(|_| !destructive.is_empty()) else {
            return self.count();
        };
        let most = usize::try_from(update.max_parallel).unwrap_or(usize::MAX);
        let Some(current) = rollout.current() else {
            return most;
        };
        if !self.is_ready() {
            return 0;
        }
        let mut left = most;
        for alloc in untainted.iter().filter(|a| a.deployment_id == current.id) {
            match health(alloc) {
                Some(true) => {}
                // An unhealthy one means that nothing else happens.
                Some(false) => return 0,
                None => left = left.saturating_sub(1),
            }
        }
        left
    }

    /// Replacements of failed and lost ones, then what is missing to the count.
    fn placements(&self, sorted: &Sorted, names: &mut NameIndex<'_>) -> Vec<Place> {
        let mut places = Vec::new();
        for alloc in &sorted.reschedule {
            let place = self.new_place(alloc.name.clone(), Some(Arc::clone(alloc)));
            places.push(Place {
                reschedule: true,
                ..place
            });
        }
        let mut existing = sorted.untainted.len() + sorted.migrate.len() + sorted.reschedule.len();
        let unseen = sorted.disconnecting.iter().map(|(alloc, _)| alloc);
        for alloc in sorted.lost.iter().chain(unseen) {
            if existing >= self.count() {
                break;
            }
            existing += 1;
            places.push(self.new_place(alloc.name.clone(), Some(Arc::clone(alloc))));
        }
        let missing = self.count().saturating_sub(existing);
        places.extend(
            names
                .next(missing)
                .into_iter()
                .map(|name| self.new_place(name, None)),
        );
        places
    }

    fn count_total(
        &mut self,
        places: &[Place],
        destructive: &[Arc<Allocation>],
        in_place: &[Arc<Allocation>],
    ) {
        if !self.existing {
            let total = places.len() + destructive.len() + in_place.len();
            self.rollout.desired_total += i64::try_from(total).unwrap_or(i64::MAX);
        }
    }

    /// Takes the placements that the deployment allows; returns what is left of the limit.
    fn place(
        &mut self,
        places: Vec<Place>,
        sorted: &Sorted,
        limit: usize,
        rollout: &Rollout,
    ) -> usize {
        let ready = self.is_ready();
        let unseen = sorted.disconnecting.iter().map(|(alloc, _)| alloc);
        let lost = sorted.lost.iter().chain(unseen);
        let lost: BTreeSet<&str> = lost.map(|a| a.id.as_str()).collect();
        let mut taken = 0;
        for place in places {
            let previous = place.previous.clone();
            // Lost and failed ones are replaced even while a deployment holds the rest back,
            // but for those that made it fail.
            let excused = previous.as_ref().is_some_and(|a| {
                lost.contains(a.id.as_str()) || place.reschedule && !rollout.failed_with(a)
            });
            if !ready && !excused {
                continue;
            }
            if place.reschedule {
                if let Some(previous) = &previous {
                    self.stop(previous, RESCHEDULED, false);
                    self.desired.stop += 1;
                }
            }
            taken += 1;
            self.desired.place += 1;
            self.places.push(place);
        }
        if ready {
            limit.saturating_sub(taken)
        } else {
            limit
        }
    }

    fn replace(&mut self, destructive: &[Arc<Allocation>], limit: usize, _rollout: &Rollout) {
        let now = if self.is_ready() {
            limit.min(destructive.len())
        } else {
            0
        };
        self.desired.destructive_update = now;
        self.desired.ignore += destructive.len() - now;
        for alloc in &destructive[..now] {
            let place = self.new_place(alloc.name.clone(), Some(Arc::clone(alloc)));
            self.places.push(Place {
                replaces: Some(Arc::clone(alloc)),
                canary: false,
                keep_version: false,
                ..place
            });
        }
    }

    fn migrate(&mut self, migrate: &[Arc<Allocation>]) {
        self.desired.migrate = migrate.len();
        for alloc in migrate {
            self.stop(alloc, MIGRATING, false);
            let place = self.new_place(alloc.name.clone(), Some(Arc::clone(alloc)));
            self.places.push(place);
        }
    }

    /// Opens a deployment, or adds the group to the one that this pass opened.
    fn join_deployment(&mut self, rollout: &mut Rollout, had_running: bool, updating: bool) {
        let strategy = self.group.update.as_ref().filter(|u| u.max_parallel > 0);
        let wanted = strategy.is_some()
            && self.job.job_type == JobType::Service
            && !self.existing
            && self.rollout.desired_total > 0
            && (!had_running || updating);
        if wanted {
            rollout.add_group(&self.group.name, self.rollout.clone());
        }
    }

    fn into(self, decisions: &mut Decisions) {
        decisions.stops.extend(self.stops);
        decisions.places.extend(self.places);
        decisions
            .desired
            .insert(self.group.name.clone(), self.desired);
    }
}

fn is_canary(alloc: &Allocation) -> bool {
    alloc.deployment_status.as_ref().is_some_and(|s| s.canary)
}

fn health(alloc: &Allocation) -> Option<bool> {
    alloc.deployment_status.as_ref()?.healthy
}
