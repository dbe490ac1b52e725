//! Namespaces.

use serde_json::json;

use super::answer::{Expect as _, items, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

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
