//! `client/allocation/:id/*` and `client/stats` on the client that they are about.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::call;
use super::reply::{self, ApiError, Reply};
use crate::client::{Client, OrderError};

type Own = State<Arc<Client>>;

pub fn routes() -> Router<Arc<Client>> {
    Router::new()
        .route(
            "/v1/client/allocation/{alloc}/restart",
            post(restart).put(restart),
        )
        .route(
            "/v1/client/allocation/{alloc}/signal",
            post(signal).put(signal),
        )
        .route("/v1/client/allocation/{alloc}/stats", get(stats))
        .route("/v1/client/allocation/{alloc}/checks", get(checks))
        .route("/v1/client/stats", get(host))
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::UnknownAllocation(_) => Self::missing(error.to_string()),
            _ => Self::server(error.to_string()),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Restart {
    task_name: String,
    all_tasks: bool,
}

async fn restart(State(client): Own, Path(alloc): Path<String>, body: Bytes) -> Reply {
    let given: Restart = call::body(&body)?;
    let task = Some(given.task_name.as_str()).filter(|task| !task.is_empty());
    if task.is_some() && given.all_tasks {
        return Err(ApiError::bad(
            "Cannot restart all tasks and a specific task",
        ));
    }
    client.restart(&alloc, task, given.all_tasks)?;
    Ok(done())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Signal {
    #[serde(alias = "TaskName")]
    task: String,
    signal: String,
}

async fn signal(State(client): Own, Path(alloc): Path<String>, body: Bytes) -> Reply {
    let given: Signal = call::body(&body)?;
    let task = Some(given.task.as_str()).filter(|task| !task.is_empty());
    client.signal(&alloc, task, &given.signal)?;
    Ok(done())
}

/// Nomad's `GenericResponse`.
fn done() -> axum::response::Response {
    reply::json(&json!({ "Index": 0 }), false)
}

async fn stats(State(client): Own, Path(alloc): Path<String>) -> Reply {
    let usage = client.usage(&alloc);
    let usage = usage.ok_or(OrderError::UnknownAllocation(alloc))?;
    Ok(reply::json(&usage, false))
}

/// By their IDs, and `null` where there are none.
async fn checks(State(client): Own, Path(alloc): Path<String>) -> Reply {
    let results = client.checks(&alloc);
    let results = results.ok_or(OrderError::UnknownAllocation(alloc))?;
    let results = Some(results).filter(|results| !results.is_empty());
    Ok(reply::json(&json!(results), false))
}

async fn host(State(client): Own) -> Reply {
    Ok(reply::json(&client.host_usage(), false))
}
