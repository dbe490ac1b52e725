//! `operator/snapshot`: everything that is replicated, saved and brought back.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::call::Call;
use super::context::Context;
use super::reply::{self, ApiError, Reply};
use super::write;
use crate::clock;
use crate::state::{ArchiveMeta, Command, pack, unpack, wrap};

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/operator/snapshot", get(save).merge(write(restore)))
}

async fn save(call: Call) -> Reply {
    call.demand_management()?;
    let state = call.state();
    let peers = call.ctx.consensus.peers().into_iter();
    let voters = peers.filter(|peer| peer.voter);
    let servers: Vec<_> = voters
        .map(|peer| (peer.id, peer.address.to_string()))
        .collect();
    let term = call.ctx.consensus.leadership().borrow().term;
    let meta = ArchiveMeta::new(&state, term, clock::now() / 1_000_000, &servers);
    let packed = tokio::task::spawn_blocking(move || pack(&state, meta)).await;
    let failed = |problem: String| ApiError::server(format!("failed to snapshot: {problem}"));
    let archive = packed
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))?;
    let digest = format!("sha-256={}", STANDARD.encode(Sha256::digest(&archive)));
    let digest = HeaderValue::from_str(&digest).expect("base64 is a legal header");
    let mut response = Response::new(Body::from(archive));
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("digest"), digest);
    let gzip = HeaderValue::from_static("application/x-gzip");
    headers.insert(header::CONTENT_TYPE, gzip);
    Ok(response)
}

/// Replaces everything, tokens too; the Raft configuration stays.
async fn restore(call: Call, body: Bytes) -> Reply {
    call.demand_management()?;
    let checked = tokio::task::spawn_blocking(move || unpack(&body).map(|_| wrap(&body))).await;
    let archive = checked
        .map_err(|e| ApiError::server(e.to_string()))?
        .map_err(|e| ApiError::server(e.to_string()))?;
    call.propose(Command::Restore { archive }).await?;
    tracing::info!(target: "nomad", "snapshot restored");
    call.ctx.leader.begin_anew();
    Ok(reply::empty())
}
