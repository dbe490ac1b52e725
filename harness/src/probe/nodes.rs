//! Which nodes can be given work.

use super::Condition;
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "nodes",
    about: "exactly so many nodes are ready and eligible for work",
    args: &[Arg::optional(
        "ready",
        Type::Count,
        "how many; every client that no fault touches, where it is left out",
    )],
    takes: &[],
    build: |args| Condition::Nodes {
        ready: args.opt_size("ready"),
    },
};

/// Done when exactly `ready` nodes are ready and eligible.
pub async fn look(agents: &Directory, ready: usize) -> Look<String> {
    let nodes = match agents.ask(|api| async move { api.nodes().await }).await {
        Ok(nodes) => nodes,
        Err(error) => return Look::failed(&error),
    };
    let fit = nodes
        .iter()
        .filter(|node| node.status == "ready" && node.scheduling_eligibility == "eligible")
        .count();
    if fit == ready {
        return Look::Done(format!("{ready} nodes ready"));
    }
    let words: Vec<_> = nodes
        .iter()
        .map(|node| {
            format!(
                "`{}` {} {}",
                node.name, node.status, node.scheduling_eligibility
            )
        })
        .collect();
    Look::NotYet(if words.is_empty() {
        "no node has registered".to_owned()
    } else {
        words.join(", ")
    })
}
