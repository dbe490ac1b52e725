//! Scores: which of the nodes that may run a group runs it best.
//!
//! Each score is between -1 and 1; those that apply are averaged, as in Nomad.

use std::collections::{BTreeMap, BTreeSet};

use super::diff;
use super::operand;
use super::usage::Usage;
use crate::types::{Affinity, Job, Node, Spread, TaskGroup};

/// Nomad's highest bin packing score before it is brought to 0..1.
const BINPACK_MAX: f64 = 18.0;

/// What is the same for every candidate of one placement.
pub(super) struct Ranking<'a> {
    job: &'a Job,
    group: &'a TaskGroup,
    affinities: Vec<Affinity>,
    spreads: Vec<Spread>,
    /// Nodes where the allocation, or its predecessors, failed.
    penalised: &'a BTreeSet<String>,
    /// Whether the scheduler's configuration says `spread` rather than `binpack`.
    spread_nodes: bool,
}

impl<'a> Ranking<'a> {
    /// Prepares the ranking of candidates for one allocation of `group`.
    pub(super) fn new(
        job: &'a Job,
        group: &'a TaskGroup,
        penalised: &'a BTreeSet<String>,
        spread_nodes: bool,
    ) -> Self {
        Self {
            job,
            group,
            affinities: diff::affinities(job, group),
            spreads: diff::spreads(job, group),
            penalised,
            spread_nodes,
        }
    }

    /// Whether every candidate must be looked at, not only the first few.
    pub(super) fn looks_far(&self) -> bool {
        !self.affinities.is_empty() || !self.spreads.is_empty()
    }

    /// The single scores, and their mean.
    pub(super) fn score(
        &self,
        node: &Node,
        usage: &Usage,
        size: (i64, i64),
    ) -> (BTreeMap<String, f64>, f64) {
        let mut counted = vec![self.fit(node, usage, size)];
        let mut shown = BTreeMap::from([("binpack".to_owned(), counted[0])]);
        let anti = self.anti_affinity(node, usage);
        let penalty = if self.penalised.contains(&node.id) {
            -1.0
        } else {
            0.0
        };
        let affinity = self.affinity(node);
        let spread = self.spread(node, usage);
        for (name, score) in [
            ("job-anti-affinity", anti),
            ("node-reschedule-penalty", penalty),
            ("node-affinity", affinity),
        ] {
            shown.insert(name.to_owned(), score);
            if score != 0.0 {
                counted.push(score);
            }
        }
        if spread != 0.0 {
            shown.insert("allocation-spread".to_owned(), spread);
            counted.push(spread);
        }
        #[allow(clippy::cast_precision_loss, reason = "a handful of scores")]
        let mean = counted.iter().sum::<f64>() / counted.len() as f64;
        (shown, mean)
    }

    fn fit(&self, node: &Node, usage: &Usage, size: (i64, i64)) -> f64 {
        let (cpu, memory) = usage.held(&node.id);
        let free = |used: i64, total: i64| {
            if total <= 0 {
                return 0.0;
            }
            #[allow(clippy::cast_precision_loss, reason = "MHz and MiB are far below 2^52")]
            let part = used as f64 / total as f64;
            1.0 - part
        };
        let cpu = 10_f64.powf(free(cpu + size.0, node.node_resources.cpu_total));
        let memory = 10_f64.powf(free(memory + size.1, node.node_resources.memory_mb));
        let score = if self.spread_nodes {
            cpu + memory - 2.0
        } else {
            20.0 - (cpu + memory)
        };
        score.clamp(0.0, BINPACK_MAX) / BINPACK_MAX
    }

    fn is_own(&self, alloc: &crate::types::Allocation) -> bool {
        alloc.job_id == self.job.id
            && alloc.namespace == self.job.namespace
            && alloc.task_group == self.group.name
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of allocations")]
    fn anti_affinity(&self, node: &Node, usage: &Usage) -> f64 {
        let collisions = usage.on(&node.id).filter(|a| self.is_own(a)).count();
        if collisions == 0 {
            return 0.0;
        }
        -(collisions as f64 + 1.0) / self.group.count.max(1) as f64
    }

    #[allow(clippy::cast_precision_loss, reason = "weights are -100 to 100")]
    fn affinity(&self, node: &Node) -> f64 {
        let total: i64 = self.affinities.iter().map(|a| a.weight.abs()).sum();
        if total == 0 {
            return 0.0;
        }
        let matched = self.affinities.iter().filter(|a| {
            let left = operand::resolve(&a.l_target, node);
            let right = operand::resolve(&a.r_target, node);
            operand::holds(left, &a.operand, right)
        });
        matched.map(|a| a.weight).sum::<i64>() as f64 / total as f64
    }

    #[allow(clippy::cast_precision_loss, reason = "weights are 0 to 100")]
    fn spread(&self, node: &Node, usage: &Usage) -> f64 {
        let total: i64 = self.spreads.iter().map(|s| s.weight).sum();
        let boosts = self.spreads.iter().map(|spread| {
            let Some(value) = operand::resolve(&spread.attribute, node) else {
                return -1.0;
            };
            let counts = self.counts(spread, usage);
            match spread.spread_target.as_deref() {
                None | Some([]) => even(&counts, value),
                Some(_) if total == 0 => 0.0,
                Some(_) => {
                    self.towards(spread, &counts, value) * spread.weight as f64 / total as f64
                }
            }
        });
        boosts.sum()
    }

    /// How many of the group's allocations run at each value of a spread's attribute.
    fn counts(&self, spread: &Spread, usage: &Usage) -> BTreeMap<String, f64> {
        let mut counts = BTreeMap::new();
        for alloc in usage.all().filter(|a| self.is_own(a)) {
            let node = usage.node(&alloc.node_id);
            let value = node.and_then(|node| operand::resolve(&spread.attribute, node));
            if let Some(value) = value {
                *counts.entry(value.to_owned()).or_insert(0.0) += 1.0;
            }
        }
        counts
    }

    /// How far the value is below its wanted share: 1 when empty, negative when over it.
    #[allow(clippy::cast_precision_loss, reason = "counts of allocations")]
    fn towards(&self, spread: &Spread, counts: &BTreeMap<String, f64>, value: &str) -> f64 {
        let targets = spread.spread_target.as_deref().unwrap_or_default();
        let named: i64 = targets.iter().map(|t| i64::from(t.percent)).sum();
        let own = targets.iter().find(|t| t.value == value || t.value == "*");
        // What the targets leave is for all other values together.
        let percent = own.map_or((100 - named).max(0), |t| i64::from(t.percent));
        if percent == 0 {
            return -1.0;
        }
        let desired = percent as f64 / 100.0 * self.group.count as f64;
        let used = counts.get(value).copied().unwrap_or(0.0) + 1.0;
        (desired - used) / desired
    }
}

/// Nomad's score for a spread without targets: up for the least used values, down for others.
fn even(counts: &BTreeMap<String, f64>, value: &str) -> f64 {
    let least = counts.values().copied().reduce(f64::min);
    let (Some(least), Some(most)) = (least, counts.values().copied().reduce(f64::max)) else {
        return 0.0;
    };
    let own = counts.get(value).copied().unwrap_or(0.0);
    let least = least.min(own);
    if own > least {
        return if least == 0.0 {
            -1.0
        } else {
            (least - own) / least
        };
    }
    match () {
        () if most <= least => -1.0,
        () if least == 0.0 => 1.0,
        () => (most - least) / least,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_spread_prefers_the_value_that_is_used_least() {
        let counts = BTreeMap::from([("a".to_owned(), 2.0), ("b".to_owned(), 1.0)]);
        let (a, b, c) = (even(&counts, "a"), even(&counts, "b"), even(&counts, "c"));
        assert!(a < b && a < c, "{a} {b} {c}");
        assert!(b > 0.0 && c > 0.0);
    }
}
