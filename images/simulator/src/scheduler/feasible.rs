//! Which nodes may run a group at all: state, datacenter, pool, drivers, constraints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::operand;
use super::usage::Usage;
use crate::plant::{self, Plant};
use crate::state::State;
use crate::types::{Constraint, Job, Node, NodeEligibility, NodeStatus, TaskGroup};

/// Whether a node takes new work.
pub(super) fn is_ready(node: &Node) -> bool {
    node.status == NodeStatus::Ready
        && node.scheduling_eligibility == NodeEligibility::Eligible
        && !node.drain
}

/// Ready nodes in the job's datacenters and pool, and how many each datacenter has.
pub(super) fn ready_nodes(state: &State, job: &Job) -> (Vec<Arc<Node>>, BTreeMap<String, i64>) {
    let mut available = BTreeMap::new();
    let mut nodes = Vec::new();
    for node in state.nodes.values() {
        if is_ready(node) && in_reach(node, job) {
            *available.entry(node.datacenter.clone()).or_insert(0) += 1;
            nodes.push(Arc::clone(node));
        }
    }
    (nodes, available)
}

/// Whether the node is in one of the job's datacenters and in its pool.
pub(super) fn in_reach(node: &Node, job: &Job) -> bool {
    let any = ["*".to_owned()];
    let datacenters = job.datacenters.as_deref().unwrap_or(&any);
    let pool = |name: &str| if name.is_empty() { "default" } else { name }.to_owned();
    let pool_fits = job.node_pool == "all" || pool(&job.node_pool) == pool(&node.node_pool);
    pool_fits
        && datacenters
            .iter()
            .any(|glob| matches_glob(glob, &node.datacenter))
}

/// `*` stands for any text, `?` for any character.
fn matches_glob(glob: &str, text: &str) -> bool {
    match glob.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &glob[1..];
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| matches_glob(rest, &text[at..]))
        }
        Some(c) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|t| c == '?' || c == t)
                && matches_glob(&glob[c.len_utf8()..], chars.as_str())
        }
    }
}

/// What a group asks of a node.
pub(super) struct Needs<'a> {
    job: &'a Job,
    group: &'a TaskGroup,
    drivers: BTreeSet<&'a str>,
    constraints: Vec<Constraint>,
    /// `distinct_hosts` on the job, on the group.
    distinct_hosts: (bool, bool),
}

impl<'a> Needs<'a> {
    /// Collects them from the job, the group and its tasks.
    pub(super) fn of(job: &'a Job, group: &'a TaskGroup) -> Self {
        let from_tasks = group
            .tasks
            .iter()
            .flat_map(|t| t.constraints.iter().flatten());
        let outer = job.constraints.iter().chain(&group.constraints).flatten();
        let mut constraints: Vec<Constraint> = outer.chain(from_tasks).cloned().collect();
        constraints.extend(implied(group));
        let distinct = |list: &Option<Vec<Constraint>>| {
            let mut found = list
                .iter()
                .flatten()
                .filter(|c| c.operand == "distinct_hosts");
            found.any(|c| c.r_target != "false")
        };
        Self {
            job,
            group,
            drivers: group.tasks.iter().map(|t| t.driver.as_str()).collect(),
            constraints,
            distinct_hosts: (distinct(&job.constraints), distinct(&group.constraints)),
        }
    }

    /// Why the node may not run the group, in the words of Nomad's `ConstraintFiltered`.
    /// `own` is an allocation that runs there and would stay: it is not in its own way.
    pub(super) fn filtered_by(
        &self,
        node: &Node,
        usage: &Usage,
        own: Option<&str>,
    ) -> Option<String> {
        let driver_missing = |driver: &&str| {
            let found = node.drivers.get(*driver);
            found.is_none_or(|info| !info.detected || !info.healthy)
        };
        if self.drivers.iter().any(driver_missing) {
            return Some("missing drivers".to_owned());
        }
        for constraint in &self.constraints {
            let failed = match constraint.operand.as_str() {
                "distinct_hosts" => false,
                "distinct_property" => !self.property_is_free(constraint, node, usage, own),
                operand => {
                    let left = operand::resolve(&constraint.l_target, node);
                    let right = operand::resolve(&constraint.r_target, node);
                    !operand::holds(left, operand, right)
                }
            };
            if failed && !plant::is(Plant::ConstraintsIgnored) {
                return Some(text_of(constraint));
            }
        }
        self.host_is_taken(node, usage, own)
            .then(|| "distinct_hosts".to_owned())
    }

    fn host_is_taken(&self, node: &Node, usage: &Usage, own: Option<&str>) -> bool {
        let (by_job, by_group) = self.distinct_hosts;
        let others = usage.on(&node.id).filter(|a| own != Some(a.id.as_str()));
        others.into_iter().any(|alloc| {
            let same_job = alloc.job_id == self.job.id && alloc.namespace == self.job.namespace;
            let same_group = alloc.task_group == self.group.name;
            same_job && (by_job || by_group && same_group)
        })
    }

    /// At most `r_target` (1) allocations of the job share one value of a property.
    fn property_is_free(
        &self,
        constraint: &Constraint,
        node: &Node,
        usage: &Usage,
        own: Option<&str>,
    ) -> bool {
        let Some(value) = operand::resolve(&constraint.l_target, node) else {
            return false;
        };
        let allowed = constraint.r_target.parse().unwrap_or(1);
        let on_job = self
            .job
            .constraints
            .iter()
            .flatten()
            .any(|c| c == constraint);
        let same = usage.all().filter(|alloc| {
            own != Some(alloc.id.as_str())
                && alloc.job_id == self.job.id
                && alloc.namespace == self.job.namespace
                && (on_job || alloc.task_group == self.group.name)
                && usage
                    .node(&alloc.node_id)
                    .and_then(|node| operand::resolve(&constraint.l_target, node))
                    == Some(value)
        });
        same.count() < allowed
    }
}

/// Conditions that services bring with them (Nomad's implied constraints).
fn implied(group: &TaskGroup) -> Vec<Constraint> {
    let in_tasks = group.tasks.iter().flat_map(|t| t.services.iter().flatten());
    let services: Vec<_> = group.services.iter().flatten().chain(in_tasks).collect();
    let mut found = Vec::new();
    if services.iter().any(|s| s.provider == "nomad") {
        found.push(Constraint {
            l_target: "${attr.nomad.service_discovery}".to_owned(),
            r_target: "true".to_owned(),
            operand: "=".to_owned(),
        });
    }
    if services.iter().any(|s| s.provider != "nomad") {
        found.push(Constraint {
            l_target: "${attr.consul.version}".to_owned(),
            r_target: ">= 1.8.0".to_owned(),
            operand: "semver".to_owned(),
        });
    }
    found
}

fn text_of(c: &Constraint) -> String {
    format!("{} {} {}", c.l_target, c.operand, c.r_target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datacenter_globs_match_as_documented() {
        for (glob, text, expected) in [
            ("*", "dc1", true),
            ("dc1", "dc1", true),
            ("dc?", "dc1", true),
            ("dc*", "dc-west-1", true),
            ("*-1", "dc-west-1", true),
            ("dc2", "dc1", false),
            ("dc?", "dc10", false),
        ] {
            assert_eq!(matches_glob(glob, text), expected, "{glob} {text}");
        }
    }
}
