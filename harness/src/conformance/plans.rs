//! What registering a job would do.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Plans";

pub(super) const CASES: &[Case] = &[
    law!(a_plan_of_a_new_job_places_and_stores_nothing),
    law!(a_plan_of_the_same_job_replaces_nothing),
    law!(a_plan_of_another_count_is_in_place),
    law!(a_plan_of_fewer_stops_some),
    law!(a_plan_of_a_changed_task_replaces),
    law!(a_plan_of_canaries_tells_them),
    law!(a_plan_tells_what_does_not_fit),
    law!(a_plan_tells_the_difference_when_asked),
    law!(a_plan_tells_every_object_that_changes),
    law!(a_plan_tells_what_a_change_leads_to),
    law!(a_plan_of_an_unchanged_job_has_no_difference),
    law!(a_plan_of_a_job_that_makes_no_sense_is_refused),
    law!(a_plan_names_the_index_to_enforce),
];

async fn plan(ground: &Ground, job: &Value, diff: bool) -> Result<Value, Broken> {
    let body = json!({ "Job": job, "Diff": diff });
    ground
        .write(&format!("job/{}/plan", given::id(job)), &body)
        .await
}

/// The numbers of a plan's group that are not 0.
fn desired(plan: &Value) -> Value {
    let mut counts = plan["Annotations"]["DesiredTGUpdates"]["web"].clone();
    if let Some(fields) = counts.as_object_mut() {
        fields.retain(|_, count| *count != 0);
    }
    counts
}

async fn a_plan_of_a_new_job_places_and_stores_nothing(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 3);
    let plan = plan(ground, &job, false).await?;
    let counts = desired(&plan);
    demand!(counts == json!({ "Place": 3 }), "got {counts}");
    demand!(plan["JobModifyIndex"] == 0, "got {plan}");
    let path = format!("job/{}", given::id(&job));
    ground.get(&path).await?.refuses(404, "job not found")
}

async fn a_plan_of_the_same_job_replaces_nothing(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 2);
    ground.start(&job, 2).await?;
    let counts = desired(&plan(ground, &job, false).await?);
    // With ACLs the submitter's token is part of the job, and a plan has none: then Nomad takes
    // the job for changed, and updates in place.
    let nothing = [json!({ "Ignore": 2 }), json!({ "InPlaceUpdate": 2 })];
    demand!(nothing.contains(&counts), "got {counts}");
    Ok(())
}

async fn a_plan_of_another_count_is_in_place(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 1);
    ground.start(&job, 1).await?;
    given::group(&mut job)["Count"] = json!(2);
    let counts = desired(&plan(ground, &job, false).await?);
    let expected = json!({ "Place": 1, "InPlaceUpdate": 1 });
    demand!(counts == expected, "got {counts}");
    Ok(())
}

async fn a_plan_of_fewer_stops_some(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 2);
    ground.start(&job, 2).await?;
    given::group(&mut job)["Count"] = json!(1);
    let counts = desired(&plan(ground, &job, false).await?);
    let expected = json!({ "Stop": 1, "InPlaceUpdate": 1 });
    demand!(counts == expected, "got {counts}");
    Ok(())
}

async fn a_plan_of_a_changed_task_replaces(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 2);
    ground.start(&job, 2).await?;
    ground.deployed(given::id(&job), "successful").await?;
    let changed = given::changed(&job, "new");
    let counts = desired(&plan(ground, &changed, false).await?);
    let expected = json!({ "Ignore": 1, "DestructiveUpdate": 1 });
    demand!(counts == expected, "got {counts}");
    Ok(())
}

async fn a_plan_of_canaries_tells_them(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 2);
    given::group(&mut job)["Update"]["Canary"] = json!(1);
    ground.start(&job, 2).await?;
    ground.deployed(given::id(&job), "successful").await?;
    let changed = given::changed(&job, "new");
    let counts = desired(&plan(ground, &changed, false).await?);
    let expected = json!({ "Ignore": 2, "Canary": 1 });
    demand!(counts == expected, "got {counts}");
    Ok(())
}

async fn a_plan_tells_what_does_not_fit(ground: &Ground) -> Law {
    let job = given::too_large(ground, "web");
    let plan = plan(ground, &job, false).await?;
    let failed = &plan["FailedTGAllocs"]["web"];
    demand!(failed["NodesEvaluated"].as_u64() > Some(0), "got {plan}");
    let exhausted = &failed["DimensionExhausted"]["cpu"];
    demand!(exhausted.as_u64() > Some(0), "got {failed}");
    let fits = self::plan(ground, &given::service(ground, "fits"), false).await?;
    let failed = &fits["FailedTGAllocs"];
    demand!(failed.is_null(), "got {failed}");
    Ok(())
}

async fn a_plan_tells_the_difference_when_asked(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    let added = plan(ground, &job, true).await?;
    demand!(added["Diff"]["Type"] == "Added", "got {}", added["Diff"]);
    ground.register(&job).await?;
    given::group(&mut job)["Count"] = json!(4);
    let edited = plan(ground, &job, true).await?;
    let diff = &edited["Diff"];
    demand!(diff["Type"] == "Edited", "got {diff}");
    let group = &diff["TaskGroups"][0];
    let count = items(&group["Fields"])
        .iter()
        .find(|field| field["Name"] == "Count");
    let told = count.is_some_and(|field| field["Old"] == "1" && field["New"] == "4");
    demand!(told, "the count is not told: {diff}");
    let unasked = plan(ground, &job, false).await?;
    demand!(unasked["Diff"].is_null(), "unasked: {}", unasked["Diff"]);
    Ok(())
}

async fn a_plan_of_an_unchanged_job_has_no_difference(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let plan = plan(ground, &job, true).await?;
    demand!(plan["Diff"]["Type"] == "None", "got {}", plan["Diff"]);
    Ok(())
}

async fn a_plan_of_a_job_that_makes_no_sense_is_refused(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    given::task(&mut job)["Driver"] = json!("");
    ground
        .put(
            &format!("job/{}/plan", given::id(&job)),
            &json!({ "Job": job }),
        )
        .await?
        .refuses(500, "Missing task driver")
}

async fn a_plan_names_the_index_to_enforce(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let reply = ground.register(&job).await?;
    let plan = plan(ground, &job, false).await?;
    demand!(
        plan["JobModifyIndex"] == reply["JobModifyIndex"],
        "got {plan}"
    );
    let evals = ground
        .read(&format!("job/{}/evaluations", given::id(&job)))
        .await?;
    let triggers = texts(&evals, "TriggeredBy");
    let planned = triggers.iter().filter(|t| **t == "job-register").count();
    demand!(planned == 1, "the plan left an evaluation: {triggers:?}");
    Ok(())
}

/// An object of a list with this name.
fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let mut all = items(list).iter();
    all.find(|one| one["Name"] == name).unwrap_or(&Value::Null)
}

async fn a_plan_tells_every_object_that_changes(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    ground.register(&job).await?;
    job["Meta"] = json!({ "mark": "1" });
    given::group(&mut job)["RestartPolicy"]["Attempts"] = json!(1);
    let task = given::task(&mut job);
    task["Resources"]["CPU"] = json!(30);
    task["Config"]["args"] = json!(["workload", "-version", "2"]);
    let plan = plan(ground, &job, true).await?;
    let diff = &plan["Diff"];
    let mark = named(&diff["Fields"], "Meta[mark]");
    demand!(mark["Type"] == "Added" && mark["New"] == "1", "got {mark}");
    let group = &diff["TaskGroups"][0];
    let restart = named(&group["Objects"], "RestartPolicy");
    let attempts = named(&restart["Fields"], "Attempts");
    demand!(restart["Type"] == "Edited", "got {restart}");
    demand!(
        attempts["Old"] == "0" && attempts["New"] == "1",
        "got {attempts}"
    );
    let delay = named(&restart["Fields"], "Delay");
    demand!(delay["Type"] == "None", "what stays is told, too: {delay}");
    let task = &group["Tasks"][0];
    demand!(
        task["Type"] == "Edited" && task["Name"] == "main",
        "got {task}"
    );
    let cpu = named(&named(&task["Objects"], "Resources")["Fields"], "CPU");
    demand!(cpu["Old"] == "20" && cpu["New"] == "30", "got {cpu}");
    let version = named(&named(&task["Objects"], "Config")["Fields"], "args[2]");
    demand!(
        version["Type"] == "Added" && version["New"] == "2",
        "got {version}"
    );
    Ok(())
}

async fn a_plan_tells_what_a_change_leads_to(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 1);
    let mut more = given::changed(&job, "new");
    let added = plan(ground, &job, true).await?;
    let group = &added["Diff"]["TaskGroups"][0];
    demand!(group["Updates"] == json!({ "create": 1 }), "got {group}");
    let forced = &group["Tasks"][0]["Annotations"];
    demand!(*forced == json!(["forces create"]), "got {forced}");
    ground.start(&job, 1).await?;
    ground.deployed(given::id(&job), "successful").await?;
    given::group(&mut more)["Count"] = json!(2);
    let edited = plan(ground, &more, true).await?;
    let group = &edited["Diff"]["TaskGroups"][0];
    let count = &named(&group["Fields"], "Count")["Annotations"];
    demand!(*count == json!(["forces create"]), "got {count}");
    let forced = &group["Tasks"][0]["Annotations"];
    demand!(
        *forced == json!(["forces create/destroy update"]),
        "got {forced}"
    );
    // What is missing counts against `max_parallel`: the old one stays until the new one is there.
    let updates = &group["Updates"];
    demand!(
        *updates == json!({ "create": 1, "ignore": 1 }),
        "one at a time: got {updates}"
    );
    given::group(&mut more)["Update"]["MaxParallel"] = json!(2);
    let edited = plan(ground, &more, true).await?;
    let updates = &edited["Diff"]["TaskGroups"][0]["Updates"];
    demand!(
        *updates == json!({ "create": 1, "create/destroy update": 1 }),
        "two at a time: got {updates}"
    );
    Ok(())
}
