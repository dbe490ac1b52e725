//! What clients ask of the servers: `/client/register|heartbeat|allocs|update`.
//!
//! Served by the leader; other servers pass the request on. After its registration a client
//! proves with its node's secret that it is the same one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State as Shared};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{evals, heartbeats};
use crate::acl::{Acl, Level};
use crate::client::HeartbeatReply;
use crate::clock;
use crate::http::{ApiError, Context, gate};
use crate::rpc::{REVERSE_PATH, Reverse};
use crate::scheduler;
use crate::state::{Command, State};
use crate::types::{
    AllocClientStatus, AllocDesiredStatus, Allocation, EvalTrigger, Evaluation, Nanos, Node,
    NodeStatus,
};

/// Longest time that `/client/allocs` blocks.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// Body of `/client/register`; the reply is a [`HeartbeatReply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The node, with its secret.
    pub node: Node,
}

/// Body of `/client/heartbeat`; the reply is a [`HeartbeatReply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// Node.
    pub node_id: String,
    /// Its secret.
    pub secret_id: String,
    /// What it says of itself.
    pub status: NodeStatus,
}

/// Body of `/client/allocs`; the reply is an [`AllocsReply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllocsRequest {
    /// Node.
    pub node_id: String,
    /// Its secret.
    pub secret_id: String,
    /// What it has seen; 0 to be answered at once.
    pub index: u64,
    /// How long to wait for something newer.
    pub wait: Duration,
}

/// Every allocation of a node, terminal ones too, until they are collected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllocsReply {
    /// Highest `alloc_modify_index` among them, at least 1.
    pub index: u64,
    /// The allocations.
    pub allocs: Vec<Arc<Allocation>>,
}

/// Body of `/client/update`; the reply is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// Node.
    pub node_id: String,
    /// Its secret.
    pub secret_id: String,
    /// What changed on the client's side; others' allocations are left alone.
    pub allocs: Vec<Allocation>,
}

/// The RPC routes that clients call.
pub fn rpc_routes(ctx: Context) -> Router {
    Router::new()
        .route("/client/register", post(register))
        .route("/client/heartbeat", post(heartbeat))
        .route("/client/allocs", post(allocs))
        .route("/client/update", post(update))
        .layer(from_fn_with_state(ctx.clone(), gate))
        // The gate has its own limit; axum's is smaller than a large client's updates.
        .layer(DefaultBodyLimit::disable())
        // Every server serves these itself.
        .route(REVERSE_PATH, get(connect))
        .route("/client/may", post(may))
        .with_state(ctx)
}

/// Takes a connection by which this server may ask the client.
async fn connect(Shared(ctx): Shared<Context>, request: Request) -> Reply {
    let claimed = Reverse::claimed(request.headers());
    let (id, secret) = claimed.ok_or_else(|| ApiError::bad("missing node ID or secret ID"))?;
    own_node(&ctx.consensus.snapshot(), &id, &secret)?;
    Ok(ctx.clients.accept(id, request))
}

/// Body of `/client/may`: a client asks whether the holder of a token may do something on it.
/// The reply is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MayRequest {
    /// Secret of the token.
    pub token: String,
    /// Namespace, where the question is not about the node.
    pub namespace: Option<String>,
    /// Capabilities of which one is enough.
    pub capabilities: Vec<String>,
}

async fn may(Shared(ctx): Shared<Context>, Json(given): Json<MayRequest>) -> Reply {
    if !ctx.settings.acl_enabled {
        return Ok(().into_response());
    }
    let state = ctx.consensus.snapshot();
    let acl = Acl::of(&state, &given.token, clock::now()).map_err(|_| ApiError::denied())?;
    let allowed = match &given.namespace {
        Some(namespace) => given.capabilities.iter().any(|c| acl.allows(namespace, c)),
        None => acl.node(Level::Read),
    };
    if allowed {
        Ok(().into_response())
    } else {
        Err(ApiError::denied())
    }
}

type Reply = Result<Response, ApiError>;

async fn register(Shared(ctx): Shared<Context>, Json(given): Json<RegisterRequest>) -> Reply {
    let node = given.node;
    if node.id.is_empty() || node.secret_id.is_empty() {
        return Err(ApiError::bad("missing node ID or secret ID"));
    }
    let id = node.id.clone();
    let now = clock::now();
    let state = ctx.consensus.snapshot();
    let old = state.nodes.get(&id).map(|node| node.status);
    let evals = transition_evals(&state, &node, old, now);
    let register = Command::NodeRegister { node, now };
    let upsert = Command::EvalUpsert { evals };
    let commands = vec![register, upsert];
    propose(&ctx, Command::Batch { commands }).await?;
    Ok(granted(&ctx, &id))
}

/// A node that becomes ready may take work.
fn transition_evals(
    state: &State,
    node: &Node,
    old: Option<NodeStatus>,
    now: Nanos,
) -> Vec<Evaluation> {
    if node.status == NodeStatus::Ready && old != Some(NodeStatus::Ready) {
        evals::node_evals(state, node, now)
    } else {
        Vec::new()
    }
}

async fn heartbeat(Shared(ctx): Shared<Context>, Json(given): Json<HeartbeatRequest>) -> Reply {
    let state = ctx.consensus.snapshot();
    let node = own_node(&state, &given.node_id, &given.secret_id)?;
    if node.status != given.status {
        let now = clock::now();
        let unseen = [NodeStatus::Down, NodeStatus::Disconnected];
        let returns = unseen.contains(&node.status) && !unseen.contains(&given.status);
        let message = if returns {
            "Node reregistered by heartbeat"
        } else {
            ""
        };
        let mut changed = Node::clone(node);
        changed.status = given.status;
        let command = Command::NodeStatus {
            id: node.id.clone(),
            status: given.status,
            message: message.to_owned(),
            now,
            evals: transition_evals(&state, &changed, Some(node.status), now),
        };
        propose(&ctx, command).await?;
    }
    Ok(granted(&ctx, &given.node_id))
}

fn granted(ctx: &Context, node_id: &str) -> Response {
    let state = ctx.consensus.snapshot();
    let reply = HeartbeatReply {
        ttl: heartbeats::renew(ctx, &state, node_id),
        servers: servers(ctx),
    };
    Json(reply).into_response()
}

/// RPC addresses of the servers that gossip knows, or of the Raft configuration.
fn servers(ctx: &Context) -> Vec<SocketAddr> {
    let members = ctx.consensus.members();
    let alive = members.iter().filter(|member| member.status == "alive");
    let found: Vec<_> = alive
        .filter_map(|member| {
            let ip = member.tags.get("rpc_addr")?.parse().ok()?;
            let port = member.tags.get("port")?.parse().ok()?;
            Some(SocketAddr::new(ip, port))
        })
        .collect();
    if found.is_empty() {
        let peers = ctx.consensus.peers();
        return peers.iter().map(|peer| peer.address).collect();
    }
    found
}

async fn allocs(Shared(ctx): Shared<Context>, Json(given): Json<AllocsRequest>) -> Reply {
    let deadline = Instant::now() + given.wait.min(MAX_WAIT);
    let mut applied = ctx.consensus.applied();
    let restores = ctx.consensus.snapshot().restores;
    loop {
        applied.borrow_and_update();
        let state = ctx.consensus.snapshot();
        own_node(&state, &given.node_id, &given.secret_id)?;
        let index = state
            .allocs_of_node(&given.node_id)
            .map(|alloc| alloc.alloc_modify_index)
            .max()
            .unwrap_or(1);
        let over = Instant::now() >= deadline || state.restores != restores;
        if given.index == 0 || index > given.index || over {
            let allocs = state.allocs_of_node(&given.node_id).cloned().collect();
            return Ok(Json(AllocsReply { index, allocs }).into_response());
        }
        if let Ok(Err(_)) = timeout_at(deadline, applied.changed()).await {
            return Err(ApiError::server("the server ends"));
        }
    }
}

async fn update(Shared(ctx): Shared<Context>, Json(given): Json<UpdateRequest>) -> Reply {
    let state = ctx.consensus.snapshot();
    let node = own_node(&state, &given.node_id, &given.secret_id)?;
    if matches!(node.status, NodeStatus::Down | NodeStatus::Disconnected) {
        let status = json!(node.status);
        let status = status.as_str().unwrap_or_default();
        return Err(ApiError::server(format!(
            "node {} is not allowed to update allocs while in status {status}",
            node.id
        )));
    }
    let mut reported = given.allocs;
    reported.retain(|alloc| {
        let known = state.allocs.get(&alloc.id);
        known.is_some_and(|known| known.node_id == given.node_id)
    });
    if reported.is_empty() {
        return Ok(().into_response());
    }
    let now = clock::now();
    let command = Command::AllocClientUpdate {
        evals: failure_evals(&state, &reported, now),
        allocs: reported,
        now,
    };
    propose(&ctx, command).await?;
    Ok(().into_response())
}

/// One evaluation for each job of which an allocation failed that should run, or came back.
fn failure_evals(state: &State, reported: &[Allocation], now: Nanos) -> Vec<Evaluation> {
    let mut evals = Vec::<Evaluation>::new();
    for report in reported {
        let Some(known) = state.allocs.get(&report.id) else {
            continue;
        };
        let trigger = match (known.client_status, report.client_status) {
            (AllocClientStatus::Failed, _) => continue,
            (_, AllocClientStatus::Failed) => EvalTrigger::AllocFailure,
            (AllocClientStatus::Unknown, _) => EvalTrigger::Reconnect,
            _ => continue,
        };
        let mut wanted = known.desired_status == AllocDesiredStatus::Run;
        if trigger == EvalTrigger::AllocFailure {
            wanted &= scheduler::has_attempts_left(known, now);
        }
        let Some(job) = state.job(&known.namespace, &known.job_id) else {
            continue;
        };
        let covered = evals
            .iter()
            .any(|eval| eval.job_id == job.id && eval.namespace == job.namespace);
        if wanted && !job.stop && !covered {
            evals.push(evals::new_eval(job, trigger, now));
        }
    }
    evals
}

/// The node of a request, if its secret is right.
fn own_node<'a>(state: &'a State, id: &str, secret: &str) -> Result<&'a Arc<Node>, ApiError> {
    let node = state.nodes.get(id);
    let node = node.ok_or_else(|| ApiError::missing("node not found"))?;
    if node.secret_id != secret {
        return Err(ApiError::denied());
    }
    Ok(node)
}

async fn propose(ctx: &Context, command: Command) -> Result<(), ApiError> {
    let applied = ctx.consensus.propose(command).await?;
    applied
        .refused
        .map_or(Ok(()), |text| Err(ApiError::server(text)))
}
