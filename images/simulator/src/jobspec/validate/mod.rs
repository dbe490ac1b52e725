//! What Nomad's servers refuse in a job, with their texts.
//!
//! Errors nest as Nomad's do (`2 errors occurred: ...` within a line), so that what a scenario
//! matches here matches there. What only a client finds (a driver's `config`) is not here.

mod conditions;
mod policies;
mod services;

use std::collections::BTreeSet;

use crate::state::multierror;
use crate::types::{Job, JobType, LogConfig, Resources, Scaling, Task, TaskGroup, Template};

/// Collects errors that hold.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn check(&mut self, wrong: bool, text: impl Into<String>) {
        if wrong {
            self.0.push(text.into());
        }
    }

    /// The errors of a part, as one.
    fn part(&mut self, errors: Vec<String>) {
        if !errors.is_empty() {
            self.0.push(multierror(&errors));
        }
    }

    /// The errors of a part, as one with a title.
    fn titled(&mut self, title: &str, errors: Vec<String>) {
        if !errors.is_empty() {
            self.0.push(format!("{title}: {}", multierror(&errors)));
        }
    }
}

/// Something that is refused, and the part of the job that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Number of the task group, from 0; none where it is about the job.
    pub group: Option<usize>,
    /// Number of the task in it, from 0; none where it is about the group, or the job.
    pub task: Option<usize>,
    /// Nomad's words for it.
    pub message: String,
}

/// Returns what Nomad's servers would refuse, an error each; some have several lines.
#[must_use]
pub fn validate(job: &Job) -> Vec<String> {
    let mut found = Findings(job_errors(job));
    found
        .0
        .extend(groups_in_job(job).into_iter().map(|(_, text)| text));
    for group in &job.task_groups {
        let title = format!("Task group {} validation failed", group.name);
        found.titled(&title, group_errors(group, job.job_type));
    }
    found.0
}

/// The same by parts, without the titles that tell the part: for whoever knows its place.
#[must_use]
pub fn refusals(job: &Job) -> Vec<Refusal> {
    let refused = |group, task, errors: Vec<String>| {
        errors.into_iter().map(move |message| Refusal {
            group,
            task,
            message,
        })
    };
    let mut found: Vec<Refusal> = refused(None, None, job_errors(job)).collect();
    for (group, message) in groups_in_job(job) {
        found.extend(refused(Some(group), None, vec![message]));
    }
    for (at, group) in job.task_groups.iter().enumerate() {
        found.extend(refused(Some(at), None, own_errors(group, job.job_type)));
        for (number, message) in tasks_in_group(group) {
            found.extend(refused(Some(at), number, vec![message]));
        }
        for (number, task) in group.tasks.iter().enumerate() {
            found.extend(refused(Some(at), Some(number), task_errors(task)));
        }
    }
    found
}

/// What is wrong with the job but for its groups.
fn job_errors(job: &Job) -> Vec<String> {
    let mut found = Findings::default();
    found.check(job.region.is_empty(), "Missing job region");
    found.check(job.id.is_empty(), "Missing job ID");
    found.check(job.id.contains(' '), "Job ID contains a space");
    found.check(job.id.contains('\0'), "Job ID contains a null character");
    found.check(job.name.is_empty(), "Missing job name");
    found.check(
        job.name.contains('\0'),
        "Job Name contains a null character",
    );
    found.check(job.namespace.is_empty(), "Job must be in a namespace");
    found.check(
        !(1..=100).contains(&job.priority),
        "Job priority must be between [1, 100]",
    );
    let datacenters = job.datacenters.as_deref().unwrap_or_default();
    found.check(datacenters.is_empty(), "Missing job datacenters");
    found.check(
        datacenters.iter().any(String::is_empty),
        "Job datacenter must be non-empty string",
    );
    found.check(job.task_groups.is_empty(), "Missing job task groups");
    conditions::constraints(job.constraints.as_deref(), &mut found);
    if job.job_type == JobType::System {
        found.check(
            job.affinities.is_some(),
            "System jobs may not have an affinity block",
        );
        found.check(
            job.spreads.is_some(),
            "System jobs may not have a spread block",
        );
    } else {
        conditions::affinities(job.affinities.as_deref(), &mut found);
        conditions::spreads(job.spreads.as_deref(), &mut found);
    }
    launches(job, &mut found);
    found.0
}

/// `periodic` and `parameterized`.
fn launches(job: &Job, found: &mut Findings) {
    let runs_out = matches!(job.job_type, JobType::Batch | JobType::Sysbatch);
    if let Some(periodic) = &job.periodic {
        found.check(
            !runs_out,
            "Periodic can only be used with \"batch\" or \"sysbatch\" scheduler",
        );
        found.part(crate::periodic::problems(periodic));
    }
    let Some(parameterized) = &job.parameterized_job else {
        return;
    };
    found.check(
        !runs_out,
        "Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler",
    );
    let mut own = Findings::default();
    let payload = parameterized.payload.as_str();
    own.check(
        !matches!(payload, "optional" | "required" | "forbidden"),
        format!("Unknown payload requirement: {payload:?}"),
    );
    let optional: Vec<_> = parameterized.meta_optional.iter().flatten().collect();
    let required = parameterized.meta_required.iter().flatten();
    let both: Vec<_> = required
        .filter(|key| optional.contains(key))
        .cloned()
        .collect();
    own.check(
        !both.is_empty(),
        format!(
            "Required and optional meta keys should be disjoint. Following keys exist in both: [{}]",
            both.join(" ")
        ),
    );
    found.part(own.0);
}

/// What is wrong with groups among the others, by their numbers.
fn groups_in_job(job: &Job) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (i, group) in job.task_groups.iter().enumerate() {
        if group.name.is_empty() {
            found.push((i, format!("Job task group {} missing name", i + 1)));
        } else if let Some(first) = seen.iter().position(|name| *name == group.name) {
            let text = format!(
                "Job task group {} redefines '{}' from group {}",
                i + 1,
                group.name,
                first + 1
            );
            found.push((i, text));
        }
        seen.push(&group.name);
        let wrong = match group.stop_after_client_disconnect {
            Some(after) if after < 0 => {
                Some("stop_after_client_disconnect must be a positive value")
            }
            Some(after)
                if after > 0 && !matches!(job.job_type, JobType::Service | JobType::Batch) =>
            {
                Some("stop_after_client_disconnect can only be set in batch and service jobs")
            }
            _ => None,
        };
        found.extend(wrong.map(|text| (i, text.to_owned())));
        if job.job_type == JobType::System && group.count > 1 {
            let text = format!(
                "Job task group {} has count {}. Count cannot exceed 1 with system scheduler",
                group.name, group.count
            );
            found.push((i, text));
        }
    }
    found
}

fn group_errors(group: &TaskGroup, kind: JobType) -> Vec<String> {
    let mut found = Findings(own_errors(group, kind));
    found
        .0
        .extend(tasks_in_group(group).into_iter().map(|(_, text)| text));
    for task in &group.tasks {
        let title = format!("Task {} validation failed", task.name);
        found.titled(&title, task_errors(task));
    }
    found.0
}

/// What is wrong with a group but for its tasks.
fn own_errors(group: &TaskGroup, kind: JobType) -> Vec<String> {
    let mut found = Findings::default();
    found.check(group.name.is_empty(), "Missing task group name");
    found.check(group.count < 0, "Task group count can't be negative");
    found.check(group.tasks.is_empty(), "Missing tasks for task group");
    found.part(policies::disconnect(group, kind));
    if let Some(scaling) = &group.scaling {
        found.part(scaling_errors(scaling, group.count));
    }
    conditions::constraints(group.constraints.as_deref(), &mut found);
    if kind != JobType::System {
        conditions::affinities(group.affinities.as_deref(), &mut found);
        conditions::spreads(group.spreads.as_deref(), &mut found);
    }
    match &group.restart_policy {
        Some(policy) => found.part(policies::restart(policy)),
        None => found.0.push(format!(
            "Task Group {} should have a restart policy",
            group.name
        )),
    }
    match (kind, &group.reschedule_policy) {
        (JobType::System, Some(_)) => found
            .0
            .push("System jobs should not have a reschedule policy".to_owned()),
        (JobType::Service | JobType::Batch, Some(policy)) => {
            found.part(policies::reschedule(policy));
        }
        _ => {}
    }
    let word = serde_json::json!(kind);
    if let Some(update) = &group.update {
        match kind {
            JobType::Service | JobType::System => found.part(policies::update(update)),
            JobType::Batch | JobType::Sysbatch => found
                .0
                .push(format!("Job type {word} does not allow update block")),
        }
    }
    if let Some(migrate) = &group.migrate {
        match kind {
            JobType::Service => found.part(policies::migrate(migrate)),
            _ => found
                .0
                .push(format!("Job type {word} does not allow migrate block")),
        }
    }
    found.titled("Task group network validation failed", port_errors(group));
    found.titled(
        "Task group service validation failed",
        services::of_group(group),
    );
    service_ports(group, &mut found);
    found.0
}

fn scaling_errors(scaling: &Scaling, count: i64) -> Vec<String> {
    let mut found = Findings::default();
    let (min, max) = (scaling.min.unwrap_or(count), scaling.max);
    found.check(max.is_none(), "maximum count must be specified");
    if let Some(max) = max {
        found.check(max < 0, "maximum count must be specified and non-negative");
        found.check(
            max < min,
            "maximum count must not be less than minimum count",
        );
        found.check(
            max < count,
            format!("task group count must not be greater than maximum count in scaling policy ({count} > {max})"),
        );
    }
    found.check(min < 0, "minimum count must be non-negative");
    found.check(
        count < min,
        format!("task group count must not be less than minimum count in scaling policy ({count} < {min})"),
    );
    found.0
}

/// What is wrong with tasks among the others, by their numbers; none where it is no single one.
fn tasks_in_group(group: &TaskGroup) -> Vec<(Option<usize>, String)> {
    let mut found = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (i, task) in group.tasks.iter().enumerate() {
        if task.name.is_empty() {
            found.push((Some(i), format!("Task {} missing name", i + 1)));
        } else if let Some(first) = seen.iter().position(|name| *name == task.name) {
            let text = format!(
                "Task {} redefines '{}' from task {}",
                i + 1,
                task.name,
                first + 1
            );
            found.push((Some(i), text));
        }
        seen.push(&task.name);
    }
    if group.tasks.iter().filter(|t| t.leader).count() > 1 {
        let text = "Only one task may be marked as leader".to_owned();
        found.push((None, text));
    }
    found
}

fn task_errors(task: &Task) -> Vec<String> {
    let mut found = Findings::default();
    found.check(task.name.is_empty(), "Missing task name");
    found.check(
        task.name.contains(['/', '\\']),
        "Task name cannot include slashes",
    );
    found.check(task.driver.is_empty(), "Missing task driver");
    found.check(
        task.kill_timeout.is_some_and(|t| t < 0),
        "KillTimeout must be a positive value",
    );
    found.check(
        task.shutdown_delay < 0,
        "ShutdownDelay must be a positive value",
    );
    for (i, one) in task.templates.iter().flatten().enumerate() {
        let title = format!("Template {} validation failed", i + 1);
        found.titled(&title, template_errors(one));
    }
    found.part(services::of_task(task.services.as_deref()));
    match &task.resources {
        None => found.0.push("Missing task resources".to_owned()),
        Some(resources) => found.part(resource_errors(resources)),
    }
    if let Some(logs) = &task.log_config {
        found.part(log_errors(logs));
    }
    conditions::constraints(task.constraints.as_deref(), &mut found);
    conditions::affinities(task.affinities.as_deref(), &mut found);
    found.0
}

/// Whether a path that is taken from a task's directory leads out of its allocation's.
#[must_use]
pub fn escapes(path: &str) -> bool {
    let mut depth = 1;
    path.split('/').any(|part| {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        depth < 0
    })
}

fn template_errors(template: &Template) -> Vec<String> {
    let mut found = Findings::default();
    found.check(
        template.source_path.is_empty() && template.embedded_tmpl.is_empty(),
        "Must specify a source path or have an embedded template",
    );
    found.check(
        template.dest_path.is_empty(),
        "Must specify a destination for the template",
    );
    found.check(
        escapes(&template.dest_path),
        "destination escapes allocation directory",
    );
    match template.change_mode.as_str() {
        "noop" | "restart" | "script" => {}
        // Without a signal it is SIGHUP: what is completed always has one.
        "signal" => found.check(
            template.envvars,
            "cannot use signals with env var templates",
        ),
        _ => found.0.push(
            "Invalid change mode. Must be one of the following: noop, signal, script, restart"
                .to_owned(),
        ),
    }
    found.check(template.splay < 0, "Must specify positive splay value");
    let octal = u32::from_str_radix(&template.perms, 8);
    found.check(
        !template.perms.is_empty() && octal.map_or(true, |mode| mode > 0o7777),
        format!("Failed to parse {:?} as octal", template.perms),
    );
    found.0
}

fn resource_errors(resources: &Resources) -> Vec<String> {
    let mut least = Findings::default();
    least.check(
        resources.cpu < 1,
        format!("minimum CPU value is 1; got {}", resources.cpu),
    );
    least.check(
        resources.memory_mb < 10,
        format!("minimum MemoryMB value is 10; got {}", resources.memory_mb),
    );
    let mut found = Findings::default();
    found.part(least.0);
    found.0
}

fn log_errors(logs: &LogConfig) -> Vec<String> {
    let mut found = Findings::default();
    found.check(
        logs.max_files < 1,
        format!("minimum number of files is 1; got {}", logs.max_files),
    );
    found.check(
        logs.max_file_size_mb < 1,
        format!("minimum file size is 1MB; got {}", logs.max_file_size_mb),
    );
    found.0
}

fn port_errors(group: &TaskGroup) -> Vec<String> {
    let mut found = Findings::default();
    let mut labels = BTreeSet::new();
    let mut fixed = std::collections::BTreeMap::new();
    for network in group.networks.iter().flatten() {
        let reserved = network.reserved_ports.iter().flatten();
        for port in reserved
            .clone()
            .chain(network.dynamic_ports.iter().flatten())
        {
            found.check(
                !labels.insert(&port.label),
                format!(
                    "Port label {} already in use by taskgroup network",
                    port.label
                ),
            );
            if port.value == 0 {
                continue;
            }
            match fixed.get(&port.value) {
                Some(other) => found.0.push(format!(
                    "Static port {} already reserved by taskgroup network:{other}",
                    port.value
                )),
                None => drop(fixed.insert(port.value, &port.label)),
            }
        }
    }
    found.0
}

/// Services that name a port which the group does not have.
fn service_ports(group: &TaskGroup, found: &mut Findings) {
    let networks = group.networks.iter().flatten();
    let ports = networks.flat_map(|n| n.reserved_ports.iter().chain(&n.dynamic_ports).flatten());
    let labels: BTreeSet<&str> = ports.map(|p| p.label.as_str()).collect();
    let in_tasks = group.tasks.iter().flat_map(|t| t.services.iter().flatten());
    for service in group.services.iter().flatten().chain(in_tasks) {
        let of_checks = service
            .checks
            .iter()
            .flatten()
            .map(|check| &check.port_label);
        let used = std::iter::once(&service.port_label).chain(of_checks);
        unknown_ports(used, &labels, &service.name, found);
    }
}

fn unknown_ports<'l>(
    used: impl Iterator<Item = &'l String>,
    labels: &BTreeSet<&str>,
    service: &str,
    found: &mut Findings,
) {
    for label in used.map(String::as_str) {
        let known = label.is_empty() || label.parse::<u16>().is_ok() || labels.contains(label);
        found.check(
            !known,
            format!(
                "port label {label:?} referenced by services {} does not exist",
                service
            ),
        );
    }
}

#[cfg(test)]
mod tests;
