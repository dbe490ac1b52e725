//! Which nodes can be given work.

use crate::directory::Directory;
use crate::poll::Look;

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
