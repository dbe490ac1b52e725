//! How much of Nomad the simulator is.

use nomad_harness::conformance::{self, Kept, Options};
use nomad_harness::target::Target as _;

use super::Stage;

/// What is told of the simulator, its differences from Nomad law by law.
const TOLD: &str = include_str!("../../../docs/simulator.md");

/// The heading under which the laws stand that the simulator does not keep.
const HEADING: &str = "## Laws that the simulator does not keep";

/// The laws that the simulator is known not to keep: the lines of that part that begin so.
fn told() -> Vec<&'static str> {
    let (_, after) = TOLD.split_once(HEADING).expect("docs/simulator.md has it");
    let part = after.split("\n## ").next().unwrap_or_default();
    let line = |line: &'static str| line.strip_prefix("- `")?.split('`').next();
    part.lines().filter_map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_law_that_the_simulator_does_not_keep_is_told() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().start().await.unwrap();
    let target = cluster.target();
    let spec = &target.record().spec;
    let options = Options {
        parallel: 4,
        authority: target.folder().read_cli(&spec.region).unwrap().0,
        ..Options::default()
    };
    let version = target.engine().version.parse().unwrap();
    let cases = conformance::cases();
    let score = conformance::run(target, &cases, &version, &options, |_| {}).await;
    cluster.tear_down().await.unwrap();
    eprintln!("{}", score.sentence());
    let told = told();
    let lost: Vec<_> = score
        .outcomes
        .iter()
        .filter(|one| matches!(one.kept, Kept::No { .. } | Kept::NotSimulated { .. }))
        .collect();
    for known in &told {
        if !lost.iter().any(|one| one.name == *known) {
            eprintln!("kept by now, and still told as a difference: {known}");
        }
    }
    let untold: Vec<_> = lost
        .iter()
        .filter(|one| !told.contains(&one.name))
        .collect();
    assert!(untold.is_empty(), "{untold:#?}");
    let left: Vec<_> = score
        .outcomes
        .iter()
        .filter(|o| !o.left.is_empty())
        .collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
}

#[test]
fn every_difference_that_is_told_is_about_a_law() {
    let cases = conformance::cases();
    for name in told() {
        let known = cases.iter().any(|case| case.name == name);
        assert!(
            known,
            "docs/simulator.md tells of `{name}`, which is no law"
        );
    }
}
