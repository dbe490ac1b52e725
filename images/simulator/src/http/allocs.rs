//! `allocations`, `allocation/:id/*`.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::json;

use super::call::Call;
use super::context::Context;
use super::nodes::check_prefix;
use super::reply::{ApiError, Reply};
use super::{shape, write};
use crate::clock;
use crate::leader::new_eval;
use crate::state::{Command, Table};
use crate::types::{DesiredTransition, EvalTrigger};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/allocations", get(list))
        .route("/v1/allocation/{id}", get(read))
        .route("/v1/allocation/{id}/stop", write(stop))
}

async fn list(call: Call) -> Reply {
    call.demand_listing("read-job")?;
    check_prefix(&call.prefix)?;
    let (state, index) = call.block(|state| state.index_of(Table::Allocs)).await;
    let resources = call.flag("resources");
    let task_states = call.parameter("task_states") != Some("false");
    let allocs = state.allocs.values();
    let listed = allocs
        .filter(|alloc| call.lists(&alloc.namespace, "read-job"))
        .filter(|alloc| alloc.id.starts_with(&call.prefix));
    let stubs: Vec<_> = listed
        .map(|alloc| shape::alloc_stub(alloc, resources, task_states))
        .collect();
    call.query(index, &json!(stubs))
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    let (state, index) = call
        .block(|state| match state.allocs.get(&id) {
            Some(alloc) => alloc.modify_index,
            None => state.index_of(Table::Allocs),
        })
        .await;
    match state.allocs.get(&id) {
        Some(alloc) => {
            call.demand(&alloc.namespace, "read-job")?;
            call.query(index, &shape::alloc(alloc))
        }
        None => {
            call.demand(&call.namespace, "read-job")?;
            call.not_found(index, "alloc not found")
        }
    }
}

/// Asks the scheduler to move the allocation elsewhere.
async fn stop(call: Call, Path(id): Path<String>) -> Reply {
    let state = call.state();
    let Some(alloc) = state.allocs.get(&id) else {
        call.demand(&call.namespace, "alloc-lifecycle")?;
        return Err(ApiError::missing("allocation not found"));
    };
    call.demand(&alloc.namespace, "alloc-lifecycle")?;
    let now = clock::now();
    let Some(job) = state.job(&alloc.namespace, &alloc.job_id) else {
        return Err(ApiError::missing("job not found"));
    };
    let eval = new_eval(job, EvalTrigger::AllocStop, now);
    let transition = DesiredTransition {
        migrate: Some(true),
        ..DesiredTransition::default()
    };
    let eval_id = eval.id.clone();
    let command = Command::AllocTransition {
        ids: vec![id],
        transition,
        evals: vec![eval],
        now,
    };
    let applied = call.propose(command).await?;
    let value = json!({ "EvalID": eval_id, "Index": applied.index });
    call.written(applied.index, &value)
}
