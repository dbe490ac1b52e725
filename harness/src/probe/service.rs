//! Whether a job's instances answer, asked one by one where the API says that they are.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures::future::join_all;

use super::{Condition, http};
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::nomad::ApiError;
use crate::nomad::types::AllocStub;
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "service",
    about: "exactly so many instances of a job are healthy, and each answers HTTP on its port",
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required("port", Type::Port, "the label of the port"),
        Arg::required("instances", Type::Count, "how many"),
        Arg::optional(
            "version",
            Type::Text,
            "what each must say under `version` in its answer, a JSON object",
        ),
    ],
    takes: &[],
    build: |args| Condition::Service {
        job: args.text("job"),
        port: args.text("port"),
        instances: args.opt_size("instances").unwrap_or_default(),
        version: args.opt_text("version"),
    },
};

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
    let running = allocations.iter().filter(|alloc| alloc.is_running());
    let answers = join_all(running.map(|alloc| ask(agents, alloc, port, version))).await;
    let counted: Vec<_> = answers.into_iter().flatten().collect();
    let healthy = counted.len();
    let wrong: Vec<_> = counted.into_iter().filter_map(Result::err).collect();
    if healthy == instances && wrong.is_empty() {
        return Look::Done(format!("{instances} instances answer"));
    }
    let mut seen = format!("{healthy} healthy instances of {instances}");
    if !wrong.is_empty() {
        seen.push_str(&format!(": {}", wrong.join("; ")));
    }
    Look::NotYet(seen)
}

/// Returns `None` for one that does not count as healthy.
async fn ask(
    agents: &Directory,
    alloc: &AllocStub,
    port: &str,
    version: Option<&str>,
) -> Option<Result<(), String>> {
    let name = &alloc.name;
    let place = match place(agents, &alloc.id, port).await {
        Ok(place) => place,
        Err(error) => return Some(Err(error.to_string())),
    };
    if !alloc.is_healthy() && place.in_deployment {
        return None;
    }
    let Some(at) = place.at else {
        return Some(Err(format!("`{name}` has no port `{port}`")));
    };
    Some(match http::get(agents.way_to(at), ANSWER_WITHIN).await {
        Err(error) => Err(format!("`{name}` at {}:{}: {error}", at.0, at.1)),
        Ok(body) => match version {
            Some(version) if !names_version(&body, version) => Err(format!(
                "`{name}` does not answer as version `{version}` but: {}",
                body.trim()
            )),
            _ => Ok(()),
        },
    })
}

/// Where an allocation answers, and who judges its health.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Address and port; `None` where it has no such port.
    pub at: Option<(Ipv4Addr, u16)>,
    /// Whether a deployment judges it. One that only replaces a lost one belongs to none, and
    /// nobody ever calls it healthy: there, running must do.
    pub in_deployment: bool,
}

/// Returns where an allocation's port answers. Any server may say: it does not change.
///
/// # Errors
/// The API's.
pub async fn place(agents: &Directory, alloc: &str, port: &str) -> Result<Place, ApiError> {
    let whole = agents
        .ask(|api| async move { api.stale().timeout(ANSWER_WITHIN).allocation(alloc).await })
        .await?;
    Ok(Place {
        at: whole.endpoint(port),
        in_deployment: !whole.deployment_id.is_empty(),
    })
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
