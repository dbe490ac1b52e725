//! How soon a simulated cluster acts. How long a thousand dispatched jobs take is the scenario
//! `thousand-dispatches`'. Missing: what a hundred clients cost.

use std::time::{Duration, Instant};

use nomad_harness::poll::{Look, eventually};
use serde_json::{Value, json};

use super::Stage;

/// From a registration to a running allocation, at most.
const RUNNING_MAX: Duration = Duration::from_millis(300);
const ROUNDS: usize = 9;

/// A service of one task.
fn small(id: &str) -> Value {
    json!({
        "ID": id, "Name": id, "Type": "service", "Datacenters": ["dc1"],
        "TaskGroups": [{ "Name": "web", "Count": 1, "Tasks": [{
            "Name": "main", "Driver": "raw_exec",
            "Config": {
                "command": "/usr/local/bin/rehearse-agent",
                "args": ["workload", "-start-delay", "10m"],
            },
            "Resources": { "CPU": 20, "MemoryMB": 16 },
        }] }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_job_runs_within_300_ms() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().start().await.unwrap();
    let leader = cluster.leader().await.unwrap();
    let api = leader.api();
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let id = format!("soon-{round}");
        let began = Instant::now();
        api.register(&small(&id)).await.unwrap();
        let running = || async {
            match api.job_allocations(&id).await {
                Ok(allocs) if allocs.iter().any(|a| a.client_status == "running") => Look::Done(()),
                Ok(allocs) => Look::NotYet(format!("{} allocations", allocs.len())),
                Err(error) => Look::failed(&error),
            }
        };
        let (soon, tick) = (Duration::from_secs(20), Duration::from_millis(10));
        eventually(soon, tick, "a running allocation", running)
            .await
            .unwrap();
        took.push(began.elapsed());
    }
    cluster.tear_down().await.unwrap();
    took.sort_unstable();
    let median = took[ROUNDS / 2];
    eprintln!("from registration to running: {took:.0?}");
    assert!(
        median <= RUNNING_MAX,
        "the median is {median:?}: {took:.0?}"
    );
}
