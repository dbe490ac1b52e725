//! Runs steps side by side. All are waited for; the worst that one of them says is the outcome.

use futures::future::join_all;

use super::{Choice, Form, Label, Place, Scene, Step, StepError};

pub(super) const FORM: Form = Form {
    name: "parallel",
    about: "runs the steps in it side by side, and waits for all of them",
    label: Label::None,
    args: &[],
    choice: Choice::Free,
    steps: true,
    example: r#"parallel {
  inject "kill" {
    on = leader
  }
  inject "kill" {
    on = any(client)
  }
}"#,
    build: |statement| Step::Parallel {
        steps: statement.steps,
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    steps: &[Step],
    place: &Place,
) -> Result<String, StepError> {
    let playing = steps
        .iter()
        .enumerate()
        .map(|(number, step)| step.play(scene, place.inner(number + 1)));
    let mut seen = Vec::new();
    let mut worst = None;
    for outcome in join_all(playing).await {
        match outcome {
            Ok(words) => seen.push(words),
            Err(error) => worst = worse(worst, error),
        }
    }
    match worst {
        Some(error) => Err(error),
        None => Ok(seen.join("; ")),
    }
}

/// A law broken without an excuse is worse than one with, and that worse than trouble of our own.
fn worse(one: Option<StepError>, other: StepError) -> Option<StepError> {
    let rank = |error: &StepError| match error {
        StepError::Inconclusive { .. } => 0,
        StepError::Failed { timed: true, .. } => 1,
        StepError::Failed { .. } => 2,
    };
    match one {
        Some(one) if rank(&one) >= rank(&other) => Some(one),
        _ => Some(other),
    }
}
