//! What the values of a job file ask of Nomad's version and of the nodes.

use std::collections::BTreeSet;

use agent::types::{Job, JobType};
use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body};
use semver::Version;

use super::{About, Ground, Notes, REHEARSED_DRIVERS, Severity};

/// Functions of templates, by their first letters, and the version that brought them.
const TEMPLATE_FUNCTIONS: &[(&str, Version)] = &[
    ("nomadService", Version::new(1, 3, 0)),
    ("nomadVar", Version::new(1, 4, 0)),
];

/// Blocks that later versions take and no longer honour.
const IGNORED_FROM_1_10: &[&str] = &[
    "max_client_disconnect",
    "stop_after_client_disconnect",
    "prevent_reschedule_on_lost",
];

/// The drivers of a job's tasks.
pub(super) fn drivers(job: &Job) -> Vec<String> {
    let tasks = job.task_groups.iter().flat_map(|group| &group.tasks);
    let names: BTreeSet<_> = tasks.map(|task| task.driver.clone()).collect();
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

/// Judges a whole file.
pub(super) fn judge(body: &Body, job: &Job, ground: &Ground<'_>, notes: &mut Notes<'_>) {
    for block in body.get_blocks("job") {
        of_job(block, job, notes);
        for group in block.body.get_blocks("group") {
            of_group(group, ground, notes);
        }
        for task in block.body.get_blocks("task") {
            of_task(task, ground, notes);
        }
    }
}

/// Where an attribute's value begins; else where the block does.
pub(super) fn place(block: &Block, name: &str) -> usize {
    let attribute = block.body.get_attribute(name);
    let span = attribute
        .and_then(|attribute| attribute.value.span())
        .or_else(|| block.ident.span());
    span.map_or(0, |span| span.start)
}

/// An attribute's text, where it is written out.
pub(super) fn text<'b>(block: &'b Block, name: &str) -> Option<&'b str> {
    match &block.body.get_attribute(name)?.value {
        Expression::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// Whether `dynamic` makes blocks of a kind: what is in them is not looked into.
pub(super) fn is_made(block: &Block, kind: &str) -> bool {
    let mut dynamic = block.body.get_blocks("dynamic");
    dynamic.any(|one| one.has_exact_labels(&[kind]))
}

fn of_job(block: &Block, job: &Job, notes: &mut Notes<'_>) {
    if job.job_type == JobType::Sysbatch {
        let what = "job type `sysbatch`";
        notes.from(place(block, "type"), what, &Version::new(1, 2, 0));
    }
    let at = place(block, "datacenters");
    match job.datacenters.as_deref() {
        None | Some([]) => {
            let what = "a job without `datacenters`";
            notes.from(at, what, &Version::new(1, 5, 0));
        }
        Some(names) if names.iter().any(|name| name.contains('*')) => {
            let what = "`*` in `datacenters`";
            notes.from(at, what, &Version::new(1, 5, 0));
        }
        Some(_) => {}
    }
    let groups = block.body.get_blocks("group");
    let updates = groups.flat_map(|group| group.body.get_blocks("update"));
    let update = block.body.get_blocks("update").chain(updates).next();
    let deployments = Version::new(1, 11, 0);
    if let Some(update) = update
        && job.job_type == JobType::System
        && notes.version.is_none_or(|version| *version < deployments)
    {
        let message = "before Nomad 1.11.0 a system job has no deployments: of `update` only \
                       `max_parallel` and `stagger` count";
        let at = update.ident.span().map_or(0, |span| span.start);
        notes.tell(at, Severity::Note, About::Version, message);
    }
}

fn of_group(group: &Block, ground: &Ground<'_>, notes: &mut Notes<'_>) {
    let ignoring = Version::new(1, 10, 0);
    for name in IGNORED_FROM_1_10 {
        if group.body.has_attribute(name) && notes.version.is_some_and(|v| *v >= ignoring) {
            let message = format!("`{name}` is ignored from Nomad 1.10.0 on: use `disconnect`");
            notes.tell(
                place(group, name),
                Severity::Warning,
                About::Version,
                message,
            );
        }
    }
    services(group, notes);
    for task in group.body.get_blocks("task") {
        services(task, notes);
        of_task(task, ground, notes);
    }
}

fn services(block: &Block, notes: &mut Notes<'_>) {
    for service in block.body.get_blocks("service") {
        if text(service, "provider") != Some("nomad") {
            continue;
        }
        let at = place(service, "provider");
        let what = "`provider = \"nomad\"`";
        notes.from(at, what, &Version::new(1, 3, 0));
        for check in service.body.get_blocks("check") {
            let what = "a `check` of a service with `provider = \"nomad\"`";
            let at = check.ident.span().map_or(at, |span| span.start);
            notes.from(at, what, &Version::new(1, 4, 0));
        }
    }
}

fn of_task(task: &Block, ground: &Ground<'_>, notes: &mut Notes<'_>) {
    if let Some(driver) = text(task, "driver") {
        offered(driver, place(task, "driver"), ground, notes);
        configured(task, driver, notes);
    }
    for template in task.body.get_blocks("template") {
        let Some(data) = template.body.get_attribute("data") else {
            continue;
        };
        let data = data.value.to_string();
        for (function, first) in TEMPLATE_FUNCTIONS {
            if data.contains(function) {
                let what = format!("`{function}` in a template");
                notes.from(place(template, "data"), &what, first);
            }
        }
    }
}

/// Whether the driver is told what to run. Servers do not look into `config`: it fails on the client.
/// (The drivers' own schemas; java's is checked when the task starts.)
fn configured(task: &Block, driver: &str, notes: &mut Notes<'_>) {
    let (wanted, said): (&[&str], _) = match driver {
        "raw_exec" | "exec" => (&["command"], "`command`"),
        "docker" => (&["image"], "`image`"),
        "java" => (&["jar_path", "class"], "`jar_path` or `class`"),
        _ => return,
    };
    let config = task.body.get_blocks("config").next();
    let has = |body: &Body| wanted.iter().any(|name| body.has_attribute(name));
    if config.is_some_and(|config| has(&config.body)) || is_made(task, "config") {
        return;
    }
    let at = config.map_or_else(
        || place(task, "driver"),
        |config| config.ident.span().map_or(0, |span| span.start),
    );
    let message =
        format!("`{driver}` needs {said} in `config`: Nomad takes the job, and the task fails");
    notes.tell(at, Severity::Warning, About::Driver, message);
}

/// Whether any node could run a task of this driver.
fn offered(driver: &str, at: usize, ground: &Ground<'_>, notes: &mut Notes<'_>) {
    match &ground.drivers {
        Some(offered) if !offered.iter().any(|name| name == driver) => {
            let known = offered.join("`, `");
            notes.error(
                at,
                About::Driver,
                format!("no node offers driver `{driver}` (offered: `{known}`)"),
            );
        }
        None if !REHEARSED_DRIVERS.contains(&driver) => {
            let wanted = match driver {
                "docker" => "needs a Docker engine that the agent reaches",
                "exec" | "java" | "qemu" => "needs an agent that is root",
                _ => "is none of Nomad's own: a plugin of that name has to be on the nodes",
            };
            let message = format!(
                "nodes of a rehearsed cluster offer `raw_exec` only: `{driver}` {wanted}, and stays pending here"
            );
            notes.tell(at, Severity::Note, About::Rehearsal, message);
        }
        _ => {}
    }
}
