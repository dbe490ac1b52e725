//! Finds a node for one allocation, and says how it was decided.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::feasible::{self, Needs};
use super::ids::Chance;
use super::network;
use super::rank::Ranking;
use super::usage::Usage;
use crate::state::State;
use crate::types::{
    AllocMetrics, AllocatedPort, Allocation, Hook, Job, JobType, Lifecycle, Node, NodeScoreMeta,
    TaskGroup,
};

/// Candidates with a score of 0 or less that are put aside while others may follow
/// (Nomad's `maxSkip`).
const MAX_SKIP: usize = 3;

/// Scores that an allocation's metrics show (Nomad's `MaxRetainedNodeScores`).
const SHOWN_SCORES: usize = 5;

/// A node that was found.
pub(super) struct Choice {
    pub(super) node: Arc<Node>,
    pub(super) ports: Vec<AllocatedPort>,
    pub(super) metrics: AllocMetrics,
}

struct Candidate {
    node: Arc<Node>,
    ports: Vec<AllocatedPort>,
    scores: BTreeMap<String, f64>,
    score: f64,
}

/// CPU (MHz) and memory (MiB) of a group: the sum of its tasks, as far as they run at the same
/// time. What prepares or cleans up shares its part with the main tasks.
pub(super) fn size_of(group: &TaskGroup) -> (i64, i64) {
    let sum = |wanted: &dyn Fn(&Option<Lifecycle>) -> bool| {
        let tasks = group.tasks.iter().filter(|task| wanted(&task.lifecycle));
        tasks.fold((0, 0), |(cpu, memory), task| {
            let resources = task.resources.clone().unwrap_or_default();
            (cpu + resources.cpu, memory + resources.memory_mb)
        })
    };
    let once = |hook: Hook| {
        sum(&|own: &Option<Lifecycle>| own.is_some_and(|l| l.hook == hook && !l.sidecar))
    };
    let beside = sum(&|own: &Option<Lifecycle>| own.is_some_and(|l| l.sidecar));
    let (main, poststart) = (sum(&Option::is_none), once(Hook::Poststart));
    let turns = [
        once(Hook::Prestart),
        (main.0 + poststart.0, main.1 + poststart.1),
        once(Hook::Poststop),
    ];
    turns.into_iter().fold(beside, |(cpu, memory), turn| {
        (cpu.max(beside.0 + turn.0), memory.max(beside.1 + turn.1))
    })
}

/// Places the allocations of one evaluation.
pub(super) struct Placer {
    pub(super) usage: Usage,
    pub(super) chance: Chance,
    /// `SchedulerAlgorithm` is `spread`.
    spread_nodes: bool,
}

impl Placer {
    /// Starts from a snapshot.
    pub(super) fn new(state: &State, chance: Chance) -> Self {
        let algorithm = state
            .scheduler_config
            .as_ref()
            .and_then(|config| config.get("SchedulerAlgorithm"))
            .and_then(serde_json::Value::as_str);
        Self {
            usage: Usage::new(state),
            chance,
            spread_nodes: algorithm == Some("spread"),
        }
    }

    /// Whether an allocation may keep its node and resources under a new version of its job.
    pub(super) fn fits_in_place(&self, alloc: &Allocation, job: &Job, group: &TaskGroup) -> bool {
        let Some(node) = self.usage.node(&alloc.node_id) else {
            return false;
        };
        let (cpu, memory) = size_of(group);
        let more = (cpu - alloc.cpu, memory - alloc.memory_mb);
        feasible::in_reach(node, job)
            && Needs::of(job, group)
                .filtered_by(node, &self.usage, Some(&alloc.id))
                .is_none()
            && self.usage.missing(node, more.0, more.1).is_none()
    }

    /// Finds the best of the candidates, or says why there is none.
    pub(super) fn select(
        &mut self,
        job: &Job,
        group: &TaskGroup,
        nodes: &[Arc<Node>],
        penalised: &BTreeSet<String>,
    ) -> Result<Choice, Box<AllocMetrics>> {
        let ranking = Ranking::new(job, group, penalised, self.spread_nodes);
        let limit = limit(job, group, nodes.len(), &ranking);
        let needs = Needs::of(job, group);
        let mut shuffled = nodes.to_vec();
        self.chance.shuffle(&mut shuffled);
        let mut metrics = AllocMetrics::default();
        let mut kept: Vec<Candidate> = Vec::new();
        let mut skipped: Vec<Candidate> = Vec::new();
        for node in shuffled {
            if kept.len() >= limit {
                break;
            }
            metrics.nodes_evaluated += 1;
            if let Some(reason) = needs.filtered_by(&node, &self.usage, None) {
                note_filtered(&mut metrics, &node, reason);
                continue;
            }
            match self.candidate(group, &node, &ranking) {
                Err(dimension) => note_exhausted(&mut metrics, &node, dimension),
                Ok(found) if found.score <= 0.0 && skipped.len() < MAX_SKIP => skipped.push(found),
                Ok(found) => kept.push(found),
            }
        }
        // Those put aside come last, as far as candidates are still wanted.
        let room = limit.saturating_sub(kept.len());
        kept.extend(skipped.into_iter().take(room));
        choose(kept, metrics)
    }

    /// Checks one node for a system job: filtered is no failure there.
    pub(super) fn on_node(
        &mut self,
        job: &Job,
        group: &TaskGroup,
        node: &Arc<Node>,
    ) -> Result<Choice, (bool, Box<AllocMetrics>)> {
        let none = BTreeSet::new();
        self.select(job, group, std::slice::from_ref(node), &none)
            .map_err(|metrics| (metrics.nodes_filtered > 0, metrics))
    }

    fn candidate(
        &mut self,
        group: &TaskGroup,
        node: &Arc<Node>,
        ranking: &Ranking<'_>,
    ) -> Result<Candidate, String> {
        let present = self.usage.on(&node.id).map(AsRef::as_ref);
        let ports = network::assign(group, node, present, &mut self.chance)?;
        let size = size_of(group);
        if let Some(dimension) = self.usage.missing(node, size.0, size.1) {
            return Err(dimension.to_owned());
        }
        let (scores, score) = ranking.score(node, &self.usage, size);
        Ok(Candidate {
            node: Arc::clone(node),
            ports,
            scores,
            score,
        })
    }
}

/// How many candidates are compared: Nomad looks at two or log2(n) of them (batch: two), all
/// up to 100 where affinities or spreads are to be satisfied.
fn limit(job: &Job, group: &TaskGroup, nodes: usize, ranking: &Ranking<'_>) -> usize {
    if ranking.looks_far() {
        return usize::try_from(group.count).unwrap_or(0).max(100);
    }
    if matches!(job.job_type, JobType::Batch | JobType::Sysbatch) {
        return 2;
    }
    let log2_up = nodes.max(1).next_power_of_two().trailing_zeros();
    2.max(log2_up as usize)
}

fn choose(
    mut kept: Vec<Candidate>,
    mut metrics: AllocMetrics,
) -> Result<Choice, Box<AllocMetrics>> {
    // Stable: of equals, the first that was seen.
    kept.sort_by(|a, b| b.score.total_cmp(&a.score));
    let shown = kept
        .iter()
        .take(SHOWN_SCORES)
        .map(|candidate| NodeScoreMeta {
            node_id: candidate.node.id.clone(),
            scores: candidate.scores.clone(),
            norm_score: candidate.score,
        });
    let shown: Vec<_> = shown.collect();
    if !shown.is_empty() {
        metrics.score_meta_data = Some(shown);
    }
    match kept.into_iter().next() {
        Some(best) => Ok(Choice {
            node: best.node,
            ports: best.ports,
            metrics,
        }),
        None => Err(Box::new(metrics)),
    }
}

fn count(map: &mut Option<BTreeMap<String, i64>>, key: String) {
    *map.get_or_insert_default().entry(key).or_insert(0) += 1;
}

fn note_filtered(metrics: &mut AllocMetrics, node: &Node, reason: String) {
    metrics.nodes_filtered += 1;
    if !node.node_class.is_empty() {
        count(&mut metrics.class_filtered, node.node_class.clone());
    }
    count(&mut metrics.constraint_filtered, reason);
}

fn note_exhausted(metrics: &mut AllocMetrics, node: &Node, dimension: String) {
    metrics.nodes_exhausted += 1;
    if !node.node_class.is_empty() {
        count(&mut metrics.class_exhausted, node.node_class.clone());
    }
    count(&mut metrics.dimension_exhausted, dimension);
}
