//! What runs on each node, as it will be when the plan under construction is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::state::State;
use crate::types::{Allocation, Node};

/// Allocations that hold resources, by node and ID.
///
/// An allocation holds its resources until its *client* says that it ended (from Nomad 1.4 on);
/// only those that this very plan stops are not counted.
pub(super) struct Usage {
    nodes: BTreeMap<String, Arc<Node>>,
    by_node: BTreeMap<String, BTreeMap<String, Arc<Allocation>>>,
}

impl Usage {
    /// Everything in the snapshot that is not terminal on its client.
    pub(super) fn new(state: &State) -> Self {
        let mut usage = Self {
            nodes: state.nodes.clone(),
            by_node: BTreeMap::new(),
        };
        for alloc in state.allocs.values() {
            if !alloc.client_status.is_terminal() {
                usage.add(Arc::clone(alloc));
            }
        }
        usage
    }

    /// Counts an allocation (again, where its ID is known).
    pub(super) fn add(&mut self, alloc: Arc<Allocation>) {
        let on_node = self.by_node.entry(alloc.node_id.clone()).or_default();
        on_node.insert(alloc.id.clone(), alloc);
    }

    /// Stops counting an allocation.
    pub(super) fn remove(&mut self, alloc: &Allocation) {
        if let Some(on_node) = self.by_node.get_mut(&alloc.node_id) {
            on_node.remove(&alloc.id);
        }
    }

    /// A node of the snapshot.
    pub(super) fn node(&self, node_id: &str) -> Option<&Arc<Node>> {
        self.nodes.get(node_id)
    }

    /// What holds resources on a node.
    pub(super) fn on(&self, node_id: &str) -> impl Iterator<Item = &Arc<Allocation>> {
        self.by_node
            .get(node_id)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// Everything that holds resources.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Allocation>> {
        self.by_node.values().flat_map(BTreeMap::values)
    }

    /// CPU (MHz) and memory (MiB) held on a node.
    pub(super) fn held(&self, node_id: &str) -> (i64, i64) {
        self.on(node_id)
            .fold((0, 0), |(cpu, mem), a| (cpu + a.cpu, mem + a.memory_mb))
    }

    /// The first resource that is missing for `cpu` and `memory` more, as Nomad calls it.
    pub(super) fn missing(&self, node: &Node, cpu: i64, memory: i64) -> Option<&'static str> {
        let (held_cpu, held_memory) = self.held(&node.id);
        if held_cpu + cpu > node.node_resources.cpu_total {
            return Some("cpu");
        }
        (held_memory + memory > node.node_resources.memory_mb).then_some("memory")
    }
}
