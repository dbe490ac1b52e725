//! `vars`, `var/:path`: variables, with check-and-set.
//!
//! Missing: locks, and encryption: what is stored here lies in the log and in snapshots as
//! given.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::context::Context;
use super::listing::{Listing, Place};
use super::reply::{self, ApiError, Reply};
use super::write;
use crate::clock;
use crate::state::{Command, State, Table};
use crate::types::Variable;

/// Largest sum of all keys and values (`maxVariableSize`).
const LARGEST: usize = 64 << 10;

/// Longest path.
const LONGEST: usize = 128;

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/vars", get(list)).route(
        "/v1/var/{*path}",
        get(read).merge(write(set)).delete(remove),
    )
}

/// A variable without what it holds.
fn metadata(variable: &Variable) -> Value {
    let mut shown = json!(variable);
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("Items");
    }
    shown
}

async fn list(call: Call) -> Reply {
    let all = call.namespace == "*";
    let anything = |capability| call.acl.any_variable(&call.namespace, capability);
    if !all && !anything("list") && !anything("read") && !anything("write") {
        return Err(ApiError::denied());
    }
    let (state, index) = call.block(|state| state.index_of(Table::Variables)).await;
    let stored = state.variables.values();
    let listed = stored.filter(|variable| {
        let here = all || variable.namespace == call.namespace;
        here && variable.path.starts_with(&call.prefix)
            && call
                .acl
                .variable(&variable.namespace, &variable.path, "list")
    });
    let listing = Listing {
        place: |v: &Arc<Variable>| Place::Named(format!("{}.{}", v.namespace, v.path)),
        fields: |v: &Arc<Variable>| metadata(v),
        stub: |v: &Arc<Variable>| metadata(v),
    };
    listing.reply(&call, index, listed.cloned().collect())
}

/// Refuses whoever lacks a capability on a path.
fn demand(call: &Call, namespace: &str, path: &str, capability: &str) -> Result<(), ApiError> {
    if call.acl.variable(namespace, path, capability) {
        Ok(())
    } else {
        Err(ApiError::denied())
    }
}

async fn read(call: Call, Path(path): Path<String>) -> Reply {
    demand(&call, &call.namespace, &path, "read")?;
    let key = State::job_key(&call.namespace, &path);
    let (state, index) = call
        .block(|state| match state.variables.get(&key) {
            Some(variable) => variable.modify_index,
            None => state.index_of(Table::Variables),
        })
        .await;
    match state.variables.get(&key) {
        Some(variable) => call.query(index, &json!(variable)),
        None => call.not_found(index, "variable not found"),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Given {
    namespace: String,
    path: String,
    items: Option<BTreeMap<String, String>>,
    lock: Value,
}

/// The text of Nomad's own validation.
fn check_path(path: &str) -> Result<(), ApiError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_~/".contains(c);
    if path.is_empty() || path.len() > LONGEST || !path.chars().all(legal) {
        return Err(ApiError::bad(format!("invalid path {path:?}")));
    }
    let reserved = ["nomad", "nomad/jobs"].contains(&path)
        || (path.starts_with("nomad/") && !path.starts_with("nomad/jobs/"));
    if reserved {
        let text = "only paths at \"nomad/jobs\" or \"nomad/job-templates\" and below are valid paths under the top-level \"nomad\" directory";
        return Err(ApiError::bad(text));
    }
    Ok(())
}

async fn set(call: Call, Path(path): Path<String>, body: Bytes) -> Reply {
    for verb in ["lock-acquire", "lock-release", "lock-renew"] {
        if call.parameter(verb).is_some() {
            return Err(ApiError::not_simulated(&format!("variable `{verb}`")));
        }
    }
    let given: Given = call::body(&body)?;
    if !given.path.is_empty() && given.path != path {
        return Err(ApiError::bad("Variable path does not match request path"));
    }
    let namespace = match given.namespace.as_str() {
        "" => call.namespace.clone(),
        named => named.to_owned(),
    };
    demand(&call, &namespace, &path, "write")?;
    check_path(&path)?;
    if !given.lock.is_null() {
        return Err(ApiError::not_simulated("variable field `Lock`"));
    }
    if call.state().namespace(&namespace).is_none() {
        return Err(ApiError::server(format!(
            "nonexistent namespace {namespace:?}"
        )));
    }
    let items = given.items.unwrap_or_default();
    let size: usize = items.iter().map(|(k, v)| k.len() + v.len()).sum();
    if items.is_empty() {
        return Err(ApiError::bad("empty variables are invalid"));
    }
    if size > LARGEST {
        return Err(ApiError::bad(
            "variables are limited to 64KiB in total size",
        ));
    }
    let now = clock::now();
    let variable = Variable {
        namespace: namespace.clone(),
        path: path.clone(),
        items,
        create_time: now,
        modify_time: now,
        ..Variable::default()
    };
    let cas = cas(&call)?;
    let applied = call
        .ctx
        .consensus
        .propose(Command::VariableSet { variable, cas })
        .await?;
    let key = State::job_key(&namespace, &path);
    let state = call.state();
    if applied.refused.is_some() {
        return Ok(conflict(&call, &namespace, &path));
    }
    call.written(applied.index, &json!(state.variables.get(&key)))
}

async fn remove(call: Call, Path(path): Path<String>) -> Reply {
    demand(&call, &call.namespace, &path, "destroy")?;
    let command = Command::VariableDelete {
        namespace: call.namespace.clone(),
        path: path.clone(),
        cas: cas(&call)?,
    };
    let applied = call.ctx.consensus.propose(command).await?;
    if applied.refused.is_some() {
        return Ok(conflict(&call, &call.namespace, &path));
    }
    let mut response = call.written(applied.index, &Value::Null)?;
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.body_mut() = axum::body::Body::empty();
    Ok(response)
}

fn cas(call: &Call) -> Result<Option<u64>, ApiError> {
    let text = call.parameter("cas");
    text.map(|text| {
        let wrong = |_| ApiError::bad(format!("can not parse cas: {text:?}"));
        text.parse().map_err(wrong)
    })
    .transpose()
}

/// 409 with the variable as it is stored; without its items for those who may not read it.
fn conflict(call: &Call, namespace: &str, path: &str) -> Response {
    let state = call.state();
    let stored = state.variables.get(&State::job_key(namespace, path));
    let body = match stored {
        Some(stored) if call.acl.variable(namespace, path, "read") => json!(stored),
        Some(stored) => metadata(stored),
        None => json!(Variable {
            namespace: namespace.to_owned(),
            path: path.to_owned(),
            ..Variable::default()
        }),
    };
    let mut response = reply::json(&body, false);
    *response.status_mut() = StatusCode::CONFLICT;
    response
}
