//! Every defect that can be planted in the simulator is found, by a law or by a scenario of the
//! library: one that nothing finds is a hole in both.
//!
//! Each finder is seen twice: it fails where the defect is, and holds where none is. What brings a
//! cluster up looks at it too, and finds what leaves a cluster open at once.

use std::collections::BTreeSet;

use agent::plant::Plant;
use futures::{StreamExt as _, stream};
use nomad_harness::Cluster;
use nomad_harness::conformance::{self, Case, Kept, Options};
use nomad_harness::report::Verdict;
use nomad_harness::runner;
use nomad_harness::scenario;
use nomad_harness::target::Target as _;
use nomad_harness::time_scale::TimeScale;

use super::Stage;

/// What finds a defect.
#[derive(Clone, Copy, Debug)]
enum Finder {
    /// A law of the conformance suite is broken.
    Law(&'static str),
    /// The same of a law that waits for long before it says so.
    PatientLaw(&'static str),
    /// No cluster comes up: it is not as a cluster must be, in these words.
    BringUp(&'static str),
    /// A scenario of the library fails, at this time scale.
    Scenario(&'static str, u32),
}
use Finder::{BringUp, Law, PatientLaw, Scenario};

/// Every defect, and what finds it.
const TABLE: &[(&str, Finder)] = &[
    ("no-failover", Scenario("leader-failover", 1)),
    ("lost-write", Law("six_versions_are_kept")),
    ("acl-open", BringUp("access control")),
    (
        "token-never-expires",
        PatientLaw("an_expired_token_is_worth_nothing"),
    ),
    (
        "no-client-certificate",
        Law("nobody_without_a_certificate_gets_in"),
    ),
    ("gossip-key-ignored", Scenario("wrong-gossip-key", 10)),
    ("stale-reads", Scenario("quorum-loss-and-recovery", 1)),
    (
        "wait-ignored",
        Law("without_a_change_the_answer_comes_when_the_wait_is_over"),
    ),
    ("events-lost", PatientLaw("a_registered_job_is_an_event")),
    (
        "enforce-index-ignored",
        Law("an_enforced_index_must_be_the_jobs"),
    ),
    (
        "cas-ignored",
        Law("a_variable_is_changed_only_at_its_index"),
    ),
    (
        "restore-drops-jobs",
        Law("a_restored_snapshot_brings_back_what_was_there"),
    ),
    ("lost-node-kept", Scenario("client-loss", 10)),
    ("new-node-missed", Scenario("system-job-and-new-client", 10)),
    (
        "drain-leaves-one",
        Law("a_drained_node_is_empty_and_stays_ineligible"),
    ),
    (
        "blocked-for-ever",
        PatientLaw("what_waits_for_room_is_placed_when_there_is_some"),
    ),
    (
        "constraints-ignored",
        Law("an_unsatisfied_constraint_leaves_the_job_waiting"),
    ),
    (
        "port-given-twice",
        Law("a_reserved_port_is_given_once_a_node"),
    ),
    (
        "no-auto-revert",
        PatientLaw("a_failed_deployment_goes_back_to_the_stable_version"),
    ),
    (
        "no-auto-promote",
        PatientLaw("healthy_canaries_promote_themselves_when_told"),
    ),
    (
        "max-parallel-ignored",
        Law("a_changed_task_is_rolled_out_one_by_one"),
    ),
    (
        "min-healthy-time-ignored",
        Law("no_allocation_is_healthy_before_its_time"),
    ),
    (
        "progress-deadline-ignored",
        PatientLaw("without_progress_a_deployment_fails"),
    ),
    (
        "scale-count-ignored",
        Law("scaling_changes_the_count_and_the_version"),
    ),
    (
        "revert-ignored",
        Law("reverting_registers_an_old_version_anew"),
    ),
    (
        "restarts-ignored",
        Law("a_failed_task_is_restarted_as_often_as_said"),
    ),
    (
        "not-rescheduled",
        PatientLaw("a_failed_service_is_placed_anew"),
    ),
    (
        "kill-timeout-ignored",
        Law("a_running_task_is_told_to_end_and_ends_well"),
    ),
    (
        "service-kept",
        PatientLaw("a_stopped_jobs_services_are_gone"),
    ),
    ("write-waits-for-all", Scenario("full-disk", 1)),
    // `engine-restart` finds it, too, where an engine may be restarted.
    ("writes-not-synced", Scenario("cluster-stop-start", 10)),
];

/// What is told of it.
const TOLD: &str = include_str!("../../../docs/simulator.md");

/// How many small clusters are up at once: they wait more than they work.
const AT_ONCE: usize = 3;

/// The case of this name.
fn law(name: &str) -> Case {
    let mut all = conformance::cases().into_iter();
    let case = all.find(|case| case.name == name);
    case.unwrap_or_else(|| panic!("`{name}` is no law"))
}

#[test]
fn every_defect_has_a_finder_and_the_document_tells_it() {
    let there: BTreeSet<_> = Plant::names().collect();
    let found: BTreeSet<_> = TABLE.iter().map(|(plant, _)| *plant).collect();
    assert_eq!(there, found, "the defects, and those in the table");
    assert_eq!(TABLE.len(), found.len(), "each stands there once");
    let library = scenario::built_in();
    for (plant, finder) in TABLE {
        let finder = match finder {
            Law(name) | PatientLaw(name) => {
                law(name);
                format!("law `{name}`")
            }
            Scenario(name, _) => {
                let known = library.iter().any(|scenario| scenario.name == *name);
                assert!(known, "`{name}` is no scenario of the library");
                format!("scenario `{name}`")
            }
            BringUp(_) => "`up` itself".to_owned(),
        };
        let line = format!("| `{plant}` | {finder} |");
        let told = TOLD.lines().any(|told| told == line);
        assert!(told, "docs/simulator.md lacks the line: {line}");
    }
}

/// A small cluster, with a defect or without.
fn small(stage: &Stage, plant: Option<&str>) -> nomad_harness::ClusterBuilder {
    let builder = stage.builder().servers(1).clients(2);
    match plant {
        Some(plant) => builder.plant(plant),
        None => builder,
    }
}

/// Puts laws to a cluster; returns those that are broken, with what was seen.
async fn broken(cluster: &Cluster, cases: &[Case]) -> Vec<(&'static str, String)> {
    let target = cluster.target();
    let options = Options {
        parallel: 4,
        authority: target
            .folder()
            .read_cli(&target.record().spec.region)
            .unwrap()
            .0,
        ..Options::default()
    };
    let version = target.engine().version.parse().unwrap();
    let score = conformance::run(target, cases, &version, &options, |_| {}).await;
    let seen = |one: conformance::Outcome| match one.kept {
        Kept::Yes => None,
        Kept::No { seen } => Some((one.name, seen)),
        // Neither shows that the law would find anything.
        other => panic!("`{}` was not checked: {other:?}", one.name),
    };
    score.outcomes.into_iter().filter_map(seen).collect()
}

/// Returns why nothing was found, if so.
async fn missed_by_law(stage: &Stage, plant: &str, name: &str) -> Option<String> {
    let cluster = match small(stage, Some(plant)).start().await {
        Ok(cluster) => cluster,
        Err(error) => return Some(format!("{plant}: no cluster: {error}")),
    };
    let found = broken(&cluster, &[law(name)]).await;
    cluster.tear_down().await.unwrap();
    match found.first() {
        Some((_, seen)) => {
            eprintln!("{plant}: `{name}` found it: {seen:.200}");
            None
        }
        None => Some(format!("{plant}: `{name}` found nothing")),
    }
}

/// Sees every law find its defect, and hold where there is none.
async fn assert_laws_find(laws: Vec<(&str, &str)>) {
    let Some(stage) = Stage::set().await else {
        return;
    };
    assert!(!laws.is_empty());
    let sound = small(&stage, None).start().await.unwrap();
    let cases: Vec<Case> = laws.iter().map(|(_, name)| law(name)).collect();
    let wrong = broken(&sound, &cases).await;
    sound.tear_down().await.unwrap();
    assert!(wrong.is_empty(), "without any defect: {wrong:#?}");
    let looks = laws
        .into_iter()
        .map(|(plant, name)| missed_by_law(&stage, plant, name));
    let missed: Vec<String> = stream::iter(looks)
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(missed.is_empty(), "{missed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_law_finds_each_defect_that_it_is_said_to_find() {
    let laws = TABLE.iter().filter_map(|(plant, finder)| match finder {
        Law(name) => Some((*plant, *name)),
        _ => None,
    });
    assert_laws_find(laws.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_law_finds_each_defect_that_it_is_said_to_find() {
    let laws = TABLE.iter().filter_map(|(plant, finder)| match finder {
        PatientLaw(name) => Some((*plant, *name)),
        _ => None,
    });
    assert_laws_find(laws.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cluster_comes_up_with_a_defect_that_up_itself_finds() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    for (plant, finder) in TABLE {
        let BringUp(words) = finder else { continue };
        let timeout = std::time::Duration::from_secs(10);
        let error = small(&stage, Some(plant)).timeout(timeout).start().await;
        let error = match error {
            Err(error) => error.to_string(),
            Ok(cluster) => {
                cluster.tear_down().await.unwrap();
                panic!("{plant}: a cluster came up");
            }
        };
        assert!(error.contains(words), "{plant}: {error}");
    }
}

/// Plays a scenario of the library on a cluster of its own.
async fn verdict(stage: &Stage, name: &str, scale: u32, plant: Option<&str>) -> (Verdict, String) {
    let library = scenario::built_in();
    let scenario = library.iter().find(|scenario| scenario.name == name);
    let builder = stage.builder().time_scale(TimeScale::new(scale).unwrap());
    let builder = match plant {
        Some(plant) => builder.plant(plant),
        None => builder,
    };
    let scenario = scenario.unwrap();
    let builder = builder.data_size(scenario.data_size());
    let cluster = builder.start().await.unwrap();
    let options = runner::Options::with_seed(1);
    let report = runner::run(scenario, cluster.target(), options).await;
    cluster.tear_down().await.unwrap();
    let summary = nomad_harness::report::summary(std::slice::from_ref(&report));
    (report.verdict, summary)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_finds_each_defect_that_it_is_said_to_find() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    for (plant, finder) in TABLE {
        let Scenario(name, scale) = finder else {
            continue;
        };
        let (planted, told) = verdict(&stage, name, *scale, Some(plant)).await;
        eprintln!("{plant}: {told}");
        assert_eq!(planted, Verdict::Failed, "{plant}: {told}");
        let (sound, told) = verdict(&stage, name, *scale, None).await;
        assert_eq!(sound, Verdict::Passed, "without {plant}: {told}");
    }
}
