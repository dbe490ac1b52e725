//! How many versions of the servers' program there are, as each server sees it in gossip.

use std::collections::BTreeMap;

use super::Condition;
use super::members::each_view;
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
    let judged = each_view(agents, |members| {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for member in members.own().filter(|member| member.status == "alive") {
            let build = member.tags.get("build").map_or("", String::as_str);
            *count.entry(build).or_default() += 1;
        }
        let words = count
            .iter()
            .map(|(version, servers)| format!("{servers} of {version}"));
        let seen = words.collect::<Vec<_>>().join(", ");
        if count.len() == different {
            Ok(seen)
        } else {
            Err(seen)
        }
    });
    judged.await
}
