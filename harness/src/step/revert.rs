//! Brings back an older version of a job.

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "revert",
    about: "registers an older version of a job once more, as a new version",
    label: Label::None,
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required("version", Type::Count, "which; the first one is 0"),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"revert {
  job     = "whoami"
  version = 0
}"#,
    build: |statement| Step::Revert {
        job: statement.args.text("job"),
        version: statement.args.count("version"),
    },
};

pub(super) async fn run(scene: &Scene<'_>, job: &str, version: u64) -> Result<String, StepError> {
    let what = format!("reverting `{job}`");
    let reply = write(scene, &what, Again::IfNothingHappened, |api| async move {
        api.revert_job(job, version).await
    })
    .await?;
    Ok(format!("registered at index {}", reply.job_modify_index))
}
