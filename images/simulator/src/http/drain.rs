//! `node/:id/drain`: begins, changes and cancels a drain; `leader/drainer.rs` carries it out.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::Path;
use bytes::Bytes;
use serde::Deserialize;

use super::call::{self, Call};
use super::context::Context;
use super::nodes::{changed, found};
use super::reply::{ApiError, Reply};
use super::write;
use crate::acl::Level;
use crate::clock;
use crate::leader::node_evals;
use crate::state::{Command, DrainChange};
use crate::types::{DrainStrategy, Nanos, Node, NodeEligibility};

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/node/{id}/drain", write(drain))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Given {
    #[serde(rename = "NodeID")]
    node_id: String,
    drain_spec: Option<Spec>,
    mark_eligible: bool,
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Spec {
    deadline: Nanos,
    ignore_system_jobs: bool,
}

async fn drain(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    call.demand_node(Level::Write)?;
    let given: Given = call::body(&body)?;
    if !given.node_id.is_empty() && given.node_id != id {
        return Err(ApiError::bad("Node ID does not match path"));
    }
    let state = call.state();
    let node = found(&state.nodes, &id)?;
    let now = clock::now();
    let accessor = call.acl.token().map(|token| token.accessor_id.clone());
    let accessor_id = accessor.unwrap_or_default();
    let returns = node.scheduling_eligibility == NodeEligibility::Ineligible
        && given.drain_spec.is_none()
        && given.mark_eligible;
    let evals = if returns {
        let mut eligible = Node::clone(node);
        eligible.scheduling_eligibility = NodeEligibility::Eligible;
        node_evals(&state, &eligible, now)
    } else {
        Vec::new()
    };
    let change = match given.drain_spec {
        Some(spec) => DrainChange::Set {
            strategy: strategy(&spec, now),
            accessor_id,
            meta: given.meta,
        },
        None => DrainChange::Cancel {
            mark_eligible: given.mark_eligible,
            accessor_id,
            meta: given.meta,
        },
    };
    let command = Command::NodeDrain {
        id,
        change,
        now,
        evals: evals.clone(),
    };
    let applied = call.propose(command).await?;
    changed(&call, applied.index, &evals)
}

fn strategy(spec: &Spec, now: Nanos) -> DrainStrategy {
    let wait = Nanos::try_from(clock::scaled_nanos(spec.deadline).as_nanos());
    DrainStrategy {
        deadline: spec.deadline,
        ignore_system_jobs: spec.ignore_system_jobs,
        force_deadline: if spec.deadline > 0 {
            now.saturating_add(wait.unwrap_or(Nanos::MAX))
        } else {
            0
        },
        started_at: now,
    }
}
