//! Images made on top of others.

use std::path::PathBuf;

use futures::StreamExt as _;
use nomad_harness::docker::archive::{Content, ImageRecipe};
use nomad_harness::docker::{ContainerPlan, DockerEngine as _, Labels, LayerPlan, labels};
use nomad_harness::spec::Arch;

use super::Stage;

/// Whoever crashes here leaves nothing that `sweep` does not know.
fn tool() -> Labels {
    labels::of_tool("layer-test")
}

/// Runs a command in a container of an image; returns its exit code and what it said.
async fn run_in(stage: &Stage, image: &str, command: &[&str]) -> (i64, String) {
    let plan = ContainerPlan {
        user: "10001".to_owned(),
        labels: tool(),
        ..ContainerPlan::alone(
            format!("rehearse-layer-test-{}", std::process::id()),
            image.to_owned(),
            Arch::host().unwrap().platform(),
            command.iter().map(|word| (*word).to_owned()).collect(),
        )
    };
    let id = stage.docker.create_container(&plan).await.unwrap();
    stage.docker.start_container(&id).await.unwrap();
    let code = stage.docker.wait_container(&id).await.unwrap();
    let mut log = stage.docker.logs(&id, None, false);
    let mut said = Vec::new();
    while let Some(piece) = log.next().await {
        said.extend_from_slice(piece.unwrap().bytes());
    }
    stage.docker.remove_container(&id).await.unwrap();
    (code, String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_on_top_of_an_image_which_stays_as_it_is() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().servers(1).clients(0).start().await.unwrap();
    let base = cluster.target().record().agents[0].image.clone();
    cluster.tear_down().await.unwrap();
    let arch = Arch::host().unwrap();
    let below = stage.docker.image(&base).await.unwrap().unwrap();

    let mut recipe = ImageRecipe::new(arch);
    recipe.base = Some(below.id.clone());
    recipe.env = vec!["LAYERED=yes".to_owned()];
    let program = PathBuf::from(env!("CARGO_BIN_EXE_rehearse"));
    recipe.file("/opt/copy", 0o755, Content::File(program));
    let archive = recipe.seal("rehearse/test").unwrap();
    let plan = LayerPlan {
        name: archive.name().to_owned(),
        base: below.id.clone(),
        platform: arch.platform(),
        env: archive.recipe().env.clone(),
        labels: [("rehearse.test".to_owned(), "layer".to_owned())].into(),
        tool: tool(),
    };
    stage
        .docker
        .layer_image(&plan, archive.layer())
        .await
        .unwrap();
    let made = stage.docker.image(&plan.name).await.unwrap().unwrap();
    assert_ne!(made.id, below.id);
    assert_eq!(made.arch, arch.to_string());
    assert_eq!(made.labels["rehearse.test"], "layer");
    assert_eq!(
        made.labels.get("rehearse.run").map(String::as_str),
        Some("")
    );

    // It runs with the libraries of the image below.
    let (code, said) = run_in(&stage, &plan.name, &["/opt/copy", "agent", "-help"]).await;
    stage.docker.remove_image(&plan.name).await.unwrap();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Usage: nomad agent"), "{said}");
    let left = stage
        .docker
        .containers(&[("rehearse.run", Some("layer-test"))])
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(stage.docker.image(&base).await.unwrap().is_some());
}
