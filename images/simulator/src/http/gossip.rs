//! `agent/join`, `agent/force-leave` and `agent/keyring/*`: gossip, as operators steer it.
//!
//! What concerns all servers is told to each of them by RPC, and each one's answer counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::extract::{Path, Query, State};
use axum::http::{Request, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Duration, timeout};

use super::call::{self, Call};
use super::context::Context;
use super::reply::{self, ApiError, Reply};
use super::write;
use crate::acl::Level;
use crate::consensus::{KeyOrder, Member};

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/agent/join", write(join))
        .route("/v1/agent/force-leave", write(leave))
        .route(
            "/v1/agent/keyring/{operation}",
            get(list_keys).merge(write(change_keys)),
        )
}

/// What servers tell each other. With `required_region` (set where `verify_server_hostname`
/// is) callers must carry `server.<region>.nomad`.
pub fn gossip_rpc(ctx: Context, required_region: Option<String>) -> Router {
    let guard = from_fn_with_state(required_region, crate::raft::servers_only);
    Router::new()
        .route("/serf/leave", post(leave_here))
        .route("/serf/keys", post(keys_here))
        .layer(guard)
        .with_state(ctx)
}

async fn join(call: Call, uri: Uri) -> Reply {
    call.demand_agent(Level::Write)?;
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri);
    let pairs = pairs.map_err(|error| ApiError::bad(error.to_string()))?.0;
    let addresses: Vec<String> = pairs
        .into_iter()
        .filter(|(key, value)| key == "address" && !value.is_empty())
        .map(|(_, value)| value)
        .collect();
    if addresses.is_empty() {
        return Err(ApiError::bad("missing address to join"));
    }
    let (joined, failures) = call.ctx.membership.join(addresses).await;
    let error = if failures.is_empty() {
        String::new()
    } else {
        crate::state::multierror(&failures)
    };
    call.plain(&json!({ "num_joined": joined, "error": error }))
}

async fn leave(call: Call) -> Reply {
    call.demand_agent(Level::Write)?;
    let name = call.parameter("node").unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::bad("missing node to force leave"));
    }
    force_leave(&call.ctx, name, call.flag("prune")).await;
    Ok(reply::empty())
}

/// Body of `/serf/leave`.
#[derive(Debug, Serialize, Deserialize)]
struct Leave {
    name: String,
    prune: bool,
}

/// Takes a failed member for one that left, on every server that can be reached.
pub(crate) async fn force_leave(ctx: &Context, name: &str, prune: bool) {
    let order = Leave {
        name: name.to_owned(),
        prune,
    };
    ctx.membership.leave_for(name, prune).await;
    for (member, told) in everywhere::<_, ()>(ctx, "/serf/leave", &order).await {
        if let Err(problem) = told {
            tracing::warn!(target: "nomad.serf", member, problem, "force-leave was not told");
        }
    }
}

async fn leave_here(State(ctx): State<Context>, Json(order): Json<Leave>) -> Json<()> {
    ctx.membership.leave_for(&order.name, order.prune).await;
    Json(())
}

async fn list_keys(call: Call, Path(operation): Path<String>) -> Reply {
    call.demand_agent(Level::Write)?;
    if !matches!(operation.as_str(), "list" | "install" | "use" | "remove") {
        return Err(ApiError::missing("resource not found"));
    }
    if operation != "list" {
        return Err(ApiError::new(
            axum::http::StatusCode::METHOD_NOT_ALLOWED,
            "Invalid method",
        ));
    }
    keyring(&call, operation, String::new()).await
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GivenKey {
    key: String,
}

async fn change_keys(call: Call, Path(operation): Path<String>, body: Bytes) -> Reply {
    call.demand_agent(Level::Write)?;
    if !matches!(operation.as_str(), "list" | "install" | "use" | "remove") {
        return Err(ApiError::missing("resource not found"));
    }
    let given: GivenKey = call::body(&body)?;
    keyring(&call, operation, given.key).await
}

type Keys = Result<Vec<String>, String>;

async fn keyring(call: &Call, verb: String, key: String) -> Reply {
    let ctx = &call.ctx;
    let order = KeyOrder { verb, key };
    let mut answers = everywhere::<_, Keys>(ctx, "/serf/keys", &order).await;
    let own = format!("{}.{}", ctx.agent.name, ctx.agent.region);
    answers.push((own, Ok(ctx.membership.keys(order.clone()).await)));
    let mut messages = BTreeMap::new();
    let mut counts = BTreeMap::<String, usize>::new();
    for (member, answer) in &answers {
        match answer {
            Ok(Ok(keys)) => {
                for key in keys {
                    *counts.entry(key.clone()).or_default() += 1;
                }
            }
            Ok(Err(problem)) | Err(problem) => {
                tracing::error!(target: "nomad.serf", member, problem, "keyring {}", order.verb);
                messages.insert(member.clone(), problem.clone());
            }
        }
    }
    if !messages.is_empty() {
        let (failed, asked) = (messages.len(), answers.len());
        let text = format!("{failed}/{asked} nodes reported failure");
        return Err(ApiError::server(text));
    }
    call.plain(&json!({
        "Messages": messages,
        "Keys": if order.verb == "list" { json!(counts) } else { json!({}) },
        "NumNodes": answers.len(),
    }))
}

async fn keys_here(State(ctx): State<Context>, Json(order): Json<KeyOrder>) -> Json<Keys> {
    Json(ctx.membership.keys(order).await)
}

/// Puts the same to every other server that is alive; hands back each one's answer by name.
async fn everywhere<Q, A>(
    ctx: &Context,
    path: &'static str,
    question: &Q,
) -> Vec<(String, Result<A, String>)>
where
    Q: Serialize,
    A: DeserializeOwned,
{
    let body = serde_json::to_vec(question).expect("orders are JSON");
    let body = Bytes::from(body);
    let others = ctx.consensus.members().into_iter().filter_map(|member| {
        let address = rpc_address(&member)?;
        (member.status == "alive" && address != ctx.agent.rpc_addr).then_some((member, address))
    });
    let asked = others.map(|(member, address)| {
        let body = body.clone();
        async move {
            let answer = timeout(LIMIT, ask(ctx, address, path, body)).await;
            let answer = answer.unwrap_or_else(|_elapsed| Err("i/o timeout".to_owned()));
            (member.name, answer)
        }
    });
    join_all(asked).await
}

async fn ask<A: DeserializeOwned>(
    ctx: &Context,
    address: SocketAddr,
    path: &'static str,
    body: Bytes,
) -> Result<A, String> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(body)
        .expect("method and path are constants");
    let reply = ctx.forward.forward(address, request).await;
    let reply = reply.map_err(|e| e.to_string())?;
    let status = reply.status();
    let body = reply.into_body().collect().await;
    let body = body.map_err(|e| e.to_string())?.to_bytes();
    if !status.is_success() {
        let text = String::from_utf8_lossy(&body);
        return Err(format!("{address} answered {status}: {text}"));
    }
    serde_json::from_slice(&body).map_err(|e| e.to_string())
}

fn rpc_address(member: &Member) -> Option<SocketAddr> {
    let ip = member.tags.get("rpc_addr")?.parse().ok()?;
    let port = member.tags.get("port")?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}
