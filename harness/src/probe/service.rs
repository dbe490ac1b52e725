//! Whether a job's instances answer, asked one by one where the API says that they are.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures::future::join_all;

use super::http;
use crate::directory::Directory;
use crate::nomad::ApiError;
use crate::nomad::types::AllocStub;
use crate::poll::Look;

/// How long an instance may take to answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Done when exactly `instances` are healthy and each answers, as `version` where one is given.
pub async fn look(
    agents: &Directory,
    job: &str,
    port: &str,
    instances: usize,
    version: Option<&str>,
) -> Look<String> {
    let allocations = agents
        .ask(|api| async move { api.job_allocations(job).await })
        .await;
    let allocations = match allocations {
        Ok(allocations) => allocations,
        Err(error) => return Look::failed(&error),
    };
    let healthy: Vec<_> = allocations
        .iter()
        .filter(|alloc| alloc.is_running() && alloc.is_healthy())
        .collect();
    let answers = join_all(
        healthy
            .iter()
            .map(|alloc| ask(agents, alloc, port, version)),
    )
    .await;
    let wrong: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    if healthy.len() == instances && wrong.is_empty() {
        return Look::Done(format!("{instances} instances answer"));
    }
    let mut seen = format!("{} healthy instances of {instances}", healthy.len());
    if !wrong.is_empty() {
        seen.push_str(&format!(": {}", wrong.join("; ")));
    }
    Look::NotYet(seen)
}

async fn ask(
    agents: &Directory,
    alloc: &AllocStub,
    port: &str,
    version: Option<&str>,
) -> Result<(), String> {
    let name = &alloc.name;
    let at = endpoint(agents, &alloc.id, port)
        .await
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("`{name}` has no port `{port}`"))?;
    let body = http::get(at, ANSWER_WITHIN)
        .await
        .map_err(|error| format!("`{name}` at {}:{}: {error}", at.0, at.1))?;
    match version {
        Some(version) if !names_version(&body, version) => Err(format!(
            "`{name}` does not answer as version `{version}` but: {}",
            body.trim()
        )),
        _ => Ok(()),
    }
}

/// Returns where an allocation's port answers. Any server may say: it does not change.
///
/// # Errors
/// The API's.
pub async fn endpoint(
    agents: &Directory,
    alloc: &str,
    port: &str,
) -> Result<Option<(Ipv4Addr, u16)>, ApiError> {
    let whole = agents
        .ask(|api| async move { api.stale().timeout(ANSWER_WITHIN).allocation(alloc).await })
        .await?;
    Ok(whole.endpoint(port))
}

/// Returns what a workload's answer says of itself under a key: it is a JSON object of texts.
#[must_use]
pub fn said(body: &str, key: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_str(body).ok()?;
    match answer.get(key)? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn names_version(body: &str, version: &str) -> bool {
    said(body, "version").as_deref() == Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_version_exactly() {
        let body = r#"{"version":"v2","node":"client-1","alloc":"x"}"#;
        assert!(names_version(body, "v2"));
        assert!(!names_version(body, "v"));
        assert!(!names_version("v2", "v2"), "not an answer of ours");
    }
}
