//! Runs steps in one of the cluster's regions: whom they ask, pick and write to are that region's agents.
//! Outside of it, steps are in the first region.

use super::{Choice, Form, Label, Place, Scene, Step, StepError};

pub(super) const FORM: Form = Form {
    name: "region",
    about: "runs the steps in it in that region: they ask, pick and write to its agents only; what a workload \
            that is started there measures has the region's name before its own, as `west_leaderless_ms`. Steps \
            outside of it are in the first region of `needs`",
    label: Label::Region,
    args: &[],
    choice: Choice::Free,
    steps: true,
    example: r#"region "west" {
  inject "kill" {
    on = leader
  }
  expect "leader" {
    within = "15s"
  }
}"#,
    build: |statement| Step::InRegion {
        region: statement.region(),
        steps: statement.steps,
    },
};

/// Returns how a number is called that a workload in a region takes.
#[must_use]
pub fn measure_in(region: Option<&str>, name: &str) -> String {
    match region {
        Some(region) => format!("{}_{name}", region.replace('-', "_")),
        None => name.to_owned(),
    }
}

pub(super) async fn run(
    scene: &Scene<'_>,
    region: &str,
    steps: &[Step],
    place: &Place,
) -> Result<String, StepError> {
    let there = scene.in_region(region);
    for (number, step) in steps.iter().enumerate() {
        step.play(&there, place.inner(number + 1)).await?;
    }
    Ok(format!("done in region `{region}`"))
}
