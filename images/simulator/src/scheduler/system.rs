//! System and sysbatch jobs: one allocation on every node that may run them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::diff;
use super::feasible;
use super::ids::Chance;
use super::names;
use super::outcome::{self, Findings};
use super::place::{Placer, size_of};
use super::reconcile::{LOST, NOT_NEEDED, TAINTED, UPDATING, is_version};
use super::{DesiredUpdates, Outcome};
use crate::state::{Plan, State};
use crate::types::{
    AllocClientStatus, AllocDesiredStatus, Allocation, EvalTrigger, Evaluation, Job, JobType,
    Nanos, Node, NodeStatus, TaskGroup,
};

/// Processes an evaluation of a system or sysbatch job.
pub(super) fn process(state: &State, eval: &Evaluation, now: Nanos) -> Outcome {
    let job = state.job(&eval.namespace, &eval.job_id).cloned();
    let mut run = Run {
        state,
        eval,
        now,
        placer: Placer::new(state, Chance::new(&eval.id, state.index, now)),
        plan: Plan {
            eval_id: eval.id.clone(),
            ..Plan::default()
        },
        findings: Findings::default(),
        desired: BTreeMap::new(),
        replaced_later: false,
    };
    let allocs: Vec<_> = state
        .allocs_of_job(&eval.namespace, &eval.job_id)
        .cloned()
        .collect();
    match job.filter(|job| !job.stop) {
        None => run.stop_all(&allocs),
        Some(job) => run.reconcile(&job, &allocs),
    }
    run.conclude()
}

struct Run<'a> {
    state: &'a State,
    eval: &'a Evaluation,
    now: Nanos,
    placer: Placer,
    plan: Plan,
    findings: Findings,
    desired: BTreeMap<String, DesiredUpdates>,
    /// `update.max_parallel` held some replacements back.
    replaced_later: bool,
}

impl Run<'_> {
    fn stop(&mut self, alloc: &Arc<Allocation>, description: &str, lost: bool) {
        let mut stopped = Allocation::clone(alloc);
        stopped.desired_status = AllocDesiredStatus::Stop;
        description.clone_into(&mut stopped.desired_description);
        if lost {
            stopped.client_status = AllocClientStatus::Lost;
        }
        self.placer.usage.remove(alloc);
        self.plan.stops.push(stopped);
    }

    fn is_gone(&self, alloc: &Allocation) -> bool {
        let node = self.state.nodes.get(&alloc.node_id);
        node.is_none_or(|node| matches!(node.status, NodeStatus::Down | NodeStatus::Disconnected))
    }

    fn stop_all(&mut self, allocs: &[Arc<Allocation>]) {
        for alloc in allocs {
            if alloc.client_status.is_terminal() {
                continue;
            }
            let updates = self.desired.entry(alloc.task_group.clone()).or_default();
            updates.stop += 1;
            if self.is_gone(alloc) {
                self.stop(alloc, LOST, true);
            } else if alloc.desired_status == AllocDesiredStatus::Run {
                self.stop(alloc, NOT_NEEDED, false);
            }
        }
    }

    fn reconcile(&mut self, job: &Arc<Job>, allocs: &[Arc<Allocation>]) {
        for group in &job.task_groups {
            self.findings.queued.insert(group.name.clone(), 0);
            self.desired.entry(group.name.clone()).or_default();
        }
        let (nodes, available) = feasible::ready_nodes(self.state, job);
        let mut limit = self.limit(job);
        for alloc in allocs {
            self.existing(job, alloc, &nodes, &mut limit);
        }
        for node in &nodes {
            for group in &job.task_groups {
                // Count 0 switches a system group off.
                if group.count == 0 || self.is_present(job, group, node, allocs) {
                    continue;
                }
                let before = allocs.iter().filter(|a| {
                    a.node_id == node.id
                        && a.task_group == group.name
                        && a.client_status.is_terminal()
                });
                let previous = before.max_by_key(|a| a.create_index).map(|a| a.id.clone());
                self.place(job, group, node, &available, previous.unwrap_or_default());
            }
        }
    }

    /// How many replacements one pass may make: `update.max_parallel`, paced by `stagger`.
    fn limit(&self, job: &Job) -> usize {
        let update = job
            .update
            .as_ref()
            .filter(|u| u.stagger > 0 && u.max_parallel > 0);
        update.map_or(usize::MAX, |u| {
            usize::try_from(u.max_parallel).unwrap_or(usize::MAX)
        })
    }

    /// Whether the group needs nothing more on a node.
    fn is_present(
        &self,
        job: &Job,
        group: &TaskGroup,
        node: &Node,
        allocs: &[Arc<Allocation>],
    ) -> bool {
        let planned = self.plan.placements.iter();
        let stopped = |id: &str| self.plan.stops.iter().any(|s| s.id == id);
        planned
            .clone()
            .any(|a| a.node_id == node.id && a.task_group == group.name)
            || allocs.iter().any(|a| {
                let here = a.node_id == node.id && a.task_group == group.name && !stopped(&a.id);
                let done = job.job_type == JobType::Sysbatch
                    && matches!(
                        a.client_status,
                        AllocClientStatus::Complete | AllocClientStatus::Failed
                    )
                    && is_version(a, job);
                here && (done || !a.is_terminal())
            })
    }

    fn existing(
        &mut self,
        job: &Arc<Job>,
        alloc: &Arc<Allocation>,
        nodes: &[Arc<Node>],
        limit: &mut usize,
    ) {
        if alloc.client_status.is_terminal() {
            return;
        }
        let group = job
            .task_groups
            .iter()
            .find(|g| g.name == alloc.task_group && g.count > 0);
        let node = nodes.iter().find(|n| n.id == alloc.node_id);
        let gone = self.is_gone(alloc);
        let updates = self.desired.entry(alloc.task_group.clone()).or_default();
        if gone {
            updates.stop += 1;
            self.stop(alloc, LOST, true);
            return;
        }
        if alloc.desired_status != AllocDesiredStatus::Run {
            return;
        }
        let Some(group) = group else {
            updates.stop += 1;
            self.stop(alloc, NOT_NEEDED, false);
            return;
        };
        if alloc.desired_transition.migrate == Some(true) {
            updates.migrate += 1;
            self.stop(alloc, TAINTED, false);
            return;
        }
        if is_version(alloc, job) {
            updates.ignore += 1;
            return;
        }
        let same = alloc
            .job
            .as_ref()
            .is_some_and(|old| !diff::is_destructive(old, job, &group.name));
        if same && self.placer.fits_in_place(alloc, job, group) {
            updates.in_place_update += 1;
            self.update_in_place(alloc, job, group);
            return;
        }
        // On a node that takes no work (any more) the old version stays.
        let Some(node) = node else {
            updates.ignore += 1;
            return;
        };
        if *limit == 0 {
            updates.ignore += 1;
            self.replaced_later = true;
            return;
        }
        *limit -= 1;
        updates.destructive_update += 1;
        self.stop(alloc, UPDATING, false);
        let (_, available) = feasible::ready_nodes(self.state, job);
        let node = Arc::clone(node);
        self.place(job, group, &node, &available, alloc.id.clone());
    }

    fn update_in_place(&mut self, old: &Arc<Allocation>, job: &Job, group: &TaskGroup) {
        let mut alloc = Allocation::clone(old);
        alloc.job = Some(job.clone());
        alloc.eval_id.clone_from(&self.eval.id);
        (alloc.cpu, alloc.memory_mb) = size_of(group);
        self.placer.usage.add(Arc::new(alloc.clone()));
        self.plan.placements.push(alloc);
    }

    fn place(
        &mut self,
        job: &Job,
        group: &TaskGroup,
        node: &Arc<Node>,
        available: &BTreeMap<String, i64>,
        previous: String,
    ) {
        match self.placer.on_node(job, group, node) {
            Ok(mut choice) => {
                choice.metrics.nodes_available.clone_from(available);
                let (cpu, memory_mb) = size_of(group);
                let alloc = Allocation {
                    id: self.placer.chance.uuid(),
                    eval_id: self.eval.id.clone(),
                    name: names::name(&job.id, &group.name, 0),
                    namespace: job.namespace.clone(),
                    node_id: choice.node.id.clone(),
                    node_name: choice.node.name.clone(),
                    job_id: job.id.clone(),
                    job: Some(job.clone()),
                    task_group: group.name.clone(),
                    ports: choice.ports,
                    cpu,
                    memory_mb,
                    previous_allocation: previous,
                    metrics: Some(choice.metrics),
                    create_time: self.now,
                    modify_time: self.now,
                    ..Allocation::default()
                };
                self.placer.usage.add(Arc::new(alloc.clone()));
                self.plan.placements.push(alloc);
                self.desired.entry(group.name.clone()).or_default().place += 1;
            }
            // A node that the constraints exclude is not meant to run it: no failure.
            Err((true, _)) => {}
            Err((false, mut metrics)) => {
                metrics.nodes_available.clone_from(available);
                self.findings.fail(&group.name, *metrics);
            }
        }
    }

    fn conclude(mut self) -> Outcome {
        let mut evals = outcome::conclude(
            self.state,
            self.eval,
            self.findings,
            "",
            &mut self.placer.chance,
            self.now,
        );
        if self.replaced_later {
            let job = self.state.job(&self.eval.namespace, &self.eval.job_id);
            let stagger = job.and_then(|j| j.update.as_ref()).map_or(0, |u| u.stagger);
            let wait = crate::clock::scaled_nanos(stagger).as_nanos();
            let next = Evaluation {
                triggered_by: EvalTrigger::RollingUpdate,
                wait_until: self.now + Nanos::try_from(wait).unwrap_or(0),
                ..outcome::offspring(self.eval, &mut self.placer.chance, self.now)
            };
            evals[0].next_eval.clone_from(&next.id);
            evals.push(next);
        }
        self.desired
            .retain(|_, updates| *updates != DesiredUpdates::default());
        Outcome {
            plan: self.plan,
            evals,
            desired: self.desired,
        }
    }
}
