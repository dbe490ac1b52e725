//! The API of a client agent: it answers for itself and passes the rest on to a server.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::json;

use super::context::ClientContext;
use super::gate::{MAX_BODY, outgoing, relayed};
use super::reply::{self, ApiError};
use super::{agent, compression, marked, own, unknown};
use crate::clock;
use crate::leader::MayRequest;

/// The API of a client agent.
pub fn client_router(ctx: ClientContext) -> Router {
    let all = Router::new()
        .route("/v1/agent/self", get(of_self))
        .route("/v1/agent/health", get(health))
        .route("/v1/agent/servers", get(servers))
        .route("/v1/agent/join", any(servers_only))
        .route("/v1/agent/force-leave", any(servers_only))
        .route("/v1/agent/keyring/{operation}", any(servers_only))
        // The servers' are not this agent's.
        .route("/v1/metrics", any(no_metrics))
        .route("/v1/agent/host", any(no_host))
        .route("/v1/agent/monitor", any(no_host))
        .fallback(pass_on)
        .layer(map_response(marked))
        .with_state(ctx);
    compression::where_accepted(all)
}

/// What Nomad's client agents say to what servers alone can do.
async fn servers_only() -> Response {
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "Invalid method").into_response()
}

async fn no_metrics() -> Response {
    ApiError::not_simulated("GET /v1/metrics of a client agent").into_response()
}

async fn no_host(request: Request) -> Response {
    let path = request.uri().path();
    ApiError::not_simulated(&format!("GET {path} of a client agent")).into_response()
}

async fn pass_on(State(ctx): State<ClientContext>, request: Request) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return unknown(request).await;
    }
    let (parts, body) = request.into_parts();
    match own::is_own(&ctx, &parts.uri, &parts.headers).await {
        Some(Ok(())) => {
            let request = Request::from_parts(parts, body);
            let inner = TowerToHyperService::new(own::own_router(ctx.client));
            let answered = inner.call(request).await;
            return answered.unwrap_or_else(|never| match never {});
        }
        Some(Err(refused)) => return refused,
        None => {}
    }
    match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(body) => ask(&ctx, &parts, &body).await,
        Err(error) => ApiError::bad(error.to_string()).into_response(),
    }
}

/// Asks one server after the other until one answers. A read can be asked of each; a write is
/// passed to the next one only where the last could not even be reached.
async fn ask(ctx: &ClientContext, parts: &Parts, body: &Bytes) -> Response {
    let mut failure = "no servers".to_owned();
    for server in (ctx.servers)() {
        let request = outgoing(parts, body, false);
        match ctx.forward.forward(server, request).await {
            Ok(reply) => return relayed(reply),
            Err(error) => failure = error.to_string(),
        }
        let reached = !failure.starts_with("failed to get conn");
        if reached && parts.method != Method::GET {
            break;
        }
    }
    ApiError::server(format!("rpc error: {failure}")).into_response()
}

/// Whether whoever asks may, as a server says.
pub(super) async fn may(ctx: &ClientContext, question: &MayRequest) -> Result<(), Response> {
    let body = serde_json::to_vec(question).expect("questions are JSON");
    let (mut parts, ()) = axum::http::Request::new(()).into_parts();
    parts.method = Method::POST;
    parts.uri = axum::http::Uri::from_static("/client/may");
    let json = axum::http::HeaderValue::from_static("application/json");
    parts.headers.insert(axum::http::header::CONTENT_TYPE, json);
    let reply = ask(ctx, &parts, &Bytes::from(body)).await;
    if reply.status() == StatusCode::OK {
        return Ok(());
    }
    Err(reply)
}

/// Who may read agents is the servers' to say: the same question, put to one of them.
async fn of_self(State(ctx): State<ClientContext>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let allowed = ask(&ctx, &parts, &Bytes::new()).await;
    if allowed.status() != StatusCode::OK {
        return allowed;
    }
    let stats = ctx.client.stats();
    let known: Vec<_> = (ctx.servers)().iter().map(ToString::to_string).collect();
    let value = json!({
        "config": agent::config(&ctx.agent),
        "member": null,
        "stats": {
            "client": {
                "node_id": ctx.client.node_id(),
                "known_servers": known.join(","),
                "num_allocations": stats.num_allocations.to_string(),
                "last_heartbeat": clock::rfc3339(stats.last_heartbeat),
                "heartbeat_ttl": format!("{}s", stats.heartbeat_ttl.as_secs_f64()),
            },
            "runtime": agent::runtime(&ctx.agent),
        },
    });
    reply::json(&value, false)
}

/// 200, or 500 where this client knows no server.
async fn health(State(ctx): State<ClientContext>, uri: axum::http::Uri) -> Response {
    if let Some(refusal) = agent::absent(&uri, "server") {
        return refusal;
    }
    let ok = !(ctx.servers)().is_empty();
    let message = if ok { "ok" } else { "no known servers" };
    let body = json!({ "client": { "ok": ok, "message": message } });
    let mut response = reply::json(&body, false);
    if !ok {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

async fn servers(State(ctx): State<ClientContext>) -> Response {
    let known: Vec<_> = (ctx.servers)().iter().map(ToString::to_string).collect();
    reply::json(&json!(known), false)
}
