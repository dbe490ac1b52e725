//! Undoes faults, the newest first.

use super::{Choice, Form, Injection, Label, Scene, Step, StepError, with_causes};
use crate::fault::Fault;
use crate::grammar::{Arg, Type};
use crate::pick;
use crate::spec::{AgentName, Role};
use crate::target::ControlError;
use crate::timeline::Kind;

pub(super) const FORM: Form = Form {
    name: "heal",
    about: "undoes all faults of a kind that are in, the newest first; those of one role's agents, where it is named",
    label: Label::Fault,
    args: &[Arg::optional(
        "of",
        Type::Role,
        "of which agents, where not of all",
    )],
    choice: Choice::Free,
    steps: false,
    example: r#"heal "kill" {}"#,
    build: |statement| Step::Heal {
        fault: statement.fault(),
        of: pick::role(&statement.args, "of"),
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    fault: Fault,
    of: Option<Role>,
) -> Result<String, StepError> {
    let meant = |agent: &AgentName| {
        let role = scene.target.agent(agent).map(|info| info.role);
        of.is_none() || role == of
    };
    let mut healed = Vec::new();
    for injection in scene.ledger.entries().into_iter().rev() {
        if injection.fault == fault && meant(&injection.agent) {
            heal(scene, &injection).await?;
            healed.push(format!("`{}`", injection.agent));
        }
    }
    if healed.is_empty() {
        let of = of.map_or_else(String::new, |role| format!(" of a {role}"));
        return Err(StepError::Inconclusive {
            why: format!("there is no {fault}{of} to heal"),
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
