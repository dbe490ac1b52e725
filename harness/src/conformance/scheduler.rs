//! The scheduler's switches.

use serde_json::{Value, json};

use super::answer::{Expect as _, lacks};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Scheduler configuration";
const PATH: &str = "operator/scheduler/configuration";

pub(super) const CASES: &[Case] = &[
    law!(the_scheduler_packs_unless_told_otherwise),
    law!(only_system_jobs_preempt_unless_told_otherwise),
    law!(an_unknown_algorithm_is_refused),
    law!(the_switches_are_changed_only_at_their_index).alone(),
    law!(the_spread_algorithm_spreads).alone(),
    law!(reading_the_switches_wants_the_right_to_read_operators),
    law!(registration_can_be_rejected).since(1, 3, 0).alone(),
];

/// Reads the switches, and has them put back when the case ends.
async fn switches(ground: &Ground) -> Result<Value, Broken> {
    let config = ground.read(PATH).await?["SchedulerConfig"].clone();
    ground.at_the_end(Exchange::new("PUT", PATH).json(&config));
    Ok(config)
}

async fn the_scheduler_packs_unless_told_otherwise(ground: &Ground) -> Law {
    let reply = ground.read(PATH).await?;
    let lacking = lacks(
        &reply,
        &["SchedulerConfig", "Index", "LastContact", "KnownLeader"],
    );
    demand!(lacking.is_empty(), "the reply lacks {lacking:?}");
    let config = &reply["SchedulerConfig"];
    demand!(config["SchedulerAlgorithm"] == "binpack", "got {config}");
    demand!(
        config["MemoryOversubscriptionEnabled"] == false,
        "got {config}"
    );
    Ok(())
}

async fn only_system_jobs_preempt_unless_told_otherwise(ground: &Ground) -> Law {
    let reply = ground.read(PATH).await?;
    let config = &reply["SchedulerConfig"]["PreemptionConfig"];
    for (key, expected) in [
        ("SystemSchedulerEnabled", true),
        ("BatchSchedulerEnabled", false),
        ("ServiceSchedulerEnabled", false),
    ] {
        demand!(config[key] == expected, "`{key}` is {}", config[key]);
    }
    Ok(())
}

async fn an_unknown_algorithm_is_refused(ground: &Ground) -> Law {
    let body = json!({ "SchedulerAlgorithm": "nonsense" });
    ground
        .put(PATH, &body)
        .await?
        .refuses(400, "invalid scheduler algorithm: nonsense")
}

async fn the_switches_are_changed_only_at_their_index(ground: &Ground) -> Law {
    let mut config = switches(ground).await?;
    let index = config["ModifyIndex"].as_u64().unwrap_or(0);
    config["PreemptionConfig"]["BatchSchedulerEnabled"] = json!(true);
    let wrong = format!("{PATH}?cas={}", index + 1_000_000);
    let reply = ground.write(&wrong, &config).await?;
    demand!(reply["Updated"] == false, "got {reply}");
    let right = format!("{PATH}?cas={index}");
    let reply = ground.write(&right, &config).await?;
    demand!(reply["Updated"] == true, "got {reply}");
    let after = ground.read(PATH).await?["SchedulerConfig"].clone();
    let seen = &after["PreemptionConfig"]["BatchSchedulerEnabled"];
    demand!(*seen == true, "got {after}");
    demand!(after["ModifyIndex"].as_u64() > Some(index), "got {after}");
    Ok(())
}

async fn the_spread_algorithm_spreads(ground: &Ground) -> Law {
    let mut config = switches(ground).await?;
    config["SchedulerAlgorithm"] = json!("spread");
    ground.write(PATH, &config).await?;
    let job = given::service(ground, "web");
    let allocs = ground.start(&job, 1).await?;
    let id = allocs[0]["ID"].as_str().unwrap_or_default();
    let alloc = ground.read(&format!("allocation/{id}")).await?;
    let scores = &alloc["Metrics"]["ScoreMetaData"];
    let spreads = super::answer::items(scores)
        .iter()
        .filter_map(|one| one["Scores"]["binpack"].as_f64());
    // An almost empty node scores high when spreading, low when packing.
    let highest = spreads.fold(0.0, f64::max);
    demand!(highest > 0.7, "the highest score is {highest}: {scores}");
    Ok(())
}

async fn reading_the_switches_wants_the_right_to_read_operators(ground: &Ground) -> Law {
    let rules = "namespace \"default\" { policy = \"write\" }";
    let writer = ground.with_rules("writer", rules).await?;
    writer
        .exchange(&Exchange::new("GET", PATH))
        .await?
        .refuses(403, "Permission denied")
}

async fn registration_can_be_rejected(ground: &Ground) -> Law {
    let mut config = switches(ground).await?;
    config["RejectJobRegistration"] = json!(true);
    ground.write(PATH, &config).await?;
    let job = given::waiting(ground, "web");
    ground.forget(given::id(&job));
    // A management token may register all the same.
    ground.put("jobs", &json!({ "Job": job })).await?.good()?;
    let rules = "namespace \"default\" { policy = \"write\" }";
    let writer = ground.with_rules("writer", rules).await?;
    let asked = Exchange::new("PUT", "jobs").json(&json!({ "Job": job }));
    writer.exchange(&asked).await?.status(403).map(drop)
}
