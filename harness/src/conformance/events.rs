//! The stream of events. The servers keep the last hundred only, so whoever streams beside busy
//! cases may be told that some were dropped: these run alone.

use serde_json::Value;

use super::answer::{Expect as _, items};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Exchange;

const SECTION: &str = "Events";

pub(super) const CASES: &[Case] = &[
    law!(a_registered_job_is_an_event).alone(),
    law!(an_evaluations_event_carries_it_whole).alone(),
    law!(a_topic_may_name_one_key).alone(),
    law!(events_want_a_number_for_an_index),
    law!(a_topic_is_one_name_and_one_key),
    law!(events_want_the_right_to_read_their_objects),
    law!(followers_and_clients_stream_events_too).alone(),
];

/// Reads a stream until an event is as wanted.
async fn event(
    api: &crate::nomad::Api,
    query: &str,
    wanted: impl Fn(&Value) -> bool + Send + Sync,
) -> Result<Value, Broken> {
    let find = |bytes: &[u8]| -> Option<Value> {
        let text = String::from_utf8_lossy(bytes);
        let frames = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        frames
            .flat_map(|frame: Value| items(&frame["Events"]).to_vec())
            .find(|event| wanted(event))
    };
    let asked = Exchange::new("GET", &format!("event/stream?{query}"));
    let enough = |bytes: &[u8]| find(bytes).is_some();
    let answer = api.exchange_until(&asked, enough).await?.status(200)?;
    find(&answer.body).ok_or_else(|| {
        let text = answer.text();
        Broken::new(format!("the stream ended without it: `{text:.200}`"))
    })
}

async fn a_registered_job_is_an_event(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let reply = ground.register(&job).await?;
    let query = format!("topic=Job:{}&index=0", given::id(&job));
    let one = event(ground.api()?, &query, |one| one["Type"] == "JobRegistered").await?;
    demand!(one["Topic"] == "Job", "got {one}");
    demand!(one["Key"] == given::id(&job), "got {one}");
    demand!(one["Namespace"] == "default", "got {one}");
    demand!(one["Index"] == reply["JobModifyIndex"], "got {one}");
    demand!(one["Payload"]["Job"]["ID"] == given::id(&job), "got {one}");
    Ok(())
}

async fn an_evaluations_event_carries_it_whole(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let reply = ground.register(&job).await?;
    let id = reply["EvalID"].as_str().unwrap_or_default();
    let query = format!("topic=Evaluation:{id}&index=0");
    let done = |one: &Value| one["Payload"]["Evaluation"]["Status"] == "complete";
    let one = event(ground.api()?, &query, done).await?;
    demand!(one["Type"] == "EvaluationUpdated", "got {one}");
    Ok(())
}

async fn a_topic_may_name_one_key(ground: &Ground) -> Law {
    let (job, other) = (given::waiting(ground, "a"), given::waiting(ground, "b"));
    ground.register(&other).await?;
    ground.register(&job).await?;
    let query = format!("topic=Job:{}&index=0", given::id(&job));
    let one = event(ground.api()?, &query, |_| true).await?;
    demand!(one["Key"] == given::id(&job), "got {one}");
    Ok(())
}

async fn events_want_a_number_for_an_index(ground: &Ground) -> Law {
    ground
        .get("event/stream?index=soon")
        .await?
        .refuses(400, "Unable to parse index")
}

async fn a_topic_is_one_name_and_one_key(ground: &Ground) -> Law {
    ground
        .get("event/stream?topic=Job:a:b")
        .await?
        .refuses(400, "Invalid topic query")
}

async fn events_want_the_right_to_read_their_objects(ground: &Ground) -> Law {
    let rules = "node { policy = \"read\" }";
    let reader = ground.with_rules("reader", rules).await?;
    let asked = Exchange::new("GET", "event/stream?topic=Job");
    let answer = reader.exchange_until(&asked, |bytes| !bytes.is_empty());
    // The refusal comes by the stream, without a code of its own.
    answer.await?.refuses(500, "Permission denied")
}

async fn followers_and_clients_stream_events_too(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    ground.register(&job).await?;
    let query = format!("topic=Job:{}&index=0", given::id(&job));
    for entry in ground.directory.all() {
        let one = event(&entry.api, &query, |one| one["Type"] == "JobRegistered").await?;
        demand!(one["Key"] == given::id(&job), "{}: {one}", entry.info.name);
    }
    Ok(())
}
