//! How many versions of the servers' program there are, as each server sees it in gossip.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::Condition;
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "versions",
    about: "each server sees exactly so many different versions among the servers alive in gossip: \
            2 while an upgrade is half done, 1 before and after",
    args: &[Arg::required("different", Type::Rate, "how many")],
    takes: &[],
    build: |args| Condition::Versions {
        different: args.opt_size("different").unwrap_or(1),
    },
};

/// Done when every server sees exactly so many versions alive.
pub async fn look(agents: &Directory, different: usize) -> Look<String> {
    let views = join_all(agents.servers().map(|entry| async move {
        let members = entry.api.members().await;
        (&entry.info.name, members)
    }))
    .await;
    let (mut off, mut seen) = (Vec::new(), String::new());
    for (name, members) in views {
        match members {
            Ok(members) => {
                let mut count: BTreeMap<&str, usize> = BTreeMap::new();
                let alive = members.members.iter().filter(|one| one.status == "alive");
                for member in alive {
                    let build = member.tags.get("build").map_or("", String::as_str);
                    *count.entry(build).or_default() += 1;
                }
                let words: Vec<_> = count
                    .iter()
                    .map(|(version, servers)| format!("{servers} of {version}"))
                    .collect();
                seen = words.join(", ");
                if count.len() != different {
                    off.push(format!("`{name}` sees {seen}"));
                }
            }
            Err(error) => off.push(error.to_string()),
        }
    }
    if off.is_empty() {
        Look::Done(seen)
    } else {
        Look::NotYet(off.join("; "))
    }
}
