//! Against what a real Nomad 1.1.2 answered to `PUT /v1/validate/job`
//! (`nomad-1.1.2.json`: each job with the errors, as they came).

use serde::Deserialize;

use super::*;
use crate::jobspec::canonicalize;

#[derive(Deserialize)]
struct Case {
    case: String,
    job: serde_json::Value,
    errors: Vec<String>,
}

/// Cases in which later versions, which the simulator follows, answer otherwise.
const CHANGED_SINCE: &[&str] = &[
    // 1.5: no datacenter means all.
    "no dcs",
    // Refused when read.
    "type",
    // Names an unknown port of a service.
    "service port",
];

#[test]
fn jobs_are_refused_in_nomads_words() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("nomad-1.1.2.json")).expect("JSON");
    assert!(cases.len() > 40);
    let mut wrong = Vec::new();
    for case in cases
        .iter()
        .filter(|c| !CHANGED_SINCE.contains(&c.case.as_str()))
    {
        let mut job: Job = serde_json::from_value(case.job.clone()).expect(&case.case);
        canonicalize(&mut job);
        let found: Vec<String> = validate(&job).iter().map(|e| comparable(e)).collect();
        let expected: Vec<String> = case.errors.iter().map(|e| comparable(e)).collect();
        if found != expected {
            wrong.push(format!(
                "{}:\n  expected {expected:?}\n  found    {found:?}",
                case.case
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without what differs for good: a word that later versions changed, the text of another
/// engine of regular expressions.
fn comparable(error: &str) -> String {
    let error = error.replace("stanza", "block");
    match error.split_once("failed to compile: ") {
        Some((before, _)) => before.to_owned(),
        None => error,
    }
}
