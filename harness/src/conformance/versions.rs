//! A job's versions: how they come about, and the way back.

use serde_json::{Value, json};

use super::answer::{Expect as _, items, texts};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;

const SECTION: &str = "Job versions";

pub(super) const CASES: &[Case] = &[
    law!(the_first_version_is_0),
    law!(the_same_job_again_is_no_new_version),
    law!(a_weighed_constraint_makes_no_new_version).since(1, 1, 3),
    law!(a_changed_job_is_the_next_version),
    law!(versions_are_told_newest_first),
    law!(six_versions_are_kept),
    law!(stopping_a_job_is_a_version),
    law!(reverting_registers_an_old_version_anew),
    law!(reverting_to_the_current_version_is_refused),
    law!(reverting_to_an_unknown_version_is_refused),
    law!(reverting_an_unknown_job_is_refused),
    law!(reverting_may_enforce_the_version_before),
    law!(reverting_wants_the_jobs_name),
    law!(a_version_is_marked_stable_by_hand),
    law!(versions_tell_their_differences_when_asked),
];

async fn job(ground: &Ground, job: &Value) -> Result<Value, Broken> {
    ground.read(&format!("job/{}", given::id(job))).await
}

/// Registers a job, and then changes of it; returns the last.
async fn versions(ground: &Ground, count: usize) -> Result<Value, Broken> {
    let mut job = given::waiting(ground, "web");
    for version in 0..count {
        job["Meta"] = json!({ "version": version.to_string() });
        ground.register(&job).await?;
    }
    Ok(job)
}

async fn the_first_version_is_0(ground: &Ground) -> Law {
    let asked = versions(ground, 1).await?;
    let seen = job(ground, &asked).await?;
    demand!(seen["Version"] == 0, "got {}", seen["Version"]);
    Ok(())
}

async fn the_same_job_again_is_no_new_version(ground: &Ground) -> Law {
    same_again(ground, &given::services(ground, "web", 0)).await
}

/// Nomad before 1.1.3 keeps beside a constraint how it is written, once a worker of the leader has
/// weighed it, and takes the same job for another then: a new version, or none where another
/// server's worker did.
async fn a_weighed_constraint_makes_no_new_version(ground: &Ground) -> Law {
    same_again(ground, &given::waiting(ground, "web")).await
}

/// Registers a job, and once it was evaluated registers it again.
async fn same_again(ground: &Ground, asked: &Value) -> Law {
    ground.evaluate(asked).await?;
    let before = job(ground, asked).await?;
    let reply = ground.register(asked).await?;
    let has = reply["EvalID"].as_str().is_some_and(|id| !id.is_empty());
    demand!(has, "there is no evaluation: {reply}");
    let after = job(ground, asked).await?;
    for key in ["Version", "JobModifyIndex", "CreateIndex"] {
        demand!(before[key] == after[key], "`{key}` became {}", after[key]);
    }
    Ok(())
}

async fn a_changed_job_is_the_next_version(ground: &Ground) -> Law {
    let asked = versions(ground, 3).await?;
    let seen = job(ground, &asked).await?;
    demand!(seen["Version"] == 2, "got {}", seen["Version"]);
    demand!(seen["JobModifyIndex"] != seen["CreateIndex"], "got {seen}");
    Ok(())
}

async fn versions_are_told_newest_first(ground: &Ground) -> Law {
    let asked = versions(ground, 3).await?;
    let path = format!("job/{}/versions", given::id(&asked));
    let seen = ground.read(&path).await?;
    let numbers: Vec<_> = items(&seen["Versions"])
        .iter()
        .map(|job| job["Version"].as_u64())
        .collect();
    let expected = [Some(2), Some(1), Some(0)];
    demand!(numbers == expected, "got {numbers:?}");
    demand!(seen["Diffs"].is_null(), "unasked: {}", seen["Diffs"]);
    Ok(())
}

async fn six_versions_are_kept(ground: &Ground) -> Law {
    let asked = versions(ground, 8).await?;
    let path = format!("job/{}/versions", given::id(&asked));
    let seen = ground.read(&path).await?;
    let numbers: Vec<_> = items(&seen["Versions"])
        .iter()
        .filter_map(|job| job["Version"].as_u64())
        .collect();
    demand!(numbers == [7, 6, 5, 4, 3, 2], "got {numbers:?}");
    Ok(())
}

async fn stopping_a_job_is_a_version(ground: &Ground) -> Law {
    let asked = versions(ground, 1).await?;
    let path = format!("job/{}", given::id(&asked));
    ground.delete(&path).await?.good()?;
    let seen = job(ground, &asked).await?;
    demand!(seen["Version"] == 1, "got {}", seen["Version"]);
    demand!(seen["Stop"] == true, "got {}", seen["Stop"]);
    ground.register(&asked).await?;
    let seen = job(ground, &asked).await?;
    demand!(seen["Version"] == 2, "got {}", seen["Version"]);
    demand!(seen["Stop"] == false, "got {}", seen["Stop"]);
    Ok(())
}

async fn revert(ground: &Ground, job: &Value, body: Value) -> Result<crate::nomad::Answer, Broken> {
    let mut body = body;
    body["JobID"] = json!(given::id(job));
    ground
        .put(&format!("job/{}/revert", given::id(job)), &body)
        .await
}

async fn reverting_registers_an_old_version_anew(ground: &Ground) -> Law {
    let asked = versions(ground, 2).await?;
    let reply = revert(ground, &asked, json!({ "JobVersion": 0 })).await?;
    let reply = reply.value()?;
    ground.done(&reply).await?;
    let seen = job(ground, &asked).await?;
    demand!(seen["Version"] == 2, "got {}", seen["Version"]);
    demand!(seen["Meta"]["version"] == "0", "got {}", seen["Meta"]);
    Ok(())
}

async fn reverting_to_the_current_version_is_refused(ground: &Ground) -> Law {
    let asked = versions(ground, 2).await?;
    revert(ground, &asked, json!({ "JobVersion": 1 }))
        .await?
        .refuses(500, "can't revert to current version")
}

async fn reverting_to_an_unknown_version_is_refused(ground: &Ground) -> Law {
    let asked = versions(ground, 2).await?;
    let id = given::id(&asked);
    let words = format!("job \"{id}\" in namespace \"default\" at version 9 not found");
    revert(ground, &asked, json!({ "JobVersion": 9 }))
        .await?
        .refuses(500, &words)
}

async fn reverting_an_unknown_job_is_refused(ground: &Ground) -> Law {
    let asked = given::waiting(ground, "none");
    let words = format!("job \"{}\" not found", given::id(&asked));
    revert(ground, &asked, json!({ "JobVersion": 0 }))
        .await?
        .refuses(500, &words)
}

async fn reverting_may_enforce_the_version_before(ground: &Ground) -> Law {
    let asked = versions(ground, 3).await?;
    let body = json!({ "JobVersion": 0, "EnforcePriorVersion": 1 });
    revert(ground, &asked, body)
        .await?
        .refuses(500, "Current job has version 2; enforcing version 1")?;
    let body = json!({ "JobVersion": 0, "EnforcePriorVersion": 2 });
    revert(ground, &asked, body).await?.good()
}

async fn reverting_wants_the_jobs_name(ground: &Ground) -> Law {
    let path = format!("job/{}/revert", ground.named("none"));
    ground
        .put(&path, &json!({ "JobVersion": 0 }))
        .await?
        .refuses(400, "JobID must be specified")?;
    ground
        .put(&path, &json!({ "JobID": "another", "JobVersion": 0 }))
        .await?
        .refuses(400, "Job ID does not match")
}

async fn a_version_is_marked_stable_by_hand(ground: &Ground) -> Law {
    let asked = versions(ground, 1).await?;
    let id = given::id(&asked);
    let path = format!("job/{id}/stable");
    let body = json!({ "JobID": id, "JobVersion": 0, "Stable": true });
    let reply = ground.write(&path, &body).await?;
    demand!(reply["Index"].as_u64() > Some(0), "got {reply}");
    let seen = job(ground, &asked).await?;
    demand!(seen["Stable"] == true, "got {}", seen["Stable"]);
    let body = json!({ "JobID": id, "JobVersion": 9, "Stable": true });
    ground
        .put(&path, &body)
        .await?
        .refuses(500, "at version 9 not found")
}

async fn versions_tell_their_differences_when_asked(ground: &Ground) -> Law {
    let asked = versions(ground, 2).await?;
    let path = format!("job/{}/versions?diffs=true", given::id(&asked));
    let seen = ground.read(&path).await?;
    let kinds = texts(&seen["Diffs"], "Type");
    demand!(kinds == ["Edited"], "got {}", seen["Diffs"]);
    let fields = texts(&seen["Diffs"][0]["Fields"], "Name");
    demand!(fields.contains(&"Meta[version]"), "got {fields:?}");
    Ok(())
}
