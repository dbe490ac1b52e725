//! What `cargo test` users rely on.

use nomad_harness::poll::{Look, eventually};
use nomad_harness::spec::Role;
use nomad_harness::target::{AgentState, Target as _};
use std::time::Duration;

use super::Stage;

const SOON: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_comes_up_secured_and_leaves_nothing() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().start().await.unwrap();
    let name = cluster.name().to_owned();
    assert!(cluster.engine().simulated);
    assert_eq!(cluster.servers().count(), 3);
    assert_eq!(cluster.clients().count(), 3);
    for server in cluster.servers() {
        let api = server.api();
        let raft = api.raft_configuration().await.unwrap();
        assert_eq!(raft.servers.iter().filter(|peer| peer.voter).count(), 3);
        let refused = api.without_token().nodes().await.unwrap_err();
        assert_eq!(refused.status(), Some(403), "{refused}");
    }
    let nodes = cluster
        .agent("client-1")
        .unwrap()
        .api()
        .nodes()
        .await
        .unwrap();
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(|node| node.status == "ready"));

    // Nobody gets in without a certificate of the cluster's own authority.
    let port = cluster.agents().next().unwrap().info().api_addr.clone();
    let plain = port.replace("https://", "http://");
    let stranger = nomad_harness::nomad::Api::new(nomad_harness::nomad::ApiConfig {
        addr: plain,
        ca_pem: String::new(),
        cert_pem: String::new(),
        key_pem: String::new(),
        token: None,
    });
    stranger.unwrap().leader().await.unwrap_err();

    cluster.tear_down().await.unwrap();
    stage.assert_nothing_left(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_and_comes_back_as_itself() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().clients(0).start().await.unwrap();
    let old = cluster.leader().await.unwrap();
    let raft = old.api().raft_configuration().await.unwrap();
    let address = format!("{}:4647", old.info().address);
    let id = |raft: &nomad_harness::nomad::types::RaftConfiguration| {
        let peer = raft.servers.iter().find(|peer| peer.address == address);
        peer.map(|peer| peer.id.clone())
    };
    let before = id(&raft);
    old.kill().await.unwrap();
    assert!(matches!(
        old.state().await.unwrap(),
        AgentState::Exited { code: 137, .. }
    ));
    let survivor = cluster
        .servers()
        .find(|server| server.name() != old.name())
        .unwrap();
    let api = survivor.api();
    let look = || async {
        match api.leader().await {
            Ok(Some(leader)) if leader != address => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    eventually(SOON, TICK, "another leader", look)
        .await
        .unwrap();
    old.start().await.unwrap();
    let look = || async {
        match api.autopilot_health().await {
            Ok(health) if health.healthy && health.servers.len() == 3 => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        }
    };
    eventually(SOON, TICK, "a whole cluster", look)
        .await
        .unwrap();
    let after = id(&api.raft_configuration().await.unwrap());
    assert_eq!(before, after, "same address, same data, same ID");
    assert_eq!(
        old.api().leader().await.unwrap(),
        api.leader().await.unwrap()
    );
    cluster.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_run_side_by_side() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (one, other) = tokio::join!(
        stage.builder().servers(1).clients(1).start(),
        stage.builder().servers(1).clients(1).start()
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    let (first, second) = (one.target().record(), other.target().record());
    assert!(!first.subnet.overlaps(second.subnet));
    let (api, stranger) = (
        one.leader().await.unwrap().api(),
        other.leader().await.unwrap().api(),
    );
    // Another cluster's authority is not believed, and its token means nothing.
    let token = api.token().unwrap().clone();
    let refused = stranger.with_token(token).nodes().await.unwrap_err();
    assert_eq!(refused.status(), Some(403), "{refused}");
    one.tear_down().await.unwrap();
    assert_eq!(
        stranger.nodes().await.unwrap().len(),
        1,
        "the other one goes on"
    );
    other.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_servers_and_no_client_are_a_cluster_too() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(5).clients(0).start().await.unwrap();
    let roles: Vec<Role> = cluster.agents().map(|agent| agent.role()).collect();
    assert_eq!(roles, [Role::Server; 5]);
    let health = cluster
        .leader()
        .await
        .unwrap()
        .api()
        .autopilot_health()
        .await
        .unwrap();
    assert_eq!(health.failure_tolerance, 2);
    assert_eq!(cluster.target().name(), cluster.name());
    cluster.tear_down().await.unwrap();
}
