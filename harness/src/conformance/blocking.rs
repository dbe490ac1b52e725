//! Queries that wait for a change.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answer::{Expect as _, items};
use super::case::{Broken, Case, Law, demand, law};
use super::given;
use super::ground::Ground;
use crate::nomad::Answer;

const SECTION: &str = "Blocking queries";

pub(super) const CASES: &[Case] = &[
    law!(index_0_is_answered_at_once),
    law!(an_old_index_is_answered_at_once),
    law!(without_a_change_the_answer_comes_when_the_wait_is_over),
    law!(a_change_ends_the_wait_of_its_object),
    law!(a_change_elsewhere_does_not_change_the_answer),
    law!(a_job_that_comes_into_being_ends_the_wait),
    law!(a_jobs_end_ends_the_wait),
    law!(a_new_allocation_ends_the_wait_of_its_jobs_list),
    law!(an_evaluations_end_ends_its_wait),
    law!(a_list_of_jobs_waits_too),
    law!(an_index_must_be_a_number),
    law!(a_wait_must_be_a_duration),
    law!(stale_queries_wait_too),
];

/// How much later than it should an answer may come on a busy machine.
const SLACK: Duration = Duration::from_secs(5);

fn index(answer: &Answer) -> u64 {
    let text = answer.header("x-nomad-index").unwrap_or_default();
    text.parse().unwrap_or(0)
}

/// Registers a job that stays as it is, and returns the index to wait from.
async fn settled(ground: &Ground, job: &Value) -> Result<u64, Broken> {
    ground.evaluate(job).await?;
    let path = format!("job/{}", given::id(job));
    let pending = |job: &Value| job["Status"] == "pending";
    ground.until("a pending job", &path, pending).await?;
    Ok(index(&ground.get(&path).await?))
}

async fn index_0_is_answered_at_once(ground: &Ground) -> Law {
    let start = Instant::now();
    ground.get("nodes?index=0&wait=30s").await?.good()?;
    let took = start.elapsed();
    demand!(took < SLACK, "it took {took:?}");
    Ok(())
}

async fn an_old_index_is_answered_at_once(ground: &Ground) -> Law {
    let start = Instant::now();
    ground.get("nodes?index=1&wait=30s").await?.good()?;
    let took = start.elapsed();
    demand!(took < SLACK, "it took {took:?}");
    Ok(())
}

async fn without_a_change_the_answer_comes_when_the_wait_is_over(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let index = settled(ground, &job).await?;
    let start = Instant::now();
    let path = format!("job/{}?index={index}&wait=2s", given::id(&job));
    let answer = ground.get(&path).await?.status(200)?;
    let took = start.elapsed();
    let wait = Duration::from_secs(2);
    demand!(took >= wait, "it took only {took:?}");
    demand!(took < wait + wait / 16 + SLACK, "it took {took:?}");
    demand!(self::index(&answer) == index, "the index rose");
    Ok(())
}

async fn a_change_ends_the_wait_of_its_object(ground: &Ground) -> Law {
    let mut job = given::waiting(ground, "web");
    let index = settled(ground, &job).await?;
    let path = format!("job/{}?index={index}&wait=30s", given::id(&job));
    job["Priority"] = json!(77);
    let start = Instant::now();
    let (seen, written) = tokio::join!(ground.get(&path), ground.register(&job));
    written?;
    let (seen, took) = (seen?, start.elapsed());
    demand!(self::index(&seen) > index, "the index did not rise");
    let seen = seen.value()?;
    demand!(seen["Priority"] == 77, "got priority {}", seen["Priority"]);
    demand!(took < Duration::from_secs(20), "it took {took:?}");
    Ok(())
}

async fn a_change_elsewhere_does_not_change_the_answer(ground: &Ground) -> Law {
    let (job, other) = (given::waiting(ground, "a"), given::waiting(ground, "b"));
    let index = settled(ground, &job).await?;
    let path = format!("job/{}?index={index}&wait=2s", given::id(&job));
    let (seen, written) = tokio::join!(ground.get(&path), ground.register(&other));
    written?;
    let seen = seen?.status(200)?;
    demand!(self::index(&seen) == index, "the index rose");
    Ok(())
}

async fn a_job_that_comes_into_being_ends_the_wait(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let path = format!("job/{}", given::id(&job));
    let before = ground.get(&path).await?.status(404)?;
    let waiting = format!("{path}?index={}&wait=5s", index(&before));
    let start = Instant::now();
    ground.register(&job).await?;
    // Whatever else wakes the query, in the end it sees the job.
    loop {
        let answer = ground.get(&waiting).await?;
        if answer.status == 200 {
            return Ok(());
        }
        demand!(start.elapsed() < SLACK * 3, "it is not seen");
    }
}

async fn a_jobs_end_ends_the_wait(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let index = settled(ground, &job).await?;
    let path = format!("job/{}", given::id(&job));
    let waiting = format!("{path}?index={index}&wait=30s");
    let purge = format!("{path}?purge=true");
    let (seen, gone) = tokio::join!(ground.get(&waiting), ground.delete(&purge));
    gone?.good()?;
    seen?.refuses(404, "job not found")
}

async fn a_new_allocation_ends_the_wait_of_its_jobs_list(ground: &Ground) -> Law {
    let job = given::batch(ground, "once", 0);
    let path = format!("job/{}/allocations", given::id(&job));
    let before = index(&ground.get(&path).await?.status(200)?);
    ground.register(&job).await?;
    let mut known = before;
    let start = Instant::now();
    loop {
        let answer = ground
            .get(&format!("{path}?index={known}&wait=10s"))
            .await?;
        known = index(&answer);
        if !items(&answer.value()?).is_empty() {
            break;
        }
        demand!(start.elapsed() < SLACK * 4, "no allocation is seen");
    }
    demand!(known > before, "the index did not rise");
    Ok(())
}

async fn an_evaluations_end_ends_its_wait(ground: &Ground) -> Law {
    let reply = ground.register(&given::batch(ground, "once", 0)).await?;
    let id = reply["EvalID"].as_str().unwrap_or_default();
    let (mut known, start) = (1, Instant::now());
    loop {
        let answer = ground
            .get(&format!("evaluation/{id}?index={known}&wait=10s"))
            .await?;
        known = index(&answer);
        if answer.value()?["Status"] == "complete" {
            return Ok(());
        }
        demand!(start.elapsed() < SLACK * 4, "it is not complete");
    }
}

async fn a_list_of_jobs_waits_too(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let prefix = ground.named("");
    let mut known = index(&ground.get(&format!("jobs?prefix={prefix}")).await?);
    ground.register(&job).await?;
    let start = Instant::now();
    loop {
        let path = format!("jobs?prefix={prefix}&index={known}&wait=10s");
        let answer = ground.get(&path).await?;
        known = index(&answer);
        if items(&answer.value()?).len() == 1 {
            return Ok(());
        }
        demand!(start.elapsed() < SLACK * 4, "the job is not seen");
    }
}

async fn an_index_must_be_a_number(ground: &Ground) -> Law {
    for text in ["soon", "-1", "1.5"] {
        let path = format!("nodes?index={text}");
        ground.get(&path).await?.refuses(400, "Invalid index")?;
    }
    Ok(())
}

async fn a_wait_must_be_a_duration(ground: &Ground) -> Law {
    for text in ["soon", "10"] {
        let path = format!("nodes?index=1&wait={text}");
        ground.get(&path).await?.refuses(400, "Invalid wait time")?;
    }
    Ok(())
}

async fn stale_queries_wait_too(ground: &Ground) -> Law {
    let job = given::waiting(ground, "web");
    let index = settled(ground, &job).await?;
    let start = Instant::now();
    let path = format!("job/{}?stale&index={index}&wait=1s", given::id(&job));
    ground.get(&path).await?.good()?;
    let took = start.elapsed();
    demand!(took >= Duration::from_secs(1), "it took only {took:?}");
    Ok(())
}
