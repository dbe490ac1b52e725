//! `job/:id/plan`: what the scheduler would do, without doing it.

use axum::extract::Path;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::job_writes::{check, job_of};
use super::reply::{ApiError, Reply};
use crate::clock;
use crate::job_diff::JobDiff;
use crate::leader::new_eval;
use crate::periodic;
use crate::scheduler;
use crate::state::{Command, State};
use crate::types::EvalTrigger;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Given {
    job: Option<Value>,
    diff: bool,
    namespace: String,
}

pub async fn plan(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given: Given = call::body(&body)?;
    let job = job_of(&call, given.job, &given.namespace, Some(&id))?;
    call.demand(&job.namespace, "submit-job")?;
    let state = call.state();
    check(&state, &job)?;
    let now = clock::now();
    let current = state.job(&job.namespace, &job.id);
    let eval = new_eval(&job, EvalTrigger::JobRegister, now);
    let eval_id = eval.id.clone();
    let mut supposed = State::clone(&state);
    let applied = supposed.apply(
        state.index + 1,
        &Command::JobRegister {
            job: job.clone(),
            eval: Some(eval),
            enforce_index: None,
            submission: None,
            now,
        },
    );
    if let Some(text) = applied.refused {
        return Err(ApiError::server(text));
    }
    let outcome = scheduler::process(&supposed, &supposed.evals[&eval_id], now);
    let done = outcome.evals.iter().find(|eval| eval.id == eval_id);
    let failed = done.map(|eval| &eval.failed_tg_allocs);
    let failed = failed.filter(|failed| !failed.is_empty());
    let calendar = job.periodic.as_ref().filter(|p| p.enabled);
    let next_launch = calendar.and_then(|p| periodic::next(p, now)).unwrap_or(0);
    let difference = given.diff.then(|| {
        let mut difference = JobDiff::of(current.map(|job| &**job), &job);
        difference.annotate(&outcome.desired);
        difference
    });
    let created: Vec<_> = outcome.evals.iter().filter(|e| e.id != eval_id).collect();
    call.plain(&json!({
        "Annotations": {
            "DesiredTGUpdates": outcome.desired,
            "PreemptedAllocs": null,
        },
        "FailedTGAllocs": failed,
        "JobModifyIndex": current.map_or(0, |job| job.job_modify_index),
        "CreatedEvals": if created.is_empty() { Value::Null } else { json!(created) },
        "Diff": difference,
        "NextPeriodicLaunch": clock::rfc3339(next_launch),
        "Warnings": "",
    }))
}
