//! What runs of a job.

use std::collections::BTreeMap;

use super::Condition;
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::nomad::types::AllocStub;
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "allocations",
    about: "exactly so many allocations of a job run and are meant to",
    args: &[
        Arg::required("job", Type::Job, "the job"),
        Arg::required("running", Type::Count, "how many"),
        Arg::optional("nodes", Type::Count, "on how many different nodes"),
        Arg::optional("per_node", Type::Count, "at most how many on one node"),
    ],
    takes: &[],
    build: |args| Condition::Allocations {
        job: args.text("job"),
        running: args.opt_size("running").unwrap_or_default(),
        nodes: args.opt_size("nodes"),
        per_node: args.opt_size("per_node"),
    },
};

/// Done when exactly `running` allocations run and are meant to, on exactly `nodes` nodes and at
/// most `per_node` on each where that is given.
pub async fn look(
    agents: &Directory,
    job: &str,
    running: usize,
    nodes: Option<usize>,
    per_node: Option<usize>,
) -> Look<String> {
    let allocations = agents
        .ask(|api| async move { api.job_allocations(job).await })
        .await;
    let allocations = match allocations {
        Ok(allocations) => allocations,
        Err(error) => return Look::failed(&error),
    };
    let up: Vec<_> = allocations
        .iter()
        .filter(|alloc| alloc.is_running())
        .collect();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for alloc in &up {
        *places.entry(alloc.node_id.as_str()).or_default() += 1;
    }
    let most = places.values().copied().max().unwrap_or_default();
    let mut seen = in_words(&allocations);
    if nodes.is_some() || per_node.is_some() {
        let count = places.len();
        seen.push_str(&format!(", on {count} nodes, at most {most} on one"));
    }
    if up.len() == running
        && nodes.is_none_or(|nodes| nodes == places.len())
        && per_node.is_none_or(|limit| most <= limit)
    {
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
