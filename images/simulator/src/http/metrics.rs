//! `metrics`: what Nomad's servers measure, as far as it exists here, under Nomad's names.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};

use super::context::Context;
use super::reply::{self, ApiError, Reply};
use super::shape;
use crate::clock;
use crate::leader::autopilot_health;
use crate::types::{EvalStatus, JobStatus};

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/metrics", get(metrics))
}

async fn metrics(State(ctx): State<Context>, uri: axum::http::Uri) -> Reply {
    if uri.query().is_some_and(|q| q.contains("format=prometheus")) {
        let text = "Prometheus is not enabled";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let mut gauges = cluster(&ctx);
    let mut samples = Vec::new();
    if ctx.consensus.leadership().borrow().is_self {
        gauges.extend(leading(&ctx));
        gauges.extend(summaries(&ctx));
        let peers = ctx.consensus.peers();
        let own = ctx.agent.rpc_addr;
        let others = peers.iter().filter(|peer| peer.address != own);
        let contacts: Vec<u64> = others.filter_map(|peer| peer.last_contact_ms).collect();
        samples.extend(sample("nomad.raft.leader.lastContact", &contacts));
    }
    let body = json!({
        "Timestamp": clock::rfc3339(clock::now()),
        "Gauges": gauges,
        "Points": [],
        "Counters": [],
        "Samples": samples,
    });
    Ok(reply::json(&body, false))
}

fn gauge(name: &str, value: impl serde::Serialize) -> Value {
    json!({ "Name": name, "Value": value, "Labels": {} })
}

/// Of one moment: the latest contact with each follower, in milliseconds.
fn sample(name: &str, values: &[u64]) -> Option<Value> {
    let (least, most) = (values.iter().min()?, values.iter().max()?);
    let sum: u64 = values.iter().sum();
    Some(json!({
        "Name": name,
        "Count": values.len(),
        "Min": least,
        "Max": most,
        "Sum": sum,
        "Mean": sum / u64::try_from(values.len()).unwrap_or(1),
        "Labels": {},
    }))
}

/// What every server knows.
fn cluster(ctx: &Context) -> Vec<Value> {
    let state = ctx.consensus.snapshot();
    let jobs = |status| state.jobs.values().filter(|j| j.status == status).count();
    vec![
        gauge("nomad.raft.appliedIndex", state.index - state.index_shift),
        gauge("nomad.state.latestIndex", state.index),
        gauge("nomad.nomad.job_status.pending", jobs(JobStatus::Pending)),
        gauge("nomad.nomad.job_status.running", jobs(JobStatus::Running)),
        gauge("nomad.nomad.job_status.dead", jobs(JobStatus::Dead)),
    ]
}

/// What a leader alone has: queues, heartbeats, autopilot.
fn leading(ctx: &Context) -> Vec<Value> {
    let state = ctx.consensus.snapshot();
    let now = clock::now();
    let of = |status| state.evals.values().filter(move |e| e.status == status);
    let ready = of(EvalStatus::Pending).filter(|eval| eval.wait_until <= now);
    let waiting = of(EvalStatus::Pending).filter(|eval| eval.wait_until > now);
    let health = autopilot_health(ctx);
    vec![
        gauge("nomad.nomad.broker.total_ready", ready.count()),
        gauge("nomad.nomad.broker.total_waiting", waiting.count()),
        gauge(
            "nomad.nomad.blocked_evals.total_blocked",
            of(EvalStatus::Blocked).count(),
        ),
        gauge("nomad.nomad.heartbeat.active", ctx.leader.heartbeats()),
        gauge("nomad.autopilot.healthy", u8::from(health.healthy)),
        gauge(
            "nomad.autopilot.failure_tolerance",
            health.failure_tolerance,
        ),
    ]
}

/// Allocations of each group by their status.
fn summaries(ctx: &Context) -> Vec<Value> {
    let state = ctx.consensus.snapshot();
    let mut gauges = Vec::new();
    for job in state.jobs.values() {
        let summary = shape::job_summary(&state, job);
        for (group, counts) in summary["Summary"].as_object().into_iter().flatten() {
            for (status, count) in counts.as_object().into_iter().flatten() {
                gauges.push(json!({
                    "Name": format!("nomad.nomad.job_summary.{}", status.to_lowercase()),
                    "Value": count,
                    "Labels": { "job": job.id, "task_group": group, "namespace": job.namespace },
                }));
            }
        }
    }
    gauges
}
