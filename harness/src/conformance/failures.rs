//! Tasks that end, and what is done about it.

use serde_json::{Value, json};

use super::answer::{items, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Restarts and rescheduling";
const SECOND: u64 = 1_000_000_000;

pub(super) const CASES: &[Case] = &[
    law!(a_batch_task_that_exits_with_0_is_complete),
    law!(a_batch_task_that_exits_otherwise_has_failed),
    law!(a_complete_batch_job_is_dead),
    law!(the_same_batch_job_again_runs_nothing_again),
    law!(a_failed_task_is_restarted_as_often_as_said),
    law!(restarts_are_told_with_their_reason),
    law!(a_command_that_is_not_there_fails_the_task),
    law!(a_failed_service_is_placed_anew),
    law!(a_failed_batch_allocation_is_placed_anew_after_its_delay),
    law!(rescheduling_ends_with_its_attempts),
    law!(rescheduling_is_remembered),
    law!(a_failed_task_takes_its_siblings_along),
    law!(a_leader_task_takes_the_others_along),
    law!(a_prestart_task_comes_first),
    law!(a_dead_system_allocation_is_not_placed_anew),
];

fn restarts(job: &mut Value, attempts: u64) {
    given::group(job)["RestartPolicy"] = json!({
        "Attempts": attempts, "Mode": "fail", "Interval": 600 * SECOND, "Delay": SECOND / 10,
    });
}

fn reschedules(job: &mut Value, attempts: u64) {
    given::group(job)["ReschedulePolicy"] = json!({
        "Attempts": attempts, "Unlimited": false, "Delay": 5 * SECOND,
        "DelayFunction": "constant", "Interval": 3600 * SECOND, "MaxDelay": 0,
    });
}

/// Registers a job and waits until all its allocations are over; returns their stubs, newest
/// first.
async fn over(ground: &Ground, job: &Value, count: usize) -> Result<Vec<Value>, Broken> {
    ground.register(job).await?;
    let path = format!("job/{}/allocations", given::id(job));
    let ended =
        |alloc: &Value| alloc["ClientStatus"] == "complete" || alloc["ClientStatus"] == "failed";
    let all = |allocs: &Value| {
        let allocs = items(allocs);
        allocs.len() == count && allocs.iter().all(ended)
    };
    let what = format!("{count} allocations that are over");
    let allocs = ground.until(&what, &path, all).await?;
    let mut allocs = items(&allocs).to_vec();
    allocs.sort_by_key(|alloc| std::cmp::Reverse(alloc["CreateIndex"].as_u64()));
    Ok(allocs)
}

fn events(alloc: &Value) -> Vec<&str> {
    texts(&alloc["TaskStates"]["main"]["Events"], "Type")
}

async fn a_batch_task_that_exits_with_0_is_complete(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    let allocs = over(ground, &job, 1).await?;
    let alloc = &allocs[0];
    demand!(alloc["ClientStatus"] == "complete", "got {alloc}");
    demand!(alloc["DesiredStatus"] == "run", "got {alloc}");
    let state = &alloc["TaskStates"]["main"];
    demand!(state["State"] == "dead", "got {state}");
    demand!(state["Failed"] == false, "got {state}");
    let told = events(alloc);
    demand!(
        told == ["Received", "Task Setup", "Started", "Terminated"],
        "got {told:?}"
    );
    Ok(())
}

async fn a_batch_task_that_exits_otherwise_has_failed(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 3);
    let allocs = over(ground, &job, 1).await?;
    let alloc = &allocs[0];
    demand!(alloc["ClientStatus"] == "failed", "got {alloc}");
    let state = &alloc["TaskStates"]["main"];
    demand!(state["Failed"] == true, "got {state}");
    let ends = items(&state["Events"])
        .iter()
        .find(|event| event["Type"] == "Terminated");
    let code = ends.map(|event| &event["Details"]["exit_code"]);
    demand!(code == Some(&json!("3")), "got {state}");
    let words = ends.and_then(|event| event["DisplayMessage"].as_str());
    let told = words.is_some_and(|words| words.starts_with("Exit Code: 3"));
    demand!(told, "it says {words:?}");
    Ok(())
}

async fn a_complete_batch_job_is_dead(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    over(ground, &job, 1).await?;
    let path = format!("job/{}", given::id(&job));
    let dead = |job: &Value| job["Status"] == "dead";
    let job = ground.until("a dead job", &path, dead).await?;
    demand!(job["Stop"] == false, "it was stopped");
    Ok(())
}

async fn the_same_batch_job_again_runs_nothing_again(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    over(ground, &job, 1).await?;
    let eval = ground.evaluate(&job).await?;
    demand!(eval["Status"] == "complete", "got {eval}");
    over(ground, &job, 1).await.map(drop)
}

async fn a_failed_task_is_restarted_as_often_as_said(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "once", 1);
    restarts(&mut job, 2);
    let allocs = over(ground, &job, 1).await?;
    let state = &allocs[0]["TaskStates"]["main"];
    demand!(state["Restarts"] == 2, "{} restarts", state["Restarts"]);
    let told = events(&allocs[0]);
    let starts = told.iter().filter(|kind| **kind == "Started").count();
    demand!(starts == 3, "it started {starts} times: {told:?}");
    Ok(())
}

async fn restarts_are_told_with_their_reason(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "once", 1);
    restarts(&mut job, 1);
    let allocs = over(ground, &job, 1).await?;
    let events = &allocs[0]["TaskStates"]["main"]["Events"];
    let words: Vec<_> = items(events)
        .iter()
        .filter(|event| event["Type"] == "Not Restarting")
        .filter_map(|event| event["DisplayMessage"].as_str())
        .collect();
    let told = words
        .iter()
        .any(|one| one.starts_with("Exceeded allowed attempts 1"));
    demand!(told, "got {words:?}");
    let kinds = texts(events, "Type");
    demand!(kinds.contains(&"Restarting"), "got {kinds:?}");
    Ok(())
}

async fn a_command_that_is_not_there_fails_the_task(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "once", 0);
    given::task(&mut job)["Config"] = json!({ "command": "/nowhere/at-all" });
    let allocs = over(ground, &job, 1).await?;
    demand!(allocs[0]["ClientStatus"] == "failed", "got {}", allocs[0]);
    let told = events(&allocs[0]);
    demand!(told.contains(&"Driver Failure"), "got {told:?}");
    demand!(!told.contains(&"Started"), "got {told:?}");
    Ok(())
}

async fn a_failed_service_is_placed_anew(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    given::group(&mut job)["Update"] = json!(null);
    job["Update"] = json!({ "MaxParallel": 0 });
    job = given::with_arguments(job, &["workload", "-fail-after", "100ms"]);
    reschedules(&mut job, 1);
    let allocs = over(ground, &job, 2).await?;
    let (new, old) = (&allocs[0], &allocs[1]);
    demand!(old["DesiredStatus"] == "stop", "got {old}");
    let words = &old["DesiredDescription"];
    demand!(
        *words == "alloc was rescheduled because it failed",
        "got {words}"
    );
    let id = new["ID"].as_str().unwrap_or_default();
    let whole = ground.read(&format!("allocation/{id}")).await?;
    demand!(whole["PreviousAllocation"] == old["ID"], "got {whole}");
    demand!(
        new["Name"] == old["Name"],
        "got {} and {}",
        new["Name"],
        old["Name"]
    );
    Ok(())
}

async fn a_failed_batch_allocation_is_placed_anew_after_its_delay(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "once", 1);
    reschedules(&mut job, 1);
    let allocs = over(ground, &job, 2).await?;
    let time = |alloc: &Value, key: &str| alloc[key].as_u64().unwrap_or(0);
    let failed = time(&allocs[1], "CreateTime");
    let placed = time(&allocs[0], "CreateTime");
    let waited = placed.saturating_sub(failed);
    demand!(waited >= 5 * SECOND, "it waited only {waited} ns");
    let evals = ground
        .read(&format!("job/{}/evaluations", given::id(&job)))
        .await?;
    let triggers = texts(&evals, "TriggeredBy");
    demand!(triggers.contains(&"alloc-failure"), "got {triggers:?}");
    Ok(())
}

async fn rescheduling_ends_with_its_attempts(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "once", 1);
    reschedules(&mut job, 1);
    over(ground, &job, 2).await?;
    let path = format!("job/{}", given::id(&job));
    let dead = |job: &Value| job["Status"] == "dead";
    ground.until("a dead job", &path, dead).await?;
    let allocs = ground.read(&format!("{path}/allocations")).await?;
    let count = items(&allocs).len();
    demand!(count == 2, "there are {count} allocations");
    Ok(())
}

async fn rescheduling_is_remembered(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "once", 1);
    reschedules(&mut job, 1);
    let allocs = over(ground, &job, 2).await?;
    let events = &allocs[0]["RescheduleTracker"]["Events"];
    demand!(items(events).len() == 1, "got {}", allocs[0]);
    let event = &events[0];
    demand!(event["PrevAllocID"] == allocs[1]["ID"], "got {event}");
    demand!(event["PrevNodeID"] == allocs[1]["NodeID"], "got {event}");
    demand!(event["Delay"] == 5 * SECOND, "got {event}");
    Ok(())
}

/// A job of two tasks: one that ends with this code, and one that would go on.
fn pair(ground: &Ground, code: &str) -> Value {
    let mut job = given::batch(ground, "pair", 0);
    let mut other = given::task(&mut job).clone();
    other["Name"] = json!("other");
    other["Config"]["args"] = json!(["workload", "-start-delay", "10m"]);
    let main = json!(["workload", "-start-delay", "500ms", "-exit", code]);
    given::task(&mut job)["Config"]["args"] = main;
    let main = given::task(&mut job).clone();
    given::group(&mut job)["Tasks"] = json!([main, other]);
    job
}

async fn a_failed_task_takes_its_siblings_along(ground: &Ground) -> Law {
    let job = pair(ground, "1");
    let allocs = over(ground, &job, 1).await?;
    demand!(allocs[0]["ClientStatus"] == "failed", "got {}", allocs[0]);
    let other = &allocs[0]["TaskStates"]["other"];
    let told = texts(&other["Events"], "Type");
    demand!(told.contains(&"Sibling Task Failed"), "got {told:?}");
    demand!(told.contains(&"Killed"), "got {told:?}");
    Ok(())
}

async fn a_leader_task_takes_the_others_along(ground: &Ground) -> Law {
    let mut job = pair(ground, "0");
    given::task(&mut job)["Leader"] = json!(true);
    let allocs = over(ground, &job, 1).await?;
    demand!(allocs[0]["ClientStatus"] == "complete", "got {}", allocs[0]);
    let other = &allocs[0]["TaskStates"]["other"];
    let told = texts(&other["Events"], "Type");
    demand!(told.contains(&"Leader Task Dead"), "got {told:?}");
    Ok(())
}

async fn a_prestart_task_comes_first(ground: &Ground) -> Law {
    let mut job = given::batch(ground, "pair", 0);
    let main = given::task(&mut job).clone();
    let mut first = main.clone();
    first["Name"] = json!("first");
    first["Lifecycle"] = json!({ "Hook": "prestart", "Sidecar": false });
    given::group(&mut job)["Tasks"] = json!([main, first]);
    let allocs = over(ground, &job, 1).await?;
    let states = &allocs[0]["TaskStates"];
    let ended = states["first"]["FinishedAt"].as_str().unwrap_or_default();
    let started = states["main"]["StartedAt"].as_str().unwrap_or("~");
    demand!(!ended.is_empty() && ended <= started, "{ended}, {started}");
    Ok(())
}

async fn a_dead_system_allocation_is_not_placed_anew(ground: &Ground) -> Law {
    let job = given::system(ground, "everywhere");
    let job = given::with_arguments(job, &["workload", "-fail-after", "100ms"]);
    let nodes = ground.nodes().await?.len();
    let allocs = over(ground, &job, nodes).await?;
    let failed = allocs.iter().all(|a| a["ClientStatus"] == "failed");
    demand!(failed, "not all have failed");
    Ok(())
}
