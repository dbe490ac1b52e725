//! `agent/*`: this agent, answered locally.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};

use super::call::Call;
use super::context::{AgentInfo, Context};
use super::reply::{self, ApiError, Reply};
use crate::acl::Level;
use crate::consensus::{Leadership, Member};
use crate::plant;

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/agent/self", get(own))
        .route("/v1/agent/members", get(members))
        .route("/v1/agent/health", get(health))
        .route("/v1/agent/schedulers", get(schedulers))
        .route("/v1/agent/servers", any(clients_only))
}

/// The list of servers that an agent keeps is a client's.
async fn clients_only() -> ApiError {
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "Invalid method")
}

async fn own(call: Call) -> Reply {
    call.demand_agent(Level::Read)?;
    let ctx = &call.ctx;
    let leadership = ctx.consensus.leadership().borrow().clone();
    let members = ctx.consensus.members();
    let name = member_name(&ctx.agent);
    let own = members.iter().find(|member| member.name == name);
    let state = call.state();
    call.plain(&json!({
        "config": config(&ctx.agent),
        "member": own.map(member),
        "stats": {
            "nomad": {
                "server": "true",
                "leader": leadership.is_self.to_string(),
                "leader_addr": leadership.leader.map(|a| a.to_string()).unwrap_or_default(),
                "bootstrap": (ctx.agent.bootstrap_expect == 1).to_string(),
                "known_regions": "1",
            },
            "raft": raft_stats(&leadership, state.index, ctx.consensus.peers().len()),
            "serf": serf_stats(&members, ctx.agent.gossip_encrypted),
            "runtime": runtime(&ctx.agent),
        },
    }))
}

/// The agent's configuration, its version, and that it is no Nomad.
pub(super) fn config(agent: &AgentInfo) -> Value {
    let mut config = agent.config.clone();
    if !config.is_object() {
        config = json!({});
    }
    config["Version"] = json!({
        "Version": agent.version,
        "VersionPrerelease": "",
        "VersionMetadata": "rehearse-simulator",
        "Revision": "",
    });
    for (key, value) in [
        ("NodeName", &agent.name),
        ("Region", &agent.region),
        ("Datacenter", &agent.datacenter),
    ] {
        config[key] = json!(value);
    }
    config
}

/// `inert_keys` is none of Nomad's: what of the configuration is shown and not acted on.
pub(super) fn runtime(agent: &AgentInfo) -> Value {
    let mut runtime = json!({
        "arch": std::env::consts::ARCH,
        "kernel.name": std::env::consts::OS,
        "simulated": "true",
        "inert_keys": agent.inert.join(","),
    });
    if let Some(planted) = plant::planted() {
        runtime["planted_defect"] = json!(planted.name());
    }
    runtime
}

fn raft_stats(leadership: &Leadership, applied: u64, peers: usize) -> Value {
    let role = match (leadership.is_self, leadership.leader) {
        (true, _) => "Leader",
        (false, Some(_)) => "Follower",
        (false, None) => "Candidate",
    };
    json!({
        "state": role,
        "term": leadership.term.to_string(),
        "commit_index": applied.to_string(),
        "applied_index": applied.to_string(),
        "last_log_index": applied.to_string(),
        "num_peers": peers.saturating_sub(1).to_string(),
        "protocol_version": "3",
    })
}

fn serf_stats(members: &[Member], encrypted: bool) -> Value {
    let of = |status: &str| members.iter().filter(|m| m.status == status).count();
    json!({
        "members": members.len().to_string(),
        "failed": of("failed").to_string(),
        "left": of("left").to_string(),
        "encrypted": encrypted.to_string(),
    })
}

async fn members(call: Call) -> Reply {
    call.demand_node(Level::Read)?;
    let mut members = call.ctx.consensus.members();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let agent = &call.ctx.agent;
    call.plain(&json!({
        "ServerName": agent.name,
        "ServerRegion": agent.region,
        "ServerDC": agent.datacenter,
        "Members": members.iter().map(member).collect::<Vec<_>>(),
    }))
}

fn member_name(agent: &AgentInfo) -> String {
    format!("{}.{}", agent.name, agent.region)
}

fn member(member: &Member) -> Value {
    json!({
        "Name": member.name,
        "Addr": member.address.ip().to_string(),
        "Port": member.address.port(),
        "Tags": member.tags,
        "Status": member.status,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    })
}

/// What `agent/health?type=` may ask for that is not in this agent.
pub(super) fn absent(uri: &axum::http::Uri, role: &'static str) -> Option<Response> {
    let asked = uri.query().unwrap_or_default();
    if !asked.split('&').any(|pair| pair == format!("type={role}")) {
        return None;
    }
    let message = format!("{role} not enabled");
    let body = json!({ role: { "ok": false, "message": message } });
    Some(ApiError::server(body.to_string()).into_response())
}

/// 200, or 500 where this server knows no leader.
async fn health(State(ctx): State<Context>, uri: axum::http::Uri) -> Response {
    if let Some(refusal) = absent(&uri, "client") {
        return refusal;
    }
    let known = ctx.consensus.leadership().borrow().leader.is_some();
    let (ok, message) = if known {
        (true, "ok")
    } else {
        (false, "No cluster leader")
    };
    let body = json!({ "server": { "ok": ok, "message": message } });
    let mut response = reply::json(&body, false);
    if !ok {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

async fn schedulers(call: Call) -> Reply {
    call.demand_agent(Level::Read)?;
    call.plain(&json!({
        "server_id": member_name(&call.ctx.agent),
        "schedulers": ["service", "batch", "system", "sysbatch"],
        "num_schedulers": 1,
    }))
}
