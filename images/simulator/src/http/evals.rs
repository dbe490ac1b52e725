//! `evaluations`, `evaluation/:id/*`.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::json;

use super::call::Call;
use super::context::Context;
use super::listing::{Listing, Place, filtered};
use super::nodes::check_prefix;
use super::reply::Reply;
use super::shape;
use crate::state::Table;
use crate::types::Evaluation;

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/evaluations", get(list))
        .route("/v1/evaluations/count", get(count))
        .route("/v1/evaluation/{id}", get(read))
        .route("/v1/evaluation/{id}/allocations", get(allocations))
}

/// Evaluations that the query asks for.
fn chosen(call: &Call, state: &crate::state::State) -> Vec<Arc<Evaluation>> {
    let status = call.parameter("status").unwrap_or_default();
    let job = call.parameter("job").unwrap_or_default();
    let evals = state
        .evals
        .values()
        .filter(|eval| call.lists(&eval.namespace, "read-job"))
        .filter(|eval| eval.id.starts_with(&call.prefix))
        .filter(|eval| job.is_empty() || eval.job_id == job)
        .filter(|eval| status.is_empty() || json!(eval.status) == json!(status));
    evals.cloned().collect()
}

async fn list(call: Call) -> Reply {
    call.demand_listing("read-job")?;
    check_prefix(&call.prefix)?;
    let (state, index) = call.block(|state| state.index_of(Table::Evals)).await;
    let listing = Listing {
        place: |eval: &Arc<Evaluation>| Place::by_age(&call, eval.create_index, &eval.id),
        fields: |eval: &Arc<Evaluation>| shape::eval_fields(eval),
        stub: |eval: &Arc<Evaluation>| shape::eval(eval),
    };
    listing.reply(&call, index, chosen(&call, &state))
}

async fn count(call: Call) -> Reply {
    call.demand_listing("read-job")?;
    let (state, index) = call.block(|state| state.index_of(Table::Evals)).await;
    let chosen = chosen(&call, &state);
    let count = filtered(&call, chosen, |eval| shape::eval_fields(eval))?.len();
    call.query(index, &json!({ "Count": count }))
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    let (state, index) = call
        .block(|state| match state.evals.get(&id) {
            Some(eval) => eval.modify_index,
            None => state.index_of(Table::Evals),
        })
        .await;
    match state.evals.get(&id) {
        Some(eval) => {
            call.demand(&eval.namespace, "read-job")?;
            let mut shown = shape::eval(eval);
            if call.flag("related") {
                shown["RelatedEvals"] = json!(related(&state, eval));
            }
            call.query(index, &shown)
        }
        None => {
            call.demand(&call.namespace, "read-job")?;
            call.not_found(index, "eval not found")
        }
    }
}

/// The evaluations that an evaluation leads to or comes from, and theirs.
fn related(state: &crate::state::State, eval: &Evaluation) -> Vec<serde_json::Value> {
    let mut seen = std::collections::BTreeSet::from([eval.id.as_str()]);
    let (mut found, mut open) = (Vec::new(), vec![eval]);
    while let Some(one) = open.pop() {
        for id in [&one.next_eval, &one.previous_eval, &one.blocked_eval] {
            if let Some(other) = state.evals.get(id) {
                if seen.insert(other.id.as_str()) {
                    found.push(shape::eval(other));
                    open.push(other);
                }
            }
        }
    }
    found
}

async fn allocations(call: Call, Path(id): Path<String>) -> Reply {
    call.demand(&call.namespace, "read-job")?;
    let (state, index) = call.block(|state| state.index_of(Table::Allocs)).await;
    let allocs = state.allocs.values().filter(|alloc| alloc.eval_id == id);
    let seen = allocs.filter(|alloc| call.acl.allows(&alloc.namespace, "read-job"));
    let stubs: Vec<_> = seen
        .map(|alloc| shape::alloc_stub(alloc, false, true))
        .collect();
    call.query(index, &json!(stubs))
}
