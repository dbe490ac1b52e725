//! Deployments: their status, and the counters that follow their allocations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Refusal;
use crate::clock;
use crate::state::{Command, State, Table, multierror};
use crate::types::{
    AllocDeploymentStatus, Allocation, Deployment, DeploymentState, DeploymentStatus, Job, Nanos,
};

/// Nomad's description of a deployment that waits for nothing but its allocations.
const RUNNING: &str = "Deployment is running";

impl State {
    pub(super) fn change_deployments(
        &mut self,
        index: u64,
        command: &Command,
    ) -> Result<(), Refusal> {
        match command {
            Command::DeploymentStatus {
                id,
                status,
                description,
                job,
                eval,
                now,
            } => {
                let active = self.active_deployment(id)?;
                drop(active);
                self.end_deployment(index, id, *status, description);
                if let Some(job) = job {
                    self.upsert_job(index, job, None, *now);
                }
                self.upsert_job_eval(index, eval.as_ref());
                Ok(())
            }
            Command::DeploymentPromote {
                id,
                groups,
                eval,
                now,
            } => {
                self.promote(index, id, groups.as_deref(), *now)?;
                self.upsert_job_eval(index, eval.as_ref());
                Ok(())
            }
            Command::DeploymentHealth {
                id,
                healthy,
                unhealthy,
                eval,
                now,
            } => {
                self.check_members(id, healthy.iter().chain(unhealthy))?;
                for (ids, health) in [(healthy, true), (unhealthy, false)] {
                    for alloc in ids {
                        self.set_health(index, alloc, health, *now);
                    }
                }
                self.upsert_job_eval(index, eval.as_ref());
                Ok(())
            }
            other => unreachable!("not about deployments: {other:?}"),
        }
    }

    /// Counters and deadlines are kept here and nowhere else: a plan creates a deployment with
    /// none, and a plan that replaces one does not set them back.
    pub(super) fn upsert_deployment(&mut self, index: u64, planned: &Deployment) {
        let mut deployment = planned.clone();
        let old = self.deployments.get(&deployment.id).cloned();
        deployment.create_index = old.as_ref().map_or(index, |old| old.create_index);
        for (group, state) in &mut deployment.task_groups {
            let old = old.as_ref().and_then(|old| old.task_groups.get(group));
            let kept = old.cloned().unwrap_or_default();
            state.placed_allocs = kept.placed_allocs;
            state.healthy_allocs = kept.healthy_allocs;
            state.unhealthy_allocs = kept.unhealthy_allocs;
            state.placed_canaries = kept.placed_canaries;
            state.require_progress_by = kept.require_progress_by;
            state.promoted |= kept.promoted;
        }
        self.put_deployment(index, deployment);
    }

    pub(super) fn end_deployment(
        &mut self,
        index: u64,
        id: &str,
        status: DeploymentStatus,
        description: &str,
    ) {
        if let Some(old) = self.deployments.get(id) {
            let mut deployment = Deployment::clone(old);
            deployment.status = status;
            description.clone_into(&mut deployment.status_description);
            self.put_deployment(index, deployment);
        }
    }

    /// Nomad's `updateDeploymentWithAlloc`: what the change from `old` to `alloc` means for
    /// the deployment of `alloc`.
    pub(super) fn count_in_deployment(
        &mut self,
        index: u64,
        old: Option<&Allocation>,
        alloc: &mut Allocation,
        now: Nanos,
    ) {
        let Some(deployment) = self.deployments.get(&alloc.deployment_id) else {
            return;
        };
        let change = Change::between(old, alloc);
        if change == Change::default() {
            return;
        }
        let mut deployment = Deployment::clone(deployment);
        let Some(group) = deployment.task_groups.get_mut(&alloc.task_group) else {
            return;
        };
        change.count(group, now);
        if let Some(status) = &mut alloc.deployment_status {
            status.modify_index = index;
            if status.canary && !group.placed_canaries.contains(&alloc.id) {
                group.placed_canaries.push(alloc.id.clone());
            }
        }
        self.put_deployment(index, deployment);
    }

    fn active_deployment(&self, id: &str) -> Result<Arc<Deployment>, Refusal> {
        let found = self.deployments.get(id).ok_or("deployment not found")?;
        if !found.status.is_active() {
            let status = serde_json::json!(found.status);
            return Err(format!("deployment {id:?} has terminal status {status}"));
        }
        Ok(Arc::clone(found))
    }

    /// Promotes the canaries of the groups (all where `None`), if enough of them are healthy.
    fn promote(
        &mut self,
        index: u64,
        id: &str,
        groups: Option<&[String]>,
        now: Nanos,
    ) -> Result<(), Refusal> {
        let mut deployment = Deployment::clone(&*self.active_deployment(id)?);
        let chosen = |group: &str| groups.is_none_or(|groups| groups.iter().any(|g| g == group));
        let promotable = self.healthy_canaries(&deployment, chosen);
        let mut have = BTreeMap::<&str, i64>::new();
        for alloc in &promotable {
            *have.entry(&alloc.task_group).or_default() += 1;
        }
        let mut lacking = Vec::new();
        for (name, group) in deployment.task_groups.iter().filter(|(n, _)| chosen(n)) {
            let (have, need) = (have.get(name.as_str()).copied(), group.desired_canaries);
            let have = have.unwrap_or(0);
            if have < need {
                let text = format!("Task group {name:?} has {have}/{need} healthy allocations");
                lacking.push(text);
            }
        }
        if !lacking.is_empty() {
            return Err(multierror(&lacking));
        }
        for (name, group) in &mut deployment.task_groups {
            if chosen(name) {
                if group.progress_deadline > 0 && group.require_progress_by != 0 {
                    group.require_progress_by = later(now, group.progress_deadline);
                }
                group.promoted = true;
            }
        }
        let waits = |group: &DeploymentState| group.desired_canaries > 0 && !group.promoted;
        let waiting = deployment.task_groups.values().any(waits);
        if !waiting && deployment.status == DeploymentStatus::Running {
            RUNNING.clone_into(&mut deployment.status_description);
        }
        self.put_deployment(index, deployment);
        for alloc in promotable {
            let mut alloc = Allocation::clone(&alloc);
            if let Some(status) = &mut alloc.deployment_status {
                status.canary = false;
                status.modify_index = index;
            }
            alloc.alloc_modify_index = index;
            let modified = alloc.modify_time;
            self.put_alloc(index, alloc, modified);
        }
        Ok(())
    }

    fn healthy_canaries(
        &self,
        deployment: &Deployment,
        chosen: impl Fn(&str) -> bool,
    ) -> Vec<Arc<Allocation>> {
        let canaries: BTreeSet<_> = deployment
            .task_groups
            .iter()
            .filter(|(name, _)| chosen(name))
            .flat_map(|(_, group)| &group.placed_canaries)
            .collect();
        let found = canaries.into_iter().filter_map(|id| self.allocs.get(id));
        found
            .filter(|alloc| !alloc.is_terminal() && health(alloc) == Some(true))
            .cloned()
            .collect()
    }

    fn check_members<'a>(
        &self,
        id: &str,
        mut allocs: impl Iterator<Item = &'a String>,
    ) -> Result<(), Refusal> {
        let active = self.active_deployment(id)?;
        let foreign = allocs.find(|alloc| {
            let found = self.allocs.get(*alloc);
            found.is_none_or(|found| found.deployment_id != active.id)
        });
        foreign.map_or(Ok(()), |alloc| {
            Err(format!("alloc {alloc:?} is not part of deployment {id:?}"))
        })
    }

    fn set_health(&mut self, index: u64, id: &str, healthy: bool, now: Nanos) {
        let Some(old) = self.allocs.get(id).cloned() else {
            return;
        };
        let mut alloc = Allocation::clone(&old);
        let status = alloc
            .deployment_status
            .get_or_insert_with(AllocDeploymentStatus::default);
        status.healthy = Some(healthy);
        status.timestamp = clock::rfc3339(now);
        status.modify_index = index;
        alloc.alloc_modify_index = index;
        self.count_in_deployment(index, Some(&old), &mut alloc, now);
        self.put_alloc(index, alloc, now);
    }

    fn put_deployment(&mut self, index: u64, mut deployment: Deployment) {
        deployment.modify_index = index;
        let deployment = Arc::new(deployment);
        let key = deployment.id.clone();
        let before = self.deployments.insert(key, Arc::clone(&deployment));
        self.touch(Table::Deployments, index);
        let succeeded = |of: &Deployment| of.status == DeploymentStatus::Successful;
        if succeeded(&deployment) && !before.is_some_and(|before| succeeded(&before)) {
            self.mark_deployed(index, &deployment);
        }
    }

    /// A job's version is one to go back to from the moment that its deployment succeeded, also
    /// where a newer one is registered right after.
    fn mark_deployed(&mut self, index: u64, deployment: &Deployment) {
        let versions = self.versions_of(&deployment.namespace, &deployment.job_id);
        let deployed = |job: &&Arc<Job>| {
            job.version == deployment.job_version && job.create_index == deployment.job_create_index
        };
        let Some(job) = versions.iter().find(deployed).map(|job| Job::clone(job)) else {
            return;
        };
        self.replace_job(
            index,
            Job {
                stable: true,
                ..job
            },
        );
    }
}

/// What happened to an allocation, as its deployment counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Change {
    placed: i64,
    healthy: i64,
    unhealthy: i64,
}

impl Change {
    fn between(old: Option<&Allocation>, new: &Allocation) -> Self {
        let mut change = Self::default();
        let Some(old) = old.filter(|old| old.deployment_id == new.deployment_id) else {
            change.placed = 1;
            return change;
        };
        match (health(old), health(new)) {
            (None, Some(true)) => change.healthy = 1,
            (None, Some(false)) => change.unhealthy = 1,
            (Some(true), Some(false)) => {
                change.healthy = -1;
                change.unhealthy = 1;
            }
            _ => {}
        }
        change
    }

    /// The first placement starts the progress deadline, each newly healthy one pushes it on.
    fn count(self, group: &mut DeploymentState, now: Nanos) {
        group.placed_allocs += self.placed;
        group.healthy_allocs += self.healthy;
        group.unhealthy_allocs += self.unhealthy;
        if group.progress_deadline == 0 {
            return;
        }
        let starts = self.placed > 0 && group.require_progress_by == 0;
        if starts || self.healthy > 0 {
            let by = later(now, group.progress_deadline);
            group.require_progress_by = group.require_progress_by.max(by);
        }
    }
}

fn health(alloc: &Allocation) -> Option<bool> {
    alloc.deployment_status.as_ref()?.healthy
}

/// `deadline` is one of the job's own timers, so it is scaled.
fn later(now: Nanos, deadline: Nanos) -> Nanos {
    let deadline = clock::scaled_nanos(deadline).as_nanos();
    now.saturating_add(Nanos::try_from(deadline).unwrap_or(Nanos::MAX))
}
