//! How soon a simulated cluster acts, and what a large one costs. How long a thousand dispatched
//! jobs take is the scenario `thousand-dispatches`'.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bollard::query_parameters::StatsOptionsBuilder;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nomad_harness::docker::{DockerEngine as _, labels};
use nomad_harness::nomad::{Api, Query};
use nomad_harness::poll::{Look, eventually, throughout};
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

const CLIENTS: u16 = 100;
/// Nomad grants a node of so many a heartbeat's time of 10 to 20 s and as much grace: who misses
/// one is seen within this.
const WATCHED: Duration = Duration::from_secs(120);
/// All agents' own memory, with a program that is built as it is shipped.
const MEMORY_MAX: u64 = 2560 << 20;

/// Every node's status, and when it last changed.
async fn nodes(api: &Api) -> Result<BTreeMap<String, (String, u64)>, String> {
    let nodes = api.get_value("nodes", &Query::default()).await;
    let nodes = nodes.map_err(|error| error.to_string())?.value;
    let nodes = nodes.as_array().into_iter().flatten();
    let one = |node: &Value| {
        let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
        let index = node["ModifyIndex"].as_u64().unwrap_or(0);
        (text("Name"), (text("Status"), index))
    };
    Ok(nodes.map(one).collect())
}

/// The memory that the cluster's containers hold for themselves, without what is only cached.
async fn memory(stage: &Stage, cluster: &str) -> u64 {
    let filter = [(labels::CLUSTER, Some(cluster))];
    let containers = stage.docker.containers(&filter).await.unwrap();
    let engine = bollard::Docker::connect_with_defaults().unwrap();
    let once = StatsOptionsBuilder::new().stream(false).one_shot(true);
    let once = once.build();
    let held = stream::iter(containers)
        .map(|container| {
            let mut stats = Box::pin(engine.stats(&container.id, Some(once.clone())));
            async move { stats.try_next().await }
        })
        .buffer_unordered(8)
        .map(|found| {
            let found = found.unwrap().and_then(|stats| stats.memory_stats);
            let parts = found.and_then(|memory| memory.stats).unwrap_or_default();
            // cgroup v1 and v2 have different words for it.
            let own = parts.get("total_rss").or_else(|| parts.get("anon"));
            *own.expect("the engine counts memory")
        });
    held.fold(0, async |sum, one| sum + one).await
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    debug_assertions,
    ignore = "103 agents that nobody optimised need more than two cores: `--release`"
)]
async fn a_hundred_clients_keep_their_heartbeats() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let builder = stage.builder().clients(CLIENTS);
    let began = Instant::now();
    let cluster = builder
        .timeout(Duration::from_secs(300))
        .start()
        .await
        .unwrap();
    let up = began.elapsed();
    let api = cluster.leader().await.unwrap().api();
    let first = nodes(&api).await.unwrap();
    assert_eq!(first.len(), usize::from(CLIENTS));
    let unready = first.values().filter(|(status, _)| status != "ready");
    assert_eq!(unready.count(), 0, "{first:?}");
    let same = || async {
        let now = nodes(&api).await?;
        let other = now
            .iter()
            .filter(|(name, node)| first.get(*name) != Some(node));
        let other: Vec<_> = other.collect();
        if other.is_empty() && now.len() == first.len() {
            Ok(())
        } else {
            Err(format!("{} nodes, changed: {other:?}", now.len()))
        }
    };
    let held = throughout(WATCHED, Duration::from_secs(1), "no heartbeat missed", same).await;
    let memory = memory(&stage, cluster.name()).await;
    cluster.tear_down().await.unwrap();
    held.unwrap();
    eprintln!(
        "{CLIENTS} clients: up after {up:.1?}, agents hold {} MiB",
        memory >> 20
    );
    assert!(memory <= MEMORY_MAX, "{} MiB", memory >> 20);
}
