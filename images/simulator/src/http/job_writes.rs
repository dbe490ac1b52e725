//! The writes of `jobs` and `job/:id/*`.

use axum::extract::Path;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{self, Call};
use super::given_job;
use super::job_source;
use super::reply::{ApiError, Reply};
use crate::clock;
use crate::jobspec;
use crate::leader::new_eval;
use crate::plant::{self, Plant};
use crate::state::{Command, State, multierror};
use crate::types::{DesiredTransition, EvalTrigger, Job, JobSubmission, JobType};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Register {
    job: Option<Value>,
    enforce_index: bool,
    job_modify_index: u64,
    preserve_counts: bool,
    eval_priority: i64,
    namespace: String,
    submission: Option<JobSubmission>,
}

pub async fn register(call: Call, body: Bytes) -> Reply {
    let given: Register = call::body(&body)?;
    submit(&call, given, None).await
}

pub async fn register_at(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given: Register = call::body(&body)?;
    submit(&call, given, Some(&id)).await
}

async fn submit(call: &Call, given: Register, at: Option<&str>) -> Reply {
    let mut job = job_of(call, given.job, &given.namespace, at)?;
    call.demand(&job.namespace, "submit-job")?;
    call.demand_registration()?;
    check(&call.state(), &job)?;
    if given.preserve_counts {
        keep_counts(call, &mut job);
    }
    let mut eval = new_eval(&job, EvalTrigger::JobRegister, clock::now());
    if given.eval_priority != 0 {
        eval.priority = eval_priority(given.eval_priority)?;
    }
    let enforce = given.enforce_index.then_some(given.job_modify_index);
    // These are launched later, by their calendar or by whoever dispatches them.
    let runs = !job.is_periodic() && !job.is_parameterized();
    let (submission, warning) = job_source::kept(given.submission);
    let command = Command::JobRegister {
        job,
        eval: runs.then_some(eval),
        enforce_index: enforce,
        submission,
        now: clock::now(),
    };
    store(call, command, &warning).await
}

/// The submitted job in the namespace that counts: of the query, of the body, its own.
pub(super) fn job_of(
    call: &Call,
    given: Option<Value>,
    namespace: &str,
    at: Option<&str>,
) -> Result<Job, ApiError> {
    let mut job = given_job::read(given)?;
    if at.is_some_and(|at| at != job.id) {
        return Err(ApiError::bad("Job ID does not match name"));
    }
    if let Some(asked) = call.parameter("namespace") {
        asked.clone_into(&mut job.namespace);
    } else if !namespace.is_empty() {
        namespace.clone_into(&mut job.namespace);
    }
    Ok(job)
}

fn eval_priority(given: i64) -> Result<i64, ApiError> {
    if (1..=100).contains(&given) {
        return Ok(given);
    }
    Err(ApiError::bad(
        "Eval priority must be between 1 and 100 inclusively",
    ))
}

/// What Nomad's servers refuse: 500 with a list.
pub(super) fn check(state: &State, job: &Job) -> Result<(), ApiError> {
    let errors = jobspec::validate(job);
    if !errors.is_empty() {
        return Err(ApiError::server(multierror(&errors)));
    }
    check_namespace(state, job)?;
    // Pools come into being with their first node.
    let known = |pool: &str| {
        let mut nodes = state.nodes.values();
        matches!(pool, "default" | "all") || nodes.any(|node| node.node_pool == pool)
    };
    if !known(&job.node_pool) {
        let text = format!(
            "job {:?} is in nonexistent node pool {:?}",
            job.id, job.node_pool
        );
        return Err(ApiError::server(text));
    }
    let old = state.job(&job.namespace, &job.id);
    if let Some(old) = old.filter(|old| old.job_type != job.job_type) {
        let (old, new) = (json!(old.job_type), json!(job.job_type));
        let text = format!("cannot update job from type {old} to {new}");
        return Err(ApiError::server(text));
    }
    Ok(())
}

fn check_namespace(state: &State, job: &Job) -> Result<(), ApiError> {
    let Some(namespace) = state.namespace(&job.namespace) else {
        let text = format!(
            "job {:?} is in nonexistent namespace {:?}",
            job.id, job.namespace
        );
        return Err(ApiError::server(text));
    };
    let tasks = job.task_groups.iter().flat_map(|group| &group.tasks);
    let drivers = tasks.map(|task| task.driver.as_str());
    let refused: Vec<&str> = drivers.filter(|one| !namespace.takes_driver(one)).collect();
    let name = &namespace.name;
    let text = match refused.as_slice() {
        [] => return Ok(()),
        [one] => format!("used task driver {one:?} is not allowed in namespace {name:?}"),
        many => {
            let many: Vec<_> = many.iter().map(|one| format!("{one:?}")).collect();
            let many = many.join(" ");
            format!("used task drivers [{many}] are not allowed in namespace {name:?}")
        }
    };
    Err(ApiError::server(text))
}

fn keep_counts(call: &Call, job: &mut Job) {
    let state = call.state();
    let Some(old) = state.job(&job.namespace, &job.id) else {
        return;
    };
    for group in &mut job.task_groups {
        let mut groups = old.task_groups.iter();
        if let Some(old) = groups.find(|old| old.name == group.name) {
            group.count = old.count;
        }
    }
}

/// Registers, and answers as every registration does.
async fn store(call: &Call, command: Command, warning: &str) -> Reply {
    let Command::JobRegister { job, eval, .. } = &command else {
        unreachable!("no registration: {command:?}");
    };
    let eval_id = eval.as_ref().map(|eval| eval.id.clone());
    let (namespace, id) = (job.namespace.clone(), job.id.clone());
    let index = call.propose(command).await?.index;
    registered_with(call, index, &namespace, &id, eval_id, warning)
}

pub(super) fn registered(
    call: &Call,
    index: u64,
    namespace: &str,
    id: &str,
    eval_id: Option<String>,
) -> Reply {
    registered_with(call, index, namespace, id, eval_id, "")
}

fn registered_with(
    call: &Call,
    index: u64,
    namespace: &str,
    id: &str,
    eval_id: Option<String>,
    warning: &str,
) -> Reply {
    let state = call.state();
    let job_index = state.job(namespace, id).map_or(0, |j| j.job_modify_index);
    let value = json!({
        "EvalCreateIndex": if eval_id.is_some() { index } else { 0 },
        "EvalID": eval_id.unwrap_or_default(),
        "JobModifyIndex": job_index,
        "Warnings": warning,
        "Index": index,
        "LastContact": 0,
        "KnownLeader": false,
    });
    call.written(index, &value)
}

/// Stops the job, or forgets it with `?purge`; an unknown job is no error.
pub async fn deregister(call: Call, Path(id): Path<String>) -> Reply {
    let purge = call.truth("purge")?;
    call.demand(&call.namespace, "submit-job")?;
    let state = call.state();
    let Some(job) = state.job(&call.namespace, &id) else {
        return registered(&call, state.index, &call.namespace, &id, None);
    };
    let now = clock::now();
    let mut eval = new_eval(job, EvalTrigger::JobDeregister, now);
    // Nomad gives these the type `service`, whatever the job's.
    eval.eval_type = JobType::Service;
    if let Some(priority) = call.parameter("eval_priority") {
        let parsed: Result<i64, _> = priority.parse();
        let text = "Failed to parse value of \"eval_priority\" as a int";
        eval.priority = eval_priority(parsed.map_err(|_| ApiError::server(text))?)?;
    }
    let ran = !job.is_periodic() && !job.is_parameterized();
    let eval = ran.then_some(eval);
    let eval_id = eval.as_ref().map(|eval| eval.id.clone());
    let command = Command::JobDeregister {
        namespace: call.namespace.clone(),
        id: id.clone(),
        purge,
        eval,
        now,
    };
    let applied = call.propose(command).await?;
    registered(&call, applied.index, &call.namespace, &id, eval_id)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Revert {
    #[serde(rename = "JobID")]
    job_id: String,
    job_version: u64,
    enforce_prior_version: Option<u64>,
}

/// Registers an older version again; it becomes the newest.
pub async fn revert(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given: Revert = call::body(&body)?;
    matches_path(&given.job_id, &id)?;
    call.demand(&call.namespace, "submit-job")?;
    let state = call.state();
    let Some(current) = state.job(&call.namespace, &id) else {
        return Err(ApiError::server(format!("job {id:?} not found")));
    };
    if current.version == given.job_version {
        return Err(ApiError::server("can't revert to current version"));
    }
    let enforced = given.enforce_prior_version;
    if let Some(wanted) = enforced.filter(|wanted| *wanted != current.version) {
        return Err(ApiError::server(format!(
            "Current job has version {}; enforcing version {wanted}",
            current.version
        )));
    }
    let versions = state.versions_of(&call.namespace, &id);
    let Some(old) = versions.iter().find(|job| job.version == given.job_version) else {
        return Err(ApiError::server(format!(
            "job {id:?} in namespace {:?} at version {} not found",
            call.namespace, given.job_version
        )));
    };
    let old = if plant::is(Plant::RevertIgnored) {
        current
    } else {
        old
    };
    let job = Job::clone(old);
    let now = clock::now();
    let command = Command::JobRegister {
        eval: Some(new_eval(&job, EvalTrigger::JobRegister, now)),
        job,
        enforce_index: Some(current.job_modify_index),
        submission: None,
        now,
    };
    store(&call, command, "").await
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Stable {
    #[serde(rename = "JobID")]
    job_id: String,
    job_version: u64,
    stable: bool,
}

pub async fn stable(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given: Stable = call::body(&body)?;
    matches_path(&given.job_id, &id)?;
    call.demand(&call.namespace, "submit-job")?;
    let command = Command::JobStable {
        namespace: call.namespace.clone(),
        id,
        version: given.job_version,
        stable: given.stable,
    };
    let index = call.propose(command).await?.index;
    call.written(index, &json!({ "JobModifyIndex": index, "Index": index }))
}

fn matches_path(given: &str, path: &str) -> Result<(), ApiError> {
    match given {
        "" => Err(ApiError::bad("JobID must be specified")),
        given if given == path => Ok(()),
        _ => Err(ApiError::bad("Job ID does not match")),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Evaluate {
    eval_options: EvalOptions,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct EvalOptions {
    force_reschedule: bool,
}

/// Makes the scheduler look at the job again.
pub async fn evaluate(call: Call, Path(id): Path<String>, body: Bytes) -> Reply {
    let given: Evaluate = call::body(&body)?;
    call.demand(&call.namespace, "read-job")?;
    let state = call.state();
    let Some(job) = state.job(&call.namespace, &id) else {
        return Err(ApiError::server("job not found"));
    };
    if job.is_periodic() {
        return Err(ApiError::server("can't evaluate periodic job"));
    }
    if job.is_parameterized() {
        return Err(ApiError::server("can't evaluate parameterized job"));
    }
    let now = clock::now();
    let eval = new_eval(job, EvalTrigger::JobRegister, now);
    let eval_id = eval.id.clone();
    let failed = state
        .allocs_of_job(&call.namespace, &id)
        .filter(|alloc| alloc.client_status == crate::types::AllocClientStatus::Failed)
        .filter(|_| given.eval_options.force_reschedule);
    let command = Command::AllocTransition {
        ids: failed.map(|alloc| alloc.id.clone()).collect(),
        transition: DesiredTransition {
            force_reschedule: Some(true),
            ..DesiredTransition::default()
        },
        evals: vec![eval],
        now,
    };
    let index = call.propose(command).await?.index;
    registered(&call, index, &call.namespace, &id, Some(eval_id))
}
