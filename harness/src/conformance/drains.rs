//! Nodes that are emptied.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Drains";

pub(super) const CASES: &[Case] = &[
    law!(draining_an_unknown_node_is_refused),
    law!(a_drained_node_is_empty_and_stays_ineligible).alone(),
    law!(a_drain_moves_services_one_by_one).alone(),
    law!(a_drain_that_is_under_way_is_told).alone(),
    law!(a_draining_node_cannot_be_made_eligible).alone(),
    law!(a_drain_that_is_ended_leaves_the_node_as_asked).alone(),
    law!(a_drain_waits_for_batch_work_until_its_deadline).alone(),
    law!(a_forced_drain_waits_for_nothing).alone(),
    law!(system_jobs_are_drained_last_or_left).alone(),
    law!(a_drains_events_are_remembered).alone(),
];

const SECOND: i64 = 1_000_000_000;

/// Drains a node, which is eligible again when the case ends.
async fn drain(ground: &Ground, node: &str, deadline: i64, system: bool) -> Result<Value, Broken> {
    let path = format!("node/{node}/drain");
    let end = json!({ "DrainSpec": null, "MarkEligible": true });
    ground.at_the_end(Exchange::new("PUT", &path).json(&end));
    let spec = json!({ "Deadline": deadline, "IgnoreSystemJobs": !system });
    ground.write(&path, &json!({ "DrainSpec": spec })).await
}

/// A service that begins on one node, and may go elsewhere.
async fn on_a_node(ground: &Ground, job: &mut Value, count: usize) -> Result<String, Broken> {
    let node = ground.a_node().await?;
    job["Affinities"] = json!([{
        "LTarget": "${node.unique.id}", "Operand": "=", "RTarget": node, "Weight": 100,
    }]);
    ground.start(job, count).await?;
    Ok(node)
}

async fn drained(ground: &Ground, node: &str) -> Result<Value, Broken> {
    let path = format!("node/{node}");
    let over = |node: &Value| node["DrainStrategy"].is_null() && node["Drain"] != true;
    ground.until("an end of the drain", &path, over).await
}

async fn draining_an_unknown_node_is_refused(ground: &Ground) -> Law {
    let path = format!("node/{}/drain", uuid::Uuid::new_v4());
    let body = json!({ "DrainSpec": { "Deadline": SECOND } });
    ground
        .put(&path, &body)
        .await?
        .refuses(500, "node not found")
}

async fn a_drained_node_is_empty_and_stays_ineligible(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    let node = on_a_node(ground, &mut job, 1).await?;
    let reply = drain(ground, &node, 60 * SECOND, true).await?;
    let lacking = lacks(
        &reply,
        &["NodeModifyIndex", "EvalIDs", "EvalCreateIndex", "Index"],
    );
    demand!(lacking.is_empty(), "the reply lacks {lacking:?}");
    let after = drained(ground, &node).await?;
    let word = &after["SchedulingEligibility"];
    demand!(*word == "ineligible", "it is {word}");
    let allocs = ground.running(given::id(&job), 1).await?;
    demand!(allocs[0]["NodeID"] != node, "it is still there");
    Ok(())
}

async fn a_drain_moves_services_one_by_one(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 6);
    job["Spreads"] = json!([{ "Attribute": "${node.unique.id}", "Weight": 100 }]);
    let before = ground.start(&job, 6).await?;
    ground.deployed(given::id(&job), "successful").await?;
    let node = ground.a_node().await?;
    let there = before.iter().filter(|a| a["NodeID"] == node).count();
    demand!(there >= 2, "only {there} began on the node");
    drain(ground, &node, 60 * SECOND, true).await?;
    drained(ground, &node).await?;
    let after = ground.running(given::id(&job), 6).await?;
    let away = after.iter().all(|alloc| alloc["NodeID"] != node);
    demand!(away, "some are still there");
    let all = ground
        .read(&format!("job/{}/allocations", given::id(&job)))
        .await?;
    let words = texts(&all, "DesiredDescription");
    let moved = words.iter().filter(|w| **w == "alloc is being migrated");
    demand!(moved.count() == there, "got {words:?}");
    let old = |alloc: &Value| before.iter().any(|one| one["ID"] == alloc["ID"]);
    let new = after.iter().filter(|alloc| !old(alloc));
    let mut made: Vec<_> = new.map(|alloc| alloc["CreateIndex"].as_u64()).collect();
    made.sort_unstable();
    made.dedup();
    demand!(made.len() == there, "some were moved by the same plan");
    Ok(())
}

/// A batch job on one node, which goes on for long.
async fn busy(ground: &Ground) -> Result<(Value, String), Broken> {
    let mut job = given::batch(ground, "long", 0);
    job = given::with_arguments(job, &["workload", "-start-delay", "10m"]);
    let node = on_a_node(ground, &mut job, 1).await?;
    Ok((job, node))
}

async fn a_drain_that_is_under_way_is_told(ground: &Ground) -> Law {
    let (_, node) = busy(ground).await?;
    drain(ground, &node, 600 * SECOND, true).await?;
    let seen = ground.read(&format!("node/{node}")).await?;
    let strategy = &seen["DrainStrategy"];
    demand!(strategy["Deadline"] == 600 * SECOND, "got {strategy}");
    demand!(strategy["IgnoreSystemJobs"] == false, "got {strategy}");
    let keys = ["ForceDeadline", "StartedAt"];
    let lacking = lacks(strategy, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}");
    let list = ground.read(&format!("nodes?prefix={node}")).await?;
    demand!(list[0]["Drain"] == true, "got {list}");
    let word = &list[0]["SchedulingEligibility"];
    demand!(*word == "ineligible", "it is {word}");
    if ground.at_least(1, 1, 0) {
        let last = &seen["LastDrain"];
        demand!(last["Status"] == "draining", "got {last}");
    }
    Ok(())
}

async fn a_draining_node_cannot_be_made_eligible(ground: &Ground) -> Law {
    let (_, node) = busy(ground).await?;
    drain(ground, &node, 600 * SECOND, true).await?;
    let words = "can not set node's scheduling eligibility to eligible while it is draining";
    ground
        .put(
            &format!("node/{node}/eligibility"),
            &json!({ "Eligibility": "eligible" }),
        )
        .await?
        .refuses(500, words)
}

async fn a_drain_that_is_ended_leaves_the_node_as_asked(ground: &Ground) -> Law {
    let (job, node) = busy(ground).await?;
    drain(ground, &node, 600 * SECOND, true).await?;
    let path = format!("node/{node}/drain");
    let stay = json!({ "DrainSpec": null, "MarkEligible": false });
    ground.write(&path, &stay).await?;
    let seen = drained(ground, &node).await?;
    demand!(seen["SchedulingEligibility"] == "ineligible", "got {seen}");
    demand!(
        seen["LastDrain"]["Status"] == "canceled",
        "got {}",
        seen["LastDrain"]
    );
    drain(ground, &node, 600 * SECOND, true).await?;
    let back = json!({ "DrainSpec": null, "MarkEligible": true });
    ground.write(&path, &back).await?;
    let seen = drained(ground, &node).await?;
    demand!(seen["SchedulingEligibility"] == "eligible", "got {seen}");
    ground.running(given::id(&job), 1).await.map(drop)
}

/// Waits until another allocation runs in the place of one, which is to stop: a drain is complete
/// when the move is ordered, and the scheduler carries it out a moment later.
async fn replaced(ground: &Ground, job: &Value, old: &Value) -> Result<Value, Broken> {
    let path = format!("job/{}/allocations", given::id(job));
    let new = |alloc: &&Value| {
        alloc["DesiredStatus"] == "run"
            && alloc["ClientStatus"] == "running"
            && alloc["ID"] != old["ID"]
    };
    let is_old = |alloc: &&Value| alloc["ID"] == old["ID"];
    let so = |allocs: &Value| {
        let stops = items(allocs).iter().find(is_old);
        stops.is_none_or(|old| old["DesiredStatus"] == "stop")
            && items(allocs).iter().filter(new).count() == 1
    };
    let allocs = ground
        .until("an allocation in its place", &path, so)
        .await?;
    let found = items(&allocs).iter().find(new).cloned();
    found.ok_or_else(|| Broken::new("it was there a moment ago"))
}

async fn a_drain_waits_for_batch_work_until_its_deadline(ground: &Ground) -> Law {
    let (job, node) = busy(ground).await?;
    let before = ground.running(given::id(&job), 1).await?;
    let start = std::time::Instant::now();
    drain(ground, &node, 4 * SECOND, true).await?;
    drained(ground, &node).await?;
    let took = start.elapsed();
    demand!(took.as_secs() >= 3, "it took only {took:?}");
    replaced(ground, &job, &before[0]).await.map(drop)
}

async fn a_forced_drain_waits_for_nothing(ground: &Ground) -> Law {
    let (job, node) = busy(ground).await?;
    let before = ground.running(given::id(&job), 1).await?;
    drain(ground, &node, -1, true).await?;
    drained(ground, &node).await?;
    let after = replaced(ground, &job, &before[0]).await?;
    demand!(after["NodeID"] != node, "it is still there");
    Ok(())
}

async fn system_jobs_are_drained_last_or_left(ground: &Ground) -> Law {
    let nodes = ground.nodes().await?.len();
    let job = given::system(ground, "everywhere");
    ground.start(&job, nodes).await?;
    let node = ground.a_node().await?;
    drain(ground, &node, 30 * SECOND, false).await?;
    drained(ground, &node).await?;
    ground.running(given::id(&job), nodes).await?;
    drain(ground, &node, 30 * SECOND, true).await?;
    drained(ground, &node).await?;
    let left = ground.running(given::id(&job), nodes - 1).await?;
    let away = left.iter().all(|alloc| alloc["NodeID"] != node);
    demand!(away, "it is still there");
    Ok(())
}

async fn a_drains_events_are_remembered(ground: &Ground) -> Law {
    let node = ground.a_node().await?;
    drain(ground, &node, 30 * SECOND, true).await?;
    let seen = drained(ground, &node).await?;
    let words = texts(&seen["Events"], "Message");
    for expected in ["Node drain strategy set", "Node drain complete"] {
        demand!(words.contains(&expected), "got {words:?}");
    }
    demand!(
        seen["LastDrain"]["Status"] == "complete",
        "got {}",
        seen["LastDrain"]
    );
    Ok(())
}
