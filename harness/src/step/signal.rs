//! Sends a signal to a task, by Nomad itself: a crash of the task, or a task that hangs, and the
//! agent beside it is well.

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "signal",
    about: "sends a signal to the tasks of a job's first running allocation: `\"SIGKILL\"` makes a \
            task that crashed, `\"SIGSTOP\"` one that hangs until it gets `\"SIGCONT\"`",
    label: Label::None,
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required(
            "signal",
            Type::Choice(&[
                "SIGKILL", "SIGSTOP", "SIGCONT", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1",
            ]),
            "which",
        ),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"signal {
  job    = "whoami"
  signal = "SIGKILL"
}"#,
    build: |statement| Step::Signal {
        job: statement.args.text("job"),
        signal: statement.args.text("signal"),
    },
};

pub(super) async fn run(scene: &Scene<'_>, job: &str, signal: &str) -> Result<String, StepError> {
    let what = format!("sending {signal} to a task of `{job}`");
    // A signal that may have come is not sent again: the task may run anew already.
    let name = write(scene, &what, Again::IfNothingHappened, |api| async move {
        let mut running = api.job_allocations(job).await?;
        running.retain(|alloc| alloc.is_running());
        running.sort_by(|a, b| a.name.cmp(&b.name));
        let Some(first) = running.into_iter().next() else {
            return Ok(None);
        };
        api.signal_allocation(&first.id, signal).await?;
        Ok(Some(format!("`{}` on `{}`", first.name, first.node_name)))
    })
    .await?;
    match name {
        Some(name) => Ok(format!("{signal} to {name}")),
        None => Err(StepError::Failed {
            why: format!("no allocation of `{job}` runs that could be sent {signal}"),
            timed: true,
        }),
    }
}
