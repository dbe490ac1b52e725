//! Fills what the submitter left out, with Nomad's defaults for the job's type.

use super::policies;
use crate::types::{Job, JobType, Resources, SECOND, Service, Task, TaskGroup, UpdateStrategy};

/// Fills what the submitter left out with Nomad's defaults. Doing it twice changes nothing.
pub fn canonicalize(job: &mut Job) {
    fill(&mut job.name, &job.id);
    fill(&mut job.namespace, "default");
    fill(&mut job.region, "global");
    fill(&mut job.node_pool, "default");
    if job.priority == 0 {
        job.priority = 50;
    }
    if job.datacenters.as_ref().is_none_or(Vec::is_empty) {
        job.datacenters = Some(vec!["*".to_owned()]);
    }
    if let Some(periodic) = &mut job.periodic {
        fill(&mut periodic.spec_type, "cron");
        fill(&mut periodic.time_zone, "UTC");
    }
    if let Some(parameterized) = &mut job.parameterized_job {
        fill(&mut parameterized.payload, "optional");
    }
    if job.job_type == JobType::Service {
        job.update.get_or_insert_with(UpdateStrategy::default);
    }
    let update = job.update.clone();
    for group in &mut job.task_groups {
        canonicalize_group(group, job.job_type, update.as_ref());
    }
}

fn fill(field: &mut String, default: &str) {
    if field.is_empty() {
        default.clone_into(field);
    }
}

fn canonicalize_group(group: &mut TaskGroup, kind: JobType, update: Option<&UpdateStrategy>) {
    if let Some(disconnect) = &mut group.disconnect {
        disconnect.replace.get_or_insert(true);
        fill(&mut disconnect.reconcile, "best_score");
    }
    if let Some(scaling) = &mut group.scaling {
        fill(&mut scaling.scaling_type, "horizontal");
        scaling.enabled.get_or_insert(true);
        scaling.min.get_or_insert(group.count);
    }
    if group.update.is_none() && matches!(kind, JobType::Service | JobType::System) {
        group.update = update.cloned();
    }
    if kind == JobType::Service {
        group.migrate.get_or_insert_with(policies::default_migrate);
    }
    if group.reschedule_policy.is_none() {
        group.reschedule_policy = policies::default_reschedule(kind);
    }
    let restart = group
        .restart_policy
        .get_or_insert_with(|| policies::default_restart(kind))
        .clone();
    for network in group.networks.iter_mut().flatten() {
        fill(&mut network.mode, "host");
        let ports = network
            .reserved_ports
            .iter_mut()
            .chain(&mut network.dynamic_ports);
        for port in ports.flatten() {
            fill(&mut port.host_network, "default");
        }
    }
    let name = group.name.clone();
    for service in group.services.iter_mut().flatten() {
        canonicalize_service(service, &name, "");
    }
    for task in &mut group.tasks {
        canonicalize_task(task, &restart);
    }
}

fn canonicalize_task(task: &mut Task, restart: &crate::types::RestartPolicy) {
    task.resources.get_or_insert_with(Resources::default);
    task.restart_policy.get_or_insert_with(|| restart.clone());
    task.log_config.get_or_insert_with(policies::default_logs);
    // Nomad's default; clients cap it at `max_kill_timeout` (30 s).
    task.kill_timeout.get_or_insert(5 * SECOND);
    for template in task.templates.iter_mut().flatten() {
        if template.change_mode == "signal" {
            fill(&mut template.change_signal, "SIGHUP");
        }
    }
    let name = task.name.clone();
    for service in task.services.iter_mut().flatten() {
        canonicalize_service(service, &name, &name);
    }
}

/// `owner` is the group or task that it belongs to, `task` empty for a group's.
fn canonicalize_service(service: &mut Service, owner: &str, task: &str) {
    fill(&mut service.provider, "consul");
    fill(&mut service.name, &format!("{owner}-service"));
    fill(&mut service.on_update, "require_healthy");
    fill(&mut service.task_name, task);
    for check in service.checks.iter_mut().flatten() {
        fill(
            &mut check.name,
            &format!("service: {:?} check", service.name),
        );
        fill(&mut check.on_update, &service.on_update);
        fill(&mut check.task_name, &service.task_name);
    }
}
