//! Placing and stopping allocations, and what clients report of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Refusal;
use crate::state::{Command, Plan, State, Table};
use crate::types::{AllocClientStatus, Allocation, DesiredTransition, Nanos, NodeStatus};

impl State {
    /// A plan was made from a snapshot that may be behind by now: placements on a node that
    /// went away meanwhile are dropped and refused, so that the evaluation is tried again.
    pub(super) fn apply_plan(
        &mut self,
        index: u64,
        plan: &Plan,
        now: Nanos,
    ) -> Result<(), Refusal> {
        if let Some(deployment) = &plan.deployment {
            self.upsert_deployment(index, deployment);
        }
        for (id, status, description) in &plan.deployment_updates {
            self.end_deployment(index, id, *status, description);
        }
        for stop in &plan.stops {
            self.stop_alloc(index, stop, now);
        }
        let mut lost = BTreeSet::new();
        for alloc in &plan.placements {
            let fits = self.allocs.contains_key(&alloc.id)
                || self
                    .nodes
                    .get(&alloc.node_id)
                    .is_some_and(|node| node.status == NodeStatus::Ready);
            if fits {
                self.place_alloc(index, alloc, now);
            } else {
                lost.insert(alloc.node_id.as_str());
            }
        }
        self.after_allocs(index, plan.stops.iter().chain(&plan.placements));
        if lost.is_empty() {
            return Ok(());
        }
        let lost: Vec<_> = lost.into_iter().collect();
        Err(format!(
            "plan for nodes that are not ready: {}",
            lost.join(", ")
        ))
    }

    pub(super) fn change_allocs(&mut self, index: u64, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::AllocClientUpdate { allocs, evals, now } => {
                for alloc in allocs {
                    self.report_alloc(index, alloc, *now);
                }
                self.after_allocs(index, allocs.iter());
                self.upsert_evals(index, evals);
            }
            Command::AllocTransition {
                ids,
                transition,
                evals,
                now,
            } => {
                self.alter_allocs(index, ids, *now, |alloc| merge(alloc, transition));
                self.upsert_evals(index, evals);
            }
            Command::AllocServerStatus {
                ids,
                status,
                description,
                now,
            } => self.alter_allocs(index, ids, *now, |alloc| {
                alloc.client_status = *status;
                alloc.client_description.clone_from(description);
            }),
            other => unreachable!("not about allocations: {other:?}"),
        }
        Ok(())
    }

    fn stop_alloc(&mut self, index: u64, stop: &Allocation, now: Nanos) {
        let Some(old) = self.allocs.get(&stop.id) else {
            return;
        };
        let mut alloc = Allocation::clone(old);
        alloc.desired_status = stop.desired_status;
        alloc
            .desired_description
            .clone_from(&stop.desired_description);
        if !stop.followup_eval_id.is_empty() {
            alloc.followup_eval_id.clone_from(&stop.followup_eval_id);
        }
        if matches!(
            stop.client_status,
            AllocClientStatus::Lost | AllocClientStatus::Unknown
        ) {
            alloc.client_status = stop.client_status;
            alloc
                .client_description
                .clone_from(&stop.client_description);
            alloc.unknown_since = stop.unknown_since;
        }
        alloc.alloc_modify_index = index;
        self.put_alloc(index, alloc, now);
    }

    /// A new allocation, or a new job version under an old one (in place): what the client
    /// said of that one stays.
    fn place_alloc(&mut self, index: u64, placed: &Allocation, now: Nanos) {
        let mut alloc = placed.clone();
        alloc.create_index = index;
        alloc.alloc_modify_index = index;
        alloc.create_time = now;
        let old = self.allocs.get(&alloc.id).cloned();
        if let Some(old) = &old {
            alloc.create_index = old.create_index;
            alloc.create_time = old.create_time;
            alloc.client_status = old.client_status;
            alloc.client_description.clone_from(&old.client_description);
            alloc.task_states.clone_from(&old.task_states);
            if alloc.deployment_id == old.deployment_id {
                alloc.deployment_status.clone_from(&old.deployment_status);
            }
        }
        if let Some(status) = &mut alloc.deployment_status {
            status.modify_index = index;
        }
        self.count_in_deployment(index, old.as_deref(), &mut alloc, now);
        self.link_from_previous(index, &alloc);
        self.put_alloc(index, alloc, now);
    }

    fn link_from_previous(&mut self, index: u64, alloc: &Allocation) {
        let Some(previous) = self.allocs.get(&alloc.previous_allocation) else {
            return;
        };
        if previous.next_allocation != alloc.id {
            let mut previous = Allocation::clone(previous);
            previous.next_allocation.clone_from(&alloc.id);
            previous.modify_index = index;
            self.allocs.insert(previous.id.clone(), Arc::new(previous));
        }
    }

    fn report_alloc(&mut self, index: u64, report: &Allocation, now: Nanos) {
        let Some(old) = self.allocs.get(&report.id).cloned() else {
            return;
        };
        let mut alloc = Allocation::clone(&old);
        alloc.client_status = report.client_status;
        alloc
            .client_description
            .clone_from(&report.client_description);
        alloc.task_states.clone_from(&report.task_states);
        if let Some(new) = &report.deployment_status {
            // Only health and its time are the client's to say.
            let mut status = old.deployment_status.clone().unwrap_or_default();
            if new.healthy.is_some() && new.healthy != status.healthy {
                status.healthy = new.healthy;
                status.timestamp.clone_from(&new.timestamp);
                status.modify_index = index;
            }
            alloc.deployment_status = Some(status);
        }
        self.count_in_deployment(index, Some(&old), &mut alloc, now);
        self.put_alloc(index, alloc, now);
    }

    fn alter_allocs(
        &mut self,
        index: u64,
        ids: &[String],
        now: Nanos,
        alter: impl Fn(&mut Allocation),
    ) {
        let mut altered = Vec::new();
        for id in ids {
            let Some(old) = self.allocs.get(id) else {
                continue;
            };
            let mut alloc = Allocation::clone(old);
            alter(&mut alloc);
            alloc.alloc_modify_index = index;
            altered.push(alloc.clone());
            self.put_alloc(index, alloc, now);
        }
        self.after_allocs(index, altered.iter());
    }

    pub(super) fn put_alloc(&mut self, index: u64, mut alloc: Allocation, now: Nanos) {
        alloc.modify_index = index;
        alloc.modify_time = now;
        self.allocs.insert(alloc.id.clone(), Arc::new(alloc));
        self.touch(Table::Allocs, index);
    }

    /// The status of the jobs whose allocations changed.
    fn after_allocs<'a>(&mut self, index: u64, changed: impl Iterator<Item = &'a Allocation>) {
        let mut jobs = BTreeSet::new();
        for alloc in changed {
            if let Some(stored) = self.allocs.get(&alloc.id) {
                jobs.insert((stored.namespace.clone(), stored.job_id.clone()));
            }
        }
        for (namespace, id) in jobs {
            self.derive_job_status(index, &namespace, &id);
        }
    }
}

fn merge(alloc: &mut Allocation, transition: &DesiredTransition) {
    let wanted = &mut alloc.desired_transition;
    wanted.migrate = transition.migrate.or(wanted.migrate);
    wanted.reschedule = transition.reschedule.or(wanted.reschedule);
    wanted.force_reschedule = transition.force_reschedule.or(wanted.force_reschedule);
}
