//! What runs of a job.

use std::collections::BTreeMap;

use crate::directory::Directory;
use crate::nomad::types::AllocStub;
use crate::poll::Look;

/// Done when exactly `running` allocations run and are meant to.
pub async fn look(agents: &Directory, job: &str, running: usize) -> Look<String> {
    let allocations = agents
        .ask(|api| async move { api.job_allocations(job).await })
        .await;
    let allocations = match allocations {
        Ok(allocations) => allocations,
        Err(error) => return Look::failed(&error),
    };
    let up = allocations
        .iter()
        .filter(|alloc| alloc.is_running())
        .count();
    let seen = in_words(&allocations);
    if up == running {
        Look::Done(seen)
    } else {
        Look::NotYet(seen)
    }
}

/// Returns how many allocations are in which state, and what their clients say of failures.
#[must_use]
pub fn in_words(allocations: &[AllocStub]) -> String {
    if allocations.is_empty() {
        return "no allocation".to_owned();
    }
    let mut count: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for alloc in allocations {
        let state = (alloc.client_status.as_str(), alloc.desired_status.as_str());
        *count.entry(state).or_default() += 1;
    }
    let mut words: Vec<_> = count
        .iter()
        .map(|((client, desired), count)| format!("{count} {client} (wanted: {desired})"))
        .collect();
    let failed = allocations
        .iter()
        .find(|alloc| alloc.client_status == "failed");
    if let Some(alloc) = failed {
        words.push(format!("`{}`: {}", alloc.name, last_words(alloc)));
    }
    words.join(", ")
}

fn last_words(alloc: &AllocStub) -> String {
    let events = alloc.task_states.values().flat_map(|task| &task.events);
    events
        .filter(|event| !event.display_message.is_empty())
        .max_by_key(|event| event.time)
        .map_or_else(
            || alloc.client_description.clone(),
            |event| format!("{}: {}", event.event_type, event.display_message),
        )
}
