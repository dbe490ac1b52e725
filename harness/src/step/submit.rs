//! Registers a job from its text. The cluster parses it, so that each version judges its own
//! language.

use std::time::Duration;

use serde_json::Value;

use super::{Scene, StepError};
use crate::poll::{self, Look};

/// How long the cluster may be without a leader meanwhile.
const WITHIN: Duration = Duration::from_secs(15);

pub(super) async fn run(scene: &mut Scene<'_>, name: &str, hcl: &str) -> Result<String, StepError> {
    let agents = scene.untouched();
    let what = format!("submitting `{name}`");
    let every = Duration::from_millis(200);
    let (id, reply) = poll::eventually(WITHIN, every, &what, || async {
        let submitted = agents
            .ask(|api| async move {
                let job = api.parse_job(hcl).await?;
                let id = job.get("ID").and_then(Value::as_str).unwrap_or_default();
                Ok((id.to_owned(), api.register(&job).await?))
            })
            .await;
        match submitted {
            Ok(submitted) => Look::Done(submitted),
            Err(error) => Look::failed(&error),
        }
    })
    .await?;
    if !scene.jobs.contains(&id) {
        scene.jobs.push(id.clone());
    }
    let mut seen = format!("`{id}` registered at index {}", reply.job_modify_index);
    if !reply.warnings.is_empty() {
        seen.push_str(&format!("; warnings: {}", reply.warnings.trim()));
    }
    Ok(seen)
}
