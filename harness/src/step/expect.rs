//! Waits until something is so, and keeps how long that took. In scripts, the same word says that
//! something holds throughout, or never.

use std::time::{Duration, Instant};

use super::{Choice, Form, Label, Scene, Statement, Step, StepError};
use crate::grammar::{Arg, Type};
use crate::measure::Measure;
use crate::poll;
use crate::probe::Condition;
use crate::timeline::millis;

/// How often to look: what is waited for takes a second or more, and a look costs some calls.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) const FORM: Form = Form {
    name: "expect",
    about: "demands that something is so within a time, throughout a time, or never in a time; \
            only agents that no fault touches are asked",
    label: Label::Probe,
    args: &[
        Arg::optional("within", Type::Duration, "it becomes so within this time"),
        Arg::optional(
            "throughout",
            Type::Duration,
            "it is so at every look for this long",
        ),
        Arg::optional("never", Type::Duration, "it is so at no look for this long"),
        Arg::optional(
            "measured_as",
            Type::NewMeasure,
            "keeps how long it took under this name; with `within`",
        ),
    ],
    choice: Choice::ExactlyOne(&["within", "throughout", "never"]),
    steps: false,
    example: r#"expect "leader" {
  within = "15s"
}"#,
    build,
};

fn build(statement: Statement) -> Step {
    let (that, args) = (statement.probe(), &statement.args);
    if let Some(within) = args.opt_duration("within") {
        return Step::Expect {
            that,
            within,
            measured_as: args.opt_text("measured_as"),
        };
    }
    if let Some(lasting) = args.opt_duration("never") {
        return Step::Never { that, lasting };
    }
    Step::Hold {
        that: Some(that),
        lasting: args.duration("throughout"),
    }
}

pub(super) async fn run(
    scene: &Scene<'_>,
    that: &Condition,
    within: Duration,
    measured_as: Option<&str>,
) -> Result<String, StepError> {
    let agents = scene.untouched();
    let start = Instant::now();
    let seen = poll::eventually(within, INTERVAL, &that.to_string(), || that.look(&agents)).await?;
    if let Some(name) = measured_as {
        let taken = Measure::new(name, millis(start.elapsed()));
        scene.keep(taken);
    }
    Ok(seen)
}
