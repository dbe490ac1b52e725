//! A small cluster of another architecture: s390x, under QEMU where this machine is not one.
//!
//! It needs what `.ci/run` sees to: an emulation that works (`ci/qemu.sh s390x`) and the program
//! (`ci/build-static.sh s390x`). Where one of them is missing the test says so and proves nothing;
//! with `REHEARSE_REQUIRE_EMULATION=1` that is a failure.

use std::path::{Path, PathBuf};

use nomad_harness::docker::labels;
use nomad_harness::emulation;
use nomad_harness::spec::Arch;
use serde_json::Value;

use super::Stage;

const ARCH: Arch = Arch::S390x;

/// What is done to it: a job, writes through all servers, and a fault of the network, which a
/// program of this machine's own architecture makes in the network of an emulated agent.
const SCRIPT: &str = r#"
scenario "far" {
  description = "a cut-off leader is replaced, and no acknowledged write is lost"

  needs {
    servers = 3
    clients = 1
  }

  submit {
    job = builtin.whoami
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    within    = "90s"
  }
  start "leader_watch" {}
  start "writer" {
    rate = 5
  }
  inject "isolate" {
    on = leader
  }
  expect "leader" {
    within = "60s"
  }
  heal "isolate" {}
  expect "voters" {
    within = "120s"
  }
  stop {}
  measure "leaderless_ms" {
    at_most = "60s"
  }
}
"#;

/// Returns the program for the emulated agents, where it is there and runs.
async fn program(stage: &Stage) -> Option<PathBuf> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = tree.join(format!("target/static/{ARCH}/rehearse-agent"));
    let missing = if path.exists() {
        let probed = emulation::probe(stage.docker.as_ref(), ARCH, &labels::of_tool("far")).await;
        match probed {
            Ok(_) => return Some(path),
            Err(error) => format!("{error}: run ci/qemu.sh {ARCH}"),
        }
    } else {
        format!("there is no program for it: run ci/build-static.sh {ARCH}")
    };
    let required = std::env::var_os("REHEARSE_REQUIRE_EMULATION").is_some();
    assert!(
        !required,
        "REHEARSE_REQUIRE_EMULATION is set, and: {missing}"
    );
    eprintln!("\n*** SKIPPED, no cluster on {ARCH} was tested: {missing} ***\n");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_architecture_takes_jobs_and_faults() {
    let Some(mut stage) = Stage::set().await else {
        return;
    };
    let Some(program) = program(&stage).await else {
        return;
    };
    stage.environment.agent = Some(program);
    let arch = ARCH.to_string();
    let up = ["up", "far", "--clients", "1", "--arch", &arch];
    stage
        .run_well(&[&up[..], &["--engine", "simulator"]].concat())
        .await;

    let status: Value =
        serde_json::from_str(&stage.run_well(&["status", "far", "--format", "json"]).await)
            .unwrap();
    let agents = status["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 4);
    let emulated = Arch::host() != Some(ARCH);
    for agent in agents {
        assert_eq!(agent["arch"], arch, "{agent}");
        assert_eq!(agent["emulated"], emulated, "{agent}");
    }

    // What runs in the container says itself what it is; nothing of this machine's took its place.
    let agent = "/usr/local/bin/rehearse-agent";
    let tried = stage
        .run_well(&["exec", "far", "client-1", "--", agent, "selftest"])
        .await;
    assert!(tried.starts_with("arch s390x big-endian\n"), "{tried}");
    assert!(tried.ends_with("selftest ok\n"), "{tried}");

    let script = stage.folder.path().join("far.scenario.hcl");
    std::fs::write(&script, SCRIPT).unwrap();
    let reports = stage.folder.path().join("reports");
    let told = [
        script.to_str().unwrap(),
        "--report",
        reports.to_str().unwrap(),
    ];
    let ran = stage
        .run_well(&[&["run", "--on", "far"], &told[..]].concat())
        .await;
    assert!(ran.contains("1 passed"), "{ran}");
    assert_eq!(ran.contains(", EMULATED: time limits x"), emulated, "{ran}");
    assert!(
        stage
            .run_well(&["logs", "far", "server-1"])
            .await
            .contains("nomad")
    );

    stage.run_well(&["down", "far"]).await;
    stage.assert_nothing_left("far").await;
}
