//! Clusters of several regions: Nomad itself federates them, simulated agents do not and are not made to seem so.
//! What is about Nomad itself runs where `REHEARSE_NOMAD_BINARY` names one.

use std::path::PathBuf;
use std::time::Duration;

use nomad_harness::ClusterBuilder;
use nomad_harness::cluster::StartError;
use nomad_harness::engine::{EngineKind, EngineRequest};
use nomad_harness::spec::Arch;
use nomad_harness::target::docker::UpError;

use super::Stage;

/// How long a region may lack a token that is never copied: one that is takes a second.
const TOO_LONG: Duration = Duration::from_secs(30);

/// Returns one server in each of two regions, of Nomad itself; `None` where there is none.
fn of_nomad(stage: &Stage) -> Option<ClusterBuilder> {
    let path = std::env::var_os("REHEARSE_NOMAD_BINARY").map(PathBuf::from);
    let (Some(path), Some(arch)) = (path, Arch::host()) else {
        eprintln!("\n*** SKIPPED, nothing was tested: REHEARSE_NOMAD_BINARY names no Nomad ***\n");
        return None;
    };
    let request = EngineRequest {
        kind: EngineKind::Binary,
        binaries: [(arch, path)].into(),
        ..EngineRequest::default()
    };
    let builder = stage.builder().engine_request(request);
    Some(
        builder
            .servers(1)
            .clients(1)
            .region("east")
            .federated_with(["west"]),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_agents_know_one_region_and_say_so() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let asked = [
        "up",
        "two",
        "--engine",
        "simulator",
        "--region",
        "east,west",
    ];
    let (code, _, err) = stage.run(&asked).await;
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("does not federate regions: expected Nomad itself for `east`, `west`"),
        "{err}"
    );
    stage.assert_nothing_left("two").await;
    let reports = stage.folder.path().join("reports").display().to_string();
    let asked = [
        "run",
        "two-regions",
        "--engine",
        "simulator",
        "--report",
        &reports,
    ];
    let (code, out, err) = stage.run(&asked).await;
    assert_eq!(code, 31, "what was skipped proves nothing\n{err}");
    let reason = "skipped: `two-regions`: scenario `two-regions` needs `federation`";
    assert!(out.contains(reason), "{out}");
    assert!(out.contains("simulated agents know one region"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_regions_of_nomad_know_each_other_and_one_token() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let Some(builder) = of_nomad(&stage) else {
        return;
    };
    let cluster = builder.start().await.unwrap();
    let name = cluster.name().to_owned();
    for (agent, other, node) in [
        ("server-1", "west", "west-client-1"),
        ("west-server-1", "east", "client-1"),
    ] {
        let api = cluster.agent(agent).unwrap().api();
        let nodes = api.in_region(other).nodes().await.unwrap();
        let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, [node], "as `{agent}` says of {other}");
        let members = api.members().await.unwrap();
        assert_eq!((members.members.len(), members.own().count()), (2, 1));
        let own = api.nodes().await.unwrap();
        assert_ne!(own[0].name, node);
    }
    assert_eq!(cluster.leader().await.unwrap().name().as_str(), "server-1");
    cluster.tear_down().await.unwrap();
    stage.assert_nothing_left(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_with_a_wrong_replication_token_does_not_come_up_and_the_error_says_so() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let Some(builder) = of_nomad(&stage) else {
        return;
    };
    let wrong = uuid::Uuid::new_v4().to_string();
    let builder = builder.name("astray").set("acl.replication_token", wrong);
    let error = builder.timeout(TOO_LONG).start().await.unwrap_err();
    let StartError::Up(UpError::NotReady { unready, .. }) = &error else {
        panic!("{error}");
    };
    let missing: Vec<_> = unready.missing.iter().map(ToString::to_string).collect();
    let token = "region `west`: the first region's management token is known by replication: `west-server-1`: HTTP 40";
    assert!(
        missing.iter().any(|one| one.starts_with(token)),
        "{missing:#?}"
    );
    stage.assert_nothing_left("astray").await;
}
