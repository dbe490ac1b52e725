//! Jobs: registered, read, stopped, forgotten.

use serde_json::json;

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Jobs";

pub(super) const CASES: &[Case] = &[
    law!(registering_answers_with_an_evaluation),
    law!(a_job_is_read_with_its_defaults),
    law!(an_unknown_job_is_404),
    law!(a_listed_job_says_what_it_is),
    law!(jobs_are_listed_by_the_start_of_their_id),
    law!(a_list_has_no_versions_in_it),
    law!(no_job_in_the_body_is_a_bad_request),
    law!(no_id_in_the_job_is_a_bad_request),
    law!(another_id_than_the_paths_is_a_bad_request),
    law!(a_job_that_makes_no_sense_is_500_with_a_list),
    law!(a_groups_count_is_never_negative),
    law!(an_unknown_type_is_refused),
    law!(a_priority_lies_between_1_and_100),
    law!(a_group_without_tasks_is_refused),
    law!(two_groups_have_two_names),
    law!(a_healthy_deadline_comes_before_the_progress_deadline),
    law!(a_batch_job_has_no_update_block),
    law!(a_system_job_has_no_reschedule_policy),
    law!(a_job_keeps_its_type),
    law!(index_0_is_enforced_as_not_there_yet),
    law!(an_enforced_index_must_be_the_jobs),
    law!(a_job_without_datacenters_is_refused).until(1, 5, 0),
    law!(a_job_without_datacenters_runs_in_all).since(1, 5, 0),
    law!(a_slash_in_a_jobs_id_is_part_of_it),
    law!(a_jobs_summary_counts_its_allocations),
    law!(a_stopped_job_is_dead_and_still_there),
    law!(a_purged_job_is_gone),
    law!(stopping_an_unknown_job_is_no_error),
    law!(purge_must_be_a_truth_value),
    law!(a_stopped_jobs_allocations_complete),
    law!(a_jobs_latest_deployment_may_be_null),
    law!(evaluating_a_job_makes_an_evaluation),
    law!(evaluating_an_unknown_job_is_refused),
    law!(a_jobs_source_is_kept).since(1, 6, 0),
];

async fn registering_answers_with_an_evaluation(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let reply = ground.register(&job).await?;
    let keys = [
        "EvalID",
        "EvalCreateIndex",
        "JobModifyIndex",
        "Warnings",
        "Index",
    ];
    let lacking = lacks(&reply, &keys);
    demand!(lacking.is_empty(), "the reply lacks {lacking:?}: {reply}");
    let eval = ground.done(&reply).await?;
    demand!(eval["JobID"] == given::id(&job), "got {eval}");
    demand!(eval["TriggeredBy"] == "job-register", "got {eval}");
    demand!(eval["Type"] == "service", "got {eval}");
    demand!(eval["Priority"] == 50, "got {eval}");
    Ok(())
}

async fn a_job_is_read_with_its_defaults(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let job = ground.read(&format!("job/{}", given::id(&job))).await?;
    for (key, expected) in [
        ("Priority", json!(50)),
        ("Region", json!("global")),
        ("Namespace", json!("default")),
        ("AllAtOnce", json!(false)),
        ("Stop", json!(false)),
        ("Stable", json!(false)),
        ("Version", json!(0)),
        ("ParentID", json!("")),
        ("Periodic", json!(null)),
        ("ParameterizedJob", json!(null)),
    ] {
        demand!(job.get(key) == Some(&expected), "`{key}` is {}", job[key]);
    }
    let time = job["SubmitTime"].as_i64().unwrap_or(0);
    demand!(time > 1_600_000_000_000_000_000, "submitted at {time}");
    let group = &job["TaskGroups"][0];
    let disk = &group["EphemeralDisk"];
    demand!(disk["SizeMB"] == 300, "the disk is {disk}");
    let migrate = &group["Migrate"];
    demand!(migrate["MaxParallel"] == 1, "got {migrate}");
    let task = &group["Tasks"][0];
    demand!(task["KillTimeout"] == 5_000_000_000_u64, "got {task}");
    Ok(())
}

async fn an_unknown_job_is_404(ground: &Ground) -> Law {
    let id = ground.named("none");
    for (path, words) in [
        ("", "job not found"),
        ("/summary", "job not found"),
        ("/versions", "job versions not found"),
        ("/scale", "job not found"),
    ] {
        let path = format!("job/{id}{path}");
        ground.get(&path).await?.refuses(404, words)?;
    }
    Ok(())
}

async fn a_listed_job_says_what_it_is(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let list = ground
        .read(&format!("jobs?prefix={}", given::id(&job)))
        .await?;
    let stub = &list[0];
    let keys = [
        "ID",
        "ParentID",
        "Name",
        "Namespace",
        "Datacenters",
        "Type",
        "Priority",
        "Periodic",
        "ParameterizedJob",
        "Stop",
        "Status",
        "StatusDescription",
        "JobSummary",
        "CreateIndex",
        "ModifyIndex",
        "JobModifyIndex",
        "SubmitTime",
    ];
    let lacking = lacks(stub, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {stub}");
    demand!(stub["Periodic"] == false, "got {stub}");
    let summary = &stub["JobSummary"]["Summary"]["web"];
    let keys = [
        "Queued", "Complete", "Failed", "Running", "Starting", "Lost",
    ];
    let lacking = lacks(summary, &keys);
    demand!(lacking.is_empty(), "the summary lacks {lacking:?}: {stub}");
    Ok(())
}

async fn jobs_are_listed_by_the_start_of_their_id(ground: &Ground) -> Law {
    let (one, other) = (given::waiting(ground, "a-1"), given::waiting(ground, "a-2"));
    let third = given::waiting(ground, "b");
    for job in [&one, &other, &third] {
        ground.register(job).await?;
    }
    let list = ground
        .read(&format!("jobs?prefix={}", ground.named("a-")))
        .await?;
    let ids = texts(&list, "ID");
    let expected = [given::id(&one), given::id(&other)];
    demand!(ids == expected, "expected {expected:?}, got {ids:?}");
    Ok(())
}

async fn a_list_has_no_versions_in_it(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let list = ground
        .read(&format!("jobs?prefix={}", given::id(&job)))
        .await?;
    demand!(list[0].get("Version").is_none(), "got {list}");
    demand!(list[0].get("TaskGroups").is_none(), "got {list}");
    Ok(())
}

async fn no_job_in_the_body_is_a_bad_request(ground: &Ground) -> Law {
    for path in ["jobs", "job/any", "job/any/plan", "validate/job"] {
        ground
            .put(path, &json!({}))
            .await?
            .refuses(400, "Job must be specified")?;
    }
    Ok(())
}

async fn no_id_in_the_job_is_a_bad_request(ground: &Ground) -> Law {
    ground
        .put("jobs", &json!({ "Job": { "Name": "nameless" } }))
        .await?
        .refuses(400, "Job ID hasn't been provided")
}

async fn another_id_than_the_paths_is_a_bad_request(ground: &Ground) -> Law {
    let body = json!({ "Job": given::waiting(ground, "web") });
    ground
        .put("job/another", &body)
        .await?
        .refuses(400, "Job ID does not match name")?;
    ground
        .put("job/another/plan", &body)
        .await?
        .refuses(400, "Job ID does not match")
}

async fn a_job_that_makes_no_sense_is_500_with_a_list(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    given::task(&mut job)["Driver"] = json!("");
    given::task(&mut job)["Resources"]["CPU"] = json!(0);
    let answer = ground.put("jobs", &json!({ "Job": job })).await?;
    let text = answer.status(500)?.text();
    for words in [
        "errors occurred",
        "Missing task driver",
        "Task group web validation failed",
    ] {
        demand!(text.contains(words), "`{words}` is not in `{text}`");
    }
    Ok(())
}

async fn refused(ground: &Ground, job: serde_json::Value, words: &str) -> Law {
    ground.forget(given::id(&job));
    ground
        .put("jobs", &json!({ "Job": job }))
        .await?
        .refuses(500, words)
}

async fn a_groups_count_is_never_negative(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    given::group(&mut job)["Count"] = json!(-1);
    refused(ground, job, "Task group count can't be negative").await
}

async fn an_unknown_type_is_refused(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    job["Type"] = json!("nonsense");
    refused(ground, job, "Invalid job type: \"nonsense\"").await
}

async fn a_priority_lies_between_1_and_100(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    job["Priority"] = json!(101);
    refused(ground, job, "Job priority must be between [1, 100]").await
}

async fn a_group_without_tasks_is_refused(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    given::group(&mut job)["Tasks"] = json!([]);
    refused(ground, job, "Missing tasks for task group").await
}

async fn two_groups_have_two_names(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    let group = given::group(&mut job).clone();
    job["TaskGroups"] = json!([group, group]);
    refused(ground, job, "Job task group 2 redefines 'web' from group 1").await
}

async fn a_healthy_deadline_comes_before_the_progress_deadline(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    given::group(&mut job)["Update"]["ProgressDeadline"] = json!(1_000_000_000);
    let words = "Healthy deadline must be less than progress deadline: 30s > 1s";
    refused(ground, job, words).await
}

async fn a_batch_job_has_no_update_block(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "once", 0);
    let update = given::service(ground, "web")["TaskGroups"][0]["Update"].clone();
    given::group(&mut job)["Update"] = update;
    refused(
        ground,
        job,
        "Job type \"batch\" does not allow update block",
    )
    .await
}

async fn a_system_job_has_no_reschedule_policy(ground: &Ground) -> Law {
    let mut job = given::system(ground, "everywhere");
    given::group(&mut job)["ReschedulePolicy"] = json!({ "Attempts": 1 });
    let words = "System jobs should not have a reschedule policy";
    refused(ground, job, words).await
}

async fn a_job_keeps_its_type(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let other = given::batch(ground, "web", 0);
    let words = "cannot update job from type \"service\" to \"batch\"";
    refused(ground, other, words).await
}

async fn index_0_is_enforced_as_not_there_yet(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.forget(given::id(&job));
    let body = json!({ "Job": job, "EnforceIndex": true, "JobModifyIndex": 0 });
    ground.put("jobs", &body).await?.good()?;
    ground
        .put("jobs", &body)
        .await?
        .refuses(500, "Enforcing job modify index 0: job already exists")
}

async fn an_enforced_index_must_be_the_jobs(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    let body = json!({ "Job": job, "EnforceIndex": true, "JobModifyIndex": 7 });
    ground
        .put("jobs", &body)
        .await?
        .refuses(500, "Enforcing job modify index 7: job does not exist")?;
    let index = ground.register(&job).await?["JobModifyIndex"].clone();
    let conflict = "Enforcing job modify index 7: job exists with conflicting job modify index: ";
    ground.put("jobs", &body).await?.refuses(500, conflict)?;
    job["Priority"] = json!(51);
    let body = json!({ "Job": job, "EnforceIndex": true, "JobModifyIndex": index });
    ground.put("jobs", &body).await?.good()
}

async fn a_job_without_datacenters_is_refused(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    job["Datacenters"] = json!([]);
    refused(ground, job, "Missing job datacenters").await
}

async fn a_job_without_datacenters_runs_in_all(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    job["Datacenters"] = json!(null);
    ground.register(&job).await?;
    let job = ground.read(&format!("job/{}", given::id(&job))).await?;
    let seen = &job["Datacenters"];
    demand!(*seen == json!(["*"]), "the datacenters are {seen}");
    Ok(())
}

async fn a_slash_in_a_jobs_id_is_part_of_it(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    let id = format!("{}/part", given::id(&job));
    job["ID"] = json!(id);
    ground.register(&job).await?;
    let encoded = id.replace('/', "%2F");
    for id in [&id, &encoded] {
        let job = ground.read(&format!("job/{id}")).await?;
        demand!(job["Version"] == 0, "got {job}");
    }
    let summary = ground.read(&format!("job/{encoded}/summary")).await?;
    demand!(summary["JobID"] == id, "got {summary}");
    Ok(())
}

async fn a_jobs_summary_counts_its_allocations(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 2);
    ground.start(&job, 2).await?;
    let path = format!("job/{}/summary", given::id(&job));
    let running = |summary: &serde_json::Value| summary["Summary"]["web"]["Running"] == 2;
    let summary = ground.until("2 running", &path, running).await?;
    let counts = &summary["Summary"]["web"];
    for key in ["Queued", "Complete", "Failed", "Starting", "Lost"] {
        demand!(counts[key] == 0, "`{key}` is {}", counts[key]);
    }
    let waiting = given::waiting(ground, "waits");
    ground.evaluate(&waiting).await?;
    let path = format!("job/{}/summary", given::id(&waiting));
    let queued = |summary: &serde_json::Value| summary["Summary"]["web"]["Queued"] == 1;
    ground.until("1 queued", &path, queued).await.map(drop)
}

async fn a_stopped_job_is_dead_and_still_there(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.evaluate(&job).await?;
    let path = format!("job/{}", given::id(&job));
    let reply = ground.delete(&path).await?.value()?;
    let eval = ground.done(&reply).await?;
    demand!(eval["TriggeredBy"] == "job-deregister", "got {eval}");
    let dead = |job: &serde_json::Value| job["Status"] == "dead";
    let job = ground.until("a dead job", &path, dead).await?;
    demand!(job["Stop"] == true, "got {}", job["Stop"]);
    Ok(())
}

async fn a_purged_job_is_gone(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let path = format!("job/{}", given::id(&job));
    ground.delete(&format!("{path}?purge=true")).await?.good()?;
    ground.get(&path).await?.refuses(404, "job not found")
}

async fn stopping_an_unknown_job_is_no_error(ground: &Ground) -> Law {
    let path = format!("job/{}", ground.named("none"));
    ground.delete(&path).await?.good()
}

async fn purge_must_be_a_truth_value(ground: &Ground) -> Law {
    let path = format!("job/{}?purge=perhaps", ground.named("none"));
    ground
        .delete(&path)
        .await?
        .refuses(500, "Failed to parse value of \"purge\"")
}

async fn a_stopped_jobs_allocations_complete(ground: &Ground) -> Law {
    let job = given::service(ground, "web");
    ground.start(&job, 1).await?;
    let path = format!("job/{}", given::id(&job));
    ground.delete(&path).await?.good()?;
    let over = |allocs: &serde_json::Value| {
        allocs[0]["DesiredStatus"] == "stop" && allocs[0]["ClientStatus"] == "complete"
    };
    let list = format!("{path}/allocations");
    let allocs = ground.until("a complete allocation", &list, over).await?;
    let state = &allocs[0]["TaskStates"]["main"];
    demand!(state["State"] == "dead", "got {state}");
    demand!(state["Failed"] == false, "got {state}");
    Ok(())
}

async fn a_jobs_latest_deployment_may_be_null(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    ground.evaluate(&job).await?;
    let path = format!("job/{}", given::id(&job));
    let latest = ground.read(&format!("{path}/deployment")).await?;
    demand!(latest.is_null(), "got {latest}");
    let all = ground.read(&format!("{path}/deployments")).await?;
    demand!(items(&all).is_empty(), "got {all}");
    Ok(())
}

async fn evaluating_a_job_makes_an_evaluation(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let first = ground.register(&job).await?;
    let path = format!("job/{}/evaluate", given::id(&job));
    let reply = ground
        .write(&path, &json!({ "JobID": given::id(&job) }))
        .await?;
    demand!(reply["EvalID"] != first["EvalID"], "got {reply}");
    let eval = ground.done(&reply).await?;
    demand!(eval["JobID"] == given::id(&job), "got {eval}");
    Ok(())
}

async fn evaluating_an_unknown_job_is_refused(ground: &Ground) -> Law {
    let id = ground.named("none");
    ground
        .put(&format!("job/{id}/evaluate"), &json!({ "JobID": id }))
        .await?
        .refuses(500, "job not found")
}

async fn a_jobs_source_is_kept(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let id = given::id(&job);
    ground.forget(id);
    let source = "job \"x\" {}";
    let body = json!({ "Job": job, "Submission": { "Source": source, "Format": "hcl2" } });
    ground.put("jobs", &body).await?.good()?;
    let kept = ground
        .read(&format!("job/{id}/submission?version=0"))
        .await?;
    demand!(kept["Source"] == source, "got {kept}");
    ground
        .get(&format!("job/{id}/submission?version=9"))
        .await?
        .refuses(404, "job source not found")
}
