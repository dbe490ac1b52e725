//! What could not be evaluated, and so was not judged.

use std::collections::BTreeMap;

use super::subject::{Subject, few};
use super::{Hit, Rule, Severity};
use crate::terraform::value::{Cause, Value, Why};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "variable-without-value",
        severity: Severity::Note,
        why: "what the value decides was not judged: no finding there is no praise",
        mend: "give it: `-var NAME=VALUE` or `-var-file FILE`, as `rehearse plan` and Terraform demand it",
        check: variables,
    },
    Rule {
        id: "not-evaluated",
        severity: Severity::Note,
        why: "what is not known here was not judged: no finding there is no praise",
        mend: "say what it would be (`--assume ADDRESS=VALUE`), or lint what `terraform show -json` prints of a plan",
        check: unevaluated,
    },
];

/// Whether this is the cause: a variable without a value.
fn is_missing(cause: &Cause, name: &str) -> bool {
    cause.why == Why::NoValue && cause.what.strip_prefix("var.") == Some(name)
}

fn variables(subject: &Subject<'_>) -> Vec<Hit> {
    let variables = subject.configuration.variables.iter();
    variables
        .filter(|(name, variable)| match &variable.value {
            Value::Unknown(unknown) => unknown.causes.iter().any(|one| is_missing(one, name)),
            _ => false,
        })
        .map(|(name, variable)| {
            let mut addresses: Vec<String> = subject
                .configuration
                .unevaluated
                .iter()
                .filter(|open| is_missing(&open.cause, name))
                .map(|open| open.address.clone())
                .collect();
            addresses.dedup();
            let decided = if addresses.is_empty() {
                String::new()
            } else {
                format!("; not known by it: {}", few(&addresses))
            };
            let said = format!("variable `{name}` has no value{decided}");
            Hit::new(&variable.site, said)
        })
        .collect()
}

fn unevaluated(subject: &Subject<'_>) -> Vec<Hit> {
    let configuration = subject.configuration;
    let of_variable = |cause: &Cause| {
        let mut names = configuration.variables.keys();
        names.any(|name| is_missing(cause, name))
    };
    let mut causes: BTreeMap<&Cause, Vec<String>> = BTreeMap::new();
    for open in &configuration.unevaluated {
        // What AWS chooses when it makes a thing is none of the configuration's.
        if open.cause.why != Why::AfterApply && !of_variable(&open.cause) {
            let addresses = causes.entry(&open.cause).or_default();
            if !addresses.contains(&open.address) {
                addresses.push(open.address.clone());
            }
        }
    }
    let hit = |(cause, addresses): (&Cause, Vec<String>)| {
        let (what, why) = (&cause.what, &cause.why);
        let said = format!("{} not known: {what} ({why})", few(&addresses));
        Hit::new(&cause.site, said)
    };
    causes.into_iter().map(hit).collect()
}
