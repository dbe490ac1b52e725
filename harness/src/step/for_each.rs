//! Runs steps for one agent after the other, as an upgrade goes through a cluster.

use super::{Choice, Form, Label, Place, Scene, Step, StepError};
use crate::grammar::{Arg, Type};
use crate::pick::Pick;

pub(super) const FORM: Form = Form {
    name: "for_each",
    about: "runs the steps in it for one agent after the other; in them, `each` is that agent",
    label: Label::None,
    args: &[Arg::required(
        "agents",
        Type::Agents,
        "for whom; picked once, before the first turn",
    )],
    choice: Choice::Free,
    steps: true,
    example: r#"for_each {
  agents = followers

  restart {
    on = each
  }
  expect "voters" {
    within = "60s"
  }
}"#,
    build: |statement| Step::ForEach {
        agents: Pick::of(statement.args.word("agents")),
        steps: statement.steps,
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    agents: &Pick,
    steps: &[Step],
    place: &Place,
) -> Result<String, StepError> {
    let picked = scene.pick(agents).await?;
    for (turn, agent) in picked.iter().enumerate() {
        let scene = scene.turn_of(agent);
        for (number, step) in steps.iter().enumerate() {
            let number = turn * steps.len() + number + 1;
            step.play(&scene, place.inner(number)).await?;
        }
    }
    let words: Vec<_> = picked.iter().map(|name| format!("`{name}`")).collect();
    Ok(format!("done for {}", words.join(", ")))
}
