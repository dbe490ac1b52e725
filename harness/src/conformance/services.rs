//! Nomad's own service discovery.

use serde_json::{Value, json};

use super::acl::denied;
use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Services";

pub(super) const CASES: &[Case] = &[
    law!(a_running_allocation_registers_its_service).since(1, 3, 0),
    law!(services_are_listed_by_namespace).since(1, 3, 0),
    law!(a_stopped_jobs_services_are_gone).since(1, 3, 0),
    law!(an_unknown_service_is_no_one).since(1, 3, 0),
    law!(checks_tell_what_they_found).since(1, 4, 0),
    law!(a_deployment_waits_for_checks).since(1, 4, 0),
    law!(no_deployment_waits_for_what_is_only_ready).since(1, 4, 0),
    law!(tasks_alone_decide_where_the_job_says_so).since(1, 4, 0),
    law!(a_stopped_allocation_has_no_checks).since(1, 4, 0),
    law!(an_allocation_without_checks_tells_none).since(1, 4, 0),
    law!(a_check_must_make_sense).since(1, 4, 0),
    law!(checks_are_for_who_may_read_jobs).since(1, 4, 0),
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

const SECOND: i64 = 1_000_000_000;

/// A web server whose service has this check, by which its health is decided.
fn checked(ground: &Ground, check: &Value) -> Value {
    let mut job = given::service(ground, "web");
    let group = given::group(&mut job);
    group["Update"]["HealthCheck"] = json!("checks");
    let mut whole = json!({ "Name": "asks", "Interval": SECOND, "Timeout": 5 * SECOND });
    for (name, value) in check.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    group["Services"] = json!([{
        "Name": ground.named("svc"), "PortLabel": "http", "Provider": "nomad", "Checks": [whole],
    }]);
    job
}

/// A path that the web server has, and one that it has not.
fn web(path: &str) -> Value {
    json!({ "Type": "http", "Path": path })
}

/// Starts the job's only allocation; returns its ID.
async fn started(ground: &Ground, job: &Value) -> Result<String, Broken> {
    let allocs = ground.start(job, 1).await?;
    Ok(allocs[0]["ID"].as_str().unwrap_or_default().to_owned())
}

/// Waits until the only check of an allocation has this status; returns its result.
async fn found(ground: &Ground, alloc: &str, status: &str) -> Result<Value, Broken> {
    let path = format!("client/allocation/{alloc}/checks");
    let only = |results: &Value| results.as_object()?.values().next().cloned();
    let so = |results: &Value| only(results).is_some_and(|one| one["Status"] == status);
    let what = format!("a check that is a {status}");
    let results = ground.until(&what, &path, so).await?;
    Ok(only(&results).unwrap_or_default())
}

async fn checks_tell_what_they_found(ground: &Ground) -> Law {
    let job = checked(ground, &web("/health"));
    let alloc = started(ground, &job).await?;
    let good = found(ground, &alloc, "success").await?;
    let keys = [
        "ID",
        "Mode",
        "Output",
        "Timestamp",
        "Group",
        "Service",
        "Check",
    ];
    let lacking = lacks(&good, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {good}");
    demand!(good["StatusCode"] == 200, "got {good}");
    demand!(good["Output"] == "nomad: http ok", "got {good}");
    demand!(good["Mode"] == "healthiness", "got {good}");
    demand!(good["Check"] == "asks", "got {good}");
    demand!(good["Service"] == ground.named("svc"), "got {good}");
    ground.deployed(given::id(&job), "successful").await?;
    // A job of its own: a change of a check keeps the allocation, and shows the old result a while.
    let mut job = checked(ground, &json!({ "Type": "tcp" }));
    (job["ID"], job["Name"]) = (json!(ground.named("tcp")), json!(ground.named("tcp")));
    let alloc = started(ground, &job).await?;
    let open = found(ground, &alloc, "success").await?;
    demand!(open["Output"] == "nomad: tcp ok", "got {open}");
    demand!(open.get("StatusCode").is_none(), "got {open}");
    Ok(())
}

async fn a_deployment_waits_for_checks(ground: &Ground) -> Law {
    let mut job = checked(ground, &web("/nowhere"));
    given::group(&mut job)["Update"]["HealthyDeadline"] = json!(3 * SECOND);
    given::group(&mut job)["Update"]["ProgressDeadline"] = json!(4 * SECOND);
    let alloc = started(ground, &job).await?;
    let bad = found(ground, &alloc, "failure").await?;
    demand!(bad["StatusCode"] == 404, "got {bad}");
    ground.deployed(given::id(&job), "failed").await?;
    let seen = ground.read(&format!("allocation/{alloc}")).await?;
    let health = &seen["DeploymentStatus"]["Healthy"];
    demand!(*health == false, "its health is {health}");
    demand!(
        seen["ClientStatus"] == "running",
        "it is {}",
        seen["ClientStatus"]
    );
    Ok(())
}

async fn no_deployment_waits_for_what_is_only_ready(ground: &Ground) -> Law {
    let mut check = web("/nowhere");
    check["OnUpdate"] = json!("ignore");
    let job = checked(ground, &check);
    let alloc = started(ground, &job).await?;
    ground.deployed(given::id(&job), "successful").await?;
    let bad = found(ground, &alloc, "failure").await?;
    demand!(bad["Mode"] == "readiness", "got {bad}");
    Ok(())
}

async fn tasks_alone_decide_where_the_job_says_so(ground: &Ground) -> Law {
    let mut job = checked(ground, &web("/nowhere"));
    given::group(&mut job)["Update"]["HealthCheck"] = json!("task_states");
    let alloc = started(ground, &job).await?;
    ground.deployed(given::id(&job), "successful").await?;
    found(ground, &alloc, "failure").await.map(drop)
}

async fn a_stopped_allocation_has_no_checks(ground: &Ground) -> Law {
    let job = checked(ground, &web("/health"));
    let alloc = started(ground, &job).await?;
    found(ground, &alloc, "success").await?;
    let path = format!("job/{}", given::id(&job));
    ground.delete(&path).await?.good()?;
    let path = format!("client/allocation/{alloc}/checks");
    let none = |results: &Value| results.as_object().is_none_or(serde_json::Map::is_empty);
    ground.until("no checks", &path, none).await.map(drop)
}

async fn an_allocation_without_checks_tells_none(ground: &Ground) -> Law {
    let alloc = started(ground, &given::service(ground, "web")).await?;
    let path = format!("client/allocation/{alloc}/checks");
    let results = ground.read(&path).await?;
    demand!(results.is_null(), "got {results}");
    let unknown = format!("client/allocation/{}/checks", uuid::Uuid::new_v4());
    ground
        .get(&unknown)
        .await?
        .refuses(404, "Unknown allocation")
}

async fn a_check_must_make_sense(ground: &Ground) -> Law {
    for (check, words) in [
        (json!({ "Type": "script" }), "invalid check type"),
        (json!({ "Type": "http" }), "http type must have http path"),
        (
            json!({ "Type": "tcp", "Interval": 0 }),
            "missing required value interval",
        ),
        (
            json!({ "Type": "tcp", "Timeout": SECOND / 10 }),
            "is lower than required minimum timeout",
        ),
        (
            json!({ "Type": "tcp", "OnUpdate": "ignore_warnings" }),
            "on_update may only be set to ignore_warnings for Consul service checks",
        ),
        (
            json!({ "Type": "tcp", "TaskName": "nobody" }),
            "refers to non-existent task nobody",
        ),
    ] {
        let body = json!({ "Job": checked(ground, &check) });
        ground.put("jobs", &body).await?.refuses(500, words)?;
    }
    Ok(())
}

async fn checks_are_for_who_may_read_jobs(ground: &Ground) -> Law {
    let alloc = started(ground, &given::service(ground, "web")).await?;
    let rules = "namespace \"default\" { capabilities = [\"list-jobs\"] }";
    let lister = ground.with_rules("lister", rules).await?;
    let path = format!("client/allocation/{alloc}/checks");
    denied(&lister, Exchange::new("GET", &path)).await
}
