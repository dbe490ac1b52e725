//! Laws of the leader's duties, on a server alone with clients played by the test.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Age, AllocsReply, garbage};
use crate::client::HeartbeatReply;
use crate::http::Settings;
use crate::solo::{OTHER, OWN, Server, Solo, service};
use crate::state::State;
use crate::types::{
    AllocClientStatus, AllocDesiredStatus, Allocation, DeploymentStatus, EvalStatus, EvalTrigger,
    JobStatus, NodeStatus,
};

async fn submit(server: &Server, job: &Value) -> Value {
    server.put("/v1/jobs", &json!({ "Job": job })).await.json()
}

fn live(state: &State) -> Vec<Arc<Allocation>> {
    let allocs = state.allocs_of_job("default", "web");
    allocs
        .filter(|alloc| !alloc.is_terminal())
        .cloned()
        .collect()
}

/// What a client does: reports everything that should run as running and healthy, and
/// everything that should not as complete.
async fn obey(server: &Server, node: &str) {
    let mut reports = Vec::new();
    for alloc in server.state().allocs_of_node(node) {
        let mut report = Allocation::clone(alloc);
        match (alloc.desired_status, alloc.client_status) {
            (AllocDesiredStatus::Run, AllocClientStatus::Pending) => {
                report.client_status = AllocClientStatus::Running;
                let mut health = report.deployment_status.take().unwrap_or_default();
                health.healthy = Some(true);
                report.deployment_status = Some(health);
            }
            (AllocDesiredStatus::Stop, status) if !status.is_terminal() => {
                report.client_status = AllocClientStatus::Complete;
            }
            _ => continue,
        }
        reports.push(report);
    }
    report(server, node, &reports).await;
}

async fn report(server: &Server, node: &str, allocs: &[Allocation]) {
    let secret = format!("secret-{node}");
    let body = json!({ "node_id": node, "secret_id": secret, "allocs": allocs });
    let reply = server.rpc("/client/update", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn a_registered_job_is_placed_on_ready_nodes() {
    let server = Server::leading().on_duty();
    for name in ["client-1", "client-2", "client-3"] {
        server.add_node(name).await;
    }
    let reply = submit(&server, &service(3)).await;
    let state = server
        .until("placing 3", |state| live(state).len() == 3)
        .await;
    let nodes: BTreeSet<_> = live(&state).iter().map(|a| a.node_id.clone()).collect();
    assert_eq!(nodes.len(), 3, "anti-affinity spreads over equal nodes");
    let eval = &state.evals[reply["EvalID"].as_str().unwrap()];
    assert_eq!(eval.status, EvalStatus::Complete);
    let deployment = &state.deployments_of_job("default", "web")[0];
    assert_eq!(deployment.task_groups["web"].placed_allocs, 3);
    assert_eq!(eval.deployment_id, deployment.id);
    assert_eq!(server.get("/v1/job/web").await.json()["Status"], "running");
}

#[tokio::test]
async fn what_does_not_fit_is_placed_when_capacity_appears() {
    let server = Server::leading().on_duty();
    let reply = submit(&server, &service(1)).await;
    let id = reply["EvalID"].as_str().unwrap().to_owned();
    let state = server
        .until("blocking", |state| {
            let blocked = state.evals_of_job("default", "web", EvalStatus::Blocked);
            blocked.count() == 1
        })
        .await;
    assert_eq!(state.evals[&id].status, EvalStatus::Complete);
    let summary = server.get("/v1/job/web/summary").await.json();
    assert_eq!(summary["Summary"]["web"]["Queued"], 1);
    let path = format!("/v1/evaluation/{id}");
    let failed = &server.get(&path).await.json()["FailedTGAllocs"]["web"];
    assert_eq!(failed["NodesEvaluated"], 0);
    server.add_node("client-1").await;
    let state = server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
    let blocked = state.evals_of_job("default", "web", EvalStatus::Blocked);
    assert_eq!(blocked.count(), 0);
}

#[tokio::test]
async fn an_ineligible_node_gets_nothing_until_it_is_eligible_again() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    let path = format!("/v1/node/{node}/eligibility");
    server
        .put(&path, &json!({ "Eligibility": "ineligible" }))
        .await
        .json();
    submit(&server, &service(1)).await;
    let state = server
        .until("blocking", |state| {
            let blocked = state.evals_of_job("default", "web", EvalStatus::Blocked);
            blocked.count() == 1
        })
        .await;
    assert!(state.allocs.is_empty());
    server
        .put(&path, &json!({ "Eligibility": "eligible" }))
        .await
        .json();
    server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
}

#[tokio::test]
async fn stopping_a_job_stops_its_allocations() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    submit(&server, &service(2)).await;
    server
        .until("placing 2", |state| live(state).len() == 2)
        .await;
    obey(&server, &node).await;
    server.delete("/v1/job/web").await.json();
    server
        .until("stopping", |state| live(state).is_empty())
        .await;
    obey(&server, &node).await;
    let state = server
        .until("the job's end", |state| {
            let job = state.job("default", "web").unwrap();
            job.status == JobStatus::Dead
        })
        .await;
    let stopped = state.allocs_of_job("default", "web");
    assert!(
        stopped
            .into_iter()
            .all(|a| a.client_status == AllocClientStatus::Complete)
    );
}

#[tokio::test]
async fn a_failed_allocation_makes_one_evaluation() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    submit(&server, &service(1)).await;
    let state = server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
    obey(&server, &node).await;
    let mut failed = Allocation::clone(&live(&state)[0]);
    failed.client_status = AllocClientStatus::Failed;
    let again = failed.clone();
    report(&server, &node, &[failed]).await;
    report(&server, &node, &[again]).await;
    let state = server.state();
    let evals = state.evals.values();
    let made = evals.filter(|e| e.triggered_by == EvalTrigger::AllocFailure);
    // The scheduler's own delayed follow-up carries the same trigger, and a time.
    assert_eq!(made.filter(|eval| eval.wait_until == 0).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_heard_of_is_down_and_its_work_moves() {
    let server = Server::leading().on_duty();
    let dead = server.add_node("client-1").await;
    submit(&server, &service(1)).await;
    server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
    let alive = server.add_node("client-2").await;
    let began = tokio::time::Instant::now();
    loop {
        if server.state().nodes[&dead].status == NodeStatus::Down {
            break;
        }
        server.heartbeat(&alive).await;
        crate::clock::sleep(std::time::Duration::from_millis(500)).await;
    }
    let took = began.elapsed().as_secs_f64();
    assert!(
        (20.0..=31.0).contains(&took),
        "TTL of 10 to 20 s and 10 s of grace: {took}"
    );
    let state = server
        .until("moving", |state| {
            live(state).iter().any(|alloc| alloc.node_id == alive)
        })
        .await;
    let lost = state.allocs_of_node(&dead).next().unwrap();
    assert_eq!(lost.client_status, AllocClientStatus::Lost);
    assert_eq!(lost.desired_status, AllocDesiredStatus::Stop);
    let history = &state.nodes[&dead].events;
    assert_eq!(history.last().unwrap().message, "Node heartbeat missed");
    let late = json!({ "node_id": dead, "secret_id": format!("secret-{dead}"), "allocs": [] });
    let reply = server.rpc("/client/update", &late).await;
    assert!(
        reply
            .text
            .ends_with("is not allowed to update allocs while in status down")
    );
    server.heartbeat(&dead).await;
    let node = server.state().nodes[&dead].clone();
    assert_eq!(node.status, NodeStatus::Ready);
    let message = &node.events.last().unwrap().message;
    assert_eq!(message, "Node reregistered by heartbeat");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_gives_every_node_five_minutes() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    server.solo.elect(Some(OTHER));
    crate::clock::sleep(std::time::Duration::from_secs(100)).await;
    assert_eq!(server.state().nodes[&node].status, NodeStatus::Ready);
    server.solo.elect(Some(OWN));
    let began = tokio::time::Instant::now();
    while server.state().nodes[&node].status != NodeStatus::Down {
        crate::clock::sleep(std::time::Duration::from_secs(1)).await;
    }
    let took = began.elapsed().as_secs_f64();
    assert!((300.0..302.0).contains(&took), "{took}");
}

#[tokio::test]
async fn a_pending_evaluation_is_taken_up_by_the_next_leader() {
    let server = Server::leading();
    server.add_node("client-1").await;
    submit(&server, &service(1)).await;
    assert!(server.state().allocs.is_empty());
    let server = server.on_duty();
    server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
}

#[tokio::test]
async fn a_server_that_does_not_lead_does_nothing() {
    let solo = Solo::leading();
    let server = Server::new(solo, Settings::default());
    server.add_node("client-1").await;
    submit(&server, &service(1)).await;
    server.solo.elect(Some(OTHER));
    let server = server.on_duty();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(server.state().allocs.is_empty());
    server.solo.elect(Some(OWN));
    server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
}

#[tokio::test]
async fn a_client_is_told_of_its_allocations_when_the_servers_change_them() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    let ask = |index: u64| {
        json!({
            "node_id": node,
            "secret_id": format!("secret-{node}"),
            "index": index,
            "wait": { "secs": 60, "nanos": 0 },
        })
    };
    let first: AllocsReply =
        serde_json::from_value(server.rpc("/client/allocs", &ask(0)).await.json()).unwrap();
    assert!(first.allocs.is_empty());
    let asked = ask(first.index);
    let job = service(1);
    let (told, _) = tokio::join!(server.rpc("/client/allocs", &asked), submit(&server, &job));
    let told: AllocsReply = serde_json::from_value(told.json()).unwrap();
    assert_eq!(told.allocs.len(), 1);
    assert_eq!(told.index, told.allocs[0].alloc_modify_index);
    // Its own report is no news to it.
    obey(&server, &node).await;
    let mut own = ask(told.index);
    own["wait"] = json!({ "secs": 0, "nanos": 0 });
    let after: AllocsReply =
        serde_json::from_value(server.rpc("/client/allocs", &own).await.json()).unwrap();
    assert_eq!(after.index, told.index);
}

#[tokio::test]
async fn a_client_must_know_its_nodes_secret() {
    let server = Server::leading();
    let node = server.add_node("client-1").await;
    let beat = json!({ "node_id": node, "secret_id": "wrong", "status": "ready" });
    assert_eq!(server.rpc("/client/heartbeat", &beat).await.status, 403);
    let beat = json!({ "node_id": "none", "secret_id": "", "status": "ready" });
    let reply = server.rpc("/client/heartbeat", &beat).await;
    assert_eq!(reply.refusal(), (404, "node not found"));
}

#[tokio::test]
async fn a_heartbeat_grants_ten_to_twenty_seconds_and_names_the_servers() {
    let server = Server::leading();
    let node = server.add_node("client-1").await;
    let reply: HeartbeatReply =
        serde_json::from_value(server.heartbeat(&node).await.json()).unwrap();
    assert!((10.0..20.0).contains(&reply.ttl.as_secs_f64()), "{reply:?}");
    assert_eq!(reply.servers, [OWN.parse().unwrap()]);
}

#[tokio::test]
async fn a_client_cannot_report_the_allocations_of_another() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    submit(&server, &service(1)).await;
    let state = server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
    let ours = &live(&state)[0];
    assert_eq!(ours.node_id, node);
    let other = server.add_node("client-2").await;
    let mut report_of = Allocation::clone(ours);
    report_of.client_status = AllocClientStatus::Failed;
    report(&server, &other, &[report_of]).await;
    assert_eq!(
        server.state().allocs[&ours.id].client_status,
        AllocClientStatus::Pending
    );
}

#[tokio::test]
async fn garbage_is_what_is_over_and_nothing_else() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    submit(&server, &service(1)).await;
    server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
    obey(&server, &node).await;
    server.put("/v1/system/gc", &json!({})).await;
    let state = server.state();
    assert_eq!((state.jobs.len(), state.allocs.len()), (1, 1));
    let needed = &state.allocs.values().next().unwrap().eval_id;
    assert!(state.evals.contains_key(needed));
    server.delete("/v1/job/web").await.json();
    server
        .until("stopping", |state| live(state).is_empty())
        .await;
    obey(&server, &node).await;
    let young = garbage(&server.state(), Age::Usual(crate::clock::now()));
    assert!(young.is_none(), "{young:?}");
    server.put("/v1/system/gc", &json!({})).await;
    let state = server.state();
    assert_eq!(
        (state.jobs.len(), state.allocs.len(), state.evals.len()),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_user_can_fail_a_deployment_which_goes_back_to_the_stable_version() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    let mut job = service(1);
    job["Update"]["AutoRevert"] = json!(true);
    submit(&server, &job).await;
    server
        .until("placing 1", |state| live(state).len() == 1)
        .await;
    obey(&server, &node).await;
    let stable = json!({ "JobID": "web", "JobVersion": 0, "Stable": true });
    server.put("/v1/job/web/stable", &stable).await.json();
    job["TaskGroups"][0]["Tasks"][0]["Config"]["command"] = json!("/bin/other");
    submit(&server, &job).await;
    let state = server
        .until("the second deployment", |state| {
            let newest = state.deployments_of_job("default", "web");
            newest[0].job_version == 1
        })
        .await;
    let id = state.deployments_of_job("default", "web")[0].id.clone();
    let reply = server
        .put(&format!("/v1/deployment/fail/{id}"), &json!({}))
        .await
        .json();
    assert_eq!(reply["RevertedJobVersion"], 0);
    let state = server.state();
    let failed = &state.deployments[&id];
    assert_eq!(failed.status, DeploymentStatus::Failed);
    assert_eq!(
        failed.status_description,
        "Deployment marked as failed - rolling back to job version 0"
    );
    let current = state.job("default", "web").unwrap();
    assert_eq!(current.version, 2);
    let task = &current.task_groups[0].tasks[0];
    assert_eq!(json!(task.config)["command"], "/bin/web");
    let reply = server
        .put(&format!("/v1/deployment/fail/{id}"), &json!({}))
        .await;
    assert_eq!(reply.refusal(), (500, "can't fail terminal deployment"));
}

/// Plays the clients until the newest deployment is of `version` and over; `check` looks on.
async fn roll_out(server: &Server, nodes: &[String], version: u64, check: impl Fn(&State)) {
    for _ in 0..2000 {
        let state = server.state();
        check(&state);
        let newest = state
            .deployments_of_job("default", "web")
            .into_iter()
            .next();
        let newest = newest.filter(|newest| newest.job_version == version);
        if newest.is_some_and(|newest| newest.status == DeploymentStatus::Successful) {
            return;
        }
        for node in nodes {
            obey(server, node).await;
        }
        crate::clock::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no success: {:#?}", server.state().deployments);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_replaces_one_at_a_time_and_makes_its_version_stable() {
    let server = Server::leading().on_duty();
    let mut nodes = Vec::new();
    for name in ["client-1", "client-2", "client-3"] {
        nodes.push(server.add_node(name).await);
    }
    let mut job = service(3);
    submit(&server, &job).await;
    roll_out(&server, &nodes, 0, |_| {}).await;
    job["TaskGroups"][0]["Tasks"][0]["Config"]["command"] = json!("/bin/other");
    submit(&server, &job).await;
    let healthy = |state: &State| {
        let live = live(state).into_iter();
        let health = |alloc: &Allocation| alloc.deployment_status.as_ref()?.healthy;
        live.filter(|alloc| health(alloc) == Some(true)).count()
    };
    roll_out(&server, &nodes, 1, |state| {
        assert!(
            healthy(state) >= 2,
            "max_parallel is 1 of 3: {:#?}",
            live(state)
        );
    })
    .await;
    let state = server
        .until("stability", |state| {
            state.job("default", "web").unwrap().stable
        })
        .await;
    assert!(live(&state).iter().all(|alloc| alloc.job_version() == 1));
    let rollout = &server.get("/v1/job/web/deployment").await.json();
    assert_eq!(rollout["TaskGroups"]["web"]["HealthyAllocs"], 3);
    assert_eq!(
        rollout["StatusDescription"],
        "Deployment completed successfully"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollout_goes_on_under_the_next_leader() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    let mut job = service(3);
    submit(&server, &job).await;
    roll_out(&server, std::slice::from_ref(&node), 0, |_| {}).await;
    job["TaskGroups"][0]["Tasks"][0]["Config"]["command"] = json!("/bin/other");
    submit(&server, &job).await;
    server
        .until("the first replacement", |state| {
            live(state).iter().any(|alloc| alloc.job_version() == 1)
        })
        .await;
    server.solo.elect(Some(OTHER));
    crate::clock::sleep(std::time::Duration::from_secs(3)).await;
    server.solo.elect(Some(OWN));
    roll_out(&server, &[node], 1, |_| {}).await;
    assert!(
        live(&server.state())
            .iter()
            .all(|alloc| alloc.job_version() == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_drained_nodes_work_moves_and_the_drain_completes() {
    let server = Server::leading().on_duty();
    let leaving = server.add_node("client-1").await;
    submit(&server, &service(2)).await;
    roll_out(&server, std::slice::from_ref(&leaving), 0, |_| {}).await;
    let staying = server.add_node("client-2").await;
    let spec = json!({ "DrainSpec": { "Deadline": 0 } });
    server
        .put(&format!("/v1/node/{leaving}/drain"), &spec)
        .await
        .json();
    for _ in 0..2000 {
        if !server.state().nodes[&leaving].drain {
            break;
        }
        obey(&server, &leaving).await;
        obey(&server, &staying).await;
        crate::clock::sleep(std::time::Duration::from_millis(20)).await;
    }
    let state = server.state();
    assert!(!state.nodes[&leaving].drain);
    let live = live(&state);
    assert_eq!(live.len(), 2);
    assert!(live.iter().all(|alloc| alloc.node_id == staying));
    let evals = state.evals.values();
    assert!(
        evals
            .into_iter()
            .any(|eval| eval.triggered_by == EvalTrigger::NodeDrain)
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_disconnected_where_its_work_may_be_unknown() {
    let server = Server::leading().on_duty();
    let silent = server.add_node("client-1").await;
    let mut job = service(1);
    job["TaskGroups"][0]["Disconnect"] = json!({ "LostAfter": 3_600_000_000_000_i64 });
    submit(&server, &job).await;
    roll_out(&server, std::slice::from_ref(&silent), 0, |_| {}).await;
    let alive = server.add_node("client-2").await;
    while server.state().nodes[&silent].status == NodeStatus::Ready {
        server.heartbeat(&alive).await;
        crate::clock::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(
        server.state().nodes[&silent].status,
        NodeStatus::Disconnected
    );
    let state = server
        .until("a replacement", |state| {
            state.allocs_of_node(&alive).next().is_some()
        })
        .await;
    let unknown = state.allocs_of_node(&silent).next().unwrap();
    assert_eq!(unknown.client_status, AllocClientStatus::Unknown);
    assert_eq!(unknown.desired_status, AllocDesiredStatus::Run);
    // It comes back, and so does its allocation; the replacement goes.
    server.heartbeat(&silent).await;
    let mut again = Allocation::clone(unknown);
    again.client_status = AllocClientStatus::Running;
    report(&server, &silent, &[again]).await;
    let state = server
        .until("one side", |state| {
            let live = live(state);
            live.len() == 1 && live[0].node_id == silent
        })
        .await;
    let evals = state.evals.values();
    assert!(
        evals
            .into_iter()
            .any(|eval| eval.triggered_by == EvalTrigger::Reconnect)
    );
}
