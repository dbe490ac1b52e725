//! Launching what does not run by itself: `job/:id/dispatch` and `job/:id/periodic/force`.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::Path;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rand::Rng as _;
use serde::Deserialize;
use serde_json::json;

use super::call::{self, Call};
use super::context::Context;
use super::reply::{ApiError, Reply};
use super::write;
use crate::clock;
use crate::leader::{launch, new_eval};
use crate::periodic;
use crate::state::Command;
use crate::types::{EvalTrigger, Job, Parameterized, SECOND};

/// Nomad's `DispatchPayloadSizeLimit`.
const PAYLOAD_LIMIT: usize = 16 * 1024;

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/job/{id}/dispatch", write(dispatch))
        .route("/v1/job/{id}/periodic/force", write(force))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Dispatch {
    #[serde(rename = "JobID")]
    job_id: String,
    payload: Option<String>,
    meta: Option<BTreeMap<String, String>>,
    id_prefix_template: String,
}

/// Registers a job made of the parameterized one.
async fn dispatch(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given: Dispatch = call::body(&body)?;
    if !given.job_id.is_empty() && given.job_id != id {
        return Err(ApiError::bad("Job ID does not match"));
    }
    call.demand(&call.namespace, "dispatch-job")?;
    call.demand_registration()?;
    let state = call.state();
    let Some(parent) = state.job(&call.namespace, &id) else {
        return Err(ApiError::server("parameterized job not found"));
    };
    let Some(wanted) = parent
        .parameterized_job
        .as_ref()
        .filter(|_| !parent.dispatched)
    else {
        let text = format!("Specified job {id:?} is not a parameterized job");
        return Err(ApiError::server(text));
    };
    if parent.stop {
        return Err(ApiError::server(format!("Specified job {id:?} is stopped")));
    }
    check(wanted, &given)?;
    let token = call.parameter("idempotency_token").unwrap_or_default();
    if !token.is_empty() {
        let mut children = state.children_of(parent);
        if let Some(earlier) = children.find(|job| job.dispatch_idempotency_token == token) {
            return dispatched(&call, state.index, earlier, None);
        }
    }
    let now = clock::now();
    let job = derived(parent, &given, token, now);
    let eval = (!job.is_periodic()).then(|| new_eval(&job, EvalTrigger::JobRegister, now));
    let eval_id = eval.as_ref().map(|eval| eval.id.clone());
    let command = Command::JobRegister {
        job: job.clone(),
        eval,
        enforce_index: None,
        submission: None,
        now,
    };
    let index = call.propose(command).await?.index;
    dispatched(&call, index, &job, eval_id)
}

fn derived(parent: &Job, given: &Dispatch, token: &str, now: i64) -> Job {
    let chance: u32 = rand::rng().random();
    let middle = match given.id_prefix_template.as_str() {
        "" => String::new(),
        template => format!("{template}-"),
    };
    let id = format!(
        "{}/dispatch-{middle}{}-{chance:08x}",
        parent.id,
        now / SECOND
    );
    let mut job = periodic::offspring(parent, id);
    job.dispatched = true;
    job.dispatch_idempotency_token = token.to_owned();
    job.payload = given.payload.clone().filter(|payload| !payload.is_empty());
    if let Some(meta) = &given.meta {
        job.meta.get_or_insert_default().extend(meta.clone());
    }
    job
}

/// What the parameterized job demands, with Nomad's texts.
fn check(wanted: &Parameterized, given: &Dispatch) -> Result<(), ApiError> {
    let payload = given.payload.as_deref().unwrap_or_default();
    let decoded = STANDARD
        .decode(payload)
        .map_err(|error| ApiError::bad(format!("illegal base64 data: {error}")))?;
    let size = decoded.len();
    let refused = |text: String| Err(ApiError::server(text));
    match wanted.payload.as_str() {
        "required" if size == 0 => {
            return refused("Payload is not provided but required by parameterized job".to_owned());
        }
        "forbidden" if size > 0 => {
            return refused("Payload provided but forbidden by parameterized job".to_owned());
        }
        _ => {}
    }
    if size > PAYLOAD_LIMIT {
        let text = format!("Payload exceeds maximum size; {size} > {PAYLOAD_LIMIT}");
        return refused(text);
    }
    let required: Vec<_> = wanted.meta_required.iter().flatten().collect();
    let optional: Vec<_> = wanted.meta_optional.iter().flatten().collect();
    let keys: Vec<_> = given.meta.iter().flatten().map(|(key, _)| key).collect();
    let unknown: Vec<_> = keys
        .iter()
        .filter(|key| !required.contains(key) && !optional.contains(key))
        .map(|key| key.as_str())
        .collect();
    if !unknown.is_empty() {
        let text = format!(
            "Dispatch request included unpermitted metadata keys: [{}]",
            unknown.join(" ")
        );
        return refused(text);
    }
    let missing: Vec<_> = required
        .iter()
        .filter(|key| !keys.contains(key))
        .map(|key| key.as_str())
        .collect();
    if !missing.is_empty() {
        let text = format!(
            "Dispatch did not provide required meta keys: [{}]",
            missing.join(" ")
        );
        return refused(text);
    }
    Ok(())
}

fn dispatched(call: &Call, index: u64, job: &Job, eval_id: Option<String>) -> Reply {
    let state = call.state();
    let stored = state.job(&job.namespace, &job.id);
    let value = json!({
        "DispatchedJobID": job.id,
        "EvalCreateIndex": if eval_id.is_some() { index } else { 0 },
        "EvalID": eval_id.unwrap_or_default(),
        "JobCreateIndex": stored.map_or(index, |job| job.create_index),
        "Index": index,
    });
    call.written(index, &value)
}

/// Launches a periodic job now, whatever still runs of it.
async fn force(call: Call, Path(id): Path<String>) -> Reply {
    let may = ["dispatch-job", "submit-job"].map(|right| call.acl.allows(&call.namespace, right));
    if !may.contains(&true) {
        return Err(ApiError::denied());
    }
    let state = call.state();
    let Some(job) = state.job(&call.namespace, &id) else {
        return Err(ApiError::server("job not found"));
    };
    if !job.is_periodic() {
        return Err(ApiError::server("can't force launch non-periodic job"));
    }
    let now = clock::now();
    let command = launch(job, now, now);
    let eval_id = match &command {
        Command::JobRegister {
            eval: Some(eval), ..
        } => eval.id.clone(),
        other => unreachable!("a launch registers a job: {other:?}"),
    };
    let index = call.propose(command).await?.index;
    let value = json!({ "EvalID": eval_id, "EvalCreateIndex": index, "Index": index });
    call.written(index, &value)
}
