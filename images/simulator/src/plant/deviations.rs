//! What each defect does that must not be. Those of gossip, Raft, TLS and clients are with the
//! tests of those parts.

use serde_json::{Value, json};

use super::Plant;
use super::trial::plant;
use crate::scheduler::world::{World, job};
use crate::solo::{Server, service};
use crate::types::{AllocClientStatus, DeploymentStatus, NodeStatus, SECOND};

#[tokio::test]
async fn acl_open_lets_everybody_in() {
    let mut server = Server::secured().await;
    server.token = "nobody's".to_owned();
    assert_eq!(server.get("/v1/jobs").await.status, 403);
    let _planted = plant(Plant::AclOpen);
    assert_eq!(server.get("/v1/jobs").await.status, 200);
    let write = json!({ "Job": service(1) });
    assert_eq!(server.put("/v1/jobs", &write).await.status, 200);
}

#[tokio::test]
async fn lost_write_acknowledges_what_is_not_there() {
    let _planted = plant(Plant::LostWrite);
    let server = Server::leading();
    for count in 1..=5 {
        let write = json!({ "Job": service(count) });
        server.put("/v1/jobs", &write).await.json();
    }
    let stored = server.get("/v1/job/web").await.json();
    assert_eq!(stored["TaskGroups"][0]["Count"], 3);
}

#[tokio::test(start_paused = true)]
async fn stale_reads_are_served_as_consistent_ones() {
    let server = Server::leading();
    server.solo.elect(None);
    assert_eq!(server.get("/v1/jobs").await.status, 500);
    let _planted = plant(Plant::StaleReads);
    let reply = server.get("/v1/jobs").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["x-nomad-knownleader"], "true");
    assert_eq!(reply.headers["x-nomad-lastcontact"], "0");
}

#[tokio::test]
async fn a_planted_defect_is_told_by_agent_self() {
    let server = Server::leading();
    let planted = async || {
        let own = server.get("/v1/agent/self").await.json();
        own["stats"]["runtime"]["planted_defect"].clone()
    };
    assert_eq!(planted().await, Value::Null);
    let _planted = plant(Plant::StaleReads);
    assert_eq!(planted().await, "stale-reads");
}

const ONE: &str = "update {\n max_parallel = 1\n auto_revert = true\n }";

/// How many of five are away right after an update began.
fn away() -> usize {
    let mut world = World::with_nodes(4);
    world.register(&job(5, "1", ONE));
    world.settle_healthy();
    world.register(&job(5, "2", ONE));
    world.settle();
    world.unjudged().len()
}

#[test]
fn max_parallel_ignored_replaces_all_at_once() {
    assert_eq!(away(), 1);
    let _planted = plant(Plant::MaxParallelIgnored);
    assert_eq!(away(), 5);
}

/// The version of the job after its second one failed.
fn after_failure() -> u64 {
    let mut world = World::with_nodes(3);
    world.register(&job(3, "1", ONE));
    world.settle_healthy();
    world.register(&job(3, "2", ONE));
    world.settle();
    world.now += 600 * SECOND;
    world.settle();
    let statuses = world.state.deployments.values().map(|d| d.status);
    assert!(statuses.into_iter().any(|s| s == DeploymentStatus::Failed));
    world.state.job("default", "whoami").unwrap().version
}

#[test]
fn no_auto_revert_leaves_the_failed_version() {
    assert_eq!(after_failure(), 2);
    let _planted = plant(Plant::NoAutoRevert);
    assert_eq!(after_failure(), 1);
}

/// How many allocations run on nodes that live, after one of three went down.
fn on_living_nodes() -> usize {
    let mut world = World::with_nodes(3);
    let job = job(3, "1", "");
    world.register(&job);
    world.settle_healthy();
    let lost = world.wanted()[0].node_id.clone();
    world.set_node(&lost, NodeStatus::Down);
    world.evaluate(&job);
    world.settle();
    let wanted = world.wanted();
    let runs = |a: &&std::sync::Arc<crate::types::Allocation>| {
        a.client_status == AllocClientStatus::Running && a.node_id != lost
    };
    wanted.iter().filter(runs).count()
}

#[test]
fn lost_node_kept_does_not_replace() {
    assert_eq!(on_living_nodes(), 3);
    let _planted = plant(Plant::LostNodeKept);
    assert!(on_living_nodes() < 3);
}
