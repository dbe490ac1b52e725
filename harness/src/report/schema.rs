//! Whether what is written is what `docs/report-schema.json` says. For tests only.

use jsonschema::Validator;
use serde_json::Value;

/// Returns what is wrong with a JSON text that should be a `result`, a `timeline`, ...
pub(crate) fn problems(text: &str, of: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).expect("it is JSON");
    let errors = validator(of);
    errors
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect()
}

fn validator(of: &str) -> Validator {
    let whole = include_str!("../../carried/report-schema.json");
    let mut schema: Value = serde_json::from_str(whole).expect("the schema is JSON");
    assert!(schema["$defs"][of].is_object(), "the schema has no `{of}`");
    let root = schema.as_object_mut().expect("the schema is an object");
    root.remove("anyOf");
    root.insert("$ref".to_owned(), format!("#/$defs/{of}").into());
    jsonschema::validator_for(&schema).expect("the schema is one")
}

#[test]
fn what_the_schema_does_not_say_is_seen() {
    let right = include_str!("html/fixtures/result.json");
    assert_eq!(problems(right, "result"), Vec::<String>::new());
    let mut wrong: Value = serde_json::from_str(right).expect("it is JSON");
    wrong["took_ms"] = "long".into();
    wrong["new"] = 1.into();
    let found = problems(&wrong.to_string(), "result");
    assert_eq!(found.len(), 2, "{found:?}");
    let timeline = include_str!("html/fixtures/timeline.json");
    assert_eq!(problems(timeline, "timeline"), Vec::<String>::new());
    assert!(!problems(timeline, "result").is_empty());
}

/// Every kind of event, standing and verdict that there is stands in the schema.
#[test]
fn the_schema_knows_every_word() {
    use crate::report::Verdict;
    use crate::timeline::Standing;
    let schema = include_str!("../../carried/report-schema.json");
    let mut words = Vec::new();
    for verdict in [
        Verdict::Passed,
        Verdict::Skipped,
        Verdict::Inconclusive,
        Verdict::Failed,
    ] {
        words.push(serde_json::to_value(verdict).expect("a word"));
    }
    for standing in [
        Standing::Leader,
        Standing::Follower,
        Standing::NoLeader,
        Standing::Silent,
        Standing::Ready,
        Standing::Ineligible,
        Standing::Down,
    ] {
        words.push(serde_json::to_value(standing).expect("a word"));
    }
    for word in words {
        assert!(schema.contains(&word.to_string()), "{word} is missing");
    }
}
