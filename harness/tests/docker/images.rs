//! Images made on top of others.

use std::path::{Path, PathBuf};

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

/// Packs what stands for the program as `ci/release.sh` does.
async fn release_of(program: &Path, folder: &Path, arch: Arch) {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("rehearse-{version}-linux-{arch}");
    let inside = folder.join(&name);
    std::fs::create_dir(&inside).unwrap();
    std::fs::copy(program, inside.join("rehearse")).unwrap();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        std::fs::copy(tree.join(licence), inside.join(licence)).unwrap();
    }
    let packed = tokio::process::Command::new("tar")
        .args(["-czf", &format!("{name}.tar.gz"), &name])
        .current_dir(folder)
        .status();
    assert!(packed.await.unwrap().success());
}

/// Runs `ci/tool-image.sh`; returns whether it succeeded, and what it said.
async fn tool_image(arch: Arch, folder: &Path) -> (bool, String) {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = tokio::process::Command::new(tree.join("ci/tool-image.sh"))
        .arg(arch.to_string())
        .arg(folder)
        .output();
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_s_own_image_is_taken_in_and_runs() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let arch = Arch::host().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (made, said) = tool_image(arch, folder.path()).await;
    assert!(
        !made && said.contains(&format!("hint: ci/release.sh {arch}")),
        "{said}"
    );

    // A static program that says what it runs on stands for the real one, which takes minutes to build.
    let probe = format!("../images/probe/probe-{arch}");
    let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join(probe);
    release_of(&probe, folder.path(), arch).await;
    let (made, said) = tool_image(arch, folder.path()).await;
    assert!(made, "{said}");
    let version = env!("CARGO_PKG_VERSION");
    let archive = folder
        .path()
        .join(format!("rehearse-{version}-image-{arch}.tar.gz"));
    let bytes = bytes::Bytes::from(std::fs::read(&archive).unwrap());

    let name = format!("rehearse:{version}-{arch}");
    let had = stage.docker.image(&name).await.unwrap().is_some();
    if had {
        eprintln!("\n*** SKIPPED: the image `{name}` is somebody's ***\n");
        return;
    }
    let stream = futures::stream::iter([Ok(bytes.clone())]).boxed();
    stage.docker.load_image(&name, stream).await.unwrap();
    let facts = stage.docker.image(&name).await.unwrap().unwrap();
    let (code, said) = run_in(&stage, &name, &["/rehearse"]).await;
    stage.docker.remove_image(&name).await.unwrap();
    assert_eq!(facts.arch, arch.to_string());
    assert_eq!(code, 0, "{said}");
    assert!(said.trim_end().ends_with("probe ok"), "{said}");

    let (made_again, _) = tool_image(arch, folder.path()).await;
    assert!(made_again);
    assert!(
        std::fs::read(&archive).unwrap() == bytes,
        "it is not the same twice"
    );
}
