//! Counts changed from outside.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, lacks};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Answer;

const SECTION: &str = "Scaling";

pub(super) const CASES: &[Case] = &[
    law!(scaling_changes_the_count_and_the_version),
    law!(scaling_makes_an_evaluation_of_its_own_kind),
    law!(the_scales_status_counts_each_group),
    law!(scaling_an_unknown_job_is_404),
    law!(scaling_an_unknown_group_is_refused),
    law!(scaling_waits_for_no_deployment),
    law!(scaling_stays_within_the_policys_bounds),
    law!(scaling_is_remembered_as_an_event),
    law!(an_event_needs_no_count),
    law!(scaling_policies_are_listed),
    law!(a_negative_count_is_refused),
    law!(registering_may_preserve_the_counts),
];

async fn scale(ground: &Ground, id: &str, body: Value) -> Result<Answer, Broken> {
    ground.put(&format!("job/{id}/scale"), &body).await
}

fn to(count: i64) -> Value {
    json!({ "Target": { "Group": "web" }, "Count": count, "Message": "for a case" })
}

async fn scaling_changes_the_count_and_the_version(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    given::group(&mut job)["Update"] = json!(null);
    job["Update"] = json!({ "MaxParallel": 0 });
    let id = given::id(&job);
    ground.register(&job).await?;
    let reply = scale(ground, id, to(3)).await?.value()?;
    let keys = ["EvalID", "EvalCreateIndex", "JobModifyIndex", "Index"];
    let lacking = lacks(&reply, &keys);
    demand!(lacking.is_empty(), "the reply lacks {lacking:?}");
    let job = ground.read(&format!("job/{id}")).await?;
    demand!(job["TaskGroups"][0]["Count"] == 3, "got {job}");
    demand!(job["Version"] == 1, "got {}", job["Version"]);
    Ok(())
}

async fn scaling_makes_an_evaluation_of_its_own_kind(ground: &Ground) -> Law {
    let job = given::batch(ground, "web", 0);
    let id = given::id(&job);
    ground.evaluate(&job).await?;
    let reply = scale(ground, id, to(2)).await?.value()?;
    let eval = ground.done(&reply).await?;
    demand!(eval["TriggeredBy"] == "job-scaling", "got {eval}");
    Ok(())
}

async fn the_scales_status_counts_each_group(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 2);
    let id = given::id(&job);
    ground.start(&job, 2).await?;
    ground.deployed(id, "successful").await?;
    let status = ground.read(&format!("job/{id}/scale")).await?;
    demand!(status["JobID"] == id, "got {status}");
    demand!(status["JobStopped"] == false, "got {status}");
    let group = &status["TaskGroups"]["web"];
    for (key, expected) in [
        ("Desired", 2),
        ("Placed", 2),
        ("Running", 2),
        ("Healthy", 2),
        ("Unhealthy", 0),
    ] {
        demand!(group[key] == expected, "`{key}` is {}", group[key]);
    }
    Ok(())
}

async fn scaling_an_unknown_job_is_404(ground: &Ground) -> Law {
    scale(ground, &ground.named("none"), to(1))
        .await?
        .refuses(404, "not found")
}

async fn scaling_an_unknown_group_is_refused(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let body = json!({ "Target": { "Group": "nothing" }, "Count": 1 });
    scale(ground, given::id(&job), body).await?.refuses(
        400,
        "task group \"nothing\" specified for scaling does not exist in job",
    )
}

async fn scaling_waits_for_no_deployment(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    let update = &mut given::group(&mut job)["Update"];
    update["MinHealthyTime"] = json!(20_000_000_000_u64);
    ground.register(&job).await?;
    ground.deployed(given::id(&job), "running").await?;
    scale(ground, given::id(&job), to(2))
        .await?
        .refuses(400, "job scaling blocked due to active deployment")
}

fn bounded(ground: &Ground) -> Value {
    let mut job = given::batch(ground, "web", 0);
    given::group(&mut job)["Scaling"] = json!({
        "Min": 1, "Max": 3, "Enabled": true, "Policy": { "key": "value" },
    });
    job
}

async fn scaling_stays_within_the_policys_bounds(ground: &Ground) -> Law {
    let job = bounded(ground);
    let id = given::id(&job);
    ground.evaluate(&job).await?;
    let over = "group count was greater than scaling policy maximum: 4 > 3";
    scale(ground, id, to(4)).await?.refuses(400, over)?;
    let under = "group count was less than scaling policy minimum: 0 < 1";
    scale(ground, id, to(0)).await?.refuses(400, under)?;
    scale(ground, id, to(3)).await?.good()
}

async fn scaling_is_remembered_as_an_event(ground: &Ground) -> Law {
    let job = given::batch(ground, "web", 0);
    let id = given::id(&job);
    ground.evaluate(&job).await?;
    scale(ground, id, to(2)).await?.good()?;
    let status = ground.read(&format!("job/{id}/scale")).await?;
    let events = items(&status["TaskGroups"]["web"]["Events"]);
    demand!(events.len() == 1, "got {status}");
    demand!(events[0]["Count"] == 2, "got {}", events[0]);
    demand!(events[0]["PreviousCount"] == 1, "got {}", events[0]);
    demand!(events[0]["Message"] == "for a case", "got {}", events[0]);
    Ok(())
}

async fn an_event_needs_no_count(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let id = given::id(&job);
    ground.register(&job).await?;
    let body = json!({ "Target": { "Group": "web" }, "Message": "no change", "Error": true });
    let reply = scale(ground, id, body).await?.value()?;
    demand!(reply["EvalID"] == "", "got {reply}");
    let status = ground.read(&format!("job/{id}/scale")).await?;
    let event = &status["TaskGroups"]["web"]["Events"][0];
    demand!(event["Error"] == true, "got {status}");
    demand!(event["Count"].is_null(), "got {status}");
    Ok(())
}

async fn scaling_policies_are_listed(ground: &Ground) -> Law {
    let job = bounded(ground);
    ground.evaluate(&job).await?;
    let path = format!("scaling/policies?job={}", given::id(&job));
    let policies = ground.read(&path).await?;
    let policy = &policies[0];
    demand!(policy["Enabled"] == true, "got {policies}");
    let target = &policy["Target"]["Job"];
    demand!(*target == given::id(&job), "got {policies}");
    let id = policy["ID"].as_str().unwrap_or_default();
    let whole = ground.read(&format!("scaling/policy/{id}")).await?;
    demand!(whole["Max"] == 3, "got {whole}");
    Ok(())
}

async fn a_negative_count_is_refused(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    scale(ground, given::id(&job), to(-1))
        .await?
        .status(400)
        .map(drop)
}

async fn registering_may_preserve_the_counts(ground: &Ground) -> Law {
    let job = given::batch(ground, "web", 0);
    let id = given::id(&job);
    ground.evaluate(&job).await?;
    scale(ground, id, to(2)).await?.good()?;
    let body = json!({ "Job": job, "PreserveCounts": true });
    ground.write("jobs", &body).await?;
    let seen = ground.read(&format!("job/{id}")).await?;
    let count = &seen["TaskGroups"][0]["Count"];
    demand!(*count == 2, "the count became {count}");
    Ok(())
}
