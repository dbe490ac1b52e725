//! Laws of comparisons.

use serde_json::json;

use super::*;
use crate::report::{Report, Verdict};

/// A run's report, as its file has it.
pub(super) fn report(scenario: &str, leaderless_ms: f64) -> Report {
    let value = json!({
        "schema": 1, "scenario": scenario, "description": "", "verdict": "passed",
        "cluster": "c", "engine": { "kind": "binary", "version": "1.8.3", "simulated": false },
        "agents": [{ "name": "server-1", "role": "server", "arch": "amd64", "emulated": false }],
        "engine_label": "Nomad 1.8.3 (binary)", "seed": 1, "started_at": "2026-01-02T03:04:05Z",
        "took_ms": 1000.0, "steps_total": 1, "notes": [], "cluster_fit": true,
        "steps": [{ "number": 1, "step": "s", "verdict": "passed", "seen": "", "started_ms": 0.0,
                    "took_ms": 1.0 }],
        "measures": [
            { "name": "leaderless_ms", "value": leaderless_ms },
            { "name": "requests_lost", "value": 0.0 },
            { "name": "writes_acknowledged", "value": 17.0 },
        ],
    });
    serde_json::from_value(value).expect("a report of ours")
}

pub(super) fn side(reports: &[Report]) -> Side {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let path = folder.path().join("results.json");
    std::fs::write(&path, crate::report::to_json(reports)).expect("it can be written");
    Side::read(&path).expect("a side")
}

pub(super) fn compared(one: &[Report], other: &[Report]) -> Comparison {
    compare(&[side(one), side(other)], &Tolerances::default())
}

pub(super) fn left_out(comparison: &Comparison, of: &str) -> String {
    let found = comparison.not_compared.iter().find(|one| one.of == of);
    found.map_or_else(String::new, |one| one.why.clone())
}

#[test]
fn sides_that_agree_do_not_drift() {
    let comparison = compared(&[report("a", 2000.0)], &[report("a", 2600.0)]);
    assert_eq!(comparison.drifts, []);
    assert_eq!(comparison.exit_code(), 0);
    assert!(
        to_text(&comparison).contains("2600 (1.30 times)"),
        "{}",
        to_text(&comparison)
    );
}

#[test]
fn a_measure_beyond_its_tolerance_is_drift() {
    let comparison = compared(&[report("a", 2000.0)], &[report("a", 9000.0)]);
    assert_eq!(comparison.exit_code(), 40);
    let text = to_text(&comparison);
    assert!(
        text.contains("drift: a: leaderless_ms: 2000 on one side, 9000 on the other: 4.50 times"),
        "{text}"
    );
}

#[test]
fn another_verdict_is_drift_and_one_that_proves_nothing_is_not() {
    let mut failed = report("a", 2000.0);
    failed.verdict = Verdict::Failed;
    failed.reason = Some("no leader".into());
    let comparison = compared(&[report("a", 2000.0)], &[failed.clone()]);
    assert_eq!(comparison.exit_code(), 40);
    assert!(comparison.drifts[0].there.contains("failed (no leader)"));
    failed.verdict = Verdict::Inconclusive;
    let comparison = compared(&[report("a", 2000.0)], &[failed]);
    assert_eq!((comparison.drifts.len(), comparison.exit_code()), (0, 31));
    assert!(left_out(&comparison, "a").contains("inconclusive on side 2"));
}

#[test]
fn another_order_of_steps_is_drift() {
    let mut other = report("a", 2000.0);
    other.steps[0].number = 2;
    let comparison = compared(&[report("a", 2000.0)], &[other]);
    assert_eq!(comparison.drifts[0].area, "order");
    assert_eq!(comparison.drifts[0].there, "step 2 passed");
}

#[test]
fn the_speed_of_an_emulated_run_is_never_compared_with_a_native_one() {
    let mut emulated = report("a", 90_000.0);
    emulated.agents[0].emulated = true;
    let comparison = compared(&[report("a", 2000.0)], &[emulated.clone()]);
    assert_eq!(comparison.drifts, []);
    assert!(left_out(&comparison, "a: leaderless_ms").contains("emulated"));
    assert!(
        comparison
            .warnings
            .iter()
            .any(|one| one.starts_with("EMULATED"))
    );
    // A lost request is one anywhere.
    emulated.measures[1].value = 3.0;
    let comparison = compared(&[report("a", 2000.0)], &[emulated.clone()]);
    assert_eq!(comparison.drifts.len(), 1);
    let both = compared(&[emulated.clone()], &[emulated]);
    assert!(left_out(&both, "a: leaderless_ms").is_empty());
}

#[test]
fn a_simulated_side_is_told() {
    let mut simulated = report("a", 2000.0);
    simulated.engine.simulated = true;
    let comparison = compared(&[report("a", 2000.0)], &[simulated]);
    assert!(comparison.warnings[0].starts_with("SIMULATED: One side"));
    assert!(to_html(&comparison).contains("<strong>SIMULATED</strong>"));
    assert_eq!(
        compared(&[report("a", 1.0)], &[report("a", 1.0)]).warnings,
        Vec::<String>::new()
    );
}

#[test]
fn what_was_not_compared_is_listed() {
    let comparison = compared(
        &[report("a", 2000.0), report("only-here", 1.0)],
        &[report("a", 2000.0)],
    );
    assert!(left_out(&comparison, "only-here").contains("did not run on side 2"));
    assert!(left_out(&comparison, "a: writes_acknowledged").contains("how long"));
    assert!(to_text(&comparison).contains("not compared: only-here"));
}

#[test]
fn several_runs_count_by_their_middle_and_their_worst_verdict() {
    let runs = [2000.0, 2100.0, 60_000.0].map(|ms| report("a", ms));
    assert_eq!(compared(&runs, &[report("a", 2050.0)]).drifts, []);
    let mut failed = report("a", 2000.0);
    failed.verdict = Verdict::Failed;
    let runs = [report("a", 2000.0), failed];
    assert_eq!(compared(&runs, &[report("a", 2000.0)]).exit_code(), 40);
}

#[test]
fn many_sides_are_columns_beside_the_first() {
    let sides = [1000.0, 1100.0, 9000.0].map(|ms| side(&[report("a", ms)]));
    let comparison = compare(&sides, &Tolerances::default());
    assert_eq!(comparison.drifts.len(), 1);
    assert_eq!(comparison.drifts[0].sides, (0, 2));
    let html = to_html(&comparison);
    assert!(html.contains("<b>3. "), "a column each");
    assert!(html.contains("× 9.00"));
}

#[test]
fn what_is_no_report_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let error = Side::read(folder.path()).expect_err("nothing is there");
    assert!(
        error.to_string().contains("no report of a run in"),
        "{error}"
    );
    let path = folder.path().join("result.json");
    std::fs::write(&path, "{\n  \"schema\": 1,\n}").expect("it can be written");
    let error = Side::read(folder.path()).expect_err("it is no report");
    assert!(
        error
            .to_string()
            .contains("result.json` is no report of a run: line 3"),
        "{error}"
    );
    let mut newer = report("a", 1.0);
    newer.schema = 99;
    std::fs::write(&path, crate::report::to_json(&newer)).expect("it can be written");
    let error = Side::read(folder.path()).expect_err("it is of the future");
    assert!(error.to_string().contains("has schema 99"), "{error}");
}

#[test]
fn a_comparison_is_as_its_schema_says() {
    let comparison = compared(&[report("a", 2000.0)], &[report("a", 9000.0)]);
    let json = crate::report::to_json(&comparison);
    assert_eq!(
        crate::report::schema::problems(&json, "comparison"),
        Vec::<String>::new()
    );
}
