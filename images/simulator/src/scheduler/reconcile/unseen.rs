//! Allocations whose node is not heard of: unknown for as long as their group's `disconnect`
//! block allows, then lost; and which side stays when the node comes back.

use std::sync::Arc;

use super::{Decisions, GroupPlan, Sorted, View, is_version};
use crate::clock;
use crate::types::{AllocClientStatus, Allocation, Nanos, Node, NodeStatus, TaskGroup};

/// Nomad's description (`scheduler/util.go`).
const UNKNOWN: &str = "alloc is unknown since its node is disconnected";
/// Nomad's description (`scheduler/util.go`).
const RECONNECTED: &str = "alloc not needed due to disconnected client reconnect";

/// Whether nothing is heard of a node.
pub(super) fn is_out_of_sight(node: &Node) -> bool {
    matches!(node.status, NodeStatus::Down | NodeStatus::Disconnected)
}

fn group_of(alloc: &Allocation) -> Option<&TaskGroup> {
    let job = alloc.job.as_ref()?;
    job.task_groups.iter().find(|g| g.name == alloc.task_group)
}

impl View<'_> {
    /// An allocation on a node that is not heard of: lost, or unknown for as long as its group
    /// allows. `disconnected` says that the node may come back.
    pub(super) fn sort_unseen(
        &self,
        alloc: Arc<Allocation>,
        disconnected: bool,
        sorted: &mut Sorted,
    ) {
        let group = group_of(&alloc);
        let keeps = group.is_some_and(|group| !group.replaces_disconnected());
        let window = group.and_then(TaskGroup::lost_after);
        let window = window.map(|w| Nanos::try_from(clock::scaled_nanos(w).as_nanos()));
        let since = if alloc.unknown_since > 0 {
            alloc.unknown_since
        } else {
            self.now
        };
        let until = window.map(|w| since.saturating_add(w.unwrap_or(Nanos::MAX)));
        let waits = disconnected && until.is_some_and(|until| until > self.now);
        // Without a window, one that must not be replaced stays unknown for ever.
        let for_ever = keeps && until.is_none();
        if !(waits || for_ever) {
            sorted.lost.push(alloc);
        } else if alloc.client_status == AllocClientStatus::Unknown {
            sorted.unknown.push(alloc);
        } else {
            sorted.disconnecting.push((alloc, until));
        }
    }
}

impl GroupPlan<'_> {
    /// Of an allocation that is heard of again and its replacement, one stays.
    pub(super) fn reconcile_reconnecting(
        &mut self,
        sorted: &mut Sorted,
        decisions: &mut Decisions,
    ) {
        for original in std::mem::take(&mut sorted.reconnecting) {
            let twin = sorted
                .untainted
                .iter()
                .position(|a| a.id != original.id && a.name == original.name && !a.is_terminal());
            let replacement = twin.map(|at| Arc::clone(&sorted.untainted[at]));
            let fits = is_version(&original, self.job);
            let keeps = match &replacement {
                _ if !fits => false,
                None => true,
                Some(replacement) => original_stays(self.group, &original, replacement),
            };
            if !keeps {
                self.desired.stop += 1;
                self.stop(&original, RECONNECTED, false);
                continue;
            }
            if let (Some(at), Some(replacement)) = (twin, replacement) {
                self.desired.stop += 1;
                self.stop(&replacement, RECONNECTED, false);
                sorted.untainted.remove(at);
                sorted.later.retain(|(a, _)| a.id != replacement.id);
            }
            decisions.reconnected.push(Arc::clone(&original));
            sorted.untainted.push(original);
        }
    }

    /// Unknown allocations count for their group where they must not be replaced.
    pub(super) fn settle_unknown(&self, sorted: &mut Sorted, decisions: &mut Decisions) {
        let newly = sorted.disconnecting.iter().cloned();
        decisions
            .unknown
            .extend(newly.map(|(a, until)| (a, UNKNOWN, until)));
        if !self.group.replaces_disconnected() {
            sorted.untainted.append(&mut sorted.unknown);
            let newly = std::mem::take(&mut sorted.disconnecting);
            sorted.untainted.extend(newly.into_iter().map(|(a, _)| a));
        }
    }
}

/// Whether the allocation that is heard of again stays, and its replacement goes.
fn original_stays(group: &TaskGroup, original: &Allocation, replacement: &Allocation) -> bool {
    let started = |alloc: &Allocation| {
        let times = alloc
            .task_states
            .values()
            .map(|task| task.started_at.clone());
        times.filter(|at| !at.is_empty()).min()
    };
    match group.reconcile() {
        "keep_original" => true,
        "keep_replacement" => false,
        "longest_running" => match (started(original), started(replacement)) {
            (Some(a), Some(b)) => a <= b,
            (a, _) => a.is_some(),
        },
        // The better node's; the original's of equals.
        _ => {
            let failed = |alloc: &Allocation| alloc.client_status == AllocClientStatus::Failed;
            !failed(original) && score(original) >= score(replacement)
        }
    }
}

fn score(alloc: &Allocation) -> f64 {
    let scores = alloc
        .metrics
        .iter()
        .flat_map(|m| m.score_meta_data.iter().flatten());
    let mut own = scores.filter(|score| score.node_id == alloc.node_id);
    own.next().map_or(0.0, |score| score.norm_score)
}
