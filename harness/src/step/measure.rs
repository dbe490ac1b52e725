//! Sets limits on numbers that were taken before, and demands that they are kept.

use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "measure",
    about: "demands that a number that an earlier step took keeps within limits; where it was \
            taken several times, each does",
    label: Label::Measure,
    args: &[
        Arg::optional("at_most", Type::Limit, "the most that it may be"),
        Arg::optional("at_least", Type::Limit, "the least that it may be"),
    ],
    choice: Choice::AtLeastOne(&["at_most", "at_least"]),
    steps: false,
    example: r#"measure "leaderless_ms" {
  at_most = "15s"
}"#,
    build: |statement| Step::Measure {
        name: statement.measure(),
        at_most: statement.args.opt_number("at_most"),
        at_least: statement.args.opt_number("at_least"),
    },
};

pub(super) fn run(
    scene: &Scene<'_>,
    name: &str,
    at_most: Option<f64>,
    at_least: Option<f64>,
) -> Result<String, StepError> {
    let limited = scene.limit(name, at_most, at_least);
    if limited.is_empty() {
        let taken = scene.measures();
        let taken: Vec<_> = taken.iter().map(|one| one.name.as_str()).collect();
        return Err(StepError::Inconclusive {
            why: format!("`{name}` was not measured; there are {}", taken.join(", ")),
        });
    }
    let values: Vec<_> = limited.iter().map(|one| one.value.to_string()).collect();
    let seen = format!("{name} is {}", values.join(", "));
    if limited.iter().all(|one| one.is_within()) {
        return Ok(seen);
    }
    let mut allowed = Vec::new();
    allowed.extend(at_least.map(|limit| format!("at least {limit}")));
    allowed.extend(at_most.map(|limit| format!("at most {limit}")));
    Err(StepError::Failed {
        why: format!("{seen}, allowed is {}", allowed.join(" and ")),
        // A leader that had no time to be heard is replaced.
        timed: name.ends_with("_ms") || name == "leader_changes",
    })
}
