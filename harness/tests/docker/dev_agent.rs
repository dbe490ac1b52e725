//! A single agent by `testcontainers`.

use nomad_harness::dev_agent::DevAgent;
use nomad_harness::engine::{EngineKind, EngineRequest};
use testcontainers::runners::AsyncRunner as _;

use super::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_development_agent_is_server_and_client_and_goes_with_its_value() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let request = EngineRequest {
        kind: EngineKind::Simulator,
        ..EngineRequest::default()
    };
    let image = DevAgent::of(&request, &stage.environment).await.unwrap();
    assert!(image.engine().simulated);
    let container = image.request().start().await.unwrap();
    let id = container.id().to_owned();
    let api = image.api(&container).await.unwrap();
    let nodes = api.nodes().await.unwrap();
    assert_eq!(nodes.len(), 1);
    let leader = api.leader().await.unwrap();
    assert!(leader.is_some_and(|leader| leader.ends_with(":4647")));

    use nomad_harness::docker::DockerEngine as _;
    let made = stage.docker.containers(&[]).await.unwrap();
    assert!(made.iter().any(|one| one.id == id));
    container.rm().await.unwrap();
    let left = stage.docker.containers(&[]).await.unwrap();
    assert!(left.iter().all(|one| one.id != id));
}
