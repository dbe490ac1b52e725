//! `search`: which objects' IDs begin so. The command line expands shortened IDs by it.

use axum::Router;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{self, Call};
use super::context::Context;
use super::reply::{ApiError, Reply};
use super::write;
use crate::acl::Level;
use crate::state::State;

/// Nomad's `truncateLimit`.
const LIMIT: usize = 20;

/// Contexts, and what must be allowed in them.
const CONTEXTS: &[&str] = &["allocs", "deployment", "evals", "jobs", "nodes"];

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/search", write(search))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Search {
    prefix: String,
    context: String,
}

async fn search(call: Call, body: Bytes) -> Reply {
    let given: Search = call::body(&body)?;
    let asked: Vec<&str> = match given.context.as_str() {
        "" | "all" => CONTEXTS.to_vec(),
        one => match CONTEXTS.iter().find(|context| **context == one) {
            Some(context) => vec![context],
            None => return Err(ApiError::not_simulated(&format!("search context `{one}`"))),
        },
    };
    let allowed: Vec<&str> = asked.into_iter().filter(|c| is_allowed(&call, c)).collect();
    if allowed.is_empty() {
        return Err(ApiError::denied());
    }
    let state = call.state();
    let mut matches = Map::new();
    let mut truncations = Map::new();
    for context in allowed {
        let mut found = found(&call, &state, context, &given.prefix);
        found.sort_unstable();
        truncations.insert(context.to_owned(), json!(found.len() > LIMIT));
        found.truncate(LIMIT);
        let shown = if found.is_empty() {
            Value::Null
        } else {
            json!(found)
        };
        matches.insert(context.to_owned(), shown);
    }
    let value = json!({ "Matches": matches, "Truncations": truncations, "Index": state.index });
    call.query(state.index, &value)
}

fn is_allowed(call: &Call, context: &str) -> bool {
    match context {
        "nodes" => call.acl.node(Level::Read),
        _ => call.namespace == "*" || call.acl.allows(&call.namespace, "read-job"),
    }
}

fn found(call: &Call, state: &State, context: &str, prefix: &str) -> Vec<String> {
    let seen = |namespace: &str, id: &String| {
        (id.starts_with(prefix) && call.lists(namespace, "read-job")).then(|| id.clone())
    };
    match context {
        "allocs" => state
            .allocs
            .values()
            .filter_map(|a| seen(&a.namespace, &a.id))
            .collect(),
        "deployment" => {
            let all = state.deployments.values();
            all.filter_map(|d| seen(&d.namespace, &d.id)).collect()
        }
        "evals" => state
            .evals
            .values()
            .filter_map(|e| seen(&e.namespace, &e.id))
            .collect(),
        "jobs" => state
            .jobs
            .values()
            .filter_map(|j| seen(&j.namespace, &j.id))
            .collect(),
        _ => {
            let ids = state.nodes.keys();
            ids.filter(|id| id.starts_with(prefix)).cloned().collect()
        }
    }
}
