//! `jobs`, `jobs/parse`, `validate/job`, and the reads of `job/:id/*`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::context::Context;
use super::listing::{Listing, Place};
use super::reply::{ApiError, Reply};
use super::{given_job, job_writes, shape, write};
use crate::job_diff::JobDiff;
use crate::jobspec;
use crate::state::{State, Table, multierror};
use crate::types::{Allocation, Deployment, Job};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/jobs", get(list).merge(write(job_writes::register)))
        .route("/v1/validate/job", write(validate))
        .route(
            "/v1/job/{id}",
            get(read)
                .merge(write(job_writes::register_at))
                .delete(job_writes::deregister),
        )
        .route("/v1/job/{id}/versions", get(versions))
        .route("/v1/job/{id}/summary", get(summary))
        .route("/v1/job/{id}/allocations", get(allocations))
        .route("/v1/job/{id}/evaluations", get(evaluations))
        .route("/v1/job/{id}/deployments", get(deployments))
        .route("/v1/job/{id}/deployment", get(deployment))
        .route("/v1/job/{id}/revert", write(job_writes::revert))
        .route("/v1/job/{id}/stable", write(job_writes::stable))
        .route("/v1/job/{id}/evaluate", write(job_writes::evaluate))
        .route("/v1/job/{id}/plan", write(super::plan::plan))
}

/// Parsing needs no leader.
pub fn local_routes() -> Router<Context> {
    Router::new().route("/v1/jobs/parse", write(parse))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Parse {
    #[serde(rename = "JobHCL")]
    job_hcl: String,
    #[serde(rename = "HCLv1", alias = "hclv1")]
    hcl_v1: bool,
    variables: String,
    canonicalize: bool,
}

async fn parse(call: Call, body: Bytes) -> Reply {
    let may = ["parse-job", "submit-job"].map(|right| call.acl.allows(&call.namespace, right));
    if !may.contains(&true) {
        return Err(ApiError::denied());
    }
    let given: Parse = call::body(&body)?;
    if given.job_hcl.is_empty() {
        return Err(ApiError::bad("Job spec is empty"));
    }
    if given.hcl_v1 {
        return Err(ApiError::not_simulated("HCL version 1"));
    }
    let variables = variables(&given.variables)?;
    let parsed = jobspec::parse_as_written(&given.job_hcl, &variables);
    let (mut job, unsaid) = parsed.map_err(|errors| {
        let lines = errors.iter().map(|error| format!("input.hcl:{error}"));
        let text = multierror(&lines.collect::<Vec<_>>());
        ApiError::bad(format!("Failed to parse job: {text}"))
    })?;
    if given.canonicalize {
        jobspec::canonicalize(&mut job);
        return call.plain(&shape::job(&job));
    }
    call.plain(&shape::job_as_written(&job, &unsaid))
}

/// The text of a variables file: one `name = value` a line.
fn variables(text: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let body: hcl::Body = crate::hcl_text::parse_body(text)
        .map(Into::into)
        .map_err(|error| ApiError::bad(format!("failed to parse variables: {error}")))?;
    let value = |attribute: &hcl::Attribute| match attribute.expr() {
        hcl::Expression::String(text) => text.clone(),
        other => other.to_string(),
    };
    let pairs = body.attributes().map(|a| (a.key().to_owned(), value(a)));
    Ok(pairs.collect())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Validate {
    job: Option<Value>,
}

async fn validate(call: Call, body: Bytes) -> Reply {
    let given: Validate = call::body(&body)?;
    let errors = match given_job::read_whole(given.job) {
        Ok((job, problems)) => {
            call.demand(&job.namespace, "read-job")?;
            if problems.is_empty() {
                jobspec::validate(&job)
            } else {
                problems
            }
        }
        Err(error) if error.status() == StatusCode::NOT_IMPLEMENTED => vec![error.to_string()],
        Err(error) => return Err(error),
    };
    let text = if errors.is_empty() {
        String::new()
    } else {
        multierror(&errors)
    };
    call.plain(&json!({
        "DriverConfigValidated": true,
        "ValidationErrors": if errors.is_empty() { Value::Null } else { json!(errors) },
        "Error": text,
        "Warnings": "",
    }))
}

async fn list(call: Call) -> Reply {
    call.demand_listing("list-jobs")?;
    // A stub carries the counts of its allocations, so those matter as well.
    let (state, index) = call
        .block(|state| {
            state
                .index_of(Table::Jobs)
                .max(state.index_of(Table::Allocs))
        })
        .await;
    let meta = call.flag("meta");
    let jobs = state.jobs.values();
    let listed = jobs
        .filter(|job| call.lists(&job.namespace, "list-jobs"))
        .filter(|job| job.id.starts_with(&call.prefix));
    let listing = Listing {
        place: |job: &Arc<Job>| Place::Named(format!("{}.{}", job.namespace, job.id)),
        fields: |job: &Arc<Job>| shape::job(job),
        stub: |job: &Arc<Job>| shape::job_stub(&state, job, meta),
    };
    listing.reply(&call, index, listed.cloned().collect())
}

/// Waits for a job's own index, or the table's where it does not exist; a job that is not
/// there is a 404 with `missing`.
pub(super) async fn found(
    call: &Call,
    id: &str,
    missing: &str,
    index_of: impl Fn(&State, &Job) -> u64,
) -> Result<(Arc<State>, u64, Arc<Job>), Reply> {
    call.demand(&call.namespace, "read-job").map_err(Err)?;
    let (state, index) = call
        .block(|state| match state.job(&call.namespace, id) {
            Some(job) => index_of(state, job),
            None => state.index_of(Table::Jobs),
        })
        .await;
    let job = state.job(&call.namespace, id).cloned();
    match job {
        Some(job) => Ok((state, index, job)),
        None => Err(call.not_found(index, missing)),
    }
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    match found(&call, &id, "job not found", |_, job| job.modify_index).await {
        Ok((_, index, job)) => call.query(index, &shape::job(&job)),
        Err(reply) => reply,
    }
}

async fn versions(call: Call, Path(id): Path<String>) -> Reply {
    let asked = call.truth("diffs")?;
    let modified = |_: &State, job: &Job| job.modify_index;
    match found(&call, &id, "job versions not found", modified).await {
        Ok((state, index, _)) => {
            let kept = state.versions_of(&call.namespace, &id);
            let versions: Vec<_> = kept.iter().map(|job| shape::job(job)).collect();
            let pairs = kept.windows(2).filter(|_| asked);
            let diffs: Vec<_> = pairs
                .map(|pair| JobDiff::of(Some(&pair[1]), &pair[0]))
                .collect();
            let value = json!({
                "Versions": versions,
                "Diffs": if diffs.is_empty() { Value::Null } else { json!(diffs) },
                "Index": index,
                "LastContact": 0,
                "KnownLeader": true,
            });
            call.query(index, &value)
        }
        Err(reply) => reply,
    }
}

async fn summary(call: Call, Path(id): Path<String>) -> Reply {
    match found(&call, &id, "job not found", shape::summary_index).await {
        Ok((state, index, job)) => call.query(index, &shape::job_summary(&state, &job)),
        Err(reply) => reply,
    }
}

/// Allocations of this registration of the job, or with `?all` of earlier ones too.
async fn allocations(call: Call, Path(id): Path<String>) -> Reply {
    call.demand(&call.namespace, "read-job")?;
    let (state, index) = call.block(|state| state.index_of(Table::Allocs)).await;
    let created = state.job(&call.namespace, &id).map(|job| job.create_index);
    let all = call.flag("all");
    let current = |alloc: &Allocation| {
        let made_for = alloc.job.as_ref().map(|job| job.create_index);
        all || created.is_none() || made_for == created
    };
    let allocs = state.allocs_of_job(&call.namespace, &id);
    let stubs: Vec<_> = allocs
        .filter(|alloc| current(alloc))
        .map(|alloc| shape::alloc_stub(alloc, false, true))
        .collect();
    call.query(index, &json!(stubs))
}

async fn evaluations(call: Call, Path(id): Path<String>) -> Reply {
    call.demand(&call.namespace, "read-job")?;
    let (state, index) = call.block(|state| state.index_of(Table::Evals)).await;
    let evals = state.evals.values();
    let mut evals: Vec<_> = evals
        .filter(|e| e.job_id == id && e.namespace == call.namespace)
        .collect();
    evals.sort_by_key(|eval| std::cmp::Reverse((eval.create_index, eval.id.clone())));
    let full: Vec<_> = evals.into_iter().map(|eval| shape::eval(eval)).collect();
    call.query(index, &json!(full))
}

async fn deployments(call: Call, Path(id): Path<String>) -> Reply {
    call.demand(&call.namespace, "read-job")?;
    let (state, index) = call.block(|state| state.index_of(Table::Deployments)).await;
    let deployments = deployments_of(&state, &call, &id);
    let shown: Vec<_> = deployments.iter().map(|d| shape::deployment(d)).collect();
    call.query(index, &json!(shown))
}

/// Deployments of a job, newest first. Those of an earlier job of that name, which was purged, are
/// shown only where `all` is asked for, or where the name is free.
fn deployments_of(state: &State, call: &Call, id: &str) -> Vec<Arc<Deployment>> {
    let job = state.job(&call.namespace, id);
    let all = call.flag("all");
    let mut found = state.deployments_of_job(&call.namespace, id);
    found.retain(|d| all || job.is_none_or(|job| job.create_index == d.job_create_index));
    found
}

/// The latest deployment; 200 with `null` where there is none.
async fn deployment(call: Call, Path(id): Path<String>) -> Reply {
    call.demand(&call.namespace, "read-job")?;
    let latest = |state: &State| deployments_of(state, &call, &id).into_iter().next();
    let (state, index) = call
        .block(|state| match latest(state) {
            Some(deployment) => deployment.modify_index,
            None => state.index_of(Table::Deployments),
        })
        .await;
    let shown = latest(&state).map(|deployment| shape::deployment(&deployment));
    call.query(index, &json!(shown))
}
