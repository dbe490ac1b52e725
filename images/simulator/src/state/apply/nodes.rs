//! Registrations, status and eligibility of nodes, and their short history.

use std::sync::Arc;

use super::Refusal;
use crate::clock;
use crate::state::{Command, DrainChange, State, Table};
use crate::types::{
    DrainStatus, DrainStrategy, LastDrain, Nanos, Node, NodeEligibility, NodeEvent, NodeStatus,
    SECOND,
};

/// Nomad keeps this many events of a node (`structs.MaxRetainedNodeEvents`).
const EVENTS_KEPT: usize = 10;

impl State {
    pub(super) fn change_nodes(&mut self, index: u64, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::NodeRegister { node, now } => self.register_node(index, node, *now),
            Command::NodeStatus {
                id,
                status,
                message,
                now,
                evals,
            } => {
                let mut node = self.node_copy(id)?;
                node.status = *status;
                node.status_updated_at = now / SECOND;
                if !message.is_empty() {
                    add_event(&mut node, index, *now, message);
                }
                self.put_node(index, node);
                self.upsert_evals(index, evals);
                Ok(())
            }
            Command::NodeEligibility {
                id,
                eligibility,
                now,
                evals,
            } => {
                let mut node = self.node_copy(id)?;
                if node.drain && *eligibility == NodeEligibility::Eligible {
                    return Err("can not set node's scheduling eligibility to eligible while it is draining".to_owned());
                }
                let word = match eligibility {
                    NodeEligibility::Eligible => "eligible",
                    NodeEligibility::Ineligible => "ineligible",
                };
                node.scheduling_eligibility = *eligibility;
                let message = format!("Node marked as {word} for scheduling");
                add_event(&mut node, index, *now, &message);
                self.put_node(index, node);
                self.upsert_evals(index, evals);
                Ok(())
            }
            Command::NodeDrain {
                id,
                change,
                now,
                evals,
            } => {
                let mut node = self.node_copy(id)?;
                if drain(&mut node, index, change, *now) {
                    self.put_node(index, node);
                }
                self.upsert_evals(index, evals);
                Ok(())
            }
            Command::NodeDeregister { id, evals } => {
                self.nodes.remove(id).ok_or("node not found")?;
                self.touch(Table::Nodes, index);
                self.upsert_evals(index, evals);
                Ok(())
            }
            other => unreachable!("not about nodes: {other:?}"),
        }
    }

    /// What the servers decide about a node (eligibility, history) survives its registering
    /// again; what the client says of itself is replaced.
    fn register_node(&mut self, index: u64, node: &Node, now: Nanos) -> Result<(), Refusal> {
        let mut node = node.clone();
        node.create_index = index;
        node.status_updated_at = now / SECOND;
        node.events.clear();
        if let Some(old) = self.nodes.get(&node.id) {
            if old.secret_id != node.secret_id {
                return Err("node secret ID does not match. Not registering node.".to_owned());
            }
            node.create_index = old.create_index;
            node.events.clone_from(&old.events);
            node.scheduling_eligibility = old.scheduling_eligibility;
            node.drain = old.drain;
            node.drain_strategy = old.drain_strategy;
            node.last_drain.clone_from(&old.last_drain);
            if old.status == NodeStatus::Down && node.status != NodeStatus::Down {
                add_event(&mut node, index, now, "Node re-registered");
            }
        } else {
            add_event(&mut node, index, now, "Node registered");
        }
        self.put_node(index, node);
        Ok(())
    }

    fn node_copy(&self, id: &str) -> Result<Node, Refusal> {
        let node = self.nodes.get(id).ok_or("node not found")?;
        Ok(Node::clone(node))
    }

    fn put_node(&mut self, index: u64, mut node: Node) {
        node.modify_index = index;
        self.nodes.insert(node.id.clone(), Arc::new(node));
        self.touch(Table::Nodes, index);
    }
}

/// Changes a node's drain; false where there is nothing to change.
fn drain(node: &mut Node, index: u64, change: &DrainChange, now: Nanos) -> bool {
    let was = node.drain_strategy.is_some();
    let mut details = None;
    let message = match change {
        DrainChange::Set { strategy, .. } => {
            node.scheduling_eligibility = NodeEligibility::Ineligible;
            node.drain_strategy = Some(DrainStrategy {
                started_at: node.drain_strategy.map_or(now, |old| old.started_at),
                ..*strategy
            });
            if was {
                "Node drain strategy updated"
            } else {
                "Node drain strategy set"
            }
        }
        DrainChange::Cancel { mark_eligible, .. } => {
            if *mark_eligible {
                node.scheduling_eligibility = NodeEligibility::Eligible;
            }
            if !was {
                return *mark_eligible;
            }
            node.drain_strategy = None;
            "Node drain strategy disabled"
        }
        DrainChange::Complete { .. } if !was => return false,
        DrainChange::Complete { deadlined } => {
            node.drain_strategy = None;
            let reached = [("deadline_reached".to_owned(), "true".to_owned())];
            details = deadlined.then(|| reached.into());
            "Node drain complete"
        }
    };
    node.drain = node.drain_strategy.is_some();
    remember_drain(node, change, now);
    push_event(
        node,
        NodeEvent {
            message: message.to_owned(),
            subsystem: "Drain".to_owned(),
            timestamp: clock::rfc3339(now),
            details,
            create_index: index,
        },
    );
    true
}

/// Keeps `LastDrain` in step.
fn remember_drain(node: &mut Node, change: &DrainChange, now: Nanos) {
    let running = node
        .last_drain
        .take()
        .filter(|last| last.status == DrainStatus::Draining);
    let mut last = running.unwrap_or_else(|| LastDrain {
        started_at: now,
        ..LastDrain::default()
    });
    last.updated_at = now;
    match change {
        DrainChange::Set {
            accessor_id, meta, ..
        }
        | DrainChange::Cancel {
            accessor_id, meta, ..
        } => {
            last.accessor_id.clone_from(accessor_id);
            if meta.as_ref().is_some_and(|meta| !meta.is_empty()) {
                last.meta.clone_from(meta);
            }
        }
        DrainChange::Complete { .. } => {}
    }
    last.status = match change {
        DrainChange::Set { .. } => DrainStatus::Draining,
        DrainChange::Cancel { .. } => DrainStatus::Canceled,
        DrainChange::Complete { .. } => DrainStatus::Complete,
    };
    node.last_drain = Some(last);
}

fn add_event(node: &mut Node, index: u64, now: Nanos, message: &str) {
    let event = NodeEvent {
        message: message.to_owned(),
        subsystem: "Cluster".to_owned(),
        timestamp: clock::rfc3339(now),
        details: None,
        create_index: index,
    };
    push_event(node, event);
}

fn push_event(node: &mut Node, event: NodeEvent) {
    node.events.push(event);
    let surplus = node.events.len().saturating_sub(EVENTS_KEPT);
    node.events.drain(..surplus);
}
