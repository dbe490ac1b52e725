//! The deployment that belongs to one run of the scheduler: the job's current one, or the one
//! that the run opens.

use std::collections::BTreeSet;

use super::ids::Chance;
use super::reconcile::Decisions;
use crate::state::State;
use crate::types::{Allocation, Deployment, DeploymentState, DeploymentStatus, Job, TaskGroup};

const RUNNING: &str = "Deployment is running";
const NEEDS_PROMOTION: &str = "Deployment is running but requires manual promotion";
const AUTO_PROMOTION: &str = "Deployment is running pending automatic promotion";
const SUCCESSFUL: &str = "Deployment completed successfully";
const NEWER_JOB: &str = "Cancelled due to newer version of job";
const STOPPED_JOB: &str = "Cancelled because job is stopped";

/// See the module.
pub(super) struct Rollout {
    /// The deployment of the current job version, unless it succeeded or was cancelled.
    current: Option<Deployment>,
    /// The newest one, where it is not the current one.
    older: Option<Deployment>,
    /// What this run opens.
    new: Option<Deployment>,
    /// What a new one is made of.
    template: Deployment,
    /// Deployments that end because of the job, found at the start.
    pub(super) ended: Vec<(String, DeploymentStatus, String)>,
}

impl Rollout {
    /// Finds the job's deployment and ends one that is no longer its own.
    pub(super) fn new(
        state: &State,
        namespace: &str,
        job_id: &str,
        job: Option<&Job>,
        chance: &mut Chance,
    ) -> Self {
        let newest = state
            .deployments_of_job(namespace, job_id)
            .into_iter()
            .next();
        let mut newest = newest.map(|d| Deployment::clone(&d));
        let mut ended = Vec::new();
        if let Some(found) = &mut newest {
            let reason = match job {
                Some(job) if !job.stop => (!belongs(found, job)).then_some(NEWER_JOB),
                _ => Some(STOPPED_JOB),
            };
            if let Some(reason) = reason.filter(|_| found.status.is_active()) {
                ended.push((
                    found.id.clone(),
                    DeploymentStatus::Cancelled,
                    reason.to_owned(),
                ));
                found.status = DeploymentStatus::Cancelled;
            }
        }
        let is_current = |d: &Deployment| {
            job.is_some_and(|job| !job.stop && belongs(d, job))
                && matches!(
                    d.status,
                    DeploymentStatus::Running | DeploymentStatus::Paused | DeploymentStatus::Failed
                )
        };
        let (current, older) = match newest {
            Some(d) if is_current(&d) => (Some(d), None),
            other => (None, other),
        };
        Self {
            current,
            older,
            new: None,
            template: template(namespace, job_id, job, chance),
            ended,
        }
    }

    /// The deployment of the current version: running, paused or failed.
    pub(super) fn current(&self) -> Option<&Deployment> {
        self.current.as_ref()
    }

    /// The deployment that allocations of the current version belong to.
    pub(super) fn active(&self) -> Option<&Deployment> {
        let current = self.current.as_ref().filter(|d| d.status.is_active());
        current.or(self.new.as_ref())
    }

    /// The ID of the deployment that a group's allocations belong to; empty where it has none.
    pub(super) fn id_for(&self, group: &str) -> String {
        // A group that this run adds is in `new` only.
        let new = self
            .new
            .as_ref()
            .filter(|d| d.task_groups.contains_key(group));
        let found = new.or_else(|| self.active().filter(|d| d.task_groups.contains_key(group)));
        found.map(|d| d.id.clone()).unwrap_or_default()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.current()
            .is_some_and(|d| d.status == DeploymentStatus::Paused)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.current()
            .is_some_and(|d| d.status == DeploymentStatus::Failed)
    }

    /// Whether the allocation was part of the failed current deployment.
    pub(super) fn failed_with(&self, alloc: &Allocation) -> bool {
        self.has_failed() && self.current().is_some_and(|d| d.id == alloc.deployment_id)
    }

    /// The group's part of the current deployment, or a fresh one; and whether it existed.
    pub(super) fn group_state(&self, group: &TaskGroup) -> (DeploymentState, bool) {
        let existing = self.current().and_then(|d| d.task_groups.get(&group.name));
        if let Some(found) = existing {
            return (found.clone(), true);
        }
        let mut fresh = DeploymentState::default();
        if let Some(update) = &group.update {
            fresh.auto_revert = update.auto_revert;
            fresh.auto_promote = update.auto_promote;
            fresh.progress_deadline = update.progress_deadline;
        }
        (fresh, false)
    }

    /// Canaries that the current deployment placed in a group.
    pub(super) fn current_canaries(&self, group: &str) -> BTreeSet<String> {
        canaries(self.current(), group)
    }

    /// Canaries that nobody waits for any more.
    pub(super) fn unneeded_canaries(&self, group: &str) -> BTreeSet<String> {
        let not_promoted = |d: &&Deployment| {
            let found = d.task_groups.get(group);
            found.is_some_and(|state| !state.promoted)
        };
        let mut unneeded = BTreeSet::new();
        if self.has_failed() {
            unneeded.extend(canaries(self.current().filter(not_promoted), group));
        }
        let over = self.older.as_ref().filter(|d| {
            matches!(
                d.status,
                DeploymentStatus::Failed | DeploymentStatus::Cancelled
            )
        });
        unneeded.extend(canaries(over.filter(not_promoted), group));
        unneeded
    }

    /// Adds a group to the deployment that this run opens.
    pub(super) fn add_group(&mut self, group: &str, state: DeploymentState) {
        let base = self.current.as_ref().filter(|d| d.status.is_active());
        let template = &self.template;
        let new = self
            .new
            .get_or_insert_with(|| base.unwrap_or(template).clone());
        new.task_groups.insert(group.to_owned(), state);
    }

    /// Whether everything of the group's rollout is healthy and promoted; true where it has
    /// none.
    pub(super) fn group_is_healthy(&self, group: &str) -> bool {
        let state = self.current().and_then(|d| d.task_groups.get(group));
        state.is_none_or(|state| {
            let wanted = state.desired_total.max(state.desired_canaries);
            state.healthy_allocs >= wanted && (state.desired_canaries == 0 || state.promoted)
        })
    }

    /// Writes what becomes of the deployment.
    pub(super) fn finish(&mut self, complete: bool, decisions: &mut Decisions) {
        if let Some(new) = &mut self.new {
            let waits = |s: &DeploymentState| s.desired_canaries > 0 && !s.promoted;
            let waiting: Vec<_> = new.task_groups.values().filter(|s| waits(s)).collect();
            let text = if waiting.is_empty() {
                RUNNING
            } else if waiting.iter().all(|s| s.auto_promote) {
                AUTO_PROMOTION
            } else {
                NEEDS_PROMOTION
            };
            text.clone_into(&mut new.status_description);
            decisions.deployment = Some(new.clone());
            return;
        }
        let running = self
            .current()
            .filter(|d| d.status == DeploymentStatus::Running);
        if let Some(current) = running.filter(|_| complete) {
            decisions.deployment_updates.push((
                current.id.clone(),
                DeploymentStatus::Successful,
                SUCCESSFUL.to_owned(),
            ));
        }
    }
}

fn belongs(deployment: &Deployment, job: &Job) -> bool {
    deployment.job_version == job.version && deployment.job_create_index == job.create_index
}

fn canaries(deployment: Option<&Deployment>, group: &str) -> BTreeSet<String> {
    deployment
        .and_then(|d| d.task_groups.get(group))
        .into_iter()
        .flat_map(|state| state.placed_canaries.iter().cloned())
        .collect()
}

fn template(namespace: &str, job_id: &str, job: Option<&Job>, chance: &mut Chance) -> Deployment {
    Deployment {
        id: chance.uuid(),
        namespace: namespace.to_owned(),
        job_id: job_id.to_owned(),
        job_version: job.map_or(0, |j| j.version),
        job_modify_index: job.map_or(0, |j| j.modify_index),
        job_spec_modify_index: job.map_or(0, |j| j.job_modify_index),
        job_create_index: job.map_or(0, |j| j.create_index),
        status: DeploymentStatus::Running,
        ..Deployment::default()
    }
}
