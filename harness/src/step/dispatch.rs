//! Starts a child of a parameterized job.

use std::collections::BTreeMap;

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "dispatch",
    about: "starts a child of a parameterized job",
    label: Label::None,
    args: &[
        Arg::required("job", Type::Job, "the parameterized job"),
        Arg::optional("meta", Type::Texts, "what the child's `meta` gets"),
        Arg::optional("payload", Type::Text, "what the child gets as its payload"),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"dispatch {
  job  = "whoami"
  meta = { who = "me" }
}"#,
    build: |statement| Step::Dispatch {
        job: statement.args.text("job"),
        meta: statement.args.opt_texts("meta").unwrap_or_default(),
        payload: statement.args.opt_text("payload"),
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    job: &str,
    meta: &BTreeMap<String, String>,
    payload: Option<&str>,
) -> Result<String, StepError> {
    let what = format!("dispatching `{job}`");
    let child = write(scene, &what, Again::IfNothingHappened, |api| async move {
        api.dispatch_job(job, meta, payload).await
    })
    .await?;
    scene.leaves_job(&child);
    Ok(format!("`{child}` started"))
}
