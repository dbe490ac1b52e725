//! Raft's incoming calls: `/raft/append`, `/raft/vote`, `/raft/snapshot`, `/raft/transfer`, by
//! which the leader hands over, and `/raft/status`, by which a server that would bootstrap finds out whether another already belongs to a cluster.

use std::io::Cursor;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use openraft::Vote;
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use openraft::storage::Snapshot;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::network::unpack;
use super::{Handle, Replica, SnapshotMeta, TypeConfig};
use crate::rpc::Caller;

/// What a server tells of its Raft state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftStatus {
    /// Whether it belongs to a cluster: it has a Raft configuration.
    pub configured: bool,
}

/// The routes. With `required_region` (set where `verify_server_hostname` is) callers must
/// carry `server.<region>.nomad`.
pub fn routes(replica: &Replica, required_region: Option<String>) -> Router {
    let guard = middleware::from_fn_with_state(required_region, servers_only);
    let log = Router::new()
        .route("/raft/append", post(append))
        .route("/raft/vote", post(vote))
        .route("/raft/snapshot", post(snapshot))
        .route("/raft/status", get(status))
        .with_state(replica.handle());
    let transfer = Router::new()
        .route("/raft/transfer", post(transfer))
        .with_state(replica.clone());
    log.merge(transfer)
        .layer(DefaultBodyLimit::disable())
        .layer(guard)
}

/// Refuses whoever is no server of the region, where one is required.
pub(crate) async fn servers_only(
    State(region): State<Option<String>>,
    caller: Option<Extension<Caller>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(region) = region {
        let allowed = caller.is_some_and(|caller| caller.is("server", &region));
        if !allowed {
            tracing::warn!(target: "nomad.rpc", path = request.uri().path(), "unauthorized raft connection: certificate lacks the server name");
            let text = format!("certificate lacks `server.{region}.nomad`");
            return (StatusCode::FORBIDDEN, text).into_response();
        }
    }
    next.run(request).await
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))
}

async fn append(State(raft): State<Handle>, body: Bytes) -> Result<Response, (StatusCode, String)> {
    let rpc: AppendEntriesRequest<TypeConfig> = parse(&body)?;
    Ok(Json(raft.append_entries(rpc).await).into_response())
}

async fn vote(State(raft): State<Handle>, body: Bytes) -> Result<Response, (StatusCode, String)> {
    let rpc: VoteRequest<Uuid> = parse(&body)?;
    Ok(Json(raft.vote(rpc).await).into_response())
}

async fn snapshot(
    State(raft): State<Handle>,
    body: Bytes,
) -> Result<Response, (StatusCode, String)> {
    let malformed = || (StatusCode::BAD_REQUEST, "malformed snapshot".to_owned());
    let (header, data) = unpack(&body).ok_or_else(malformed)?;
    let (vote, meta): (Vote<Uuid>, SnapshotMeta) = parse(header)?;
    let snapshot = Snapshot {
        meta,
        snapshot: Box::new(Cursor::new(data.to_vec())),
    };
    Ok(Json(raft.install_full_snapshot(vote, snapshot).await).into_response())
}

/// The leader wants this server to take its place.
async fn transfer(State(replica): State<Replica>) -> Result<Json<()>, (StatusCode, String)> {
    let taken = replica.take_over().await;
    taken.map_err(|problem| (StatusCode::INTERNAL_SERVER_ERROR, problem))?;
    Ok(Json(()))
}

async fn status(State(raft): State<Handle>) -> Result<Json<RaftStatus>, (StatusCode, String)> {
    match raft.is_initialized().await {
        Ok(configured) => Ok(Json(RaftStatus { configured })),
        Err(e) => Err((StatusCode::INTERNAL_SERVER_ERROR, e.to_string())),
    }
}
