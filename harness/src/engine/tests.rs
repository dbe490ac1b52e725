//! What only a simulated agent can be, asked of each engine, on an engine in memory.

use super::*;
use crate::docker::fake::FakeDocker;

/// Asks for a program; returns it, and what Docker was asked on the way.
async fn asked(request: &EngineRequest) -> (Result<Program, EngineError>, Vec<String>) {
    let docker = FakeDocker::new();
    let cache = tempfile::tempdir().unwrap();
    let environment = Environment {
        cache_root: cache.path().to_owned(),
        // Any program of the agents' architecture: nothing runs here.
        agent: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../images/probe/probe-amd64").into()),
        ..Environment::default()
    };
    let silent = Progress::silent();
    let program = provide(request, Arch::Amd64, &environment, &docker, &silent).await;
    (program, docker.with(|state| state.calls.clone()))
}

fn faster(kind: EngineKind) -> EngineRequest {
    EngineRequest {
        kind,
        time_scale: TimeScale::new(10).unwrap(),
        ..EngineRequest::default()
    }
}

#[tokio::test]
async fn a_time_scale_is_refused_for_nomad_before_anything_is_made() {
    let named = EngineRequest {
        image: Some("hashicorp/nomad:1.8.3".to_owned()),
        ..faster(EngineKind::Auto)
    };
    for request in [
        faster(EngineKind::Binary),
        faster(EngineKind::Release),
        faster(EngineKind::Image),
        named,
    ] {
        let (program, calls) = asked(&request).await;
        let error = program.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`--time-scale 10` is for the simulated agent alone: Nomad has no such thing"
        );
        let hint = error.hint().unwrap();
        assert_eq!(hint, "rehearse up --engine simulator --time-scale 10");
        assert_eq!(calls, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_folder_in_place_of_a_program_is_called_so_and_what_lies_in_it_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let shown = folder.display();
    let given = EngineRequest {
        kind: EngineKind::Binary,
        binaries: BTreeMap::from([(Arch::Amd64, folder.to_owned())]),
        ..EngineRequest::default()
    };
    let arch = match Arch::host() {
        Some(Arch::Amd64) => "",
        _ => "amd64=",
    };
    let error = asked(&given).await.0.unwrap_err();
    let said =
        format!("`{shown}` is a folder, expected the program itself, and no `nomad` is in it");
    assert_eq!(error.to_string(), said);
    let hint = format!("rehearse up --nomad-binary {arch}PATH");
    assert_eq!(error.hint(), Some(hint));
    std::fs::write(folder.join("nomad"), "").unwrap();
    let error = asked(&given).await.0.unwrap_err();
    let said = format!("`{shown}` is a folder, expected the program itself");
    assert_eq!(error.to_string(), said);
    let hint = format!("rehearse up --nomad-binary {arch}{shown}/nomad");
    assert_eq!(error.hint(), Some(hint));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_agent_is_told_its_time_scale_and_every_output_names_it() {
    if Arch::host() != Some(Arch::Amd64) {
        return;
    }
    for kind in [EngineKind::Simulator, EngineKind::Auto] {
        let program = asked(&faster(kind)).await.0.unwrap();
        assert_eq!(program.env, ["REHEARSE_TIME_SCALE=10"]);
        for words in [
            program.info.label(),
            program.info.tag(),
            program.info.record(),
        ] {
            assert!(words.ends_with(", at time scale 10"), "{words}");
        }
    }
    let usual = EngineRequest {
        kind: EngineKind::Simulator,
        ..EngineRequest::default()
    };
    let program = asked(&usual).await.0.unwrap();
    assert_eq!(program.env, Vec::<String>::new());
    let label = program.info.label();
    assert!(
        !label.contains("scale") && !label.contains("PLANTED"),
        "{label}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_planted_defect_is_named_by_every_output_and_an_unknown_one_refused() {
    if Arch::host() != Some(Arch::Amd64) {
        return;
    }
    let request = |name: &str| EngineRequest {
        kind: EngineKind::Simulator,
        plant: Some(name.to_owned()),
        ..EngineRequest::default()
    };
    let program = asked(&request("acl-open")).await.0.unwrap();
    assert_eq!(program.env, ["REHEARSE_PLANT=acl-open"]);
    for words in [
        program.info.label(),
        program.info.tag(),
        program.info.record(),
    ] {
        assert!(words.ends_with(", PLANTED DEFECT `acl-open`"), "{words}");
    }
    let error = asked(&request("slow-disk"))
        .await
        .0
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no defect `slow-disk`") && error.contains("acl-open"),
        "{error}"
    );
}
