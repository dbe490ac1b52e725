//! Changes how many instances of a group there are.

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "scale",
    about: "changes the count of a group; each change is a new version of the job, and is refused \
            while a deployment runs",
    label: Label::None,
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required("group", Type::Group, "the group"),
        Arg::required("count", Type::Count, "how many instances from now on"),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"scale {
  job   = "whoami"
  group = "web"
  count = 5
}"#,
    build: |statement| Step::Scale {
        job: statement.args.text("job"),
        group: statement.args.text("group"),
        count: u32::try_from(statement.args.count("count")).unwrap_or(u32::MAX),
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    job: &str,
    group: &str,
    count: u32,
) -> Result<String, StepError> {
    let what = format!("scaling `{job}`");
    let reply = write(scene, &what, Again::Yes, |api| async move {
        api.scale(job, group, count).await
    })
    .await?;
    Ok(format!("registered at index {}", reply.job_modify_index))
}
