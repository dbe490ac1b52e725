//! Evaluations.

use serde_json::Value;

use super::answer::{Expect as _, items, texts};
use super::case::{Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Evaluations";

pub(super) const CASES: &[Case] = &[
    law!(an_evaluation_names_its_job_and_its_trigger),
    law!(an_evaluation_names_its_deployment),
    law!(an_unknown_evaluation_is_404),
    law!(evaluations_are_listed_by_the_start_of_their_id),
    law!(a_jobs_evaluations_are_all_told),
    law!(an_evaluations_allocations_are_told),
    law!(a_deregistration_is_an_evaluation_for_services),
    law!(an_evaluation_tells_what_it_left_waiting),
    law!(a_batch_jobs_evaluation_is_of_its_type),
    law!(evaluations_are_listed_by_job_and_status).since(1, 2, 4),
    law!(evaluations_are_counted).since(1, 4, 3),
    law!(an_evaluation_tells_its_relatives_when_asked).since(1, 3, 0),
];

async fn an_evaluation_names_its_job_and_its_trigger(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    let reply = ground.register(&job).await?;
    let eval = ground.done(&reply).await?;
    demand!(eval["Status"] == "complete", "got {eval}");
    demand!(
        eval["JobModifyIndex"] == reply["JobModifyIndex"],
        "got {eval}"
    );
    demand!(eval["Namespace"] == "default", "got {eval}");
    for key in [
        "CreateTime",
        "ModifyTime",
        "CreateIndex",
        "ModifyIndex",
        "SnapshotIndex",
    ] {
        demand!(eval[key].as_u64() > Some(0), "`{key}` is {}", eval[key]);
    }
    Ok(())
}

async fn an_evaluation_names_its_deployment(ground: &Ground) -> Law {
    let job = given::service(ground, "web");
    let eval = ground.evaluate(&job).await?;
    let path = format!("job/{}/deployment", given::id(&job));
    let deployment = ground.read(&path).await?;
    demand!(eval["DeploymentID"] == deployment["ID"], "got {eval}");
    Ok(())
}

async fn an_unknown_evaluation_is_404(ground: &Ground) -> Law {
    let path = format!("evaluation/{}", uuid::Uuid::new_v4());
    ground.get(&path).await?.refuses(404, "eval not found")
}

async fn evaluations_are_listed_by_the_start_of_their_id(ground: &Ground) -> Law {
    let eval = ground.evaluate(&given::batch(ground, "once", 0)).await?;
    let id = eval["ID"].as_str().unwrap_or_default();
    let list = ground
        .read(&format!("evaluations?prefix={}", &id[..8]))
        .await?;
    let ids = texts(&list, "ID");
    demand!(ids.contains(&id), "got {ids:?}");
    Ok(())
}

async fn a_jobs_evaluations_are_all_told(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    let (first, second) = (ground.evaluate(&job).await?, ground.evaluate(&job).await?);
    let path = format!("job/{}/evaluations", given::id(&job));
    let evals = ground.read(&path).await?;
    // In no order: a reader sorts them.
    let ids = texts(&evals, "ID");
    for eval in [first, second] {
        let id = eval["ID"].as_str().unwrap_or_default();
        demand!(ids.contains(&id), "`{id}` is not in {ids:?}");
    }
    Ok(())
}

async fn an_evaluations_allocations_are_told(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 2);
    let eval = ground.evaluate(&job).await?;
    let id = eval["ID"].as_str().unwrap_or_default();
    let path = format!("evaluation/{id}/allocations");
    let allocs = ground.read(&path).await?;
    demand!(items(&allocs).len() == 2, "got {allocs}");
    let its = items(&allocs).iter().all(|alloc| alloc["EvalID"] == id);
    demand!(its, "got {allocs}");
    Ok(())
}

async fn a_deregistration_is_an_evaluation_for_services(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    ground.evaluate(&job).await?;
    let reply = ground
        .delete(&format!("job/{}", given::id(&job)))
        .await?
        .value()?;
    let eval = ground.done(&reply).await?;
    demand!(eval["Type"] == "service", "got {eval}");
    demand!(eval["TriggeredBy"] == "job-deregister", "got {eval}");
    Ok(())
}

async fn an_evaluation_tells_what_it_left_waiting(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    given::group(&mut job)["Count"] = serde_json::json!(3);
    let eval = ground.evaluate(&job).await?;
    let queued = &eval["QueuedAllocations"]["web"];
    demand!(*queued == 3, "{queued} wait: {eval}");
    let failed = &eval["FailedTGAllocs"]["web"];
    demand!(failed["CoalescedFailures"] == 2, "got {failed}");
    Ok(())
}

async fn a_batch_jobs_evaluation_is_of_its_type(ground: &Ground) -> Law {
    let eval = ground.evaluate(&given::batch(ground, "once", 0)).await?;
    demand!(eval["Type"] == "batch", "got {eval}");
    let mut job = given::system(ground, "everywhere");
    job["Datacenters"] = serde_json::json!(["nowhere"]);
    let eval = ground.evaluate(&job).await?;
    demand!(eval["Type"] == "system", "got {eval}");
    Ok(())
}

async fn evaluations_are_listed_by_job_and_status(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let eval = ground.evaluate(&job).await?;
    let id = given::id(&job);
    let path = format!("evaluations?job={id}&status=blocked");
    let blocked = ground.read(&path).await?;
    demand!(
        texts(&blocked, "ID") == [eval["BlockedEval"].as_str().unwrap_or_default()],
        "got {blocked}"
    );
    Ok(())
}

async fn evaluations_are_counted(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.evaluate(&job).await?;
    let filter = format!("JobID%20%3D%3D%20%22{}%22", given::id(&job));
    let count = ground
        .read(&format!("evaluations/count?filter={filter}"))
        .await?;
    demand!(count["Count"] == 2, "got {count}");
    Ok(())
}

async fn an_evaluation_tells_its_relatives_when_asked(ground: &Ground) -> Law {
    let eval = ground.evaluate(&given::waiting(ground, "web")).await?;
    let id = eval["ID"].as_str().unwrap_or_default();
    let path = format!("evaluation/{id}?related=true");
    let told: Value = ground.read(&path).await?;
    let relatives = texts(&told["RelatedEvals"], "ID");
    let blocked = eval["BlockedEval"].as_str().unwrap_or_default();
    demand!(relatives == [blocked], "got {relatives:?}");
    Ok(())
}
