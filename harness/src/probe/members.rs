//! Which servers are alive in gossip, as each server sees it for itself.

use futures::future::join_all;

use super::Condition;
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::nomad::types::Members;
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "members",
    about: "each server counts so many servers of its region alive in gossip; gossip notices a death after 30 to \
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
    let judged = each_view(agents, |members| {
        let there = members.own().filter(|member| member.status == "alive");
        if there.count() == alive {
            return Ok(format!("{alive} servers alive"));
        }
        let words = members
            .own()
            .map(|member| format!("{} {}", member.name, member.status));
        Err(words.collect::<Vec<_>>().join(", "))
    });
    judged.await
}

/// Done when what each server sees in gossip is as `judge` wants it; both its answers are what is
/// seen, in words.
pub(super) async fn each_view(
    agents: &Directory,
    judge: impl Fn(&Members) -> Result<String, String>,
) -> Look<String> {
    let views = join_all(agents.servers().map(|entry| async move {
        let members = entry.api.members().await;
        (&entry.info.name, members)
    }))
    .await;
    let (mut off, mut good) = (Vec::new(), String::new());
    for (name, members) in views {
        match members.map(|view| judge(&view)) {
            Ok(Ok(seen)) => good = seen,
            Ok(Err(seen)) => off.push(format!("`{name}` sees {seen}")),
            Err(error) => off.push(error.to_string()),
        }
    }
    if off.is_empty() {
        Look::Done(good)
    } else {
        Look::NotYet(off.join("; "))
    }
}
