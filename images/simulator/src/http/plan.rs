//! `job/:id/plan`: what the scheduler would do, without doing it.
//!
//! The difference to the current version is told only as a whole (`Added`, `Edited`, `None`),
//! not field by field.

use std::collections::BTreeMap;

use axum::extract::Path;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::job_writes::{check, job_of};
use super::reply::{ApiError, Reply};
use crate::clock;
use crate::leader::new_eval;
use crate::scheduler;
use crate::state::{Command, Plan, State};
use crate::types::{Allocation, EvalTrigger, Job};

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
    check(&job)?;
    let now = clock::now();
    let state = call.state();
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
    let created: Vec<_> = outcome.evals.iter().filter(|e| e.id != eval_id).collect();
    call.plain(&json!({
        "Annotations": {
            "DesiredTGUpdates": updates(&state, &job, &outcome.plan),
            "PreemptedAllocs": null,
        },
        "FailedTGAllocs": failed,
        "JobModifyIndex": current.map_or(0, |job| job.job_modify_index),
        "CreatedEvals": if created.is_empty() { Value::Null } else { json!(created) },
        "Diff": if given.diff { difference(&state, &job) } else { Value::Null },
        "NextPeriodicLaunch": clock::rfc3339(0),
        "Warnings": "",
    }))
}

fn difference(state: &State, job: &Job) -> Value {
    let kind = match state.job(&job.namespace, &job.id) {
        None => "Added",
        Some(_) if state.is_same_spec(job) => "None",
        Some(_) => "Edited",
    };
    json!({ "Type": kind, "ID": job.id, "Fields": null, "Objects": null, "TaskGroups": null })
}

/// What happens to the allocations of each group.
fn updates(state: &State, job: &Job, plan: &Plan) -> BTreeMap<String, Value> {
    let mut names: Vec<_> = job.task_groups.iter().map(|group| &group.name).collect();
    names.extend(plan.stops.iter().map(|alloc| &alloc.task_group));
    let with_counts = |name: &String| (name.clone(), group_updates(state, job, plan, name));
    names.into_iter().map(with_counts).collect()
}

fn group_updates(state: &State, job: &Job, plan: &Plan, group: &str) -> Value {
    let mine = |alloc: &&Allocation| alloc.task_group == group;
    let mut counts = [0_u64; 6];
    let [place, migrate, stop, in_place, destructive, canary] = &mut counts;
    let mut touched = 0;
    for stopped in plan.stops.iter().filter(mine) {
        touched += 1;
        let replaced = plan.placements.iter().any(|new| new.name == stopped.name);
        match stopped.desired_description.as_str() {
            "alloc is being updated due to job update" if replaced => *destructive += 1,
            "alloc is being migrated" if replaced => *migrate += 1,
            _ => *stop += 1,
        }
    }
    for placed in plan.placements.iter().filter(mine) {
        let status = placed.deployment_status.as_ref();
        if state.allocs.contains_key(&placed.id) {
            touched += 1;
            *in_place += 1;
        } else if status.is_some_and(|status| status.canary) {
            *canary += 1;
        } else {
            *place += 1;
        }
    }
    // A replacement is counted once, as what it is.
    *place = place.saturating_sub(*destructive + *migrate);
    let live = state.allocs_of_job(&job.namespace, &job.id);
    let live = live.filter(|alloc| alloc.task_group == group && !alloc.is_terminal());
    let ignore = live.count().saturating_sub(touched);
    json!({
        "Ignore": ignore,
        "Place": place,
        "Migrate": migrate,
        "Stop": stop,
        "InPlaceUpdate": in_place,
        "DestructiveUpdate": destructive,
        "Canary": canary,
        "Preemptions": 0,
    })
}
