//! Which events a log entry makes.

use std::sync::Arc;

use super::{Event, Subject};
use crate::state::{Command, State, Table};

/// What an entry will remove, as it was.
pub type Removed = Vec<Event>;

/// What `command` will remove from the state; to be asked before it is applied.
#[must_use]
pub fn removed(state: &State, command: &Command) -> Removed {
    let event = |kind, subject| Event { kind, subject };
    match command {
        Command::JobDeregister {
            namespace,
            id,
            purge: true,
            ..
        } => {
            let job = state.job(namespace, id).cloned().map(Subject::Job);
            job.map(|job| event("JobDeregistered", job))
                .into_iter()
                .collect()
        }
        Command::NodeDeregister { id, .. } => {
            let node = state.nodes.get(id).cloned().map(Subject::Node);
            node.map(|node| event("NodeDeregistration", node))
                .into_iter()
                .collect()
        }
        Command::AclTokenDelete { accessors } => {
            let tokens = accessors.iter().filter_map(|id| state.acl_tokens.get(id));
            tokens
                .map(|token| event("ACLTokenDeleted", Subject::AclToken(Arc::clone(token))))
                .collect()
        }
        Command::AclPolicyDelete { names } => {
            let policies = names.iter().filter_map(|id| state.acl_policies.get(id));
            policies
                .map(|policy| event("ACLPolicyDeleted", Subject::AclPolicy(Arc::clone(policy))))
                .collect()
        }
        Command::AclRoleDelete { ids } => {
            let roles = ids.iter().filter_map(|id| state.acl_roles.get(id));
            roles
                .map(|role| event("ACLRoleDeleted", Subject::AclRole(Arc::clone(role))))
                .collect()
        }
        Command::Batch { commands } => commands
            .iter()
            .flat_map(|command| removed(state, command))
            .collect(),
        _ => Vec::new(),
    }
}

/// The events of `command`, which was applied at `index`: what it `removed`, and all that it
/// changed.
#[must_use]
pub fn made(state: &State, index: u64, command: &Command, removed: Removed) -> Vec<Event> {
    let kinds = Kinds::of(command);
    let mut events = removed;
    let touched = |table| state.index_of(table) == index;
    let mut add = |kind, subject| events.push(Event { kind, subject });
    if touched(Table::Jobs) {
        let jobs = state.jobs.values().filter(|job| job.modify_index == index);
        jobs.for_each(|job| add(kinds.job, Subject::Job(Arc::clone(job))));
    }
    if touched(Table::Deployments) {
        let deployments = state.deployments.values();
        deployments
            .filter(|deployment| deployment.modify_index == index)
            .for_each(|d| add(kinds.deployment, Subject::Deployment(Arc::clone(d))));
    }
    if touched(Table::Evals) {
        let evals = state.evals.values().filter(|e| e.modify_index == index);
        evals.for_each(|eval| add(kinds.eval, Subject::Evaluation(Arc::clone(eval))));
    }
    if touched(Table::Allocs) {
        let allocs = state.allocs.values().filter(|a| a.modify_index == index);
        allocs.for_each(|alloc| add(kinds.alloc, Subject::Allocation(Arc::clone(alloc))));
    }
    if touched(Table::Nodes) {
        let nodes = state.nodes.values().filter(|n| n.modify_index == index);
        nodes.for_each(|node| add(kinds.node, Subject::Node(Arc::clone(node))));
    }
    if touched(Table::AclTokens) {
        let tokens = state.acl_tokens.values();
        tokens
            .filter(|token| token.modify_index == index)
            .for_each(|t| add("ACLTokenUpserted", Subject::AclToken(Arc::clone(t))));
    }
    if touched(Table::AclPolicies) {
        let policies = state.acl_policies.values();
        policies
            .filter(|policy| policy.modify_index == index)
            .for_each(|p| add("ACLPolicyUpserted", Subject::AclPolicy(Arc::clone(p))));
    }
    if touched(Table::AclRoles) {
        let roles = state.acl_roles.values();
        roles
            .filter(|role| role.modify_index == index)
            .for_each(|role| add("ACLRoleUpserted", Subject::AclRole(Arc::clone(role))));
    }
    events
}

/// Nomad names an event by what was asked for, not by what changed.
struct Kinds {
    job: &'static str,
    eval: &'static str,
    alloc: &'static str,
    deployment: &'static str,
    node: &'static str,
}

impl Kinds {
    fn of(command: &Command) -> Self {
        let usual = Self {
            job: "JobRegistered",
            eval: "EvaluationUpdated",
            alloc: "AllocationUpdated",
            deployment: "DeploymentStatusUpdate",
            node: "NodeStreamEvent",
        };
        match command {
            Command::NodeRegister { .. } => Self {
                node: "NodeRegistration",
                ..usual
            },
            Command::NodeEligibility { .. } => Self {
                node: "NodeEligibility",
                ..usual
            },
            Command::JobDeregister { .. } => Self {
                job: "JobDeregistered",
                ..usual
            },
            Command::PlanResult { .. } => Self {
                alloc: "PlanResult",
                deployment: "PlanResult",
                ..usual
            },
            Command::AllocTransition { .. } => Self {
                alloc: "AllocationUpdateDesiredStatus",
                ..usual
            },
            Command::DeploymentPromote { .. } => Self {
                deployment: "DeploymentPromotion",
                ..usual
            },
            Command::DeploymentHealth { .. } => Self {
                deployment: "DeploymentAllocHealth",
                ..usual
            },
            // The first is what was asked for, the others go with it.
            Command::Batch { commands } => commands.first().map_or(usual, Self::of),
            _ => usual,
        }
    }
}
