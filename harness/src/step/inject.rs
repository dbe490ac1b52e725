//! Does a fault to the agents that are picked now, to all of them at once.

use futures::future::join_all;

use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::fault::Fault;
use crate::grammar::{Arg, Type};
use crate::pick::Pick;
use crate::spec::AgentName;
use crate::timeline::Kind;

pub(super) const FORM: Form = Form {
    name: "inject",
    about: "does a fault to agents, to all that are picked at once; whatever is not healed by then \
            is healed at the end of the run",
    label: Label::Fault,
    args: &[Arg::required("on", Type::Agents, "to whom")],
    choice: Choice::Free,
    steps: false,
    example: r#"inject "kill" {
  on = leader
}"#,
    build: |statement| Step::Inject {
        fault: statement.fault(),
        on: Pick::of(statement.args.word("on")),
    },
};

pub(super) async fn run(scene: &Scene<'_>, fault: Fault, on: &Pick) -> Result<String, StepError> {
    let picked = scene.pick(on).await?;
    pull(scene, fault, &picked).await
}

/// Does a fault to these agents.
pub(super) async fn pull(
    scene: &Scene<'_>,
    fault: Fault,
    picked: &[AgentName],
) -> Result<String, StepError> {
    for agent in picked {
        scene.enter(fault, agent, fault.name()).await;
    }
    let (target, recorder) = (scene.target, &scene.recorder);
    let pulled = join_all(picked.iter().map(|agent| async move {
        fault.inject(target, agent, picked).await?;
        recorder.record(Kind::Injected, Some(agent), fault.name());
        Ok::<(), StepError>(())
    }))
    .await;
    for outcome in pulled {
        outcome?;
    }
    let words: Vec<_> = picked.iter().map(|name| format!("`{name}`")).collect();
    Ok(format!("{fault}: {}", words.join(", ")))
}
