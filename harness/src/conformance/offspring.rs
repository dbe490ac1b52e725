//! Jobs that make jobs: parameterized and periodic ones.

use serde_json::{Value, json};

use super::answer::{Expect as _, items};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Answer;

const SECTION: &str = "Parameterized and periodic jobs";

pub(super) const CASES: &[Case] = &[
    law!(a_parameterized_job_runs_and_has_no_evaluation),
    law!(a_dispatch_makes_a_child),
    law!(a_dispatch_gives_its_meta_and_payload),
    law!(a_dispatch_lacks_nothing_that_is_required),
    law!(a_dispatch_carries_nothing_unknown),
    law!(a_payload_may_be_forbidden),
    law!(dispatching_an_ordinary_job_is_refused),
    law!(a_parameterized_job_is_not_evaluated),
    law!(a_parents_summary_counts_its_children),
    law!(the_same_idempotency_token_makes_one_child).since(1, 1, 3),
    law!(a_periodic_job_runs_and_has_no_evaluation),
    law!(a_periodic_job_is_launched_by_force),
    law!(an_ordinary_job_is_not_launched_by_force),
    law!(a_periodic_job_is_a_batch_job),
    law!(a_wrong_time_table_is_refused),
    law!(a_plan_tells_the_next_launch),
];

fn parameterized(ground: &Ground, payload: &str) -> Value {
    let mut job = given::batch(ground, "parent", 0);
    job["ParameterizedJob"] = json!({
        "Payload": payload, "MetaRequired": ["must"], "MetaOptional": ["may"],
    });
    job
}

fn periodic(ground: &Ground) -> Value {
    let mut job = given::batch(ground, "clock", 0);
    job["Periodic"] = json!({
        "Enabled": true, "Spec": "0 0 1 1 *", "SpecType": "cron", "ProhibitOverlap": false,
        "TimeZone": "UTC",
    });
    job
}

async fn dispatch(ground: &Ground, job: &Value, body: Value) -> Result<Answer, Broken> {
    let path = format!("job/{}/dispatch", given::id(job));
    ground.put(&path, &body).await
}

/// Dispatches, and has the child forgotten when the case ends.
async fn child(ground: &Ground, job: &Value, body: Value) -> Result<Value, Broken> {
    let reply = dispatch(ground, job, body).await?.value()?;
    let child = reply["DispatchedJobID"].as_str().unwrap_or_default();
    ground.forget(child);
    Ok(reply)
}

/// A job that only launches others runs from the start; a list marks it as what it is.
async fn runs_without_evaluation(ground: &Ground, job: &Value, marked: &str) -> Law {
    let reply = ground.register(job).await?;
    demand!(reply["EvalID"] == "", "got {reply}");
    let seen = ground.read(&format!("job/{}", given::id(job))).await?;
    demand!(seen["Status"] == "running", "got {}", seen["Status"]);
    let list = ground
        .read(&format!("jobs?prefix={}", given::id(job)))
        .await?;
    demand!(list[0][marked] == true, "got {list}");
    Ok(())
}

async fn a_parameterized_job_runs_and_has_no_evaluation(ground: &Ground) -> Law {
    let job = parameterized(ground, "optional");
    runs_without_evaluation(ground, &job, "ParameterizedJob").await
}

async fn a_dispatch_makes_a_child(ground: &Ground) -> Law {
    let job = parameterized(ground, "optional");
    ground.register(&job).await?;
    let reply = child(ground, &job, json!({ "Meta": { "must": "1" } })).await?;
    let id = reply["DispatchedJobID"].as_str().unwrap_or_default();
    let start = format!("{}/dispatch-", given::id(&job));
    demand!(id.starts_with(&start), "the child is `{id}`");
    ground.done(&reply).await?;
    let path = format!("job/{}", id.replace('/', "%2F"));
    let dead = |job: &Value| job["Status"] == "dead";
    let seen = ground.until("a child that is over", &path, dead).await?;
    demand!(
        seen["ParentID"] == given::id(&job),
        "got {}",
        seen["ParentID"]
    );
    demand!(seen["Dispatched"] == true, "got {}", seen["Dispatched"]);
    Ok(())
}

async fn a_dispatch_gives_its_meta_and_payload(ground: &Ground) -> Law {
    let job = parameterized(ground, "optional");
    ground.register(&job).await?;
    let body = json!({ "Meta": { "must": "1", "may": "2" }, "Payload": "aGVsbG8=" });
    let reply = child(ground, &job, body).await?;
    let id = reply["DispatchedJobID"].as_str().unwrap_or_default();
    let path = format!("job/{}", id.replace('/', "%2F"));
    let seen = ground.read(&path).await?;
    let meta = &seen["Meta"];
    demand!(meta["must"] == "1" && meta["may"] == "2", "got {meta}");
    let payload = seen["Payload"].as_str().unwrap_or_default();
    demand!(!payload.is_empty(), "there is no payload");
    Ok(())
}

async fn a_dispatch_lacks_nothing_that_is_required(ground: &Ground) -> Law {
    let job = parameterized(ground, "required");
    ground.register(&job).await?;
    let words = "Payload is not provided but required by parameterized job";
    dispatch(ground, &job, json!({ "Meta": { "must": "1" } }))
        .await?
        .refuses(500, words)?;
    let words = "Dispatch did not provide required meta keys: [must]";
    dispatch(ground, &job, json!({ "Payload": "aGVsbG8=" }))
        .await?
        .refuses(500, words)
}

async fn a_dispatch_carries_nothing_unknown(ground: &Ground) -> Law {
    let job = parameterized(ground, "optional");
    ground.register(&job).await?;
    let words = "Dispatch request included unpermitted metadata keys: [other]";
    dispatch(
        ground,
        &job,
        json!({ "Meta": { "must": "1", "other": "2" } }),
    )
    .await?
    .refuses(500, words)
}

async fn a_payload_may_be_forbidden(ground: &Ground) -> Law {
    let job = parameterized(ground, "forbidden");
    ground.register(&job).await?;
    let body = json!({ "Meta": { "must": "1" }, "Payload": "aGVsbG8=" });
    let words = "Payload provided but forbidden by parameterized job";
    dispatch(ground, &job, body).await?.refuses(500, words)
}

async fn dispatching_an_ordinary_job_is_refused(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let words = format!(
        "Specified job \"{}\" is not a parameterized job",
        given::id(&job)
    );
    dispatch(ground, &job, json!({}))
        .await?
        .refuses(500, &words)
}

async fn a_parameterized_job_is_not_evaluated(ground: &Ground) -> Law {
    let job = parameterized(ground, "optional");
    ground.register(&job).await?;
    let path = format!("job/{}/evaluate", given::id(&job));
    ground
        .put(&path, &json!({ "JobID": given::id(&job) }))
        .await?
        .refuses(500, "can't evaluate parameterized job")
}

async fn a_parents_summary_counts_its_children(ground: &Ground) -> Law {
    let job = parameterized(ground, "optional");
    ground.register(&job).await?;
    child(ground, &job, json!({ "Meta": { "must": "1" } })).await?;
    let path = format!("job/{}/summary", given::id(&job));
    let dead = |summary: &Value| summary["Children"]["Dead"] == 1;
    ground.until("a dead child", &path, dead).await.map(drop)
}

async fn the_same_idempotency_token_makes_one_child(ground: &Ground) -> Law {
    let job = parameterized(ground, "optional");
    ground.register(&job).await?;
    let path = format!("job/{}/dispatch?idempotency_token=once", given::id(&job));
    let body = json!({ "Meta": { "must": "1" } });
    let first = ground.write(&path, &body).await?;
    let id = first["DispatchedJobID"].as_str().unwrap_or_default();
    ground.forget(id);
    let second = ground.write(&path, &body).await?;
    demand!(second["DispatchedJobID"] == id, "got {first}, {second}");
    Ok(())
}

async fn a_periodic_job_runs_and_has_no_evaluation(ground: &Ground) -> Law {
    let job = periodic(ground);
    runs_without_evaluation(ground, &job, "Periodic").await
}

async fn a_periodic_job_is_launched_by_force(ground: &Ground) -> Law {
    let job = periodic(ground);
    ground.register(&job).await?;
    let path = format!("job/{}/periodic/force", given::id(&job));
    let reply = ground.write(&path, &json!({})).await?;
    let eval = ground.done(&reply).await?;
    demand!(eval["TriggeredBy"] == "periodic-job", "got {eval}");
    let child = eval["JobID"].as_str().unwrap_or_default();
    ground.forget(child);
    let start = format!("{}/periodic-", given::id(&job));
    demand!(child.starts_with(&start), "the child is `{child}`");
    let path = format!("job/{}", child.replace('/', "%2F"));
    let seen = ground.read(&path).await?;
    demand!(
        seen["ParentID"] == given::id(&job),
        "got {}",
        seen["ParentID"]
    );
    demand!(items(&seen["TaskGroups"]).len() == 1, "got {seen}");
    Ok(())
}

async fn an_ordinary_job_is_not_launched_by_force(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let path = format!("job/{}/periodic/force", given::id(&job));
    ground
        .put(&path, &json!({}))
        .await?
        .refuses(500, "can't force launch non-periodic job")
}

async fn a_periodic_job_is_a_batch_job(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    job["Periodic"] = periodic(ground)["Periodic"].clone();
    ground
        .put("jobs", &json!({ "Job": job }))
        .await?
        .refuses(500, "Periodic can only be used with \"batch\"")
}

async fn a_wrong_time_table_is_refused(ground: &Ground) -> Law {
    let mut job = periodic(ground);
    job["Periodic"]["Spec"] = json!("now and then");
    ground
        .put("jobs", &json!({ "Job": job }))
        .await?
        .refuses(500, "Invalid cron spec")
}

async fn a_plan_tells_the_next_launch(ground: &Ground) -> Law {
    let job = periodic(ground);
    let path = format!("job/{}/plan", given::id(&job));
    let plan = ground.write(&path, &json!({ "Job": job })).await?;
    let next = plan["NextPeriodicLaunch"].as_str().unwrap_or_default();
    demand!(
        next.contains("-01-01T00:00:00Z"),
        "the next launch is {next}"
    );
    Ok(())
}
