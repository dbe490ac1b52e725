//! Where allocations go, and what becomes of those that fit nowhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answer::{Expect as _, items, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Placement";

pub(super) const CASES: &[Case] = &[
    law!(as_many_run_as_are_asked_for),
    law!(names_count_from_0_and_fill_gaps),
    law!(a_count_of_0_runs_nothing),
    law!(fewer_are_left_when_fewer_are_asked_for),
    law!(a_system_job_runs_once_on_every_node),
    law!(distinct_hosts_keep_apart),
    law!(more_distinct_hosts_than_there_are_wait),
    law!(distinct_properties_keep_apart),
    law!(a_constraint_chooses_the_node),
    law!(a_constraint_by_pattern_chooses_nodes),
    law!(a_constraint_by_version_chooses_nodes),
    law!(a_constraint_by_set_chooses_nodes),
    law!(an_unsatisfied_constraint_leaves_the_job_waiting),
    law!(an_unknown_datacenter_leaves_the_job_waiting),
    law!(an_unknown_driver_leaves_the_job_waiting),
    law!(what_fits_nowhere_is_told_by_dimension),
    law!(what_waits_is_placed_once_it_may_be),
    law!(a_smaller_demand_ends_the_wait),
    law!(an_affinity_draws_to_a_node),
    law!(a_spread_spreads_evenly),
    law!(a_reserved_port_is_given_once_a_node),
    law!(what_waits_for_room_is_placed_when_there_is_some),
    law!(dynamic_ports_lie_in_their_range),
    law!(scores_are_told_with_the_allocation),
    law!(a_sysbatch_job_runs_once_on_every_node_to_its_end).since(1, 2, 2),
    law!(a_datacenter_may_be_a_pattern).since(1, 5, 0),
    law!(an_unknown_node_pool_is_refused).since(1, 6, 0),
];

fn constraint(left: &str, operand: &str, right: &str) -> Value {
    json!([{ "LTarget": left, "Operand": operand, "RTarget": right }])
}

fn nodes_of(allocs: &[Value]) -> BTreeSet<&str> {
    allocs.iter().filter_map(|a| a["NodeID"].as_str()).collect()
}

/// Registers a job that cannot be placed; returns its evaluation and the blocked one.
async fn blocked(ground: &Ground, job: &Value) -> Result<(Value, Value), Broken> {
    let eval = ground.evaluate(job).await?;
    let id = eval["BlockedEval"].as_str().unwrap_or_default();
    demand_blocked(&eval, id)?;
    let blocked = ground.read(&format!("evaluation/{id}")).await?;
    Ok((eval, blocked))
}

fn demand_blocked(eval: &Value, id: &str) -> Law {
    demand!(eval["Status"] == "complete", "got {eval}");
    demand!(!id.is_empty(), "there is no blocked evaluation: {eval}");
    Ok(())
}

async fn as_many_run_as_are_asked_for(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 3);
    let allocs = ground.start(&job, 3).await?;
    let jobs: Vec<_> = allocs.iter().map(|alloc| &alloc["JobID"]).collect();
    demand!(
        jobs.iter().all(|id| **id == given::id(&job)),
        "got {jobs:?}"
    );
    Ok(())
}

async fn names_count_from_0_and_fill_gaps(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 3);
    let id = given::id(&job).to_owned();
    let names = |allocs: &[Value]| -> BTreeSet<String> {
        let names = allocs.iter().filter_map(|a| a["Name"].as_str());
        names.map(str::to_owned).collect()
    };
    let expected =
        |count| -> BTreeSet<String> { (0..count).map(|n| format!("{id}.web[{n}]")).collect() };
    let seen = names(&ground.start(&job, 3).await?);
    demand!(seen == expected(3), "got {seen:?}");
    ground.deployed(&id, "successful").await?;
    given::group(&mut job)["Count"] = json!(2);
    let seen = names(&ground.start(&job, 2).await?);
    demand!(seen == expected(2), "after one less: {seen:?}");
    Ok(())
}

async fn a_count_of_0_runs_nothing(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 0);
    let eval = ground.evaluate(&job).await?;
    demand!(eval["Status"] == "complete", "got {eval}");
    let path = format!("job/{}/allocations", given::id(&job));
    let allocs = ground.read(&path).await?;
    demand!(items(&allocs).is_empty(), "got {allocs}");
    Ok(())
}

async fn fewer_are_left_when_fewer_are_asked_for(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 2);
    ground.start(&job, 2).await?;
    given::group(&mut job)["Count"] = json!(1);
    ground.start(&job, 1).await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let over = |allocs: &Value| {
        let mut stopped = items(allocs)
            .iter()
            .filter(|a| a["DesiredStatus"] == "stop");
        stopped.any(|alloc| alloc["ClientStatus"] == "complete")
    };
    let allocs = ground.until("one stopped", &path, over).await?;
    let words = texts(&allocs, "DesiredDescription");
    let expected = "alloc not needed due to job update";
    demand!(words.contains(&expected), "got {words:?}");
    Ok(())
}

async fn a_system_job_runs_once_on_every_node(ground: &Ground) -> Law {
    let nodes = ground.nodes().await?.len();
    let job = given::system(ground, "everywhere");
    let allocs = ground.start(&job, nodes).await?;
    let used = nodes_of(&allocs);
    demand!(used.len() == nodes, "it runs on {used:?}");
    Ok(())
}

async fn distinct_hosts_keep_apart(ground: &Ground) -> Law {
    let nodes = u32::try_from(ground.nodes().await?.len()).unwrap_or(1);
    let mut job = given::services(ground, "web", nodes);
    job["Constraints"] = json!([{ "Operand": "distinct_hosts", "RTarget": "true" }]);
    let allocs = ground.start(&job, nodes as usize).await?;
    let used = nodes_of(&allocs);
    demand!(used.len() == nodes as usize, "it runs on {used:?}");
    Ok(())
}

async fn more_distinct_hosts_than_there_are_wait(ground: &Ground) -> Law {
    let nodes = u32::try_from(ground.nodes().await?.len()).unwrap_or(1);
    let mut job = given::services(ground, "web", nodes + 1);
    job["Constraints"] = json!([{ "Operand": "distinct_hosts", "RTarget": "true" }]);
    let (eval, _) = blocked(ground, &job).await?;
    let queued = &eval["QueuedAllocations"]["web"];
    demand!(*queued == 1, "{queued} wait");
    let filtered = &eval["FailedTGAllocs"]["web"]["ConstraintFiltered"];
    demand!(filtered["distinct_hosts"] == nodes, "got {eval}");
    Ok(())
}

async fn distinct_properties_keep_apart(ground: &Ground) -> Law {
    let mut job = given::services(ground, "web", 2);
    job["Constraints"] = constraint("${attr.kernel.name}", "distinct_property", "1");
    let (eval, _) = blocked(ground, &job).await?;
    let queued = &eval["QueuedAllocations"]["web"];
    demand!(*queued == 1, "{queued} wait: {eval}");
    Ok(())
}

async fn chosen_by(ground: &Ground, operand: &str, right: &str) -> Law {
    let node = ground.a_node().await?;
    let mut job = given::services(ground, "web", 2);
    job["Constraints"] = constraint("${node.unique.name}", operand, right);
    let allocs = ground.start(&job, 2).await?;
    let used = nodes_of(&allocs);
    demand!(
        used == BTreeSet::from([node.as_str()]),
        "it runs on {used:?}"
    );
    Ok(())
}

async fn a_constraint_chooses_the_node(ground: &Ground) -> Law {
    chosen_by(ground, "=", "client-1").await
}

async fn a_constraint_by_pattern_chooses_nodes(ground: &Ground) -> Law {
    chosen_by(ground, "regexp", "^c.*-1$").await
}

async fn a_constraint_by_version_chooses_nodes(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    job["Constraints"] = constraint("${attr.nomad.version}", "version", ">= 1.0, < 9.0");
    ground.start(&job, 1).await?;
    let mut none = given::service(ground, "none");
    none["Constraints"] = constraint("${attr.nomad.version}", "version", ">= 9.0");
    blocked(ground, &none).await.map(drop)
}

async fn a_constraint_by_set_chooses_nodes(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    let names = "${node.unique.name}";
    job["Constraints"] = constraint(names, "set_contains_any", "client-1,client-99");
    ground.start(&job, 1).await?;
    let mut none = given::service(ground, "none");
    none["Constraints"] = constraint(names, "set_contains", "client-1,client-99");
    blocked(ground, &none).await.map(drop)
}

async fn an_unsatisfied_constraint_leaves_the_job_waiting(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let (eval, blocked) = blocked(ground, &job).await?;
    let failed = &eval["FailedTGAllocs"]["web"];
    let nodes = ground.nodes().await?.len();
    demand!(failed["NodesFiltered"] == nodes, "got {failed}");
    let filtered = &failed["ConstraintFiltered"]["${attr.kernel.name} = nothing"];
    demand!(filtered.as_u64() > Some(0), "got {failed}");
    demand!(blocked["Status"] == "blocked", "got {blocked}");
    demand!(blocked["TriggeredBy"] == "queued-allocs", "got {blocked}");
    demand!(blocked["PreviousEval"] == eval["ID"], "got {blocked}");
    let job = ground.read(&format!("job/{}", given::id(&job))).await?;
    demand!(job["Status"] == "pending", "the job is {}", job["Status"]);
    Ok(())
}

async fn an_unknown_datacenter_leaves_the_job_waiting(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    job["Datacenters"] = json!(["nowhere"]);
    let (eval, _) = blocked(ground, &job).await?;
    let failed = &eval["FailedTGAllocs"]["web"];
    let evaluated = failed["NodesEvaluated"].as_u64().unwrap_or(0);
    demand!(evaluated == 0, "{evaluated} nodes were evaluated: {failed}");
    Ok(())
}

async fn an_unknown_driver_leaves_the_job_waiting(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    given::task(&mut job)["Driver"] = json!("nonsense");
    let (eval, _) = blocked(ground, &job).await?;
    let filtered = &eval["FailedTGAllocs"]["web"]["ConstraintFiltered"];
    demand!(filtered["missing drivers"].as_u64() > Some(0), "got {eval}");
    Ok(())
}

async fn what_fits_nowhere_is_told_by_dimension(ground: &Ground) -> Law {
    let job = given::too_large(ground, "web");
    let (eval, _) = blocked(ground, &job).await?;
    let failed = &eval["FailedTGAllocs"]["web"];
    let nodes = ground.nodes().await?.len();
    demand!(failed["NodesExhausted"] == nodes, "got {failed}");
    demand!(failed["DimensionExhausted"]["cpu"] == nodes, "got {failed}");
    Ok(())
}

async fn what_waits_is_placed_once_it_may_be(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    let (_, waiting) = blocked(ground, &job).await?;
    job["Constraints"] = json!(null);
    ground.start(&job, 1).await?;
    let id = waiting["ID"].as_str().unwrap_or_default();
    let over = |eval: &Value| eval["Status"] != "blocked";
    let path = format!("evaluation/{id}");
    let eval = ground.until("an end of the wait", &path, over).await?;
    let status = &eval["Status"];
    let canceled = *status == "canceled" || *status == "cancelled";
    demand!(canceled || *status == "complete", "it is {status}");
    Ok(())
}

async fn a_smaller_demand_ends_the_wait(ground: &Ground) -> Law {
    let mut job = given::too_large(ground, "web");
    blocked(ground, &job).await?;
    given::task(&mut job)["Resources"]["CPU"] = json!(20);
    ground.start(&job, 1).await.map(drop)
}

async fn an_affinity_draws_to_a_node(ground: &Ground) -> Law {
    let node = ground.a_node().await?;
    let mut job = given::service(ground, "web");
    job["Affinities"] = json!([{
        "LTarget": "${node.unique.id}", "Operand": "=", "RTarget": node, "Weight": 100,
    }]);
    let allocs = ground.start(&job, 1).await?;
    demand!(
        allocs[0]["NodeID"] == node,
        "it runs on {}",
        allocs[0]["NodeID"]
    );
    Ok(())
}

async fn a_spread_spreads_evenly(ground: &Ground) -> Law {
    let nodes = u32::try_from(ground.nodes().await?.len()).unwrap_or(1);
    let mut job = given::services(ground, "web", nodes);
    job["Spreads"] = json!([{ "Attribute": "${node.unique.id}", "Weight": 100 }]);
    let allocs = ground.start(&job, nodes as usize).await?;
    let used = nodes_of(&allocs);
    demand!(used.len() == nodes as usize, "it runs on {used:?}");
    Ok(())
}

async fn a_reserved_port_is_given_once_a_node(ground: &Ground) -> Law {
    let nodes = u32::try_from(ground.nodes().await?.len()).unwrap_or(1);
    let mut job = given::services(ground, "web", nodes + 1);
    given::group(&mut job)["Networks"] = json!([
        { "ReservedPorts": [{ "Label": "http", "Value": 15_021 }] },
    ]);
    let (eval, _) = blocked(ground, &job).await?;
    let queued = &eval["QueuedAllocations"]["web"];
    demand!(*queued == 1, "{queued} wait: {eval}");
    let allocs = ground.running(given::id(&job), nodes as usize).await?;
    let used = nodes_of(&allocs);
    demand!(used.len() == nodes as usize, "it runs on {used:?}");
    Ok(())
}

async fn what_waits_for_room_is_placed_when_there_is_some(ground: &Ground) -> Law {
    let nodes = ground.nodes().await?.len();
    let port = json!([{ "ReservedPorts": [{ "Label": "http", "Value": 15_022 }] }]);
    let mut all = given::services(ground, "all", u32::try_from(nodes).unwrap_or(1));
    let mut one = given::service(ground, "one");
    given::group(&mut all)["Networks"] = port.clone();
    given::group(&mut one)["Networks"] = port;
    ground.start(&all, nodes).await?;
    blocked(ground, &one).await?;
    let path = format!("job/{}", given::id(&all));
    ground.delete(&path).await?.good()?;
    ground.running(given::id(&one), 1).await.map(drop)
}

async fn dynamic_ports_lie_in_their_range(ground: &Ground) -> Law {
    let job = given::services(ground, "web", 2);
    for stub in ground.start(&job, 2).await? {
        let id = stub["ID"].as_str().unwrap_or_default();
        let alloc = ground.read(&format!("allocation/{id}")).await?;
        let port = &alloc["AllocatedResources"]["Shared"]["Ports"][0];
        demand!(port["Label"] == "http", "got {port}");
        let value = port["Value"].as_u64().unwrap_or(0);
        demand!((20_000..=32_000).contains(&value), "the port is {value}");
        let address = port["HostIP"].as_str().unwrap_or_default();
        let at = ground.directory.at(&format!("{address}:0"));
        let here = at.is_some_and(|entry| stub["NodeName"] == entry.info.name.as_str());
        demand!(here, "the port is on {address}: {stub}");
    }
    Ok(())
}

async fn scores_are_told_with_the_allocation(ground: &Ground) -> Law {
    let job = given::service(ground, "web");
    let allocs = ground.start(&job, 1).await?;
    let id = allocs[0]["ID"].as_str().unwrap_or_default();
    let alloc = ground.read(&format!("allocation/{id}")).await?;
    let metrics = &alloc["Metrics"];
    demand!(
        metrics["NodesEvaluated"].as_u64() > Some(0),
        "got {metrics}"
    );
    let scores = items(&metrics["ScoreMetaData"]);
    let chosen = scores.iter().find(|one| one["NodeID"] == alloc["NodeID"]);
    let Some(chosen) = chosen else {
        return Err(Broken::new(format!("its node has no score: {metrics}")));
    };
    let binpack = chosen["Scores"]["binpack"].as_f64().unwrap_or(-1.0);
    demand!((0.0..=1.0).contains(&binpack), "binpack is {binpack}");
    let norm = chosen["NormScore"].as_f64().unwrap_or(-9.0);
    demand!((-1.0..=1.0).contains(&norm), "the score is {norm}");
    Ok(())
}

async fn a_sysbatch_job_runs_once_on_every_node_to_its_end(ground: &Ground) -> Law {
    let nodes = ground.nodes().await?.len();
    let mut job = given::batch(ground, "everywhere", 0);
    job["Type"] = json!("sysbatch");
    given::group(&mut job)["ReschedulePolicy"] = json!(null);
    ground.register(&job).await?;
    let path = format!("job/{}/allocations", given::id(&job));
    let over = |allocs: &Value| {
        let allocs = items(allocs);
        allocs.len() == nodes && allocs.iter().all(|a| a["ClientStatus"] == "complete")
    };
    let allocs = ground.until("all complete", &path, over).await?;
    let used = nodes_of(items(&allocs));
    demand!(used.len() == nodes, "it ran on {used:?}");
    Ok(())
}

async fn a_datacenter_may_be_a_pattern(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    let start: String = ground.datacenter.chars().take(1).collect();
    job["Datacenters"] = json!([format!("{start}*")]);
    ground.start(&job, 1).await.map(drop)
}

async fn an_unknown_node_pool_is_refused(ground: &Ground) -> Law {
    let mut job = given::service(ground, "web");
    job["NodePool"] = json!("nowhere");
    let answer = ground.put("jobs", &json!({ "Job": job })).await?;
    super::answer::Expect::refuses(answer, 500, "nonexistent node pool \"nowhere\"")
}
