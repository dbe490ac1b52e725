//! Starts a child of a parameterized job.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

/// How many dispatches are under way at a time: each is a Raft entry and waits for a disk.
const SIDE_BY_SIDE: usize = 8;

pub(super) const FORM: Form = Form {
    name: "dispatch",
    about: "starts children of a parameterized job; they go with it in the end",
    label: Label::None,
    args: &[
        Arg::required("job", Type::Job, "the parameterized job"),
        Arg::optional("meta", Type::Texts, "what the child's `meta` gets"),
        Arg::optional("payload", Type::Text, "what the child gets as its payload"),
        Arg::optional(
            "times",
            Type::Rate,
            "how many children, started side by side; 1 where it is left out",
        ),
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
        times: statement.args.opt_size("times").unwrap_or(1),
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    job: &str,
    meta: &BTreeMap<String, String>,
    payload: Option<&str>,
    times: usize,
) -> Result<String, StepError> {
    let what = &format!("dispatching `{job}`");
    let once = |_| {
        write(scene, what, Again::IfNothingHappened, |api| async move {
            api.dispatch_job(job, meta, payload).await
        })
    };
    let children: Vec<String> = stream::iter(0..times)
        .map(once)
        .buffered(SIDE_BY_SIDE)
        .try_collect()
        .await?;
    match children.as_slice() {
        [child] => Ok(format!("`{child}` started")),
        children => Ok(format!("{} children started", children.len())),
    }
}
