//! Service and batch jobs: turns the reconciler's decisions into a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Outcome;
use super::diff;
use super::feasible;
use super::ids::Chance;
use super::outcome::{self, Findings};
use super::place::{Choice, Placer, size_of};
use super::reconcile::{Change, Decisions, LOST, Place, Stop, UPDATING, View};
use super::reschedule;
use super::rollout::Rollout;
use crate::state::{Plan, State};
use crate::types::{
    AllocClientStatus, AllocDeploymentStatus, AllocDesiredStatus, Allocation, EvalTrigger,
    Evaluation, Job, Nanos, Node, NodeStatus, TaskGroup,
};

/// Processes an evaluation of a service or batch job.
pub(super) fn process(state: &State, eval: &Evaluation, now: Nanos) -> Outcome {
    let mut chance = Chance::new(&eval.id, state.index, now);
    let job = state.job(&eval.namespace, &eval.job_id).cloned();
    let allocs: Vec<_> = state
        .allocs_of_job(&eval.namespace, &eval.job_id)
        .cloned()
        .collect();
    let mut rollout = Rollout::new(
        state,
        &eval.namespace,
        &eval.job_id,
        job.as_deref(),
        &mut chance,
    );
    let placer = Placer::new(state, chance);
    let decisions = {
        let change = |alloc: &Allocation, group: &TaskGroup| {
            let job = job.as_deref().expect("only asked for a job that exists");
            change_of(&placer, alloc, job, group)
        };
        let view = View {
            state,
            job: job.as_deref(),
            eval_id: &eval.id,
            now,
            change: &change,
        };
        view.decide(&allocs, &mut rollout)
    };
    let mut run = Run {
        state,
        eval,
        now,
        job,
        placer,
        rollout,
        plan: Plan {
            eval_id: eval.id.clone(),
            ..Plan::default()
        },
        findings: Findings::default(),
    };
    run.stop_stranded(&allocs);
    run.carry_out(decisions)
}

fn change_of(placer: &Placer, alloc: &Allocation, job: &Job, group: &TaskGroup) -> Change {
    let same_shape = alloc
        .job
        .as_ref()
        .is_some_and(|old| !diff::is_destructive(old, job, &group.name));
    if same_shape && placer.fits_in_place(alloc, job, group) {
        Change::InPlace
    } else {
        Change::Destructive
    }
}

struct Run<'a> {
    state: &'a State,
    eval: &'a Evaluation,
    now: Nanos,
    job: Option<Arc<Job>>,
    placer: Placer,
    rollout: Rollout,
    plan: Plan,
    findings: Findings,
}

/// Candidate nodes of one job version, and how many each datacenter has.
type Nodes = (Vec<Arc<Node>>, BTreeMap<String, i64>);

impl Run<'_> {
    /// Allocations that were to stop when their node went down will never report it.
    fn stop_stranded(&mut self, allocs: &[Arc<Allocation>]) {
        for alloc in allocs {
            let node = self.state.nodes.get(&alloc.node_id);
            let unseen = [NodeStatus::Down, NodeStatus::Disconnected];
            let gone = node.is_none_or(|node| unseen.contains(&node.status));
            let waits = alloc.desired_status != AllocDesiredStatus::Run
                && !alloc.client_status.is_terminal();
            if gone && waits {
                self.stop(&Stop {
                    alloc: Arc::clone(alloc),
                    description: LOST,
                    lost: true,
                });
            }
        }
    }

    fn carry_out(mut self, decisions: Decisions) -> Outcome {
        let mut desired = decisions.desired;
        for stop in &decisions.stops {
            self.stop(stop);
        }
        let follow_ups = outcome::follow_ups(
            self.eval,
            decisions.later,
            &mut self.placer.chance,
            self.now,
        );
        let mut extra = Vec::new();
        for (follow, allocs) in follow_ups {
            for alloc in allocs {
                let mut waiting = Allocation::clone(&alloc);
                waiting.followup_eval_id.clone_from(&follow.id);
                self.plan.stops.push(waiting);
            }
            extra.push(follow);
        }
        for alloc in &decisions.in_place {
            self.update_in_place(alloc);
        }
        extra.extend(self.lose_sight(decisions.unknown));
        for alloc in &decisions.reconnected {
            // One that is too many now ends all the same.
            if self.plan.stops.iter().any(|stop| stop.id == alloc.id) {
                continue;
            }
            let mut known = Allocation::clone(alloc);
            known.unknown_since = 0;
            known.followup_eval_id = String::new();
            self.plan.placements.push(known);
        }
        for group in self.job.iter().flat_map(|job| &job.task_groups) {
            self.findings.queued.insert(group.name.clone(), 0);
        }
        self.place_all(decisions.places);
        self.plan.deployment = decisions.deployment;
        self.plan.deployment_updates = decisions.deployment_updates;
        let deployment = self
            .rollout
            .active()
            .map(|d| d.id.clone())
            .unwrap_or_default();
        let evals = outcome::conclude(
            self.state,
            self.eval,
            self.findings,
            &deployment,
            &mut self.placer.chance,
            self.now,
        );
        desired.retain(|_, updates| *updates != super::DesiredUpdates::default());
        Outcome {
            plan: self.plan,
            evals: evals.into_iter().chain(extra).collect(),
            desired,
        }
    }

    fn stop(&mut self, stop: &Stop) {
        let mut alloc = Allocation::clone(&stop.alloc);
        alloc.desired_status = AllocDesiredStatus::Stop;
        stop.description.clone_into(&mut alloc.desired_description);
        if stop.lost {
            alloc.client_status = AllocClientStatus::Lost;
        }
        self.placer.usage.remove(&stop.alloc);
        self.plan.stops.push(alloc);
    }

    /// Marks allocations unknown; the evaluations that will find them lost.
    fn lose_sight(
        &mut self,
        unknown: Vec<(Arc<Allocation>, &'static str, Option<Nanos>)>,
    ) -> Vec<Evaluation> {
        let mut follow_ups: Vec<Evaluation> = Vec::new();
        for (alloc, description, until) in unknown {
            let mut unseen = Allocation::clone(&alloc);
            unseen.client_status = AllocClientStatus::Unknown;
            description.clone_into(&mut unseen.client_description);
            unseen.unknown_since = self.now;
            if let Some(until) = until {
                let existing = follow_ups.iter().position(|e| e.wait_until == until);
                let at = existing.unwrap_or_else(|| {
                    follow_ups.push(Evaluation {
                        triggered_by: EvalTrigger::MaxDisconnectTimeout,
                        status_description: "created for delayed disconnect timeout".to_owned(),
                        wait_until: until,
                        ..outcome::offspring(self.eval, &mut self.placer.chance, self.now)
                    });
                    follow_ups.len() - 1
                });
                unseen.followup_eval_id.clone_from(&follow_ups[at].id);
            }
            self.plan.stops.push(unseen);
        }
        follow_ups
    }

    fn update_in_place(&mut self, old: &Arc<Allocation>) {
        let Some(job) = self.job.clone() else { return };
        let mut alloc = Allocation::clone(old);
        let group = job.task_groups.iter().find(|g| g.name == alloc.task_group);
        if let Some(group) = group {
            (alloc.cpu, alloc.memory_mb) = size_of(group);
        }
        alloc.job = Some(Job::clone(&job));
        alloc.eval_id.clone_from(&self.eval.id);
        let deployment = self.rollout.id_for(&alloc.task_group);
        // In another deployment it must become healthy again.
        if alloc.deployment_id != deployment {
            alloc.deployment_id = deployment;
            alloc.deployment_status = None;
        }
        self.placer.usage.add(Arc::new(alloc.clone()));
        self.plan.placements.push(alloc);
    }

    fn place_all(&mut self, mut places: Vec<Place>) {
        // Replacements first: their places are known to be needed (Nomad's order).
        places.sort_by_key(|place| place.replaces.is_none());
        let mut nodes_of: BTreeMap<u64, Nodes> = BTreeMap::new();
        for place in places {
            let Some(job) = self.version_for(&place) else {
                continue;
            };
            let (nodes, available) = nodes_of
                .entry(job.version)
                .or_insert_with(|| feasible::ready_nodes(self.state, &job))
                .clone();
            self.place_one(&place, &job, &nodes, available);
        }
    }

    /// The job version that a placement runs.
    fn version_for(&self, place: &Place) -> Option<Arc<Job>> {
        let job = self.job.as_ref()?;
        if !place.keep_version {
            return Some(Arc::clone(job));
        }
        if let Some(previous) = place.previous.as_ref().and_then(|a| a.job.clone()) {
            return Some(Arc::new(previous));
        }
        // None to replace: the newest version that was deployed before.
        let versions = self.state.versions_of(&job.namespace, &job.id);
        let older = versions
            .iter()
            .find(|v| v.version < job.version && v.stable);
        let older = older.or_else(|| versions.iter().find(|v| v.version < job.version));
        Some(Arc::clone(older.unwrap_or(job)))
    }

    fn place_one(
        &mut self,
        place: &Place,
        job: &Arc<Job>,
        nodes: &[Arc<Node>],
        available: BTreeMap<String, i64>,
    ) {
        let Some(group) = job.task_groups.iter().find(|g| g.name == place.group) else {
            return;
        };
        if let Some(replaced) = &place.replaces {
            self.placer.usage.remove(replaced);
        }
        let penalised = penalised(self.state, place);
        match self.placer.select(job, group, nodes, &penalised) {
            Ok(mut choice) => {
                choice.metrics.nodes_available = available;
                if let Some(replaced) = &place.replaces {
                    self.stop(&Stop {
                        alloc: Arc::clone(replaced),
                        description: UPDATING,
                        lost: false,
                    });
                }
                let alloc = self.allocation(place, job, group, choice);
                self.placer.usage.add(Arc::new(alloc.clone()));
                self.plan.placements.push(alloc);
            }
            Err(mut metrics) => {
                // The old one runs on where its replacement has no place.
                if let Some(replaced) = &place.replaces {
                    self.placer.usage.add(Arc::clone(replaced));
                }
                metrics.nodes_available = available;
                self.findings.fail(&place.group, *metrics);
            }
        }
    }

    fn allocation(
        &mut self,
        place: &Place,
        job: &Job,
        group: &TaskGroup,
        choice: Choice,
    ) -> Allocation {
        let current = self.job.as_ref().is_some_and(|j| j.version == job.version);
        let deployment_id = if current {
            self.rollout.id_for(&group.name)
        } else {
            String::new()
        };
        let canary = place.canary && !deployment_id.is_empty();
        let (cpu, memory_mb) = size_of(group);
        let previous = place.previous.as_deref();
        let reschedules = match previous {
            Some(previous) if place.reschedule => reschedule::history(previous, self.now),
            Some(previous) => previous.reschedules.clone(),
            None => Vec::new(),
        };
        Allocation {
            id: self.placer.chance.uuid(),
            eval_id: self.eval.id.clone(),
            name: place.name.clone(),
            namespace: job.namespace.clone(),
            node_id: choice.node.id.clone(),
            node_name: choice.node.name.clone(),
            job_id: job.id.clone(),
            job: Some(job.clone()),
            task_group: group.name.clone(),
            ports: choice.ports,
            cpu,
            memory_mb,
            desired_status: AllocDesiredStatus::Run,
            client_status: AllocClientStatus::Pending,
            deployment_id,
            deployment_status: canary.then(|| AllocDeploymentStatus {
                canary: true,
                ..AllocDeploymentStatus::default()
            }),
            previous_allocation: previous.map(|p| p.id.clone()).unwrap_or_default(),
            reschedules,
            metrics: Some(choice.metrics),
            create_time: self.now,
            modify_time: self.now,
            ..Allocation::default()
        }
    }
}

/// Nodes where a failed allocation and those before it ran.
fn penalised(state: &State, place: &Place) -> BTreeSet<String> {
    let mut nodes = BTreeSet::new();
    let mut next = place.previous.clone().filter(|_| place.reschedule);
    while let Some(alloc) = next {
        nodes.insert(alloc.node_id.clone());
        // Nomad looks back five reschedules.
        if nodes.len() >= 5 {
            break;
        }
        next = state
            .allocs
            .get(&alloc.previous_allocation)
            .filter(|a| a.client_status == AllocClientStatus::Failed)
            .cloned();
    }
    nodes
}
