//! Constraints, affinities, spreads.

use std::collections::BTreeSet;

use super::Findings;
use crate::scheduler::pattern_error;
use crate::types::{Affinity, Constraint, Spread};

const OPERANDS: &[&str] = &[
    "=",
    "==",
    "is",
    "!=",
    "not",
    "<",
    "<=",
    ">",
    ">=",
    "regexp",
    "version",
    "semver",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
];

/// Operands that need no value to compare with.
const WITHOUT_VALUE: &[&str] = &[
    "distinct_hosts",
    "distinct_property",
    "is_set",
    "is_not_set",
];

pub(super) fn constraints(all: Option<&[Constraint]>, found: &mut Findings) {
    for (i, constraint) in all.unwrap_or_default().iter().enumerate() {
        let title = format!("Constraint {} validation failed", i + 1);
        found.titled(&title, constraint_errors(constraint));
    }
}

pub(super) fn affinities(all: Option<&[Affinity]>, found: &mut Findings) {
    for (i, affinity) in all.unwrap_or_default().iter().enumerate() {
        let title = format!("Affinity {} validation failed", i + 1);
        found.titled(&title, affinity_errors(affinity));
    }
}

pub(super) fn spreads(all: Option<&[Spread]>, found: &mut Findings) {
    for (i, spread) in all.unwrap_or_default().iter().enumerate() {
        let title = format!("Spread {} validation failed", i + 1);
        found.titled(&title, spread_errors(spread));
    }
}

/// What is wrong with the value of an operand; `kind` is `constraint` or `affinity`.
fn value_errors(operand: &str, value: &str, kind: &str, found: &mut Findings) {
    match operand {
        "set_contains" | "set_contains_all" | "set_contains_any" => {
            let text = match kind {
                "affinity" => "Set contains operators require an RTarget",
                _ => "Set contains constraint requires an RTarget",
            };
            found.check(value.is_empty(), text);
        }
        "regexp" => {
            if let Some(why) = pattern_error(value) {
                let text = format!("Regular expression failed to compile: {why}");
                found.0.push(text);
            }
        }
        "version" | "semver" => {
            let name = if operand == "version" {
                "Version"
            } else {
                "Semver"
            };
            let bad = value.split(',').find(|part| !is_version_condition(part));
            if let Some(bad) = bad {
                let text = format!("{name} {kind} is invalid: Malformed constraint: {bad}");
                found.0.push(text);
            }
        }
        _ => found.check(
            value.is_empty(),
            format!("Operator {operand:?} requires an RTarget"),
        ),
    }
}

/// Whether this reads like `>= 1.2.3-beta`.
fn is_version_condition(text: &str) -> bool {
    let text = text.trim();
    let version = text
        .trim_start_matches(['=', '!', '<', '>', '~'])
        .trim_start();
    let version = version.strip_prefix('v').unwrap_or(version);
    version.starts_with(|c: char| c.is_ascii_digit())
}

fn constraint_errors(constraint: &Constraint) -> Vec<String> {
    let mut found = Findings::default();
    let operand = constraint.operand.as_str();
    if operand.is_empty() {
        found.0.push("Missing constraint operand".to_owned());
    } else if OPERANDS.contains(&operand) {
        value_errors(operand, &constraint.r_target, "constraint", &mut found);
    } else if !WITHOUT_VALUE.contains(&operand) {
        found.0.push(format!("Unknown constraint type {operand:?}"));
    }
    if operand == "distinct_property" && !constraint.r_target.is_empty() {
        let count: Result<u64, _> = constraint.r_target.parse();
        match count {
            Ok(0) => found.0.push(
                "Distinct Property must have an allowed count of 1 or greater: 0 < 1".to_owned(),
            ),
            Ok(_) => {}
            Err(_) => found.0.push(format!(
                "Failed to convert RTarget {:?} to uint64",
                constraint.r_target
            )),
        }
    }
    found.check(
        operand != "distinct_hosts" && constraint.l_target.is_empty(),
        "No LTarget provided but is required by constraint",
    );
    found.0
}

fn affinity_errors(affinity: &Affinity) -> Vec<String> {
    let mut found = Findings::default();
    let operand = affinity.operand.as_str();
    if operand.is_empty() {
        found.0.push("Missing affinity operand".to_owned());
    } else if OPERANDS.contains(&operand) {
        value_errors(operand, &affinity.r_target, "affinity", &mut found);
    } else {
        found
            .0
            .push(format!("Unknown affinity operator {operand:?}"));
    }
    found.check(
        affinity.l_target.is_empty(),
        "No LTarget provided but is required",
    );
    found.check(affinity.weight == 0, "Affinity weight cannot be zero");
    found.check(
        !(-100..=100).contains(&affinity.weight),
        "Affinity weight must be within the range [-100,100]",
    );
    found.0
}

fn spread_errors(spread: &Spread) -> Vec<String> {
    let mut found = Findings::default();
    found.check(spread.attribute.is_empty(), "Missing spread attribute");
    found.check(
        !(1..=100).contains(&spread.weight),
        "Spread block must have a positive weight from 0 to 100",
    );
    let mut seen = BTreeSet::new();
    let mut sum = 0_u32;
    for target in spread.spread_target.iter().flatten() {
        found.check(
            !seen.insert(&target.value),
            format!("Spread target value {:?} already defined", target.value),
        );
        found.check(
            target.percent > 100,
            format!(
                "Spread target percentage for value {:?} must be between 0 and 100",
                target.value
            ),
        );
        sum += u32::from(target.percent);
    }
    found.check(
        sum > 100,
        format!("Sum of spread target percentages must not be greater than 100%; got {sum}%"),
    );
    found.0
}
