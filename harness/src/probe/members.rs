//! Which servers are alive in gossip, as each server sees it for itself.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::Condition;
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "members",
    about: "each server counts so many servers alive in gossip; gossip notices a death after 30 to \
            40 s only",
    args: &[Arg::optional(
        "alive",
        Type::Count,
        "how many; every server that no fault touches, where it is left out",
    )],
    takes: &[],
    build: |args| Condition::Members {
        alive: args.opt_size("alive"),
    },
};

/// Done when every server counts exactly `alive` members alive.
pub async fn look(agents: &Directory, alive: usize) -> Look<String> {
    let views = join_all(agents.servers().map(|entry| async move {
        let members = entry.api.members().await;
        (&entry.info.name, members)
    }))
    .await;
    let mut off = Vec::new();
    for (name, members) in views {
        match members {
            Ok(members) => {
                let mut count: BTreeMap<&str, usize> = BTreeMap::new();
                for member in &members.members {
                    *count.entry(member.status.as_str()).or_default() += 1;
                }
                if count.get("alive").copied().unwrap_or(0) != alive {
                    let words: Vec<_> = members
                        .members
                        .iter()
                        .map(|member| format!("{} {}", member.name, member.status))
                        .collect();
                    off.push(format!("`{name}` sees {}", words.join(", ")));
                }
            }
            Err(error) => off.push(error.to_string()),
        }
    }
    if off.is_empty() {
        Look::Done(format!("{alive} servers alive"))
    } else {
        Look::NotYet(off.join("; "))
    }
}
