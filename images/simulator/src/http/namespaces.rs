//! `namespaces`, `namespace/*`. Missing: quotas and what else is Enterprise's.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::context::Context;
use super::given_job::is_empty;
use super::listing::{Listing, Place};
use super::reply::{ApiError, Reply};
use super::write;
use crate::state::{Command, State, Table, multierror};
use crate::types::{JobStatus, Namespace};

/// Longest description.
const LONGEST: usize = 256;

/// Fields that a namespace of Nomad's has and one of the simulator's cannot use.
const NOT_HONOURED: &[&str] = &[
    "Quota",
    "NodePoolConfiguration",
    "VaultConfiguration",
    "ConsulConfiguration",
];

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/namespaces", get(list))
        .route("/v1/namespace", write(create))
        .route(
            "/v1/namespace/{name}",
            get(read).merge(write(update)).delete(remove),
        )
}

/// A namespace as Nomad shows it.
fn shape(namespace: &Namespace) -> Value {
    let mut shown = json!(namespace);
    shown["Quota"] = json!("");
    for name in &NOT_HONOURED[1..] {
        shown[*name] = Value::Null;
    }
    shown
}

async fn list(call: Call) -> Reply {
    let (state, index) = call.block(|state| state.index_of(Table::Namespaces)).await;
    let seen =
        |one: &Arc<Namespace>| one.name.starts_with(&call.prefix) && call.acl.sees(&one.name);
    let listing = Listing {
        place: |one: &Arc<Namespace>| Place::Named(one.name.clone()),
        fields: |one: &Arc<Namespace>| shape(one),
        stub: |one: &Arc<Namespace>| shape(one),
    };
    let all = state.all_namespaces();
    listing.reply(&call, index, all.into_iter().filter(seen).collect())
}

async fn read(call: Call, Path(name): Path<String>) -> Reply {
    if !call.acl.sees(&name) {
        return Err(ApiError::denied());
    }
    let (state, index) = call
        .block(|state| match state.namespace(&name) {
            Some(namespace) => namespace.modify_index,
            None => state.index_of(Table::Namespaces),
        })
        .await;
    match state.namespace(&name) {
        Some(namespace) => call.query(index, &shape(&namespace)),
        None => call.not_found(index, "Namespace not found"),
    }
}

async fn create(call: Call, body: Bytes) -> Result<Response, ApiError> {
    store(&call, &body, None).await
}

async fn update(call: Call, Path(name): Path<String>, body: Bytes) -> Result<Response, ApiError> {
    store(&call, &body, Some(&name)).await
}

async fn store(call: &Call, body: &Bytes, at: Option<&str>) -> Result<Response, ApiError> {
    let given: Value = call::body(body)?;
    let namespace: Namespace =
        serde_json::from_value(given.clone()).map_err(|error| ApiError::bad(error.to_string()))?;
    if at.is_some_and(|at| at != namespace.name) {
        let text = "Namespace name does not match request path";
        return Err(ApiError::bad(text));
    }
    call.demand_management()?;
    let asked = |name: &&&str| given.get(**name).is_some_and(|value| !is_empty(value));
    if let Some(name) = NOT_HONOURED.iter().find(asked) {
        let what = format!("namespace field `{name}`");
        return Err(ApiError::not_simulated(&what));
    }
    check(&namespace)?;
    let namespaces = vec![namespace];
    let applied = call
        .propose(Command::NamespaceUpsert { namespaces })
        .await?;
    Ok(call.nothing_written(applied.index))
}

fn check(namespace: &Namespace) -> Result<(), ApiError> {
    let (name, mut wrong) = (&namespace.name, Vec::new());
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !(1..=128).contains(&name.len()) || !name.chars().all(legal) {
        let pattern = "^[a-zA-Z0-9-]{1,128}$";
        wrong.push(format!("invalid name {name:?}. Must match regex {pattern}"));
    }
    if namespace.description.len() > LONGEST {
        wrong.push(format!("description longer than {LONGEST}"));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let text = format!("Invalid namespace {name:?}: {}", multierror(&wrong));
    Err(ApiError::server(text))
}

async fn remove(call: Call, Path(name): Path<String>) -> Result<Response, ApiError> {
    call.demand_management()?;
    if name == "default" {
        return Err(ApiError::server("can not delete default namespace"));
    }
    let left = left_in(&call.state(), &name);
    if !left.is_empty() {
        let region = &call.ctx.agent.region;
        let tell = |what: &&str| format!("namespace {name:?} has {what} in regions: [{region}]");
        let left: Vec<_> = left.iter().map(tell).collect();
        return Err(ApiError::server(multierror(&left)));
    }
    let names = vec![name];
    let applied = call.propose(Command::NamespaceDelete { names }).await?;
    Ok(call.nothing_written(applied.index))
}

/// What is in a namespace and lets it not be deleted.
fn left_in(state: &State, name: &str) -> Vec<&'static str> {
    let mut jobs = state.jobs.values().filter(|job| job.namespace == name);
    let mut allocs = state.allocs.values().filter(|one| one.namespace == name);
    let mut variables = state.variables.values();
    let mut left = Vec::new();
    if jobs.any(|job| job.status != JobStatus::Dead) {
        left.push("non-terminal jobs");
    }
    if allocs.any(|alloc| !alloc.client_status.is_terminal()) {
        left.push("non-terminal allocations");
    }
    if variables.any(|variable| variable.namespace == name) {
        left.push("variables associated with it");
    }
    left
}
