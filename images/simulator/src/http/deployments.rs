//! `deployments`, `deployment/*`.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::call::{self, Call};
use super::context::Context;
use super::listing::{Listing, Place};
use super::nodes::check_prefix;
use super::reply::{ApiError, Reply};
use super::{shape, write};
use crate::clock;
use crate::deployments::{failure, watcher_eval};
use crate::state::{Command, Table};
use crate::types::{Deployment, DeploymentStatus};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/deployments", get(list))
        .route("/v1/deployment/{id}", get(read))
        .route("/v1/deployment/allocations/{id}", get(allocations))
        .route("/v1/deployment/promote/{id}", write(promote))
        .route("/v1/deployment/fail/{id}", write(fail))
        .route("/v1/deployment/pause/{id}", write(pause))
        .route("/v1/deployment/allocation-health/{id}", write(health))
}

async fn list(call: Call) -> Reply {
    call.demand_listing("read-job")?;
    check_prefix(&call.prefix)?;
    let (state, index) = call.block(|state| state.index_of(Table::Deployments)).await;
    let found = state
        .deployments
        .values()
        .filter(|d| call.lists(&d.namespace, "read-job") && d.id.starts_with(&call.prefix));
    let listing = Listing {
        place: |d: &Arc<Deployment>| Place::by_age(&call, d.create_index, &d.id),
        fields: |d: &Arc<Deployment>| shape::deployment(d),
        stub: |d: &Arc<Deployment>| shape::deployment(d),
    };
    listing.reply(&call, index, found.cloned().collect())
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    let (state, index) = call
        .block(|state| match state.deployments.get(&id) {
            Some(deployment) => deployment.modify_index,
            None => state.index_of(Table::Deployments),
        })
        .await;
    match state.deployments.get(&id) {
        Some(deployment) => {
            call.demand(&deployment.namespace, "read-job")?;
            call.query(index, &shape::deployment(deployment))
        }
        None => {
            call.demand(&call.namespace, "read-job")?;
            call.not_found(index, "deployment not found")
        }
    }
}

async fn allocations(call: Call, Path(id): Path<String>) -> Reply {
    let (state, index) = call.block(|state| state.index_of(Table::Allocs)).await;
    let deployment = state.deployments.get(&id);
    let namespace = deployment.map_or(&call.namespace, |d| &d.namespace);
    call.demand(namespace, "read-job")?;
    let allocs = state.allocs.values().filter(|a| a.deployment_id == id);
    let stubs: Vec<_> = allocs
        .map(|alloc| shape::alloc_stub(alloc, false, true))
        .collect();
    call.query(index, &json!(stubs))
}

/// The deployment to change, if it goes on; `verb` names what was asked for.
fn active(call: &Call, id: &str, verb: &str) -> Result<Arc<Deployment>, ApiError> {
    let state = call.state();
    let Some(deployment) = state.deployments.get(id) else {
        call.demand(&call.namespace, "submit-job")?;
        return Err(ApiError::server("deployment not found"));
    };
    call.demand(&deployment.namespace, "submit-job")?;
    if !deployment.status.is_active() {
        let text = format!("can't {verb} terminal deployment");
        return Err(ApiError::server(text));
    }
    Ok(Arc::clone(deployment))
}

async fn commit(call: &Call, command: Command, eval_id: Option<String>, to: Option<u64>) -> Reply {
    let index = call.propose(command).await?.index;
    let value = json!({
        "EvalCreateIndex": if eval_id.is_some() { index } else { 0 },
        "EvalID": eval_id.unwrap_or_default(),
        "DeploymentModifyIndex": index,
        "RevertedJobVersion": to,
        "Index": index,
    });
    call.written(index, &value)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Given {
    #[serde(rename = "DeploymentID")]
    deployment_id: String,
    all: bool,
    groups: Option<Vec<String>>,
    pause: bool,
    #[serde(rename = "HealthyAllocationIDs")]
    healthy: Option<Vec<String>>,
    #[serde(rename = "UnhealthyAllocationIDs")]
    unhealthy: Option<Vec<String>>,
}

fn given(body: &Bytes, id: &str) -> Result<Given, ApiError> {
    let given: Given = call::body(body)?;
    match given.deployment_id.as_str() {
        "" => Err(ApiError::bad("DeploymentID must be specified")),
        named if named == id => Ok(given),
        _ => Err(ApiError::bad("Deployment ID does not match")),
    }
}

async fn promote(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given = given(&body, &id)?;
    let deployment = active(&call, &id, "promote")?;
    let groups = given.groups.filter(|_| !given.all);
    let eval = watcher_eval(&call.state(), &deployment, clock::now());
    let eval_id = eval.as_ref().map(|eval| eval.id.clone());
    let command = Command::DeploymentPromote {
        id,
        groups,
        eval,
        now: clock::now(),
    };
    commit(&call, command, eval_id, None).await
}

/// Ends a deployment; where its job says so, the newest stable version is registered again.
async fn fail(call: Call, Path(id): Path<String>) -> Reply {
    let deployment = active(&call, &id, "fail")?;
    let rollback = deployment.task_groups.values().any(|g| g.auto_revert);
    let command = failure(
        &call.state(),
        &deployment,
        FAILED_BY_USER,
        rollback,
        clock::now(),
    );
    let (mut eval_id, mut version) = (None, None);
    if let Command::DeploymentStatus { eval, job, .. } = &command {
        eval_id = eval.as_ref().map(|eval| eval.id.clone());
        version = job.as_ref().map(|job| job.version);
    }
    commit(&call, command, eval_id, version).await
}

const FAILED_BY_USER: &str = "Deployment marked as failed";

async fn pause(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given = given(&body, &id)?;
    let deployment = active(&call, &id, if given.pause { "pause" } else { "resume" })?;
    let (status, description) = if given.pause {
        (DeploymentStatus::Paused, "Deployment is paused")
    } else {
        (DeploymentStatus::Running, "Deployment is running")
    };
    let eval = watcher_eval(&call.state(), &deployment, clock::now());
    let eval = eval.filter(|_| !given.pause);
    let eval_id = eval.as_ref().map(|eval| eval.id.clone());
    let command = Command::DeploymentStatus {
        id,
        status,
        description: description.to_owned(),
        job: None,
        eval,
        now: clock::now(),
    };
    commit(&call, command, eval_id, None).await
}

async fn health(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given = given(&body, &id)?;
    let deployment = active(&call, &id, "set health of allocations for a")?;
    let healthy = given.healthy.unwrap_or_default();
    let unhealthy = given.unhealthy.unwrap_or_default();
    if healthy.is_empty() && unhealthy.is_empty() {
        return Err(ApiError::server(
            "must specify at least one healthy/unhealthy allocation ID",
        ));
    }
    let eval = watcher_eval(&call.state(), &deployment, clock::now());
    let eval_id = eval.as_ref().map(|eval| eval.id.clone());
    let command = Command::DeploymentHealth {
        id,
        healthy,
        unhealthy,
        eval,
        now: clock::now(),
    };
    commit(&call, command, eval_id, None).await
}
