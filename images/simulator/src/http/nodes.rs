//! `nodes`, `node/:id/*`: client registrations.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::context::Context;
use super::listing::{Listing, Place};
use super::reply::{ApiError, Reply};
use super::{shape, write};
use crate::acl::Level;
use crate::clock;
use crate::leader::node_evals;
use crate::state::{Command, Table};
use crate::types::{Evaluation, Node, NodeEligibility};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/nodes", get(list))
        .route("/v1/node/pools", get(pools))
        .route("/v1/node/{id}", get(read))
        .route("/v1/node/{id}/allocations", get(allocations))
        .route("/v1/node/{id}/eligibility", write(eligibility))
        .route("/v1/node/{id}/evaluate", write(evaluate))
        .route("/v1/node/{id}/purge", write(purge))
}

async fn list(call: Call) -> Reply {
    call.demand_node(Level::Read)?;
    check_prefix(&call.prefix)?;
    let (state, index) = call.block(|state| state.index_of(Table::Nodes)).await;
    let resources = call.flag("resources");
    let os = call.flag("os");
    let stub = |node: &Arc<Node>| {
        let mut stub = shape::node_stub(node, resources);
        if os {
            let name = node.attributes.get("os.name");
            stub["Attributes"] = json!({ "os.name": name });
        }
        stub
    };
    let nodes = state.nodes.values();
    let listed = nodes.filter(|node| node.id.starts_with(&call.prefix));
    let listing = Listing {
        place: |node: &Arc<Node>| Place::Named(node.id.clone()),
        fields: |node: &Arc<Node>| shape::node(node),
        stub,
    };
    listing.reply(&call, index, listed.cloned().collect())
}

/// Prefixes of UUIDs have an even number of hexadecimal digits in Nomad's index.
pub(super) fn check_prefix(prefix: &str) -> Result<(), ApiError> {
    let digits = prefix.chars().filter(|c| *c != '-').count();
    let legal = prefix.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if !legal || digits % 2 == 1 {
        return Err(ApiError::server(format!(
            "invalid prefix {prefix:?}: expected an even number of hexadecimal digits"
        )));
    }
    Ok(())
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    call.demand_node(Level::Read)?;
    let (state, index) = call
        .block(|state| match state.nodes.get(&id) {
            Some(node) => node.modify_index,
            None => state.index_of(Table::Nodes),
        })
        .await;
    match state.nodes.get(&id) {
        Some(node) => call.query(index, &shape::node(node)),
        None => call.not_found(index, "node not found"),
    }
}

/// The built-in pools, and those that came into being with a node.
async fn pools(call: Call) -> Reply {
    call.demand_node(Level::Read)?;
    let (state, index) = call.block(|state| state.index_of(Table::Nodes)).await;
    let mut names: std::collections::BTreeSet<&str> = ["all", "default"].into();
    names.extend(state.nodes.values().map(|node| node.node_pool.as_str()));
    let pool = |name: &str| {
        let description = match name {
            "all" => "Node pool with all nodes in the cluster.",
            "default" => "Default node pool.",
            _ => "",
        };
        json!({
            "Name": name,
            "Description": description,
            "Meta": null,
            "SchedulerConfiguration": null,
            "CreateIndex": 1,
            "ModifyIndex": 1,
        })
    };
    let named = names.into_iter().filter(|name| !name.is_empty());
    let pools: Vec<_> = named.map(pool).collect();
    call.query(index, &json!(pools))
}

async fn allocations(call: Call, Path(id): Path<String>) -> Reply {
    call.demand_node(Level::Read)?;
    let (state, index) = call.block(|state| state.index_of(Table::Allocs)).await;
    let allocs = state.allocs_of_node(&id);
    let seen = allocs.filter(|alloc| call.acl.allows(&alloc.namespace, "read-job"));
    let full: Vec<_> = seen.map(|alloc| shape::alloc(alloc)).collect();
    call.query(index, &json!(full))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GivenEligibility {
    #[serde(rename = "NodeID")]
    node_id: String,
    eligibility: String,
}

async fn eligibility(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    call.demand_node(Level::Write)?;
    let given: GivenEligibility = call::body(&body)?;
    if !given.node_id.is_empty() && given.node_id != id {
        return Err(ApiError::bad("Node ID does not match path"));
    }
    let wanted = match given.eligibility.as_str() {
        "eligible" => NodeEligibility::Eligible,
        "ineligible" => NodeEligibility::Ineligible,
        other => {
            let text = format!("invalid scheduling eligibility {other:?}");
            return Err(ApiError::server(text));
        }
    };
    let state = call.state();
    let node = found(&state.nodes, &id)?;
    if node.scheduling_eligibility == wanted {
        return changed(&call, node.modify_index, &[]);
    }
    let now = clock::now();
    let evals = match wanted {
        NodeEligibility::Eligible => node_evals(&state, node, now),
        NodeEligibility::Ineligible => Vec::new(),
    };
    let command = Command::NodeEligibility {
        id,
        eligibility: wanted,
        now,
        evals: evals.clone(),
    };
    let applied = call.propose(command).await?;
    changed(&call, applied.index, &evals)
}

async fn evaluate(call: Call, Path(id): Path<String>) -> Reply {
    call.demand_node(Level::Write)?;
    let state = call.state();
    let evals = node_evals(&state, found(&state.nodes, &id)?, clock::now());
    let command = Command::EvalUpsert {
        evals: evals.clone(),
    };
    let applied = call.propose(command).await?;
    changed(&call, applied.index, &evals)
}

async fn purge(call: Call, Path(id): Path<String>) -> Reply {
    call.demand_node(Level::Write)?;
    let state = call.state();
    let evals = node_evals(&state, found(&state.nodes, &id)?, clock::now());
    let command = Command::NodeDeregister {
        id: id.clone(),
        evals: evals.clone(),
    };
    let applied = call.propose(command).await?;
    call.ctx.leader.forget_heartbeat(&id);
    changed(&call, applied.index, &evals)
}

/// Writes answer 500 for a node that is not there, unlike reads.
pub(super) fn found<'a>(
    nodes: &'a std::collections::BTreeMap<String, std::sync::Arc<Node>>,
    id: &str,
) -> Result<&'a Node, ApiError> {
    let node = nodes.get(id);
    node.map(AsRef::as_ref)
        .ok_or_else(|| ApiError::server("node not found"))
}

pub(super) fn changed(call: &Call, index: u64, evals: &[Evaluation]) -> Reply {
    let ids: Vec<_> = evals.iter().map(|eval| &eval.id).collect();
    let ids = if ids.is_empty() {
        Value::Null
    } else {
        json!(ids)
    };
    let value = json!({
        "NodeModifyIndex": index,
        "EvalIDs": ids,
        "EvalCreateIndex": if evals.is_empty() { 0 } else { index },
        "Index": index,
        "LastContact": 0,
        "KnownLeader": false,
    });
    call.written(index, &value)
}
