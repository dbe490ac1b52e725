//! Namespaces.

use serde_json::{Value, json};

use super::acl::{denied, get};
use super::answer::{Expect as _, items, lacks, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::{Api, Exchange};

const SECTION: &str = "Namespaces";

pub(super) const CASES: &[Case] = &[
    law!(the_default_namespace_is_there),
    law!(the_default_namespace_cannot_be_deleted),
    law!(a_job_in_an_unknown_namespace_is_refused),
    law!(an_unknown_namespace_is_404),
    law!(a_new_namespace_is_read_and_deleted),
    law!(the_same_job_id_lives_in_two_namespaces),
    law!(a_star_lists_all_namespaces),
    law!(a_namespace_with_jobs_is_not_deleted),
    law!(writing_a_namespace_answers_nothing),
    law!(a_namespaces_name_must_be_the_paths),
    law!(a_namespaces_name_has_no_blanks),
    law!(only_management_manages_namespaces),
    law!(a_token_sees_its_namespaces_only),
    law!(rights_are_held_in_their_namespace),
    // Its end collects garbage, others' evaluations too.
    law!(an_allocation_is_in_its_jobs_namespace).alone(),
    law!(a_namespace_may_forbid_a_driver).since(1, 3, 0),
    law!(a_namespace_with_variables_is_not_deleted).since(1, 4, 0),
];

/// Makes a namespace that is gone when the case ends.
async fn made(ground: &Ground) -> Result<String, Broken> {
    let name = ground.named("space");
    let path = format!("namespace/{name}");
    ground.at_the_end(Exchange::new("DELETE", &path));
    let body = json!({ "Name": name, "Description": "for a case" });
    ground.put(&path, &body).await?.good()?;
    Ok(name)
}

async fn the_default_namespace_is_there(ground: &Ground) -> Law {
    let spaces = ground.read("namespaces").await?;
    let names = texts(&spaces, "Name");
    demand!(names.contains(&"default"), "got {names:?}");
    let one = ground.read("namespace/default").await?;
    demand!(
        one["Description"] == "Default shared namespace",
        "got {one}"
    );
    Ok(())
}

async fn the_default_namespace_cannot_be_deleted(ground: &Ground) -> Law {
    ground
        .delete("namespace/default")
        .await?
        .refuses(500, "can not delete default namespace")
}

async fn a_job_in_an_unknown_namespace_is_refused(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    job["Namespace"] = json!("nowhere");
    ground
        .put("jobs", &json!({ "Job": job }))
        .await?
        .refuses(500, "nonexistent namespace")
}

async fn an_unknown_namespace_is_404(ground: &Ground) -> Law {
    ground
        .get("namespace/nowhere")
        .await?
        .refuses(404, "Namespace not found")
}

async fn a_new_namespace_is_read_and_deleted(ground: &Ground) -> Law {
    let name = made(ground).await?;
    let path = format!("namespace/{name}");
    let one = ground.read(&path).await?;
    demand!(one["Description"] == "for a case", "got {one}");
    ground.delete(&path).await?.good()?;
    ground.get(&path).await?.status(404).map(drop)
}

async fn the_same_job_id_lives_in_two_namespaces(ground: &Ground) -> Law {
    let name = made(ground).await?;
    let mut job = given::waiting(ground, "web");
    let id = given::id(&job).to_owned();
    ground.register(&job).await?;
    job["Namespace"] = json!(name);
    job["Priority"] = json!(9);
    let there = format!("job/{id}?namespace={name}");
    ground.at_the_end(Exchange::new("DELETE", &format!("{there}&purge=true")));
    ground.write("jobs", &json!({ "Job": job })).await?;
    let (here, there) = (
        ground.read(&format!("job/{id}")).await?,
        ground.read(&there).await?,
    );
    demand!(here["Priority"] == 50, "got {}", here["Priority"]);
    demand!(there["Priority"] == 9, "got {}", there["Priority"]);
    Ok(())
}

/// A namespace with a job in it: both their names.
async fn made_with_job(ground: &Ground) -> Result<(String, String), Broken> {
    let name = made(ground).await?;
    let mut job = given::waiting(ground, "web");
    let id = given::id(&job).to_owned();
    job["Namespace"] = json!(name);
    let purge = format!("job/{id}?namespace={name}&purge=true");
    ground.at_the_end(Exchange::new("DELETE", &purge));
    ground.write("jobs", &json!({ "Job": job })).await?;
    Ok((name, id))
}

async fn a_star_lists_all_namespaces(ground: &Ground) -> Law {
    let (name, id) = made_with_job(ground).await?;
    let own = ground.read(&format!("jobs?prefix={id}")).await?;
    demand!(items(&own).is_empty(), "the default one lists {own}");
    let all = ground
        .read(&format!("jobs?prefix={id}&namespace=*"))
        .await?;
    demand!(texts(&all, "Namespace") == [name], "got {all}");
    Ok(())
}

async fn a_namespace_with_jobs_is_not_deleted(ground: &Ground) -> Law {
    let (name, _) = made_with_job(ground).await?;
    let path = format!("namespace/{name}");
    ground
        .delete(&path)
        .await?
        .refuses(500, "non-terminal jobs")
}

async fn writing_a_namespace_answers_nothing(ground: &Ground) -> Law {
    let name = made(ground).await?;
    let path = format!("namespace/{name}");
    let body = json!({ "Name": name, "Description": "another" });
    ground.put("namespace", &body).await?.empty()?;
    let one = ground.read(&path).await?;
    demand!(one["Description"] == "another", "got {one}");
    let keys = ["Name", "Description", "Quota", "CreateIndex", "ModifyIndex"];
    let lacking = lacks(&one, &keys);
    demand!(lacking.is_empty(), "it lacks {lacking:?}: {one}");
    let newer = one["ModifyIndex"].as_u64() > one["CreateIndex"].as_u64();
    demand!(newer, "got {one}");
    ground.delete(&path).await?.empty()
}

async fn a_namespaces_name_must_be_the_paths(ground: &Ground) -> Law {
    let path = format!("namespace/{}", ground.named("one"));
    ground
        .put(&path, &json!({ "Name": "other" }))
        .await?
        .refuses(400, "Namespace name does not match request path")
}

async fn a_namespaces_name_has_no_blanks(ground: &Ground) -> Law {
    ground
        .put("namespace", &json!({ "Name": "two words" }))
        .await?
        .refuses(500, "invalid name \"two words\"")
}

async fn only_management_manages_namespaces(ground: &Ground) -> Law {
    let rules = "namespace \"*\" { policy = \"write\" }";
    let writer = ground.with_rules("writer", rules).await?;
    let body = json!({ "Name": ground.named("mine") });
    denied(&writer, Exchange::new("PUT", "namespace").json(&body)).await?;
    let path = format!("namespace/{}", made(ground).await?);
    denied(&writer, Exchange::new("DELETE", &path)).await
}

/// A client that may read the jobs of one namespace.
async fn reader_of(ground: &Ground, name: &str) -> Result<Api, Broken> {
    let rules = format!("namespace {name:?} {{ policy = \"read\" }}");
    ground.with_rules("reader", &rules).await
}

async fn a_token_sees_its_namespaces_only(ground: &Ground) -> Law {
    let name = made(ground).await?;
    let reader = reader_of(ground, &name).await?;
    let seen = reader.exchange(&get("namespaces")).await?.value()?;
    demand!(texts(&seen, "Name") == [name.as_str()], "got {seen}");
    let path = format!("namespace/{name}");
    reader.exchange(&get(&path)).await?.good()?;
    denied(&reader, get("namespace/default")).await
}

async fn rights_are_held_in_their_namespace(ground: &Ground) -> Law {
    let (name, id) = made_with_job(ground).await?;
    let reader = reader_of(ground, &name).await?;
    let path = format!("job/{id}?namespace={name}");
    reader.exchange(&get(&path)).await?.good()?;
    denied(&reader, get("jobs")).await?;
    let all = reader.exchange(&get("jobs?namespace=*")).await?.value()?;
    demand!(texts(&all, "Namespace") == [name], "got {all}");
    denied(&reader, Exchange::new("DELETE", &path)).await
}

async fn an_allocation_is_in_its_jobs_namespace(ground: &Ground) -> Law {
    let name = made(ground).await?;
    let mut job = given::batch(ground, "web", 0);
    let id = given::id(&job).to_owned();
    job["Namespace"] = json!(name);
    let there = format!("job/{id}/allocations?namespace={name}");
    ground.at_the_end(Exchange::new("PUT", "system/gc"));
    let purge = format!("job/{id}?namespace={name}&purge=true");
    ground.at_the_end(Exchange::new("DELETE", &purge));
    ground.write("jobs", &json!({ "Job": job })).await?;
    let complete = |found: &Value| found[0]["ClientStatus"] == "complete";
    let found = ground
        .until("a complete allocation", &there, complete)
        .await?;
    demand!(found[0]["Namespace"] == name, "got {found}");
    let own = ground.read(&format!("job/{id}/allocations")).await?;
    demand!(items(&own).is_empty(), "the default one has {own}");
    let all = ground.read("allocations?namespace=*").await?;
    let spaces = texts(&all, "Namespace");
    demand!(spaces.contains(&name.as_str()), "got {spaces:?}");
    let evals = ground
        .read(&format!("evaluations?namespace={name}"))
        .await?;
    demand!(!items(&evals).is_empty(), "there is no evaluation");
    Ok(())
}

async fn a_namespace_may_forbid_a_driver(ground: &Ground) -> Law {
    let name = made(ground).await?;
    let rules = json!({ "DisabledTaskDrivers": ["raw_exec"] });
    let body = json!({ "Name": name, "Capabilities": rules });
    ground.put("namespace", &body).await?.good()?;
    let mut job = given::waiting(ground, "web");
    job["Namespace"] = json!(name);
    ground
        .put("jobs", &json!({ "Job": job }))
        .await?
        .refuses(500, "\"raw_exec\" is not allowed in namespace")
}

async fn a_namespace_with_variables_is_not_deleted(ground: &Ground) -> Law {
    let name = made(ground).await?;
    let variable = format!("var/app?namespace={name}");
    ground.at_the_end(Exchange::new("DELETE", &variable));
    ground
        .write(&variable, &json!({ "Items": { "key": "value" } }))
        .await?;
    ground
        .delete(&format!("namespace/{name}"))
        .await?
        .refuses(500, "has variables associated with it")
}
