//! Promotes canaries: the rest of the instances follow them.

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "promote",
    about: "promotes all canaries of the job's newest deployment",
    label: Label::None,
    args: &[Arg::required("job", Type::Job, "the job")],
    choice: Choice::Free,
    steps: false,
    example: r#"promote {
  job = "whoami"
}"#,
    build: |statement| Step::Promote {
        job: statement.args.text("job"),
    },
};

pub(super) async fn run(scene: &Scene<'_>, job: &str) -> Result<String, StepError> {
    let what = format!("promoting the canaries of `{job}`");
    let deployment = write(scene, &what, Again::Yes, |api| async move {
        api.latest_deployment(job).await
    })
    .await?;
    let Some(deployment) = deployment else {
        return Err(StepError::Failed {
            why: format!("`{job}` has no deployment to promote"),
            timed: false,
        });
    };
    let id = deployment.id.as_str();
    write(scene, &what, Again::IfNothingHappened, |api| async move {
        api.promote_deployment(id).await
    })
    .await?;
    Ok(format!("deployment of version {}", deployment.job_version))
}
