//! `job/:id/scale`: other counts of a group, and the notes that autoscalers leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{self, Call};
use super::context::Context;
use super::job_writes::{check, registered};
use super::reply::{ApiError, Reply};
use super::{jobs, shape, write};
use crate::clock;
use crate::leader::new_eval;
use crate::plant::{self, Plant};
use crate::state::{Command, State};
use crate::types::{
    AllocClientStatus, Allocation, EvalTrigger, Job, JobType, ScalingEvent, TaskGroup,
};

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/job/{id}/scale", get(status).merge(write(scale)))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Scale {
    target: BTreeMap<String, String>,
    count: Option<i64>,
    message: String,
    error: bool,
    meta: Option<BTreeMap<String, Value>>,
}

/// Registers the job with another count of one group, or only notes what an autoscaler says.
async fn scale(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given: Scale = call::body(&body)?;
    let may = ["scale-job", "submit-job"].map(|right| call.acl.allows(&call.namespace, right));
    if !may.contains(&true) {
        return Err(ApiError::denied());
    }
    call.demand_registration()?;
    if given.error && given.count.is_some() {
        let text = "scaling action should not contain count if error is true";
        return Err(ApiError::bad(text));
    }
    let state = call.state();
    let Some(current) = state.job(&call.namespace, &id) else {
        return Err(ApiError::missing(format!("job {id:?} not found")));
    };
    let name = given.target.get("Group").map_or("", String::as_str);
    let mut groups = current.task_groups.iter();
    let Some(position) = groups.position(|group| group.name == name) else {
        return Err(ApiError::bad(format!(
            "task group {name:?} specified for scaling does not exist in job"
        )));
    };
    let group = &current.task_groups[position];
    let now = clock::now();
    let mut event = ScalingEvent {
        time: now,
        previous_count: group.count,
        count: given.count,
        message: given.message,
        error: given.error,
        meta: given.meta,
        ..ScalingEvent::default()
    };
    let mut commands = Vec::new();
    if let Some(count) = given.count {
        check_count(&state, current, group, count)?;
        let mut job = Job::clone(current);
        if !plant::is(Plant::ScaleCountIgnored) {
            job.task_groups[position].count = count;
        }
        check(&state, &job)?;
        let eval = new_eval(&job, EvalTrigger::JobScaling, now);
        event.eval_id = Some(eval.id.clone());
        commands.push(Command::JobRegister {
            enforce_index: Some(job.job_modify_index),
            job,
            eval: Some(eval),
            submission: None,
            now,
        });
    }
    let eval_id = event.eval_id.clone();
    commands.push(Command::ScalingEvent {
        namespace: call.namespace.clone(),
        job_id: id.clone(),
        group: name.to_owned(),
        event,
    });
    let index = call.propose(Command::Batch { commands }).await?.index;
    registered(&call, index, &call.namespace, &id, eval_id)
}

/// What a count must keep to, with Nomad's texts.
fn check_count(state: &State, job: &Job, group: &TaskGroup, count: i64) -> Result<(), ApiError> {
    if job.job_type == JobType::System {
        return Err(ApiError::bad("cannot scale jobs of type \"system\""));
    }
    if count < 0 {
        return Err(ApiError::bad(
            "scaling action error: count must be non-negative",
        ));
    }
    let bounds = group.scaling.as_ref();
    if let Some(min) = bounds.and_then(|s| s.min).filter(|min| count < *min) {
        let text = format!("group count was less than scaling policy minimum: {count} < {min}");
        return Err(ApiError::bad(text));
    }
    if let Some(max) = bounds.and_then(|s| s.max).filter(|max| count > *max) {
        let text = format!("group count was greater than scaling policy maximum: {count} > {max}");
        return Err(ApiError::bad(text));
    }
    let deployments = state.deployments_of_job(&job.namespace, &job.id);
    if deployments.iter().any(|d| d.status.is_active()) {
        return Err(ApiError::bad(
            "job scaling blocked due to active deployment",
        ));
    }
    Ok(())
}

async fn status(call: Call, Path(id): Path<String>) -> Reply {
    match jobs::found(&call, &id, "job not found", shape::summary_index).await {
        Ok((state, index, job)) => {
            let mut groups = Map::new();
            for group in &job.task_groups {
                groups.insert(group.name.clone(), counts(&state, &job, group));
            }
            let value = json!({
                "JobID": job.id,
                "Namespace": job.namespace,
                "JobCreateIndex": job.create_index,
                "JobModifyIndex": job.job_modify_index,
                "JobStopped": job.stop,
                "TaskGroups": groups,
            });
            call.query(index, &value)
        }
        Err(reply) => reply,
    }
}

fn counts(state: &State, job: &Job, group: &TaskGroup) -> Value {
    let live: Vec<_> = state
        .allocs_of_job(&job.namespace, &job.id)
        .filter(|alloc| alloc.task_group == group.name && !alloc.is_terminal())
        .collect();
    let healthy = |wanted: bool| {
        let health = |alloc: &Allocation| alloc.deployment_status.as_ref()?.healthy;
        let counted = live.iter().filter(|alloc| health(alloc) == Some(wanted));
        counted.count()
    };
    let running = |alloc: &&&Arc<Allocation>| alloc.client_status == AllocClientStatus::Running;
    let of_job = state
        .scaling_events
        .get(&State::job_key(&job.namespace, &job.id));
    json!({
        "Desired": group.count,
        "Placed": live.len(),
        "Running": live.iter().filter(running).count(),
        "Healthy": healthy(true),
        "Unhealthy": healthy(false),
        "Events": of_job.and_then(|groups| groups.get(&group.name)),
    })
}
