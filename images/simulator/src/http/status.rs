//! `status/*`, `regions`: who leads and who takes part; no token needed.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::call::is_stale;
use super::context::Context;
use super::reply::{self, ApiError, Reply};
use crate::clock;

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/status/leader", get(leader))
        .route("/v1/status/peers", get(peers))
        .route("/v1/regions", get(regions))
}

/// Waits for a leader as every call does that needs one, unless a stale answer will do.
async fn leader(State(ctx): State<Context>, uri: Uri) -> Reply {
    let deadline = Instant::now() + clock::scaled(ctx.settings.rpc_hold);
    let mut leadership = ctx.consensus.leadership();
    loop {
        let known = leadership.borrow_and_update().leader;
        match known {
            Some(address) => return Ok(text(&address.to_string())),
            None if is_stale(&uri) => return Ok(text("")),
            None => {}
        }
        match timeout_at(deadline, leadership.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(ApiError::no_leader()),
        }
    }
}

fn text(text: &str) -> Response {
    reply::json(&json!(text), false)
}

async fn peers(State(ctx): State<Context>) -> Response {
    let peers = ctx.consensus.peers();
    let addresses: Vec<_> = peers.iter().map(|peer| peer.address.to_string()).collect();
    reply::json(&json!(addresses), false)
}

async fn regions(State(ctx): State<Context>) -> Response {
    reply::json(&json!([ctx.agent.region]), false)
}
