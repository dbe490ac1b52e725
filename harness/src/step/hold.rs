//! Lets time pass, with or without something that must hold all the while.

use std::time::Duration;

use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};
use crate::poll::{self, Look, PollError};
use crate::probe::Condition;

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) const FORM: Form = Form {
    name: "hold",
    about: "lets time pass",
    label: Label::None,
    args: &[Arg::required("lasting", Type::Duration, "how much")],
    choice: Choice::Free,
    steps: false,
    example: r#"hold {
  lasting = "3s"
}"#,
    build: |statement| Step::Hold {
        that: None,
        lasting: statement.args.duration("lasting"),
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    that: Option<&Condition>,
    lasting: Duration,
) -> Result<String, StepError> {
    let Some(that) = that else {
        poll::hold(lasting).await;
        return Ok("passed".to_owned());
    };
    let agents = scene.untouched();
    let looks = poll::throughout(lasting, INTERVAL, &that.to_string(), || async {
        match that.look(&agents).await {
            Look::Done(_) => Ok(()),
            Look::NotYet(seen) | Look::Never(seen) => Err(seen),
        }
    })
    .await?;
    Ok(format!("held at each of {looks} looks"))
}

/// Looks again and again; one look at which it is so breaks it.
pub(super) async fn never(
    scene: &Scene<'_>,
    that: &Condition,
    lasting: Duration,
) -> Result<String, StepError> {
    let agents = scene.untouched();
    let what = format!("never {that}");
    let looked = poll::throughout(lasting, INTERVAL, &what, || async {
        match that.look(&agents).await {
            Look::Done(seen) => Err(seen),
            Look::NotYet(_) | Look::Never(_) => Ok(()),
        }
    });
    let looks = looked.await.map_err(|error| StepError::Failed {
        // Nothing comes about because a machine is slow.
        timed: matches!(error, PollError::TimedOut { .. }),
        why: error.to_string(),
    })?;
    Ok(format!("at none of {looks} looks"))
}
