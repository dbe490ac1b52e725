//! `operator/*`: autopilot and the scheduler's switches.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::context::Context;
use super::reply::{ApiError, Reply};
use super::write;
use crate::acl::Level;
use crate::jobspec::duration;
use crate::leader::{AutopilotConfig, autopilot_config, autopilot_health, scheduler_config};
use crate::state::Command;

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/operator/autopilot/health", get(health))
        .route(
            "/v1/operator/license",
            get(licence).merge(write(new_licence)),
        )
        .route(
            "/v1/operator/autopilot/configuration",
            get(autopilot).merge(write(set_autopilot)),
        )
        .route(
            "/v1/operator/scheduler/configuration",
            get(scheduler).merge(write(set_scheduler)),
        )
}

/// The community edition needs none.
async fn licence(_call: Call) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn new_licence(_call: Call) -> ApiError {
    let text = "Nomad Enterprise only endpoint";
    ApiError::new(StatusCode::NOT_IMPLEMENTED, text)
}

/// 200, or 429 with the same body where a server is not healthy.
async fn health(call: Call) -> Reply {
    call.demand_operator(Level::Read)?;
    let health = autopilot_health(&call.ctx);
    let mut response = call.plain(&json!(health))?;
    if !health.healthy {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    Ok(response)
}

async fn autopilot(call: Call) -> Reply {
    call.demand_operator(Level::Read)?;
    call.plain(&json!(autopilot_config(&call.ctx)))
}

/// Replaces everything: what the body leaves out becomes false, 0 or empty.
async fn set_autopilot(call: Call, body: Bytes) -> Reply {
    call.demand_operator(Level::Write)?;
    let mut given: Value = call::body(&body)?;
    for key in ["LastContactThreshold", "ServerStabilizationTime"] {
        duration_text(&mut given, key)?;
    }
    let nothing = AutopilotConfig {
        cleanup_dead_servers: false,
        max_trailing_logs: 0,
        ..AutopilotConfig::default()
    };
    let mut whole = json!(nothing);
    merge(&mut whole, given);
    let config: AutopilotConfig =
        serde_json::from_value(whole).map_err(|error| ApiError::bad(error.to_string()))?;
    let cas = cas(&call)?;
    let command = Command::Autopilot {
        config: json!(config),
        cas,
    };
    let applied = call.ctx.consensus.propose(command).await?;
    call.written(applied.index, &json!(applied.refused.is_none()))
}

/// Durations are texts, or nanoseconds.
fn duration_text(given: &mut Value, key: &str) -> Result<(), ApiError> {
    let Some(value) = given.get_mut(key) else {
        return Ok(());
    };
    if let Some(nanos) = value.as_i64() {
        *value = json!(duration::format(nanos));
    }
    let text = value.as_str().unwrap_or_default();
    duration::parse(text)
        .map(drop)
        .map_err(|error| ApiError::bad(format!("Error parsing autopilot config: {key}: {error}")))
}

async fn scheduler(call: Call) -> Reply {
    call.demand_operator(Level::Read)?;
    let config = scheduler_config(&call.ctx);
    let index = config["ModifyIndex"].as_u64().unwrap_or(0);
    call.query(
        index,
        &json!({
            "SchedulerConfig": config,
            "Index": index,
            "LastContact": 0,
            "KnownLeader": true,
        }),
    )
}

/// Switches of the scheduler that the simulator has none for: they can only be left off.
const NOT_HONOURED: &[&str] = &["MemoryOversubscriptionEnabled", "PauseEvalBroker"];

async fn set_scheduler(call: Call, body: Bytes) -> Reply {
    call.demand_operator(Level::Write)?;
    let given: Value = call::body(&body)?;
    if let Some(name) = NOT_HONOURED
        .iter()
        .find(|name| given[**name] == json!(true))
    {
        return Err(ApiError::not_simulated(&format!("switch `{name}`")));
    }
    let algorithm = given["SchedulerAlgorithm"].as_str().unwrap_or_default();
    if !matches!(algorithm, "" | "binpack" | "spread") {
        return Err(ApiError::bad(format!(
            "invalid scheduler algorithm: {algorithm}"
        )));
    }
    let mut config = crate::leader::default_scheduler_config();
    merge(&mut config, given);
    let cas = cas(&call)?;
    let command = Command::SchedulerConfig { config, cas };
    let applied = call.ctx.consensus.propose(command).await?;
    let updated = applied.refused.is_none();
    let value = json!({ "Updated": updated, "Index": applied.index });
    call.written(applied.index, &value)
}

/// `?cas=INDEX`.
fn cas(call: &Call) -> Result<Option<u64>, ApiError> {
    let text = call.parameter("cas");
    text.map(str::parse)
        .transpose()
        .map_err(|_| ApiError::bad("Error parsing cas value: not a number"))
}

/// Overlays the fields of `given`; empty texts and nulls leave the default.
fn merge(whole: &mut Value, given: Value) {
    match (whole, given) {
        (Value::Object(whole), Value::Object(given)) => {
            for (key, value) in given {
                merge(whole.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (_, Value::String(text)) if text.is_empty() => {}
        (whole, given) => *whole = given,
    }
}
