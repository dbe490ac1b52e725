//! Registers a job from its text. The cluster parses it, so that each version judges its own
//! language.

use serde_json::Value;

use super::write::{Again, write};
use super::{Choice, Form, Label, Scene, Step, StepError};
use crate::grammar::{Arg, Type};

pub(super) const FORM: Form = Form {
    name: "submit",
    about: "registers a job, or a new version of one; the run removes it in the end",
    label: Label::None,
    args: &[
        Arg::required(
            "job",
            Type::JobFile,
            "its file, by its path from the script's folder, or a built-in one",
        ),
        Arg::optional(
            "variables",
            Type::JobVariables,
            "values for the job's `variable` blocks",
        ),
        Arg::optional(
            "to",
            Type::Region,
            "the region that the servers asked are to hand the job on to, as `nomad job run -region` does; their \
             own, where it is left out",
        ),
    ],
    choice: Choice::Free,
    steps: false,
    example: r#"submit {
  job = builtin.whoami
}"#,
    build: |statement| {
        let job = statement.args.job_text("job");
        Step::Submit {
            name: job.name,
            hcl: job.hcl,
            to: statement.args.opt_text("to"),
        }
    },
};

pub(super) async fn run(
    scene: &Scene<'_>,
    name: &str,
    hcl: &str,
    to: Option<&str>,
) -> Result<String, StepError> {
    let what = format!("submitting `{name}`");
    // Registering the same text twice makes one version.
    let (id, reply) = write(scene, &what, Again::Yes, |api| async move {
        let api = match to {
            Some(region) => api.in_region(region),
            None => api,
        };
        let job = api.parse_job(hcl).await?;
        let id = job.get("ID").and_then(Value::as_str).unwrap_or_default();
        Ok((id.to_owned(), api.register(&job).await?))
    })
    .await?;
    match to {
        Some(region) => scene.in_region(region).leaves_job(&id),
        None => scene.leaves_job(&id),
    }
    let mut seen = format!("`{id}` registered at index {}", reply.job_modify_index);
    if !reply.warnings.is_empty() {
        seen.push_str(&format!("; warnings: {}", reply.warnings.trim()));
    }
    Ok(seen)
}
