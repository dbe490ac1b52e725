//! `scaling/policies`, `scaling/policy/:id`: the bounds that jobs give to autoscalers.
//!
//! A policy is part of its job. Its ID is made of the job's name and age, so that it is the same
//! on every server and in every version of the job.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::call::Call;
use super::context::Context;
use super::listing::{Listing, Place};
use super::reply::{ApiError, Reply};
use crate::state::{State, Table};
use crate::types::{Job, Scaling};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/scaling/policies", get(list))
        .route("/v1/scaling/policy/{id}", get(read))
}

/// A group's policy.
struct Policy {
    id: String,
    job: Arc<Job>,
    group: String,
    scaling: Scaling,
}

impl Policy {
    fn stub(&self) -> Value {
        let job = &self.job;
        json!({
            "ID": self.id,
            "Enabled": self.scaling.enabled.unwrap_or(true),
            "Type": self.scaling.scaling_type,
            "Target": { "Namespace": job.namespace, "Job": job.id, "Group": self.group },
            "CreateIndex": job.create_index,
            "ModifyIndex": job.modify_index,
        })
    }

    fn whole(&self) -> Value {
        let mut whole = self.stub();
        whole["Policy"] = json!(self.scaling.policy);
        whole["Min"] = json!(self.scaling.min.unwrap_or(0));
        whole["Max"] = json!(self.scaling.max.unwrap_or(0));
        whole
    }
}

/// The policies of all jobs that are not stopped.
fn all(state: &State) -> Vec<Policy> {
    let mut found = Vec::new();
    for job in state.jobs.values().filter(|job| !job.stop) {
        for group in &job.task_groups {
            if let Some(scaling) = &group.scaling {
                found.push(Policy {
                    id: id_of(job, &group.name),
                    job: Arc::clone(job),
                    group: group.name.clone(),
                    scaling: scaling.clone(),
                });
            }
        }
    }
    found
}

fn id_of(job: &Job, group: &str) -> String {
    let text = [&job.namespace, &job.id, group].join("\0");
    let digest = Sha256::digest(format!("{text}\0{}", job.create_index).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// One of these is enough: the right itself, or those to list and read jobs.
fn may(call: &Call, namespace: &str, right: &str) -> bool {
    let holds = |right| call.acl.allows(namespace, right);
    holds(right) || (holds("list-jobs") && holds("read-job"))
}

async fn list(call: Call) -> Reply {
    let right = "list-scaling-policies";
    if call.namespace != "*" && !may(&call, &call.namespace, right) {
        return Err(ApiError::denied());
    }
    let (state, index) = call.block(|state| state.index_of(Table::Jobs)).await;
    let job = call.parameter("job").unwrap_or_default();
    let kind = call.parameter("type").unwrap_or_default();
    let asked = |policy: &Policy| {
        let namespace = &policy.job.namespace;
        let here = call.namespace == "*" || call.namespace == *namespace;
        here && may(&call, namespace, right)
            && (job.is_empty() || policy.job.id == job)
            && policy.scaling.scaling_type.starts_with(kind)
            && policy.id.starts_with(&call.prefix)
    };
    let listing = Listing {
        place: |policy: &Policy| Place::Named(policy.id.clone()),
        fields: Policy::whole,
        stub: Policy::stub,
    };
    listing.reply(
        &call,
        index,
        all(&state).into_iter().filter(asked).collect(),
    )
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    let (state, index) = call.block(|state| state.index_of(Table::Jobs)).await;
    let found = all(&state).into_iter().find(|policy| policy.id == id);
    let namespace = found
        .as_ref()
        .map_or(&call.namespace, |one| &one.job.namespace);
    if !may(&call, namespace, "read-scaling-policy") {
        return Err(ApiError::denied());
    }
    match found {
        Some(policy) => call.query(index, &policy.whole()),
        None => call.not_found(index, "policy not found"),
    }
}
