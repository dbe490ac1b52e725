//! Replaces an agent's program by another version.

use futures::future::join_all;

use super::{Choice, Form, Injection, Label, Scene, Step, StepError};
use crate::fault::Fault;
use crate::grammar::{Arg, Type};
use crate::pick::Pick;
use crate::timeline::Kind;

/// What it is called in the timeline.
const WORD: &str = "upgrade";

pub(super) const FORM: Form = Form {
    name: "upgrade",
    about: "stops agents with SIGTERM and starts them as the cluster's second version, with the \
            data, address and name that they had; the second version is what `--upgrade-to` says, \
            and for simulated agents the next number where nothing is said. Nothing leads back: \
            the next scenario gets a fresh cluster",
    label: Label::None,
    args: &[Arg::required("on", Type::Agents, "whom")],
    choice: Choice::Free,
    steps: false,
    example: r#"upgrade {
  on = follower
}"#,
    build: |statement| Step::Upgrade {
        on: Pick::of(statement.args.word("on")),
    },
};

pub(super) async fn run(scene: &Scene<'_>, on: &Pick) -> Result<String, StepError> {
    let Some(version) = scene.target.next_version() else {
        return Err(StepError::Inconclusive {
            why: format!("cluster `{}` has no second version", scene.target.name()),
        });
    };
    let picked = scene.pick(on).await?;
    scene.upgrades_to(&version);
    let (target, recorder) = (scene.target, &scene.recorder);
    for agent in &picked {
        // What fails half-way is healed as a restart is: by a start.
        scene.enter(Fault::Restart, agent, WORD).await;
    }
    let upgraded = join_all(picked.iter().map(|agent| async move {
        target.upgrade(agent).await?;
        recorder.record(Kind::Injected, Some(agent), WORD);
        recorder.record(Kind::Healed, Some(agent), WORD);
        Ok::<(), StepError>(())
    }))
    .await;
    for outcome in upgraded {
        outcome?;
    }
    let words: Vec<_> = picked.iter().map(|name| format!("`{name}`")).collect();
    for agent in picked {
        scene.ledger.strike(&Injection {
            fault: Fault::Restart,
            agent,
        });
    }
    Ok(format!("{} started as {version}", words.join(", ")))
}
