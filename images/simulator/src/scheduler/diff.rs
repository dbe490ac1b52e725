//! Whether a change of the job can be made under a running allocation, or replaces it.

use std::collections::BTreeMap;

use crate::types::{Job, Network, Task, TaskGroup};

/// Whether going from `old` to `new` replaces the allocations of `group` (a destructive
/// update). The list follows Nomad 1.8; what is not compared here is updated in place.
pub(super) fn is_destructive(old: &Job, new: &Job, group: &str) -> bool {
    let find = |job: &'_ Job| job.task_groups.iter().position(|g| g.name == group);
    let (Some(a), Some(b)) = (find(old), find(new)) else {
        return true;
    };
    let (a, b) = (&old.task_groups[a], &new.task_groups[b]);
    a.tasks.len() != b.tasks.len()
        || !same_networks(a.networks.as_deref(), b.networks.as_deref())
        || affinities(old, a) != affinities(new, b)
        || spreads(old, a) != spreads(new, b)
        || b.tasks.iter().any(|task| {
            a.tasks
                .iter()
                .find(|other| other.name == task.name)
                .is_none_or(|other| task_differs(old, a, other, new, b, task))
        })
}

fn task_differs(
    old: &Job,
    old_group: &TaskGroup,
    a: &Task,
    new: &Job,
    new_group: &TaskGroup,
    b: &Task,
) -> bool {
    let size = |t: &Task| t.resources.as_ref().map(|r| (r.cpu, r.memory_mb));
    a.driver != b.driver
        || a.lifecycle != b.lifecycle
        || a.templates != b.templates
        || a.dispatch_payload != b.dispatch_payload
        || a.user != b.user
        || a.config.clone().unwrap_or_default() != b.config.clone().unwrap_or_default()
        || a.env.clone().unwrap_or_default() != b.env.clone().unwrap_or_default()
        || meta(old, old_group, a) != meta(new, new_group, b)
        || size(a) != size(b)
}

/// The meta that a task sees: its own over its group's over its job's.
pub(crate) fn meta(job: &Job, group: &TaskGroup, task: &Task) -> BTreeMap<String, String> {
    let levels = [&job.meta, &group.meta, &task.meta];
    let mut merged = BTreeMap::new();
    for level in levels.into_iter().flatten() {
        merged.extend(level.clone());
    }
    merged
}

/// Affinities of job, group and tasks together, as the scheduler uses them.
pub(super) fn affinities(job: &Job, group: &TaskGroup) -> Vec<crate::types::Affinity> {
    let tasks = group
        .tasks
        .iter()
        .flat_map(|t| t.affinities.iter().flatten());
    let outer = job.affinities.iter().chain(&group.affinities).flatten();
    outer.chain(tasks).cloned().collect()
}

/// Spreads of group and job together; the group's come first.
pub(super) fn spreads(job: &Job, group: &TaskGroup) -> Vec<crate::types::Spread> {
    group
        .spreads
        .iter()
        .chain(&job.spreads)
        .flatten()
        .cloned()
        .collect()
}

fn same_networks(a: Option<&[Network]>, b: Option<&[Network]>) -> bool {
    type Shape<'a> = Vec<(&'a str, Vec<(&'a str, u16, i64)>)>;
    fn shape(networks: Option<&[Network]>) -> Shape<'_> {
        networks
            .unwrap_or_default()
            .iter()
            .map(|network| {
                let fixed = network.reserved_ports.iter().flatten();
                let all = fixed.chain(network.dynamic_ports.iter().flatten());
                let ports = all.map(|p| (p.label.as_str(), p.value, p.to)).collect();
                (network.mode.as_str(), ports)
            })
            .collect()
    }
    shape(a) == shape(b)
}
