//! Who answers, and how old an answer may be.

use serde_json::{Value, json};

use super::answer::Expect as _;
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::directory::Entry;
use crate::nomad::Exchange;

const SECTION: &str = "Leader and followers";

pub(super) const CASES: &[Case] = &[
    law!(reads_carry_an_index_and_who_knew_a_leader),
    law!(a_missing_things_404_carries_an_index_too),
    law!(a_write_carries_the_index_at_which_it_was_taken),
    law!(every_agent_takes_writes),
    law!(a_write_is_seen_by_a_read_of_any_server),
    law!(a_follower_answers_stale_reads_itself),
    law!(the_leaders_answer_is_no_time_old),
    law!(indexes_never_go_down),
    law!(an_objects_index_is_that_of_its_write),
];

async fn leader(ground: &Ground) -> Result<Entry, Broken> {
    let address = ground.read("status/leader").await?;
    let found = ground.directory.at(address.as_str().unwrap_or_default());
    found
        .cloned()
        .ok_or_else(|| Broken::new(format!("{address} is none of the servers")))
}

async fn reads_carry_an_index_and_who_knew_a_leader(ground: &Ground) -> Law {
    // A table that was never written may have index 0: these were.
    ground.evaluate(&given::batch(ground, "once", 0)).await?;
    for path in ["jobs", "nodes", "evaluations", "allocations"] {
        let answer = ground.get(path).await?.status(200)?;
        let index = answer.header("x-nomad-index").unwrap_or_default();
        let number: u64 = index.parse().unwrap_or(0);
        demand!(number >= 1, "{path}: the index is `{index}`");
        let known = answer.header("x-nomad-knownleader");
        demand!(known == Some("true"), "{path}: known leader {known:?}");
        let contact = answer.header("x-nomad-lastcontact");
        demand!(contact == Some("0"), "{path}: last contact {contact:?}");
    }
    Ok(())
}

async fn a_missing_things_404_carries_an_index_too(ground: &Ground) -> Law {
    let id = uuid::Uuid::new_v4();
    for path in ["job", "node", "evaluation", "allocation", "deployment"] {
        let answer = ground.get(&format!("{path}/{id}")).await?.status(404)?;
        let has = answer.header("x-nomad-index").is_some();
        demand!(has, "{path}: no index");
        let known = answer.header("x-nomad-knownleader");
        demand!(known == Some("true"), "{path}: known leader {known:?}");
    }
    Ok(())
}

async fn a_write_carries_the_index_at_which_it_was_taken(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.forget(given::id(&job));
    let answer = ground.put("jobs", &json!({ "Job": job })).await?;
    let header = answer.header("x-nomad-index").map(str::to_owned);
    let reply = answer.value()?;
    let told = reply["Index"].as_u64().map(|index| index.to_string());
    demand!(header.is_some() && header == told, "{header:?}, {reply}");
    Ok(())
}

async fn every_agent_takes_writes(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.forget(given::id(&job));
    let asked = Exchange::new("PUT", "jobs").json(&json!({ "Job": job }));
    for entry in ground.directory.all() {
        entry.api.exchange(&asked).await?.value()?;
    }
    Ok(())
}

async fn a_write_is_seen_by_a_read_of_any_server(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    let path = format!("job/{}", given::id(&job));
    ground.register(&job).await?;
    for (turn, entry) in ground.directory.servers().enumerate() {
        job["Priority"] = json!(20 + turn);
        ground.register(&job).await?;
        let seen = entry.api.exchange(&Exchange::new("GET", &path)).await?;
        let seen = seen.value()?;
        let who = &entry.info.name;
        demand!(
            seen["Priority"] == 20 + turn,
            "{who} still has {}",
            seen["Priority"]
        );
    }
    Ok(())
}

async fn a_follower_answers_stale_reads_itself(ground: &Ground) -> Law {
    let leader = leader(ground).await?;
    let mut others = ground.directory.servers();
    let Some(follower) = others.find(|one| one.info.name != leader.info.name) else {
        return Ok(());
    };
    let asked = Exchange::new("GET", "nodes?stale");
    let answer = follower.api.exchange(&asked).await?.status(200)?;
    let contact = answer.header("x-nomad-lastcontact").unwrap_or_default();
    let age: u64 = contact.parse().unwrap_or(u64::MAX);
    demand!(age < 10_000, "it is {contact} ms old");
    let known = answer.header("x-nomad-knownleader");
    demand!(known == Some("true"), "known leader {known:?}");
    Ok(())
}

async fn the_leaders_answer_is_no_time_old(ground: &Ground) -> Law {
    let leader = leader(ground).await?;
    let asked = Exchange::new("GET", "nodes?stale");
    let answer = leader.api.exchange(&asked).await?.status(200)?;
    let contact = answer.header("x-nomad-lastcontact");
    demand!(contact == Some("0"), "it is {contact:?} ms old");
    Ok(())
}

async fn indexes_never_go_down(ground: &Ground) -> Law {
    let mut last = 0;
    for turn in 0..4 {
        let mut job = given::waiting(ground, "web");
        job["Priority"] = json!(30 + turn);
        let reply = ground.register(&job).await?;
        let index = reply["Index"].as_u64().unwrap_or(0);
        demand!(index > last, "after {last} came {reply}");
        last = index;
    }
    Ok(())
}

async fn an_objects_index_is_that_of_its_write(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let reply = ground.register(&job).await?;
    let seen: Value = ground.read(&format!("job/{}", given::id(&job))).await?;
    let written = &reply["JobModifyIndex"];
    demand!(seen["JobModifyIndex"] == *written, "{reply}, {seen}");
    demand!(seen["CreateIndex"] == *written, "{reply}, {seen}");
    demand!(
        seen["ModifyIndex"].as_u64() >= written.as_u64(),
        "{reply}, {seen}"
    );
    Ok(())
}
