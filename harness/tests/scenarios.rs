//! Each scenario is a test of its own, `NAME::ENGINE`: a cluster comes up, the scenario must
//! pass, and the cluster goes. On the simulator always; on real Nomad where
//! `REHEARSE_NOMAD_BINARY` names a binary.
//!
//! `cargo nextest run` runs the quickest, `cargo nextest run -P nightly` runs all (see
//! `.config/nextest.toml`). Without a Docker engine, or on a machine too busy to prove anything,
//! these tests say so; with `REHEARSE_REQUIRE_DOCKER=1` that is a failure. The reports lie in `target/rehearsals/tests`.

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use nomad_harness::Cluster;
use nomad_harness::docker;
use nomad_harness::engine::{EngineKind, EngineRequest};
use nomad_harness::environment::Environment;
use nomad_harness::report::{self, Report, Verdict};
use nomad_harness::runner::{self, Folder, Options};
use nomad_harness::scenario::{self, Scenario};
use nomad_harness::spec::Arch;

/// The seed of every run, so that a failure can be had again.
const SEED: u64 = 1;

fn main() {
    let mut args = Arguments::from_args();
    // Clusters share one machine: one at a time. Between processes nextest's test group sees to it.
    args.test_threads = Some(1);
    let mut trials = Vec::new();
    for scenario in scenario::built_in() {
        for (word, engine) in engines() {
            let scenario = scenario.clone();
            let name = format!("{}::{word}", scenario.name);
            trials.push(Trial::test(name, move || play(&scenario, engine)));
        }
    }
    libtest_mimic::run(&args, trials).exit();
}

/// The engines that there are here, by name.
fn engines() -> Vec<(&'static str, EngineRequest)> {
    let simulator = EngineRequest {
        kind: EngineKind::Simulator,
        ..EngineRequest::default()
    };
    let mut engines = vec![("simulator", simulator)];
    if let (Some(path), Some(arch)) = (std::env::var_os("REHEARSE_NOMAD_BINARY"), Arch::host()) {
        let binary = EngineRequest {
            kind: EngineKind::Binary,
            binaries: [(arch, PathBuf::from(path))].into(),
            ..EngineRequest::default()
        };
        engines.push(("binary", binary));
    }
    engines
}

fn play(scenario: &Scenario, engine: EngineRequest) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let Some(report) = runtime.block_on(on_a_cluster(scenario, engine))? else {
        return Ok(());
    };
    let summary = report::summary(std::slice::from_ref(&report));
    match report.verdict {
        Verdict::Passed => Ok(()),
        // What this host or engine lacks is said, and is no failure.
        Verdict::Skipped => {
            eprintln!("{summary}");
            Ok(())
        }
        // A machine that is too busy proves nothing; where proof is demanded, that is a failure.
        Verdict::Inconclusive if !docker_is_required() => {
            eprintln!("\n*** INCONCLUSIVE, nothing was proved ***\n{summary}");
            Ok(())
        }
        Verdict::Failed | Verdict::Inconclusive => Err(summary.into()),
    }
}

fn docker_is_required() -> bool {
    std::env::var_os("REHEARSE_REQUIRE_DOCKER").is_some()
}

/// Runs the scenario on a cluster of its own; `None` where there is no Docker engine.
async fn on_a_cluster(
    scenario: &Scenario,
    engine: EngineRequest,
) -> Result<Option<Report>, Failed> {
    let folder = tempfile::tempdir()?;
    let environment = Environment {
        state_root: folder.path().join("rehearse"),
        agent: Some(PathBuf::from(env!("CARGO_BIN_EXE_rehearse"))),
        ..Environment::of_process()
    };
    if let Err(error) = docker::connect(&environment).await {
        if docker_is_required() {
            return Err(format!("REHEARSE_REQUIRE_DOCKER is set, and: {error}").into());
        }
        eprintln!("\n*** SKIPPED, nothing was tested: {error} ***\n");
        return Ok(None);
    }
    // Simulated agents know one region: there the scenario is skipped, and says so.
    let simulated = engine.kind == EngineKind::Simulator;
    let (clients, further) = match scenario.regions.as_slice() {
        [_, further @ ..] if !simulated => (scenario.clients, further),
        _ => (scenario.clients.max(3), [].as_slice()),
    };
    let first = scenario.regions.first().map_or("global", String::as_str);
    let cluster = Cluster::builder()
        .engine_request(engine)
        .servers(if scenario.servers > 3 { 5 } else { 3 })
        .clients(u16::try_from(clients)?)
        .region(first)
        .federated_with(further)
        .data_size(scenario.data_size())
        .environment(environment)
        .start()
        .await?;
    let reports = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rehearsals/tests");
    let options = Options {
        folder: Some(Folder::create(&reports, &scenario.name)?),
        ..Options::with_seed(SEED)
    };
    let report = runner::run(scenario, cluster.target(), options).await;
    cluster.tear_down().await?;
    Ok(Some(report))
}
