//! `job/:id/submission`: the file that a version of a job was made of.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::json;

use super::call::Call;
use super::context::Context;
use super::reply::{ApiError, Reply};
use crate::types::JobSubmission;

/// Largest source that is kept, in bytes, flags and variables counted
/// (`server.job_max_source_size`, 1 MB unless configured; the simulator's is fixed).
const SOURCE_MAX: usize = 1_000_000;

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/job/{id}/submission", get(read))
}

async fn read(call: Call, Path(id): Path<String>) -> Reply {
    let version: Option<u64> = call.parameter("version").and_then(|text| text.parse().ok());
    let unreadable = || ApiError::bad("Unable to parse job submission version parameter");
    let version = version.ok_or_else(unreadable)?;
    call.demand(&call.namespace, "read-job")?;
    let index = |found: Option<&std::sync::Arc<JobSubmission>>| {
        found.map_or(0, |found| found.job_modify_index)
    };
    let (state, index) = call
        .block(|state| index(state.submission_of(&call.namespace, &id, version)))
        .await;
    match state.submission_of(&call.namespace, &id, version) {
        Some(found) => call.query(index, &json!(**found)),
        None => call.not_found(index, "job source not found"),
    }
}

/// What is kept of a source that came with a registration, and Nomad's warning where it is too
/// large; the job is registered all the same.
pub(super) fn kept(given: Option<JobSubmission>) -> (Option<JobSubmission>, String) {
    let Some(mut given) = given else {
        return (None, String::new());
    };
    let size = given.size();
    if size > SOURCE_MAX {
        let text = format!(
            "1 warning:\n\n* job source size of {} exceeds maximum of 1.0 MB and will be discarded",
            megabytes(size)
        );
        return (None, text);
    }
    let flags = given.variable_flags.filter(|flags| !flags.is_empty());
    given.variable_flags = flags.map(|flags| {
        let lines = |(key, value): (String, String)| (key, value.replace('\n', "\\n"));
        flags.into_iter().map(lines).collect()
    });
    (Some(given), String::new())
}

/// As Nomad writes sizes: one decimal below ten.
fn megabytes(bytes: usize) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    if tenths < 100 {
        format!("{}.{} MB", tenths / 10, tenths % 10)
    } else {
        format!("{} MB", (tenths + 5) / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_too_large_is_not_kept_and_that_is_told() {
        let of = |size: usize| JobSubmission {
            source: "x".repeat(size),
            ..JobSubmission::default()
        };
        assert_eq!(
            kept(Some(of(SOURCE_MAX))),
            (Some(of(SOURCE_MAX)), String::new())
        );
        let (none, warning) = kept(Some(of(1_240_000)));
        assert_eq!(none, None);
        assert!(
            warning.contains("size of 1.2 MB exceeds maximum of 1.0 MB"),
            "{warning}"
        );
        assert_eq!(megabytes(12_400_000), "12 MB");
    }
}
