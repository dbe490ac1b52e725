//! `job` and `group`.

use super::launch;
use super::policies::{self, PartialUpdate};
use super::reader::BlockReader;
use super::{services, task};
use crate::types::{Job, JobType, MigrateStrategy, ReschedulePolicy, RestartPolicy, TaskGroup};

/// Known to Nomad, but not honoured here.
const JOB_NOT_SIMULATED: &[&str] = &[
    "consul_token",
    "multiregion",
    "ui",
    "vault",
    "vault_token",
    "version_tag",
];

const GROUP_NOT_SIMULATED: &[&str] = &["consul", "ephemeral_disk", "vault", "volume"];

/// What groups inherit from their job.
struct Inherited {
    job_type: JobType,
    update: Option<PartialUpdate>,
    reschedule: Option<ReschedulePolicy>,
    migrate: Option<MigrateStrategy>,
}

/// Reads the `job` block.
pub(super) fn read(block: BlockReader<'_>) -> Job {
    let label = block.label();
    block.refuse(JOB_NOT_SIMULATED);
    if block.bool("all_at_once") == Some(true) {
        block.not_simulated_at("all_at_once", "`all_at_once` in `job`");
    }
    let job_type = job_type(&block);
    let inherited = Inherited {
        update: PartialUpdate::read(&block),
        reschedule: policies::default_reschedule(job_type)
            .or_else(|| Some(ReschedulePolicy::default()))
            .and_then(|outer| policies::reschedule(&block, &outer)),
        migrate: policies::migrate(&block, &policies::default_migrate()),
        job_type,
    };
    let id = block.string("id").unwrap_or_else(|| label.clone());
    let mut task_groups: Vec<TaskGroup> = block
        .blocks("group")
        .into_iter()
        .map(|group| read_group(group, &inherited))
        .collect();
    task_groups.extend(bare_tasks(&block, &inherited));
    let job = Job {
        name: block.string("name").unwrap_or_else(|| label.clone()),
        id,
        namespace: block.string("namespace").unwrap_or_default(),
        region: block.string("region").unwrap_or_default(),
        job_type,
        priority: block.int("priority").unwrap_or(0),
        datacenters: block.strings("datacenters"),
        node_pool: block.string("node_pool").unwrap_or_default(),
        constraints: policies::constraints(&block),
        affinities: policies::affinities(&block),
        spreads: policies::spreads(&block),
        task_groups,
        update: inherited.update.clone().map(PartialUpdate::complete),
        periodic: launch::periodic(&block),
        parameterized_job: launch::parameterized(&block),
        meta: block.string_map("meta"),
        ..Job::default()
    };
    block.finish();
    job
}

fn job_type(block: &BlockReader<'_>) -> JobType {
    match block.string("type").as_deref() {
        None | Some("service") => JobType::Service,
        Some("batch") => JobType::Batch,
        Some("system") => JobType::System,
        Some("sysbatch") => JobType::Sysbatch,
        Some(other) => {
            block.problem_at(
                "type",
                format!("invalid job type `{other}`, expected service, batch, system or sysbatch"),
            );
            JobType::Service
        }
    }
}

/// Tasks directly under the job: each becomes a group of its own name, as in Nomad.
fn bare_tasks(block: &BlockReader<'_>, inherited: &Inherited) -> Vec<TaskGroup> {
    let restart = policies::default_restart(inherited.job_type);
    let mut groups = Vec::new();
    for task in block.blocks("task") {
        let task = task::read(task, &restart);
        groups.push(TaskGroup {
            name: task.name.clone(),
            count: 1,
            tasks: vec![task],
            update: inherited.update.clone().map(PartialUpdate::complete),
            ..TaskGroup::default()
        });
    }
    groups
}

fn read_group(block: BlockReader<'_>, inherited: &Inherited) -> TaskGroup {
    let name = block.label();
    block.refuse(GROUP_NOT_SIMULATED);
    let restart = policies::restart(&block, &policies::default_restart(inherited.job_type));
    let tasks = tasks(&block, restart.as_ref(), inherited);
    let update = PartialUpdate::read(&block)
        .map(|own| own.or(inherited.update.as_ref()))
        .or_else(|| inherited.update.clone());
    let reschedule_base = inherited
        .reschedule
        .clone()
        .or_else(|| policies::default_reschedule(inherited.job_type))
        .unwrap_or_default();
    let migrate_base = inherited
        .migrate
        .clone()
        .unwrap_or_else(policies::default_migrate);
    let group = TaskGroup {
        count: block.int("count").unwrap_or(1),
        update: update.map(PartialUpdate::complete),
        migrate: policies::migrate(&block, &migrate_base).or_else(|| inherited.migrate.clone()),
        constraints: policies::constraints(&block),
        affinities: policies::affinities(&block),
        spreads: policies::spreads(&block),
        restart_policy: restart,
        reschedule_policy: policies::reschedule(&block, &reschedule_base)
            .or_else(|| inherited.reschedule.clone()),
        networks: task::networks(&block),
        services: services::read(&block),
        tasks,
        scaling: launch::scaling(&block),
        disconnect: policies::disconnect(&block),
        max_client_disconnect: block.duration("max_client_disconnect"),
        stop_after_client_disconnect: block.duration("stop_after_client_disconnect"),
        prevent_reschedule_on_lost: block.bool("prevent_reschedule_on_lost").unwrap_or(false),
        meta: block.string_map("meta"),
        shutdown_delay: block.duration("shutdown_delay"),
        name,
    };
    block.finish();
    group
}

fn tasks(
    block: &BlockReader<'_>,
    restart: Option<&RestartPolicy>,
    inherited: &Inherited,
) -> Vec<crate::types::Task> {
    let default = policies::default_restart(inherited.job_type);
    block
        .blocks("task")
        .into_iter()
        .map(|task| task::read(task, restart.unwrap_or(&default)))
        .collect()
}
