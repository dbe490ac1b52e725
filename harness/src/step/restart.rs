//! Stops an agent in good order and starts it again, as an upgrade does.

use super::{Choice, Form, Injection, Label, Scene, Step, StepError, inject};
use crate::fault::Fault;
use crate::grammar::{Arg, Type};
use crate::pick::Pick;

pub(super) const FORM: Form = Form {
    name: "restart",
    about: "stops agents with SIGTERM and starts them again at once; there is nothing to heal \
            afterwards, and what follows demands of them what it demands of all",
    label: Label::None,
    args: &[Arg::required("on", Type::Agents, "whom")],
    choice: Choice::Free,
    steps: false,
    example: r#"restart {
  on = leader
}"#,
    build: |statement| Step::Restart {
        on: Pick::of(statement.args.word("on")),
    },
};

pub(super) async fn run(scene: &Scene<'_>, on: &Pick) -> Result<String, StepError> {
    let picked = scene.pick(on).await?;
    let seen = inject::pull(scene, Fault::Restart, &picked).await?;
    for agent in picked {
        scene.ledger.strike(&Injection {
            fault: Fault::Restart,
            agent,
        });
    }
    Ok(seen)
}
