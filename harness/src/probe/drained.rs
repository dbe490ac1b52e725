//! Whether nodes are out of service: their drain came to its end.

use super::Condition;
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "drained",
    about: "exactly so many nodes are out of service: their drain is complete, and they take no \
            new work",
    args: &[Arg::required("nodes", Type::Count, "how many")],
    takes: &[],
    build: |args| Condition::Drained {
        nodes: args.opt_size("nodes").unwrap_or_default(),
    },
};

/// Done when exactly `wanted` nodes are ineligible and drain no more.
pub async fn look(agents: &Directory, wanted: usize) -> Look<String> {
    let nodes = match agents.ask(|api| async move { api.nodes().await }).await {
        Ok(nodes) => nodes,
        Err(error) => return Look::failed(&error),
    };
    let out = nodes
        .iter()
        .filter(|node| !node.drain && node.scheduling_eligibility == "ineligible")
        .count();
    let words: Vec<_> = nodes
        .iter()
        .map(|node| {
            let drains = if node.drain {
                "draining"
            } else {
                "not draining"
            };
            format!("`{}` {drains} {}", node.name, node.scheduling_eligibility)
        })
        .collect();
    if out == wanted {
        Look::Done(words.join(", "))
    } else {
        Look::NotYet(words.join(", "))
    }
}
