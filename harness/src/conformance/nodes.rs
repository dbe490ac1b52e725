//! Nodes: clients as the servers see them.

use serde_json::json;

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;
use crate::spec::Role;

const SECTION: &str = "Nodes";

pub(super) const CASES: &[Case] = &[
    law!(every_client_is_a_ready_node),
    law!(a_listed_node_says_what_it_is),
    law!(a_nodes_driver_is_detected_and_healthy),
    law!(a_node_hides_its_secret),
    law!(a_node_tells_its_attributes),
    law!(a_node_tells_its_resources),
    law!(a_node_says_where_its_api_is),
    law!(a_node_remembers_its_registration),
    law!(nodes_are_found_by_the_start_of_their_id),
    law!(an_odd_start_of_an_id_is_refused),
    law!(resources_are_listed_when_asked),
    law!(an_unknown_node_is_404_to_read),
    law!(an_unknown_node_is_500_to_change),
    law!(eligibility_is_one_of_two_words),
    law!(an_ineligible_node_gets_nothing_new_and_keeps_what_it_has).alone(),
    law!(eligibility_is_remembered_as_an_event).alone(),
    law!(a_nodes_allocations_are_told_whole),
    law!(evaluating_a_node_evaluates_its_jobs),
    law!(a_nodes_pool_is_default).since(1, 6, 0),
    law!(the_built_in_pools_are_there).since(1, 6, 0),
];

async fn every_client_is_a_ready_node(ground: &Ground) -> Law {
    let nodes = ground.nodes().await?;
    let names: Vec<_> = nodes.iter().filter_map(|n| n["Name"].as_str()).collect();
    for client in ground.directory.of_role(Role::Client) {
        let name = client.info.name.as_str();
        demand!(names.contains(&name), "`{name}` is not in {names:?}");
    }
    Ok(())
}

async fn a_listed_node_says_what_it_is(ground: &Ground) -> Law {
    let keys = [
        "ID",
        "Name",
        "Address",
        "Datacenter",
        "NodeClass",
        "Version",
        "Drain",
        "SchedulingEligibility",
        "Status",
        "StatusDescription",
        "Drivers",
        "HostVolumes",
        "CreateIndex",
        "ModifyIndex",
    ];
    for node in ground.nodes().await? {
        let lacking = lacks(&node, &keys);
        demand!(lacking.is_empty(), "it lacks {lacking:?}: {node}");
        demand!(node["Datacenter"] == ground.datacenter, "got {node}");
        let version = ground.version.to_string();
        demand!(node["Version"] == version, "got {}", node["Version"]);
        let address = node["Address"].as_str().unwrap_or_default();
        let entries = ground.directory.of_role(Role::Client);
        let mut addresses = entries.map(|entry| entry.info.address.to_string());
        let is = addresses.any(|one| one == address);
        demand!(is, "{address} is none of the clients");
    }
    Ok(())
}

async fn a_nodes_driver_is_detected_and_healthy(ground: &Ground) -> Law {
    for node in ground.nodes().await? {
        let driver = &node["Drivers"]["raw_exec"];
        demand!(driver["Detected"] == true, "got {driver}");
        demand!(driver["Healthy"] == true, "got {driver}");
        demand!(driver["HealthDescription"] == "Healthy", "got {driver}");
    }
    Ok(())
}

async fn a_node_hides_its_secret(ground: &Ground) -> Law {
    let id = ground.a_node().await?;
    let node = ground.read(&format!("node/{id}")).await?;
    demand!(node["SecretID"] == "", "its secret is shown");
    Ok(())
}

async fn a_node_tells_its_attributes(ground: &Ground) -> Law {
    let id = ground.a_node().await?;
    let node = ground.read(&format!("node/{id}")).await?;
    let keys = [
        "cpu.arch",
        "cpu.numcores",
        "cpu.totalcompute",
        "kernel.name",
        "memory.totalbytes",
        "nomad.version",
        "driver.raw_exec",
        "unique.hostname",
        "unique.network.ip-address",
        "unique.storage.bytestotal",
    ];
    let lacking = lacks(&node["Attributes"], &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}");
    let attributes = node["Attributes"].as_object().into_iter().flatten();
    let texts = attributes.clone().all(|(_, value)| value.is_string());
    demand!(texts, "not all attributes are texts");
    demand!(node["Attributes"]["kernel.name"] == "linux", "no linux");
    demand!(node["Attributes"]["driver.raw_exec"] == "1", "no raw_exec");
    Ok(())
}

async fn a_node_tells_its_resources(ground: &Ground) -> Law {
    let id = ground.a_node().await?;
    let node = ground.read(&format!("node/{id}")).await?;
    let resources = &node["NodeResources"];
    demand!(resources["Cpu"]["CpuShares"] == 4000, "got {resources}");
    demand!(resources["Memory"]["MemoryMB"] == 4096, "got {resources}");
    demand!(
        resources["Disk"]["DiskMB"].as_u64() > Some(0),
        "got {resources}"
    );
    let reserved = &node["ReservedResources"];
    demand!(reserved["Cpu"]["CpuShares"] == 0, "got {reserved}");
    Ok(())
}

async fn a_node_says_where_its_api_is(ground: &Ground) -> Law {
    let id = ground.a_node().await?;
    let node = ground.read(&format!("node/{id}")).await?;
    let address = ground.first(Role::Client)?.info.address;
    demand!(
        node["HTTPAddr"] == format!("{address}:4646"),
        "got {}",
        node["HTTPAddr"]
    );
    demand!(node["TLSEnabled"] == true, "got {}", node["TLSEnabled"]);
    let class = node["ComputedClass"].as_str().unwrap_or_default();
    demand!(class.starts_with("v1:"), "its class is `{class}`");
    let at = node["StatusUpdatedAt"].as_u64().unwrap_or(0);
    demand!(
        at > 1_600_000_000 && at < 20_000_000_000,
        "{at} are no seconds"
    );
    Ok(())
}

async fn a_node_remembers_its_registration(ground: &Ground) -> Law {
    let id = ground.a_node().await?;
    let node = ground.read(&format!("node/{id}")).await?;
    let events = items(&node["Events"]);
    demand!(events.len() <= 10, "it has {} events", events.len());
    for event in events {
        let lacking = lacks(event, &["Message", "Subsystem", "Timestamp", "Details"]);
        demand!(lacking.is_empty(), "it lacks {lacking:?}: {event}");
    }
    let words = texts(&node["Events"], "Message");
    let known = words.iter().any(|word| word.starts_with("Node "));
    demand!(known, "got {words:?}");
    Ok(())
}

async fn nodes_are_found_by_the_start_of_their_id(ground: &Ground) -> Law {
    let id = ground.a_node().await?;
    let found = ground.read(&format!("nodes?prefix={}", &id[..8])).await?;
    demand!(texts(&found, "ID").contains(&id.as_str()), "got {found}");
    let others = items(&found).iter().filter(|node| {
        let id_of = node["ID"].as_str().unwrap_or_default();
        !id_of.starts_with(&id[..8])
    });
    demand!(others.count() == 0, "got {found}");
    Ok(())
}

async fn an_odd_start_of_an_id_is_refused(ground: &Ground) -> Law {
    let id = ground.a_node().await?;
    for prefix in [&id[..3], "nonsense"] {
        let path = format!("nodes?prefix={prefix}");
        ground.get(&path).await?.status(500)?;
    }
    Ok(())
}

async fn resources_are_listed_when_asked(ground: &Ground) -> Law {
    // Unasked they are absent or null.
    let plain = ground.read("nodes").await?;
    demand!(plain[0]["NodeResources"].is_null(), "unasked: {plain}");
    let with = ground.read("nodes?resources=true").await?;
    for key in ["NodeResources", "ReservedResources"] {
        demand!(with[0][key].is_object(), "`{key}` is {}", with[0][key]);
    }
    Ok(())
}

async fn an_unknown_node_is_404_to_read(ground: &Ground) -> Law {
    let path = format!("node/{}", uuid::Uuid::new_v4());
    ground.get(&path).await?.refuses(404, "node not found")
}

async fn an_unknown_node_is_500_to_change(ground: &Ground) -> Law {
    let path = format!("node/{}", uuid::Uuid::new_v4());
    let body = json!({ "Eligibility": "eligible" });
    ground
        .put(&format!("{path}/eligibility"), &body)
        .await?
        .refuses(500, "node not found")?;
    for verb in ["evaluate", "purge"] {
        ground
            .put(&format!("{path}/{verb}"), &json!({}))
            .await?
            .refuses(500, "node not found")?;
    }
    Ok(())
}

async fn eligibility_is_one_of_two_words(ground: &Ground) -> Law {
    let path = format!("node/{}/eligibility", ground.a_node().await?);
    ground
        .put(&path, &json!({ "Eligibility": "perhaps" }))
        .await?
        .refuses(500, "invalid scheduling eligibility \"perhaps\"")
}

async fn an_ineligible_node_gets_nothing_new_and_keeps_what_it_has(ground: &Ground) -> Law {
    let node = ground.a_node().await?;
    let mut job = given::service(ground, "web");
    job["Constraints"] = json!([
        { "LTarget": "${node.unique.id}", "Operand": "=", "RTarget": node },
    ]);
    ground.start(&job, 1).await?;
    let path = format!("node/{node}/eligibility");
    let eligible = json!({ "Eligibility": "eligible" });
    ground.at_the_end(Exchange::new("PUT", &path).json(&eligible));
    let reply = ground
        .write(&path, &json!({ "Eligibility": "ineligible" }))
        .await?;
    let lacking = lacks(
        &reply,
        &["NodeModifyIndex", "EvalIDs", "EvalCreateIndex", "Index"],
    );
    demand!(lacking.is_empty(), "the reply lacks {lacking:?}");
    let mut more = given::service(ground, "more");
    more["Constraints"] = job["Constraints"].clone();
    let eval = ground.evaluate(&more).await?;
    demand!(eval["QueuedAllocations"]["web"] == 1, "got {eval}");
    ground.running(given::id(&job), 1).await?;
    ground.write(&path, &eligible).await?;
    ground.running(given::id(&more), 1).await?;
    Ok(())
}

async fn eligibility_is_remembered_as_an_event(ground: &Ground) -> Law {
    let node = ground.a_node().await?;
    let path = format!("node/{node}/eligibility");
    let eligible = json!({ "Eligibility": "eligible" });
    ground.at_the_end(Exchange::new("PUT", &path).json(&eligible));
    ground
        .write(&path, &json!({ "Eligibility": "ineligible" }))
        .await?;
    ground.write(&path, &eligible).await?;
    let node = ground.read(&format!("node/{node}")).await?;
    let words = texts(&node["Events"], "Message");
    for word in ["ineligible", "eligible"] {
        let expected = format!("Node marked as {word} for scheduling");
        demand!(words.contains(&expected.as_str()), "got {words:?}");
    }
    Ok(())
}

async fn a_nodes_allocations_are_told_whole(ground: &Ground) -> Law {
    let job = given::service(ground, "web");
    let allocs = ground.start(&job, 1).await?;
    let node = allocs[0]["NodeID"].as_str().unwrap_or_default();
    let there = ground.read(&format!("node/{node}/allocations")).await?;
    let found = items(&there).iter().find(|a| a["ID"] == allocs[0]["ID"]);
    demand!(found.is_some(), "it is not among its node's");
    let whole = found.is_some_and(|alloc| alloc["Job"]["ID"] == given::id(&job));
    demand!(whole, "its job is not in it");
    Ok(())
}

async fn evaluating_a_node_evaluates_its_jobs(ground: &Ground) -> Law {
    let job = given::service(ground, "web");
    let allocs = ground.start(&job, 1).await?;
    let node = allocs[0]["NodeID"].as_str().unwrap_or_default();
    let reply = ground
        .write(&format!("node/{node}/evaluate"), &json!({}))
        .await?;
    demand!(!items(&reply["EvalIDs"]).is_empty(), "got {reply}");
    let path = format!("job/{}/evaluations", given::id(&job));
    let evals = ground.read(&path).await?;
    let triggers = texts(&evals, "TriggeredBy");
    demand!(triggers.contains(&"node-update"), "got {triggers:?}");
    Ok(())
}

async fn a_nodes_pool_is_default(ground: &Ground) -> Law {
    let nodes = ground.nodes().await?;
    let pools: Vec<_> = nodes.iter().map(|node| &node["NodePool"]).collect();
    let all = pools.iter().all(|pool| **pool == "default");
    demand!(all, "got {pools:?}");
    Ok(())
}

async fn the_built_in_pools_are_there(ground: &Ground) -> Law {
    let pools = ground.read("node/pools").await?;
    let names = texts(&pools, "Name");
    for name in ["default", "all"] {
        demand!(names.contains(&name), "`{name}` is not in {names:?}");
    }
    Ok(())
}
