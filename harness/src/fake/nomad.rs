//! The HTTP API of the cluster that is not there. All agents are served on one port, each under
//! its name; `/` is the service's answer.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};

use super::{Cluster, Shared, lock};
use crate::nomad::types::Job;
use crate::spec::AgentName;

/// Serves until the process ends; returns the port.
pub(super) async fn serve(cluster: Shared) -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port of this machine");
    let port = listener.local_addr().expect("it is bound").port();
    let router = Router::new()
        .route("/", get(whoami))
        .route(
            "/{agent}/v1/{*path}",
            any(move |state, agent, query, method, body| {
                agent_api(state, agent, query, method, body, port)
            }),
        )
        .with_state(cluster);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// A connection that breaks, as that of a process which just ended.
fn broken() -> Response {
    let gone = std::io::Error::other("gone");
    let stream = futures::stream::once(async move { Err::<Bytes, _>(gone) });
    Body::from_stream(stream).into_response()
}

async fn whoami(State(cluster): State<Shared>) -> Response {
    let mut cluster = lock(&cluster);
    cluster.answers += 1;
    let fails = cluster.defects.service_fails_after;
    if fails.is_some_and(|after| cluster.answers > after) {
        cluster.stopping = cluster.defects.failing_instances_are_stopping;
        return broken();
    }
    axum::Json(json!({ "version": "1" })).into_response()
}

async fn agent_api(
    State(shared): State<Shared>,
    Path((agent, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    body: Bytes,
    port: u16,
) -> Response {
    let agent = AgentName(agent);
    while lock(&shared).hanging.as_ref() == Some(&agent) {
        crate::poll::rest(Duration::from_millis(10)).await;
    }
    let mut cluster = lock(&shared);
    if !cluster.is_up(&agent) {
        return broken();
    }
    let stale = query.as_deref().unwrap_or_default().contains("stale");
    if path == "status/leader" {
        let known = cluster.leader.as_ref();
        let known = known.filter(|_| cluster.unaware.as_ref() != Some(&agent));
        let leader = known.map(address);
        return match (leader, stale) {
            (Some(leader), _) => axum::Json(leader).into_response(),
            (None, true) => axum::Json("").into_response(),
            (None, false) => no_leader(),
        };
    }
    if cluster.leader.is_none() && !stale {
        return no_leader();
    }
    let parts: Vec<_> = path.split('/').collect();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = match (method, parts.as_slice()) {
        (Method::GET, ["agent", "self"]) => Some(itself(&agent)),
        (Method::GET, ["nodes"]) => Some(nodes(&cluster)),
        (Method::GET, ["operator", "raft", "configuration"]) => Some(servers(&cluster, "Node")),
        (Method::GET, ["operator", "autopilot", "health"]) => Some(servers(&cluster, "Name")),
        (Method::POST, ["jobs", "parse"]) => Some(parse(&body)),
        (Method::PUT, ["jobs"]) => Some(register(&mut cluster, &body)),
        (Method::GET, ["jobs"]) => {
            Some(cluster.jobs.keys().map(|id| json!({ "ID": id })).collect())
        }
        (Method::GET, ["job", id, what @ ..]) => job(&cluster, id, what),
        (Method::DELETE, ["job", id]) => {
            cluster.jobs.remove(*id);
            Some(json!({}))
        }
        (Method::GET, ["allocation", id]) => Some(allocation(id, port)),
        _ => None,
    };
    match reply {
        Some(reply) => axum::Json(reply).into_response(),
        None => (StatusCode::NOT_FOUND, "job not found").into_response(),
    }
}

/// As much of itself as an agent of Nomad tells that has little set.
fn itself(agent: &AgentName) -> Value {
    let is_server = agent.as_str().starts_with("server");
    json!({ "config": {
        "Datacenter": "dc1",
        "Server": { "Enabled": is_server, "HeartbeatGrace": 0, "EncryptKey": "hush" },
        "Client": { "Enabled": !is_server, "MaxKillTimeout": "30s", "Meta": { "token": "hush" } },
    } })
}

fn no_leader() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "No cluster leader").into_response()
}

fn address(server: &AgentName) -> String {
    let number = server.as_str().trim_start_matches("server-");
    format!("10.0.0.1{number}:4647")
}

fn nodes(cluster: &Cluster) -> Value {
    let clients = cluster
        .states
        .keys()
        .filter(|n| n.as_str().starts_with("client"));
    clients
        .map(|name| {
            let status = if cluster.is_up(name) { "ready" } else { "down" };
            json!({ "ID": name, "Name": name, "Status": status, "SchedulingEligibility": "eligible" })
        })
        .collect()
}

fn servers(cluster: &Cluster, name_key: &str) -> Value {
    let servers = cluster
        .states
        .keys()
        .filter(|n| n.as_str().starts_with("server"));
    let servers: Vec<_> = servers
        .map(|name| {
            json!({
                "ID": name, name_key: name, "Address": address(name), "Voter": true,
                "Healthy": cluster.is_up(name),
            })
        })
        .collect();
    let healthy = servers.iter().all(|server| server["Healthy"] == true);
    json!({ "Servers": servers, "Healthy": healthy })
}

/// The name between the first quotes is the job's.
fn parse(body: &Value) -> Value {
    let text = body["JobHCL"].as_str().unwrap_or_default();
    let name = text.split('"').nth(1).unwrap_or_default();
    json!({ "ID": name, "TaskGroups": [{ "Name": "web", "Count": 3 }] })
}

fn register(cluster: &mut Cluster, body: &Value) -> Value {
    cluster.index += 1;
    cluster.writes += 1;
    let index = cluster.index;
    let mut job: Job = serde_json::from_value(body["Job"].clone()).expect("a job");
    let lost = cluster.defects.lose_write == Some(cluster.writes);
    if !lost {
        let stored = cluster.jobs.entry(job.id.clone()).or_default();
        stored.places = job.task_groups.iter().any(|group| group.count > 0);
        job.version = stored
            .versions
            .first()
            .map_or(0, |newest| newest.version + 1);
        job.job_modify_index = index;
        stored.versions.insert(0, job);
        stored.versions.truncate(6);
    }
    json!({ "JobModifyIndex": index })
}

fn job(cluster: &Cluster, id: &str, what: &[&str]) -> Option<Value> {
    let stored = cluster.jobs.get(id)?;
    let newest = stored.versions.first()?;
    Some(match what {
        [] => json!(newest),
        ["versions"] => json!({ "Versions": stored.versions }),
        ["deployment"] => json!({ "Status": "successful", "JobVersion": newest.version }),
        ["allocations"] if stored.places => allocations(cluster, id),
        ["allocations"] => json!([]),
        _ => return None,
    })
}

fn allocations(cluster: &Cluster, job: &str) -> Value {
    let wanted = if cluster.stopping { "stop" } else { "run" };
    (0..3)
        .map(|number| {
            json!({
                "ID": format!("alloc-{number}"), "Name": format!("{job}.web[{number}]"),
                "NodeName": format!("client-{}", number + 1), "TaskGroup": "web",
                "ClientStatus": "running", "DesiredStatus": wanted,
                "DeploymentStatus": { "Healthy": true },
            })
        })
        .collect()
}

fn allocation(id: &str, port: u16) -> Value {
    let ports = json!([{ "Label": "http", "Value": port, "HostIP": "127.0.0.1" }]);
    json!({ "ID": id, "AllocatedResources": { "Shared": { "Ports": ports } } })
}
