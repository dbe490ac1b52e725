//! Undoes faults, the newest first.

use super::{Choice, Form, Injection, Label, Scene, Step, StepError, with_causes};
use crate::fault::Fault;
use crate::target::ControlError;
use crate::timeline::Kind;

pub(super) const FORM: Form = Form {
    name: "heal",
    about: "undoes all faults of a kind that are in, the newest first",
    label: Label::Fault,
    args: &[],
    choice: Choice::Free,
    steps: false,
    example: r#"heal "kill" {}"#,
    build: |statement| Step::Heal {
        fault: statement.fault(),
    },
};

pub(super) async fn run(scene: &Scene<'_>, fault: Fault) -> Result<String, StepError> {
    let mut healed = Vec::new();
    for injection in scene.ledger.entries().into_iter().rev() {
        if injection.fault == fault {
            heal(scene, &injection).await?;
            healed.push(format!("`{}`", injection.agent));
        }
    }
    if healed.is_empty() {
        return Err(StepError::Inconclusive {
            why: format!("there is no {fault} to heal"),
        });
    }
    Ok(format!("healed {}", healed.join(", ")))
}

/// Undoes every fault that is in, the newest first; returns what could not be undone.
pub async fn heal_all(scene: &Scene<'_>) -> Vec<String> {
    let mut trouble = Vec::new();
    for injection in scene.ledger.entries().into_iter().rev() {
        if let Err(error) = heal(scene, &injection).await {
            trouble.push(with_causes(&error));
        }
    }
    trouble
}

async fn heal(scene: &Scene<'_>, injection: &Injection) -> Result<(), ControlError> {
    let Injection { fault, agent } = injection;
    let recorder = &scene.recorder;
    recorder.record(Kind::Healing, Some(agent), fault.name());
    fault.heal(scene.target, agent).await?;
    scene.ledger.strike(injection);
    recorder.record(Kind::Healed, Some(agent), fault.name());
    Ok(())
}
