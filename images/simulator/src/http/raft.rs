//! `operator/raft/*`: the Raft configuration, removing a server from it, handing the lead over.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{delete, get};
use serde_json::{Value, json};

use super::call::Call;
use super::context::Context;
use super::reply::{self, ApiError, NoLeader, Reply};
use super::{gate, invalid_method, write};
use crate::consensus::{ConsensusError, Peer, PeerChange};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/operator/raft/configuration", get(configuration))
        .route("/v1/operator/raft/peer", delete(remove))
}

/// Without a leader, this one says so with 503.
pub fn transfer_route(ctx: Context) -> Router<Context> {
    Router::new()
        .route("/v1/operator/raft/transfer-leadership", write(transfer))
        .method_not_allowed_fallback(invalid_method)
        .route_layer(from_fn_with_state(ctx, gate))
        .layer(map_response(unavailable))
}

async fn unavailable(mut response: Response) -> Response {
    if response.extensions().get::<NoLeader>().is_some() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

async fn configuration(call: Call) -> Reply {
    call.demand_management()?;
    let leader = call.ctx.consensus.leadership().borrow().leader;
    let peers = call.ctx.consensus.peers();
    let server = |peer: &Peer| {
        let known = peer.name != "(unknown)";
        json!({
            "ID": peer.id,
            "Node": peer.name,
            "Address": peer.address.to_string(),
            "Leader": Some(peer.address) == leader,
            "Voter": peer.voter,
            "RaftProtocol": if known { "3" } else { "unknown" },
        })
    };
    let servers: Vec<_> = peers.iter().map(server).collect();
    call.plain(&json!({ "Servers": servers, "Index": call.state().index }))
}

/// The server that `id` or `address` names, or Nomad's refusal with `status`.
fn named(call: &Call, status: StatusCode) -> Result<Peer, ApiError> {
    let (id, address) = (call.parameter("id"), call.parameter("address"));
    let peers = call.ctx.consensus.peers().into_iter();
    let missing = |what: String| {
        let text = format!("{what} was not found in the Raft configuration");
        ApiError::new(status, text)
    };
    match (id, address) {
        (Some(id), _) => peers
            .into_iter()
            .find(|peer| peer.id == id)
            .ok_or_else(|| missing(format!("id {id:?}"))),
        (None, wanted) => {
            let wanted = wanted.unwrap_or_default();
            peers
                .into_iter()
                .find(|peer| peer.address.to_string() == wanted)
                .ok_or_else(|| missing(format!("address {wanted:?}")))
        }
    }
}

async fn remove(call: Call) -> Reply {
    call.demand_management()?;
    match (call.parameter("id"), call.parameter("address")) {
        (None, None) => {
            let text = "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove";
            return Err(ApiError::bad(text));
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::bad("Must specify only one of ?id or ?address"));
        }
        _ => {}
    }
    let peer = named(&call, StatusCode::INTERNAL_SERVER_ERROR)?;
    let change = PeerChange::Remove { id: peer.id };
    call.ctx.consensus.change_peers(change).await?;
    Ok(reply::empty())
}

async fn transfer(call: Call) -> Reply {
    call.demand_management()?;
    match (call.parameter("id"), call.parameter("address")) {
        (None, None) => return Err(ApiError::bad("must specify id or address")),
        (Some(_), Some(_)) => return Err(ApiError::bad("must specify either id or address")),
        (Some(""), None) => return Err(ApiError::bad("id must be non-empty")),
        (None, Some("")) => return Err(ApiError::bad("address must be non-empty")),
        _ => {}
    }
    let to = named(&call, StatusCode::BAD_REQUEST)?;
    let own = call.ctx.agent.rpc_addr;
    let peers = call.ctx.consensus.peers();
    let from = peers.iter().find(|peer| peer.address == own).cloned();
    let noop = to.address == own;
    let answer = json!({
        "From": from.as_ref().map(server),
        "To": server(&to),
        "Noop": noop,
        "Err": null,
    });
    if noop {
        return call.plain(&answer);
    }
    if !to.voter {
        let text = format!("cannot transfer leadership to {}: no vote", to.id);
        return Err(ApiError::bad(text));
    }
    match call.ctx.consensus.hand_over(&to.id).await {
        Ok(()) => call.plain(&answer),
        // Half done or not: the request must not be begun again by another server.
        Err(error @ (ConsensusError::NoQuorum(_) | ConsensusError::Fatal(_))) => {
            Err(ApiError::server(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn server(peer: &Peer) -> Value {
    json!({ "ID": peer.id, "Address": peer.address.to_string() })
}
