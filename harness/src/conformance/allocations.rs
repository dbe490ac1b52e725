//! Allocations: their tasks' lives, and what is done to them by hand.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Allocations";

pub(super) const CASES: &[Case] = &[
    law!(a_listed_allocation_says_what_it_is),
    law!(a_running_tasks_events_come_in_order),
    law!(an_unknown_allocation_is_404),
    law!(allocations_are_listed_by_the_start_of_their_id),
    law!(an_allocation_tells_what_it_was_given),
    law!(an_allocation_carries_its_job_as_it_was),
    law!(a_healthy_allocation_says_so),
    law!(a_stopped_allocation_is_replaced),
    law!(stopping_an_unknown_allocation_is_404),
    law!(stopping_an_allocation_wants_the_right_to),
    law!(a_running_task_is_told_to_end_and_ends_well),
    law!(a_task_is_restarted_by_hand),
    law!(restarting_an_unknown_task_is_refused),
    law!(a_task_is_sent_a_signal),
    law!(a_running_allocations_use_of_resources_is_told),
    law!(a_clients_use_of_resources_is_told),
    law!(a_stub_hides_resources_unless_asked),
    law!(an_unknown_path_of_an_allocation_is_404),
    law!(a_replacement_names_its_predecessor),
];

/// Starts a web server; returns its job and its allocation's ID.
async fn one(ground: &Ground) -> Result<(Value, String), Broken> {
    let job = given::service(ground, "web");
    let allocs = ground.start(&job, 1).await?;
    let id = allocs[0]["ID"].as_str().unwrap_or_default();
    Ok((job, id.to_owned()))
}

async fn a_listed_allocation_says_what_it_is(ground: &Ground) -> Law {
    let (job, _) = one(ground).await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let list = ground.read(&path).await?;
    let stub = &list[0];
    let keys = [
        "ID",
        "EvalID",
        "Name",
        "Namespace",
        "NodeID",
        "NodeName",
        "JobID",
        "JobType",
        "JobVersion",
        "TaskGroup",
        "DesiredStatus",
        "DesiredDescription",
        "ClientStatus",
        "ClientDescription",
        "DesiredTransition",
        "TaskStates",
        "DeploymentStatus",
        "FollowupEvalID",
        "RescheduleTracker",
        "PreemptedAllocations",
        "PreemptedByAllocation",
        "CreateIndex",
        "ModifyIndex",
        "CreateTime",
        "ModifyTime",
    ];
    let lacking = lacks(stub, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {stub}");
    demand!(stub["JobType"] == "service", "got {stub}");
    demand!(stub["TaskGroup"] == "web", "got {stub}");
    let words = &stub["ClientDescription"];
    demand!(*words == "Tasks are running", "it says {words}");
    Ok(())
}

async fn a_running_tasks_events_come_in_order(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let alloc = ground.read(&format!("allocation/{id}")).await?;
    let state = &alloc["TaskStates"]["main"];
    demand!(state["State"] == "running", "got {state}");
    let told = texts(&state["Events"], "Type");
    demand!(
        told == ["Received", "Task Setup", "Started"],
        "got {told:?}"
    );
    let words = texts(&state["Events"], "DisplayMessage");
    let expected = [
        "Task received by client",
        "Building Task Directory",
        "Task started by client",
    ];
    demand!(words == expected, "got {words:?}");
    let times: Vec<_> = items(&state["Events"])
        .iter()
        .map(|event| event["Time"].as_u64())
        .collect();
    demand!(times.is_sorted(), "got {times:?}");
    Ok(())
}

async fn an_unknown_allocation_is_404(ground: &Ground) -> Law {
    let path = format!("allocation/{}", uuid::Uuid::new_v4());
    ground.get(&path).await?.refuses(404, "alloc not found")
}

async fn allocations_are_listed_by_the_start_of_their_id(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let list = ground
        .read(&format!("allocations?prefix={}", &id[..8]))
        .await?;
    let ids = texts(&list, "ID");
    demand!(ids.contains(&id.as_str()), "got {ids:?}");
    let odd = format!("allocations?prefix={}", &id[..5]);
    ground.get(&odd).await?.status(500).map(drop)
}

async fn an_allocation_tells_what_it_was_given(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let alloc = ground.read(&format!("allocation/{id}")).await?;
    let given = &alloc["AllocatedResources"];
    let task = &given["Tasks"]["main"];
    demand!(task["Cpu"]["CpuShares"] == 20, "got {given}");
    demand!(task["Memory"]["MemoryMB"] == 16, "got {given}");
    demand!(given["Shared"]["DiskMB"] == 300, "got {given}");
    Ok(())
}

async fn an_allocation_carries_its_job_as_it_was(ground: &Ground) -> Law {
    let (mut job, id) = one(ground).await?;
    ground.deployed(given::id(&job), "successful").await?;
    job = given::changed(&job, "new");
    ground.register(&job).await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let two = |allocs: &Value| items(allocs).len() == 2;
    ground.until("a replacement", &path, two).await?;
    let old = ground.read(&format!("allocation/{id}")).await?;
    let version = &old["Job"]["Version"];
    demand!(*version == 0, "it carries version {version}");
    Ok(())
}

async fn a_healthy_allocation_says_so(ground: &Ground) -> Law {
    let (job, id) = one(ground).await?;
    ground.deployed(given::id(&job), "successful").await?;
    let alloc = ground.read(&format!("allocation/{id}")).await?;
    let health = &alloc["DeploymentStatus"];
    demand!(health["Healthy"] == true, "got {health}");
    let time = health["Timestamp"].as_str().unwrap_or_default();
    demand!(time.starts_with("20"), "got {health}");
    let has = alloc["DeploymentID"].as_str().is_some();
    demand!(has, "it names no deployment");
    Ok(())
}

async fn a_stopped_allocation_is_replaced(ground: &Ground) -> Law {
    let (job, id) = one(ground).await?;
    let path = format!("allocation/{id}/stop");
    let reply = ground.write(&path, &json!({})).await?;
    let eval = ground.done(&reply).await?;
    demand!(eval["TriggeredBy"] == "alloc-stop", "got {eval}");
    let allocs = ground.running(given::id(&job), 1).await?;
    demand!(allocs[0]["ID"] != id, "the same still runs");
    let old = ground.read(&format!("allocation/{id}")).await?;
    demand!(
        old["DesiredStatus"] == "stop",
        "got {}",
        old["DesiredStatus"]
    );
    let words = &old["DesiredDescription"];
    demand!(*words == "alloc is being migrated", "it says {words}");
    Ok(())
}

async fn stopping_an_unknown_allocation_is_404(ground: &Ground) -> Law {
    let path = format!("allocation/{}/stop", uuid::Uuid::new_v4());
    ground
        .put(&path, &json!({}))
        .await?
        .refuses(404, "allocation not found")
}

async fn stopping_an_allocation_wants_the_right_to(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let rules = "namespace \"default\" { policy = \"read\" }";
    let reader = ground.with_rules("reader", rules).await?;
    let asked = crate::nomad::Exchange::new("PUT", &format!("allocation/{id}/stop"));
    reader
        .exchange(&asked)
        .await?
        .refuses(403, "Permission denied")
}

async fn a_running_task_is_told_to_end_and_ends_well(ground: &Ground) -> Law {
    let (job, id) = one(ground).await?;
    ground
        .delete(&format!("job/{}", given::id(&job)))
        .await?
        .good()?;
    let path = format!("allocation/{id}");
    let over = |alloc: &Value| alloc["ClientStatus"] == "complete";
    let alloc = ground.until("a complete allocation", &path, over).await?;
    let state = &alloc["TaskStates"]["main"];
    let told = texts(&state["Events"], "Type");
    let end = told.get(told.len().saturating_sub(3)..);
    let expected = ["Killing", "Terminated", "Killed"];
    demand!(end == Some(&expected[..]), "got {told:?}");
    let events = items(&state["Events"]);
    let code = events
        .iter()
        .find(|event| event["Type"] == "Terminated")
        .map(|event| &event["Details"]["exit_code"]);
    demand!(code == Some(&json!("0")), "it ended with {code:?}");
    let killing = events.iter().find(|event| event["Type"] == "Killing");
    let words = killing.map(|event| &event["DisplayMessage"]);
    let expected = json!("Sent interrupt. Waiting 5s before force killing");
    demand!(words == Some(&expected), "it says {words:?}");
    Ok(())
}

async fn a_task_is_restarted_by_hand(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let path = format!("client/allocation/{id}/restart");
    ground
        .put(&path, &json!({ "TaskName": "main" }))
        .await?
        .good()?;
    let again = |alloc: &Value| {
        let state = &alloc["TaskStates"]["main"];
        let kinds = texts(&state["Events"], "Type");
        let starts = kinds.iter().filter(|kind| **kind == "Started").count();
        state["State"] == "running" && starts == 2
    };
    let path = format!("allocation/{id}");
    let alloc = ground.until("a second start", &path, again).await?;
    let told = texts(&alloc["TaskStates"]["main"]["Events"], "Type");
    demand!(told.contains(&"Restart Signaled"), "got {told:?}");
    Ok(())
}

async fn restarting_an_unknown_task_is_refused(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let path = format!("client/allocation/{id}/restart");
    ground
        .put(&path, &json!({ "TaskName": "nobody" }))
        .await?
        .refuses(500, "Could not find task")
}

async fn a_task_is_sent_a_signal(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let path = format!("client/allocation/{id}/signal");
    let body = json!({ "Task": "main", "Signal": "SIGCONT" });
    ground.put(&path, &body).await?.good()?;
    let signaled = |alloc: &Value| {
        let kinds = texts(&alloc["TaskStates"]["main"]["Events"], "Type");
        kinds.contains(&"Signaling")
    };
    let path = format!("allocation/{id}");
    ground.until("a signal", &path, signaled).await.map(drop)
}

async fn a_running_allocations_use_of_resources_is_told(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let path = format!("client/allocation/{id}/stats");
    let stats = ground.read(&path).await?;
    let lacking = lacks(&stats, &["ResourceUsage", "Tasks", "Timestamp"]);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {stats}");
    Ok(())
}

async fn a_clients_use_of_resources_is_told(ground: &Ground) -> Law {
    let node = ground.a_node().await?;
    let stats = ground.read(&format!("client/stats?node_id={node}")).await?;
    let lacking = lacks(&stats, &["Memory", "CPU", "Uptime", "Timestamp"]);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {stats}");
    ground.get("client/stats").await?.status(400).map(drop)
}

async fn a_stub_hides_resources_unless_asked(ground: &Ground) -> Law {
    let (_, id) = one(ground).await?;
    let path = format!("allocations?prefix={id}");
    let plain = ground.read(&path).await?;
    let hidden = plain[0]["AllocatedResources"].is_null();
    demand!(hidden, "unasked: {plain}");
    let with = ground.read(&format!("{path}&resources=true")).await?;
    let shown = with[0]["AllocatedResources"].is_object();
    demand!(shown, "asked for, and absent: {with}");
    let without = ground.read(&format!("{path}&task_states=false")).await?;
    demand!(without[0]["TaskStates"].is_null(), "got {without}");
    Ok(())
}

async fn an_unknown_path_of_an_allocation_is_404(ground: &Ground) -> Law {
    let path = format!("allocation/{}/nothing", uuid::Uuid::new_v4());
    ground.get(&path).await?.refuses(404, "resource not found")
}

async fn a_replacement_names_its_predecessor(ground: &Ground) -> Law {
    let (job, id) = one(ground).await?;
    ground
        .write(&format!("allocation/{id}/stop"), &json!({}))
        .await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let two = |allocs: &Value| items(allocs).len() == 2;
    let allocs = ground.until("a replacement", &path, two).await?;
    let new = items(&allocs).iter().find(|alloc| alloc["ID"] != id);
    let new = new
        .and_then(|alloc| alloc["ID"].as_str())
        .unwrap_or_default();
    let new = ground.read(&format!("allocation/{new}")).await?;
    demand!(new["PreviousAllocation"] == id, "got {new}");
    Ok(())
}
