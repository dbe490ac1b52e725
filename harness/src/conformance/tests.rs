//! The suite itself: no case is nameless, doubled or without its facts.

use std::collections::BTreeSet;

use semver::Version;

use super::{Case, Counts, Kept, Outcome, Score, cases};
use crate::target::EngineInfo;

const FACTS: &str = include_str!("../../../docs/nomad-facts.md");

#[test]
fn every_case_has_a_name_of_its_own_and_there_are_many() {
    let cases = cases();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
    assert!(cases.len() >= 120, "{} cases", cases.len());
}

#[test]
fn every_section_is_a_heading_of_the_facts() {
    let headings: BTreeSet<_> = FACTS
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    for case in cases() {
        let Case { name, section, .. } = case;
        assert!(headings.contains(section), "{name}: no heading `{section}`");
    }
}

fn gated(name: &str) -> Case {
    let mut all = cases().into_iter();
    all.find(|case| case.name == name).expect("it is there")
}

#[test]
fn a_gate_exempts_the_versions_outside_it() {
    let since = gated("a_variable_is_written_and_read");
    assert!(since.exempt(&Version::new(1, 3, 9)).is_some());
    assert_eq!(since.exempt(&Version::new(1, 4, 0)), None);
    let until = gated("a_job_without_datacenters_is_refused");
    assert_eq!(until.exempt(&Version::new(1, 4, 9)), None);
    assert!(until.exempt(&Version::new(1, 5, 0)).is_some());
}

fn score(kept: Vec<Kept>) -> Score {
    let outcome = |kept| Outcome {
        name: "a_law",
        section: "Jobs",
        kept,
        took_ms: 1,
        left: Vec::new(),
    };
    Score {
        engine: EngineInfo {
            kind: "simulator".to_owned(),
            version: "1.8.3".to_owned(),
            simulated: true,
            ..EngineInfo::default()
        },
        version: "1.8.3".to_owned(),
        outcomes: kept.into_iter().map(outcome).collect(),
    }
}

#[test]
fn what_is_not_simulated_counts_as_not_kept() {
    let seen = || "HTTP 501".to_owned();
    let part = score(vec![Kept::Yes, Kept::NotSimulated { seen: seen() }]);
    assert_eq!(
        part.counts(),
        Counts {
            kept: 1,
            not_simulated: 1,
            ..Counts::default()
        }
    );
    assert!(!part.is_full());
    let why = "held before".to_owned();
    let whole = score(vec![Kept::Yes, Kept::Exempt { why }]);
    assert!(whole.is_full());
    assert!(!score(vec![Kept::No { seen: seen() }]).is_full());
}

#[test]
fn what_is_left_behind_spoils_the_score() {
    let mut whole = score(vec![Kept::Yes]);
    whole.outcomes[0].left.push("job/x".to_owned());
    assert!(!whole.is_full());
    assert!(whole.text().contains("left behind by a_law: job/x"));
}

#[test]
fn the_score_names_the_engine_and_what_is_wrong() {
    let seen = "expected 1, got 2".to_owned();
    let text = score(vec![Kept::Yes, Kept::No { seen }]).text();
    assert!(text.contains("broken: a_law (Jobs)\n  expected 1, got 2"));
    assert!(text.contains("SIMULATED agent (follows Nomad 1.8.3): keeps 1 of 2 laws"));
}
