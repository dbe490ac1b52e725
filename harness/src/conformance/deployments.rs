//! Rollouts of service jobs.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Deployments";

pub(super) const CASES: &[Case] = &[
    law!(a_first_version_is_deployed),
    law!(a_deployments_success_makes_its_version_stable),
    law!(a_deployment_says_what_it_is),
    law!(a_deployments_allocations_are_told),
    law!(deployments_are_listed_by_the_start_of_their_id),
    law!(an_unknown_deployment_is_404_to_read_and_500_to_change),
    law!(a_changed_task_is_rolled_out_one_by_one),
    law!(another_count_is_deployed_in_place),
    law!(a_batch_job_has_no_deployment),
    law!(without_parallelism_there_is_no_deployment),
    law!(a_newer_version_cancels_the_deployment),
    law!(stopping_the_job_cancels_the_deployment),
    law!(no_allocation_is_healthy_before_its_time),
    law!(failing_a_deployment_by_hand_fails_it),
    law!(a_terminal_deployment_is_not_changed),
    law!(a_paused_deployment_places_nothing_until_it_resumes),
    law!(canaries_wait_for_promotion),
    law!(promotion_replaces_the_rest),
    law!(healthy_canaries_promote_themselves_when_told),
    law!(promoting_without_canaries_ends_nothing),
    law!(unhealthy_canaries_are_not_promoted),
    law!(failing_canaries_stops_them_alone),
    law!(without_progress_a_deployment_fails),
    law!(a_failed_deployment_goes_back_to_the_stable_version),
    law!(a_failed_first_version_has_nothing_to_go_back_to),
    law!(health_is_said_by_hand_when_told),
    law!(a_deployment_with_unhealthy_allocations_fails_at_once_without_a_deadline),
    law!(a_deployments_changes_want_its_name),
];

fn update(job: &mut Value, changes: &[(&str, Value)]) {
    for (key, value) in changes {
        given::group(job)["Update"][*key] = value.clone();
    }
}

/// A job of two that is deployed.
async fn deployed(ground: &Ground, changes: &[(&str, Value)]) -> Result<Value, Broken> {
    let mut job = given::services(ground, "web", 2);
    update(&mut job, changes);
    ground.register(&job).await?;
    ground.deployed(given::id(&job), "successful").await?;
    Ok(job)
}

/// The same job, whose new version can never become healthy.
fn broken(job: &Value) -> Value {
    let mut job = job.clone();
    // It never runs at all: one that ran a moment might be found healthy on a busy machine.
    given::task(&mut job)["Config"]["command"] = json!("/nowhere/at-all");
    // With attempts to spare: a deployment that has none left may fail before its deadline.
    given::group(&mut job)["ReschedulePolicy"] = json!({
        "Attempts": 0, "Unlimited": true, "Delay": 30_000_000_000_u64,
        "DelayFunction": "constant", "MaxDelay": 0, "Interval": 0,
    });
    job
}

async fn newest(ground: &Ground, job: &Value, version: u64, status: &str) -> Result<Value, Broken> {
    let path = format!("job/{}/deployment", given::id(job));
    let what = format!("a deployment of version {version} that is {status}");
    let so = |one: &Value| one["JobVersion"] == version && one["Status"] == status;
    ground.until(&what, &path, so).await
}

fn name(deployment: &Value) -> &str {
    deployment["ID"].as_str().unwrap_or_default()
}

async fn change(
    ground: &Ground,
    verb: &str,
    id: &str,
    body: Value,
) -> Result<crate::nomad::Answer, Broken> {
    let mut body = body;
    body["DeploymentID"] = json!(id);
    ground.put(&format!("deployment/{verb}/{id}"), &body).await
}

async fn a_first_version_is_deployed(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 2);
    ground.register(&job).await?;
    let done = ground.deployed(given::id(&job), "successful").await?;
    let words = &done["StatusDescription"];
    demand!(*words == "Deployment completed successfully", "got {words}");
    let group = &done["TaskGroups"]["web"];
    for (key, expected) in [
        ("DesiredTotal", 2),
        ("PlacedAllocs", 2),
        ("HealthyAllocs", 2),
        ("UnhealthyAllocs", 0),
        ("DesiredCanaries", 0),
    ] {
        demand!(group[key] == expected, "`{key}` is {}", group[key]);
    }
    Ok(())
}

async fn a_deployments_success_makes_its_version_stable(ground: &Ground) -> Law {
    let job = deployed(ground, &[]).await?;
    let path = format!("job/{}", given::id(&job));
    let stable = |job: &Value| job["Stable"] == true;
    ground.until("a stable job", &path, stable).await.map(drop)
}

async fn a_deployment_says_what_it_is(ground: &Ground) -> Law {
    let job = deployed(ground, &[]).await?;
    let list = ground
        .read(&format!("job/{}/deployments", given::id(&job)))
        .await?;
    let one = ground
        .read(&format!("deployment/{}", name(&list[0])))
        .await?;
    let keys = [
        "ID",
        "Namespace",
        "JobID",
        "JobVersion",
        "JobModifyIndex",
        "JobSpecModifyIndex",
        "JobCreateIndex",
        "IsMultiregion",
        "TaskGroups",
        "Status",
        "StatusDescription",
        "CreateIndex",
        "ModifyIndex",
    ];
    let lacking = lacks(&one, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {one}");
    let keys = [
        "AutoRevert",
        "AutoPromote",
        "ProgressDeadline",
        "RequireProgressBy",
        "Promoted",
        "PlacedCanaries",
    ];
    let group = &one["TaskGroups"]["web"];
    let lacking = lacks(group, &keys);
    demand!(lacking.is_empty(), "the group lacks {lacking:?}: {one}");
    demand!(group["PlacedCanaries"].is_null(), "got {group}");
    Ok(())
}

async fn a_deployments_allocations_are_told(ground: &Ground) -> Law {
    let job = deployed(ground, &[]).await?;
    let path = format!("job/{}/deployment", given::id(&job));
    let deployment = ground.read(&path).await?;
    let path = format!("deployment/allocations/{}", name(&deployment));
    let allocs = ground.read(&path).await?;
    demand!(items(&allocs).len() == 2, "got {allocs}");
    for alloc in items(&allocs) {
        let health = &alloc["DeploymentStatus"];
        demand!(health["Healthy"] == true, "got {health}");
        demand!(health["Canary"] == false, "got {health}");
    }
    Ok(())
}

async fn deployments_are_listed_by_the_start_of_their_id(ground: &Ground) -> Law {
    let job = deployed(ground, &[]).await?;
    let path = format!("job/{}/deployment", given::id(&job));
    let deployment = ground.read(&path).await?;
    let id = name(&deployment);
    let list = ground
        .read(&format!("deployments?prefix={}", &id[..8]))
        .await?;
    let ids = texts(&list, "ID");
    demand!(ids.contains(&id), "got {ids:?}");
    Ok(())
}

async fn an_unknown_deployment_is_404_to_read_and_500_to_change(ground: &Ground) -> Law {
    let id = uuid::Uuid::new_v4().to_string();
    ground
        .get(&format!("deployment/{id}"))
        .await?
        .refuses(404, "deployment not found")?;
    for (verb, body) in [
        ("fail", json!({})),
        ("pause", json!({ "Pause": true })),
        ("promote", json!({ "All": true })),
    ] {
        let answer = change(ground, verb, &id, body).await?;
        answer.refuses(500, "deployment not found")?;
    }
    Ok(())
}

async fn a_changed_task_is_rolled_out_one_by_one(ground: &Ground) -> Law {
    let job = deployed(ground, &[]).await?;
    ground.register(&given::changed(&job, "new")).await?;
    newest(ground, &job, 1, "successful").await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let allocs = ground.read(&path).await?;
    let of = |version: u64| {
        let all = items(&allocs).iter();
        all.filter(move |alloc| alloc["JobVersion"] == version)
    };
    demand!(of(1).count() == 2, "got {allocs}");
    demand!(
        of(0).all(|alloc| alloc["DesiredStatus"] == "stop"),
        "got {allocs}"
    );
    // The second was placed only after the first was healthy.
    let mut placed: Vec<_> = of(1).map(|alloc| alloc["CreateTime"].as_u64()).collect();
    placed.sort_unstable();
    demand!(placed[0] < placed[1], "both were placed at once");
    let mut made: Vec<_> = of(1).map(|alloc| alloc["CreateIndex"].as_u64()).collect();
    made.dedup();
    demand!(made.len() == 2, "both were placed by one plan");
    Ok(())
}

async fn another_count_is_deployed_in_place(ground: &Ground) -> Law {
    let mut job = deployed(ground, &[]).await?;
    let before = ground.running(given::id(&job), 2).await?;
    given::group(&mut job)["Count"] = json!(3);
    ground.register(&job).await?;
    newest(ground, &job, 1, "successful").await?;
    let after = ground.running(given::id(&job), 3).await?;
    let kept = |old: &Value| after.iter().any(|new| new["ID"] == old["ID"]);
    demand!(before.iter().all(kept), "some were replaced");
    Ok(())
}

async fn a_batch_job_has_no_deployment(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    ground.evaluate(&job).await?;
    let path = format!("job/{}/deployments", given::id(&job));
    let all = ground.read(&path).await?;
    demand!(items(&all).is_empty(), "got {all}");
    Ok(())
}

async fn without_parallelism_there_is_no_deployment(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 2);
    update(&mut job, &[("MaxParallel", json!(0))]);
    ground.start(&job, 2).await?;
    ground.register(&given::changed(&job, "new")).await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let replaced = |allocs: &Value| {
        let of = |a: &&Value| a["JobVersion"] == 1 && a["ClientStatus"] == "running";
        items(allocs).iter().filter(of).count() == 2
    };
    ground.until("2 of version 1", &path, replaced).await?;
    let all = ground
        .read(&format!("job/{}/deployments", given::id(&job)))
        .await?;
    demand!(items(&all).is_empty(), "got {all}");
    Ok(())
}

/// A job whose deployment goes on and on.
async fn going_on(ground: &Ground) -> Result<(Value, Value), Broken> {
    let mut job = given::service(ground, "web");
    update(&mut job, &[("MinHealthyTime", json!(25_000_000_000_u64))]);
    ground.register(&job).await?;
    let deployment = ground.deployed(given::id(&job), "running").await?;
    Ok((job, deployment))
}

async fn ends(ground: &Ground, deployment: &Value, status: &str, words: &str) -> Law {
    let path = format!("deployment/{}", name(deployment));
    let over = |one: &Value| one["Status"] == status;
    let one = ground.until(status, &path, over).await?;
    let told = &one["StatusDescription"];
    demand!(*told == words, "expected `{words}`, got {told}");
    Ok(())
}

async fn a_newer_version_cancels_the_deployment(ground: &Ground) -> Law {
    let (job, deployment) = going_on(ground).await?;
    ground.register(&given::changed(&job, "new")).await?;
    let words = "Cancelled due to newer version of job";
    ends(ground, &deployment, "cancelled", words).await
}

async fn stopping_the_job_cancels_the_deployment(ground: &Ground) -> Law {
    let (job, deployment) = going_on(ground).await?;
    ground
        .delete(&format!("job/{}", given::id(&job)))
        .await?
        .good()?;
    let words = "Cancelled because job is stopped";
    ends(ground, &deployment, "cancelled", words).await
}

fn moment(text: &Value) -> Result<OffsetDateTime, Broken> {
    let read = OffsetDateTime::parse(text.as_str().unwrap_or_default(), &Rfc3339);
    read.map_err(|_| Broken::new(format!("expected a time, got {text}")))
}

async fn no_allocation_is_healthy_before_its_time(ground: &Ground) -> Law {
    let job = deployed(ground, &[("MinHealthyTime", json!(2_000_000_000_u64))]).await?;
    let path = format!("job/{}/allocations", given::id(&job));
    for stub in items(&ground.read(&path).await?) {
        let began = moment(&stub["TaskStates"]["main"]["StartedAt"])?;
        let healthy = moment(&stub["DeploymentStatus"]["Timestamp"])?;
        let after = (healthy - began).as_seconds_f64();
        demand!(after >= 2.0, "it was healthy {after} s after its start");
    }
    Ok(())
}

async fn failing_a_deployment_by_hand_fails_it(ground: &Ground) -> Law {
    let (_, deployment) = going_on(ground).await?;
    let reply = change(ground, "fail", name(&deployment), json!({})).await?;
    let reply = reply.value()?;
    let keys = [
        "EvalID",
        "EvalCreateIndex",
        "DeploymentModifyIndex",
        "RevertedJobVersion",
    ];
    let lacking = lacks(&reply, &keys);
    demand!(lacking.is_empty(), "the reply lacks {lacking:?}");
    demand!(reply["RevertedJobVersion"].is_null(), "got {reply}");
    ends(ground, &deployment, "failed", "Deployment marked as failed").await
}

async fn a_terminal_deployment_is_not_changed(ground: &Ground) -> Law {
    let (_, deployment) = going_on(ground).await?;
    let id = name(&deployment);
    change(ground, "fail", id, json!({})).await?.good()?;
    for (verb, body, words) in [
        ("fail", json!({}), "can't fail terminal deployment"),
        (
            "pause",
            json!({ "Pause": true }),
            "can't pause terminal deployment",
        ),
        (
            "pause",
            json!({ "Pause": false }),
            "can't resume terminal deployment",
        ),
        (
            "promote",
            json!({ "All": true }),
            "can't promote terminal deployment",
        ),
        (
            "allocation-health",
            json!({ "HealthyAllocationIDs": [uuid::Uuid::new_v4()] }),
            "can't set health of allocations for a terminal deployment",
        ),
    ] {
        change(ground, verb, id, body).await?.refuses(500, words)?;
    }
    Ok(())
}

async fn a_paused_deployment_places_nothing_until_it_resumes(ground: &Ground) -> Law {
    let job = deployed(ground, &[("MinHealthyTime", json!(2_000_000_000_u64))]).await?;
    ground.register(&given::changed(&job, "new")).await?;
    let running = newest(ground, &job, 1, "running").await?;
    let id = name(&running).to_owned();
    change(ground, "pause", &id, json!({ "Pause": true }))
        .await?
        .good()?;
    ends(ground, &running, "paused", "Deployment is paused").await?;
    let path = format!("deployment/{id}");
    // The one that was placed becomes healthy; the second must not follow.
    let healthy = |one: &Value| one["TaskGroups"]["web"]["HealthyAllocs"] == 1;
    ground.until("one that is healthy", &path, healthy).await?;
    let allocs = ground.read(&format!("deployment/allocations/{id}")).await?;
    demand!(items(&allocs).len() == 1, "got {allocs}");
    change(ground, "pause", &id, json!({ "Pause": false }))
        .await?
        .good()?;
    newest(ground, &job, 1, "successful").await.map(drop)
}

/// A job of two, deployed, and its new version with one canary that is healthy.
async fn with_canary(ground: &Ground) -> Result<(Value, Value), Broken> {
    let job = deployed(ground, &[("Canary", json!(1))]).await?;
    ground.register(&given::changed(&job, "new")).await?;
    let path = format!("job/{}/deployment", given::id(&job));
    let ready = |one: &Value| {
        let group = &one["TaskGroups"]["web"];
        one["JobVersion"] == 1 && group["HealthyAllocs"] == 1
    };
    let deployment = ground.until("a healthy canary", &path, ready).await?;
    Ok((job, deployment))
}

async fn canaries_wait_for_promotion(ground: &Ground) -> Law {
    let (job, deployment) = with_canary(ground).await?;
    let words = &deployment["StatusDescription"];
    let expected = "Deployment is running but requires manual promotion";
    demand!(*words == expected, "got {words}");
    let group = &deployment["TaskGroups"]["web"];
    demand!(group["DesiredCanaries"] == 1, "got {group}");
    demand!(group["Promoted"] == false, "got {group}");
    let canaries = items(&group["PlacedCanaries"]);
    demand!(canaries.len() == 1, "got {group}");
    let allocs = ground.running(given::id(&job), 3).await?;
    let canary = allocs.iter().find(|alloc| alloc["ID"] == canaries[0]);
    let marked = canary.map(|alloc| &alloc["DeploymentStatus"]["Canary"]);
    demand!(marked == Some(&json!(true)), "got {canary:?}");
    Ok(())
}

async fn promotion_replaces_the_rest(ground: &Ground) -> Law {
    let (job, deployment) = with_canary(ground).await?;
    let reply = change(ground, "promote", name(&deployment), json!({ "All": true })).await?;
    reply.good()?;
    let done = newest(ground, &job, 1, "successful").await?;
    demand!(done["TaskGroups"]["web"]["Promoted"] == true, "got {done}");
    let allocs = ground.running(given::id(&job), 2).await?;
    let new = allocs.iter().all(|alloc| alloc["JobVersion"] == 1);
    demand!(new, "not all are of the new version");
    Ok(())
}

async fn healthy_canaries_promote_themselves_when_told(ground: &Ground) -> Law {
    let changes = [("Canary", json!(1)), ("AutoPromote", json!(true))];
    let job = deployed(ground, &changes).await?;
    ground.register(&given::changed(&job, "new")).await?;
    let done = newest(ground, &job, 1, "successful").await?;
    demand!(done["TaskGroups"]["web"]["Promoted"] == true, "got {done}");
    Ok(())
}

async fn promoting_without_canaries_ends_nothing(ground: &Ground) -> Law {
    let (job, deployment) = going_on(ground).await?;
    let id = name(&deployment);
    let reply = change(ground, "promote", id, json!({ "All": true })).await?;
    reply.good()?;
    let now = ground.deployed(given::id(&job), "running").await?;
    demand!(now["ID"] == id, "another deployment runs: {now}");
    Ok(())
}

async fn unhealthy_canaries_are_not_promoted(ground: &Ground) -> Law {
    let job = deployed(ground, &[("Canary", json!(1))]).await?;
    let mut next = given::changed(&job, "new");
    update(&mut next, &[("MinHealthyTime", json!(25_000_000_000_u64))]);
    ground.register(&next).await?;
    let running = newest(ground, &job, 1, "running").await?;
    let words = "Task group \"web\" has 0/1 healthy allocations";
    change(ground, "promote", name(&running), json!({ "All": true }))
        .await?
        .refuses(500, words)
}

async fn failing_canaries_stops_them_alone(ground: &Ground) -> Law {
    let (job, deployment) = with_canary(ground).await?;
    change(ground, "fail", name(&deployment), json!({}))
        .await?
        .good()?;
    let allocs = ground.running(given::id(&job), 2).await?;
    let old = allocs.iter().all(|alloc| alloc["JobVersion"] == 0);
    demand!(old, "the canary was not the one that stopped");
    Ok(())
}

async fn without_progress_a_deployment_fails(ground: &Ground) -> Law {
    let job = deployed(ground, &[]).await?;
    let mut next = broken(&job);
    let second = 1_000_000_000_u64;
    let times = [
        ("HealthyDeadline", json!(2 * second)),
        ("ProgressDeadline", json!(3 * second)),
    ];
    update(&mut next, &times);
    ground.register(&next).await?;
    let failed = newest(ground, &job, 1, "failed").await?;
    let words = &failed["StatusDescription"];
    demand!(*words == "Failed due to progress deadline", "got {words}");
    Ok(())
}

async fn a_failed_deployment_goes_back_to_the_stable_version(ground: &Ground) -> Law {
    let job = deployed(ground, &[("AutoRevert", json!(true))]).await?;
    let mut next = broken(&job);
    let second = 1_000_000_000_u64;
    let times = [
        ("HealthyDeadline", json!(2 * second)),
        ("ProgressDeadline", json!(3 * second)),
    ];
    update(&mut next, &times);
    ground.register(&next).await?;
    newest(ground, &job, 2, "successful").await?;
    let all = ground
        .read(&format!("job/{}/deployments", given::id(&job)))
        .await?;
    let of_1 = items(&all).iter().find(|one| one["JobVersion"] == 1);
    let words = of_1.map(|one| &one["StatusDescription"]);
    let expected = "Failed due to progress deadline - rolling back to job version 0";
    demand!(words == Some(&json!(expected)), "got {words:?}");
    let now = ground.read(&format!("job/{}", given::id(&job))).await?;
    let command = &now["TaskGroups"][0]["Tasks"][0]["Config"]["command"];
    demand!(
        *command != "/nowhere/at-all",
        "it is still the broken version"
    );
    Ok(())
}

async fn a_failed_first_version_has_nothing_to_go_back_to(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    update(
        &mut job,
        &[
            ("AutoRevert", json!(true)),
            ("MinHealthyTime", json!(25_000_000_000_u64)),
        ],
    );
    ground.register(&job).await?;
    let deployment = ground.deployed(given::id(&job), "running").await?;
    change(ground, "fail", name(&deployment), json!({}))
        .await?
        .good()?;
    let words = "Deployment marked as failed - no stable job version to auto revert to";
    ends(ground, &deployment, "failed", words).await
}

async fn health_is_said_by_hand_when_told(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    update(&mut job, &[("HealthCheck", json!("manual"))]);
    let allocs = ground.start(&job, 1).await?;
    let deployment = ground.deployed(given::id(&job), "running").await?;
    let group = &deployment["TaskGroups"]["web"];
    demand!(group["HealthyAllocs"] == 0, "got {group}");
    let id = name(&deployment);
    let none = change(ground, "allocation-health", id, json!({})).await?;
    none.refuses(
        500,
        "must specify at least one healthy/unhealthy allocation ID",
    )?;
    let body = json!({ "HealthyAllocationIDs": [allocs[0]["ID"]] });
    change(ground, "allocation-health", id, body)
        .await?
        .good()?;
    ground
        .deployed(given::id(&job), "successful")
        .await
        .map(drop)
}

async fn a_deployment_with_unhealthy_allocations_fails_at_once_without_a_deadline(
    ground: &Ground,
) -> Law {
    let job = deployed(ground, &[]).await?;
    let mut next = broken(&job);
    update(&mut next, &[("ProgressDeadline", json!(0))]);
    ground.register(&next).await?;
    let failed = newest(ground, &job, 1, "failed").await?;
    let words = &failed["StatusDescription"];
    demand!(
        *words == "Failed due to unhealthy allocations",
        "got {words}"
    );
    Ok(())
}

async fn a_deployments_changes_want_its_name(ground: &Ground) -> Law {
    let id = uuid::Uuid::new_v4();
    for verb in ["promote", "pause", "allocation-health"] {
        let path = format!("deployment/{verb}/{id}");
        ground
            .put(&path, &json!({ "All": true }))
            .await?
            .refuses(400, "DeploymentID must be specified")?;
        ground
            .put(&path, &json!({ "DeploymentID": "another" }))
            .await?
            .refuses(400, "Deployment ID does not match")?;
    }
    Ok(())
}
