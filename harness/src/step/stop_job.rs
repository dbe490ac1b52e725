//! Stops a job.

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "stop_job",
    about: "stops a job; its tasks get their `kill_signal` and `kill_timeout`",
    label: Label::None,
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::optional(
            "purge",
            Type::Flag,
            "whether the servers forget it too; `false` where it is left out",
        ),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"stop_job {
  job = "whoami"
}"#,
    build: |statement| Step::StopJob {
        job: statement.args.text("job"),
        purge: statement.args.opt_flag("purge").unwrap_or(false),
    },
};

pub(super) async fn run(scene: &Scene<'_>, job: &str, purge: bool) -> Result<String, StepError> {
    let what = format!("stopping `{job}`");
    let reply = write(scene, &what, Again::Yes, |api| async move {
        api.stop_job(job, purge).await
    })
    .await?;
    Ok(format!("stopped at index {}", reply.job_modify_index))
}
