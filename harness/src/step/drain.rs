//! Takes the nodes of clients out of service as an operator does, with the terms that Nomad offers.
//! It counts as the fault `drain`: `heal "drain" {}` ends it, at the latest the end of the run.

use std::time::Duration;

use futures::future::join_all;

use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::fault::{self, Fault};
use crate::grammar::{Arg, Type};
use crate::nomad::types::DrainSpec;
use crate::pick::Pick;
use crate::timeline::Kind;

pub(super) const FORM: Form = Form {
    name: "drain",
    about: "drains the nodes of clients: what runs there moves as each job's `migrate` block says; \
            the nodes stay out of service until `heal \"drain\" {}`",
    label: Label::None,
    args: &[
        Arg::required("on", Type::Agents, "whose nodes"),
        Arg::optional(
            "deadline",
            Type::Duration,
            "what has not moved by then is stopped; without it, nothing is",
        ),
        Arg::optional("force", Type::Flag, "`true`: all is stopped at once"),
        Arg::optional(
            "ignore_system_jobs",
            Type::Flag,
            "`true`: allocations of system jobs stay",
        ),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"drain {
  on       = node_running("whoami")
  deadline = "1m"
}"#,
    build: |statement| Step::Drain {
        on: Pick::of(statement.args.word("on")),
        deadline: statement.args.opt_duration("deadline"),
        force: statement.args.opt_flag("force").unwrap_or(false),
        ignore_system_jobs: statement
            .args
            .opt_flag("ignore_system_jobs")
            .unwrap_or(false),
    },
};

/// Returns what Nomad is told: nanoseconds, where 0 is no deadline and less than 0 none left.
pub(super) fn spec(deadline: Option<Duration>, force: bool, ignore_system_jobs: bool) -> DrainSpec {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    DrainSpec {
        deadline: if force { -1 } else { deadline.map_or(0, nanos) },
        ignore_system_jobs,
    }
}

pub(super) async fn run(
    scene: &Scene<'_>,
    on: &Pick,
    spec: &DrainSpec,
) -> Result<String, StepError> {
    let picked = scene.pick(on).await?;
    for agent in &picked {
        scene.enter(Fault::Drain, agent, Fault::Drain.name()).await;
    }
    let drained = join_all(picked.iter().map(|agent| async move {
        fault::drain(scene.target, agent, spec).await?;
        let recorder = &scene.recorder;
        recorder.record(Kind::Injected, Some(agent), Fault::Drain.name());
        Ok::<(), StepError>(())
    }))
    .await;
    for outcome in drained {
        outcome?;
    }
    let words: Vec<_> = picked.iter().map(|name| format!("`{name}`")).collect();
    Ok(format!("the drain of {} began", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_deadline_and_no_time_left_are_two_things() {
        assert_eq!(spec(None, false, false).deadline, 0);
        assert!(spec(None, true, false).deadline < 0);
        let minute = spec(Some(Duration::from_secs(60)), false, true);
        assert_eq!(minute.deadline, 60_000_000_000);
        assert!(minute.ignore_system_jobs);
    }
}
