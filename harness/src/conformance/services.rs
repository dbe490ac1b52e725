//! Nomad's own service discovery.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Services";

pub(super) const CASES: &[Case] = &[
    law!(a_running_allocation_registers_its_service).since(1, 3, 0),
    law!(services_are_listed_by_namespace).since(1, 3, 0),
    law!(a_stopped_jobs_services_are_gone).since(1, 3, 0),
    law!(an_unknown_service_is_no_one).since(1, 3, 0),
];

/// Starts two web servers with a service of their own; returns the job and the service's name.
async fn serving(ground: &Ground) -> Result<(Value, String), Broken> {
    let mut job = given::services(ground, "web", 2);
    let name = ground.named("svc");
    given::group(&mut job)["Services"] = json!([{
        "Name": name, "PortLabel": "http", "Provider": "nomad", "Tags": ["one", "two"],
    }]);
    ground.start(&job, 2).await?;
    Ok((job, name))
}

async fn registered(ground: &Ground, name: &str, count: usize) -> Result<Value, Broken> {
    let what = format!("{count} instances");
    ground
        .until(&what, &format!("service/{name}"), |found| {
            items(found).len() == count
        })
        .await
}

async fn a_running_allocation_registers_its_service(ground: &Ground) -> Law {
    let (job, name) = serving(ground).await?;
    let found = registered(ground, &name, 2).await?;
    let keys = [
        "ID",
        "ServiceName",
        "Namespace",
        "NodeID",
        "Datacenter",
        "JobID",
        "AllocID",
        "Tags",
        "Address",
        "Port",
        "CreateIndex",
        "ModifyIndex",
    ];
    for one in items(&found) {
        let lacking = lacks(one, &keys);
        demand!(lacking.is_empty(), "it lacks {lacking:?}: {one}");
        demand!(one["JobID"] == given::id(&job), "got {one}");
        demand!(one["Tags"] == json!(["one", "two"]), "got {one}");
        let port = one["Port"].as_u64().unwrap_or(0);
        demand!(port >= 20_000, "got {one}");
    }
    Ok(())
}

async fn services_are_listed_by_namespace(ground: &Ground) -> Law {
    let (_, name) = serving(ground).await?;
    registered(ground, &name, 2).await?;
    let list = ground.read("services").await?;
    let space = items(&list)
        .iter()
        .find(|one| one["Namespace"] == "default");
    let names = space.map(|one| texts(&one["Services"], "ServiceName"));
    let has = names
        .as_ref()
        .is_some_and(|all| all.contains(&name.as_str()));
    demand!(has, "`{name}` is not in {list}");
    Ok(())
}

async fn a_stopped_jobs_services_are_gone(ground: &Ground) -> Law {
    let (job, name) = serving(ground).await?;
    registered(ground, &name, 2).await?;
    ground
        .delete(&format!("job/{}", given::id(&job)))
        .await?
        .good()?;
    registered(ground, &name, 0).await.map(drop)
}

async fn an_unknown_service_is_no_one(ground: &Ground) -> Law {
    let path = format!("service/{}", ground.named("none"));
    let found = ground.read(&path).await?;
    demand!(items(&found).is_empty(), "got {found}");
    Ok(())
}
