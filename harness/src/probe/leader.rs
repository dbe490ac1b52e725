//! Who leads, as each server says itself: `?stale` is answered by the asked server at once, also
//! while nobody leads.

use std::time::Duration;

use futures::future::join_all;

use super::Condition;
use crate::directory::Directory;
use crate::grammar::Word;
use crate::poll::Look;
use crate::spec::AgentName;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "leader",
    about: "every server that no fault touches names the same leader, one of them",
    args: &[],
    takes: &[],
    build: |_| Condition::Leader,
};

/// How long one server may take to say who leads.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Asks every server; done when all name the same one, and it is one of them.
pub async fn look(agents: &Directory) -> Look<AgentName> {
    let opinions = join_all(agents.servers().map(|entry| async move {
        let api = entry.api.stale().timeout(ANSWER_WITHIN);
        (&entry.info.name, api.leader().await)
    }))
    .await;
    let mut named = Vec::new();
    let mut seen = Vec::new();
    for (name, opinion) in &opinions {
        match opinion {
            Ok(Some(address)) => {
                let leader = agents.at(address).map(|entry| &entry.info.name);
                seen.push(match leader {
                    Some(leader) => format!("`{name}` names `{leader}`"),
                    None => format!("`{name}` names {address}, which should be down"),
                });
                named.push(leader);
            }
            Ok(None) => {
                seen.push(format!("`{name}` knows no leader"));
                named.push(None);
            }
            Err(error) => {
                seen.push(format!("`{name}` does not say ({error})"));
                named.push(None);
            }
        }
    }
    match named.first() {
        Some(Some(leader)) if named.iter().all(|other| *other == Some(*leader)) => {
            Look::Done((*leader).clone())
        }
        Some(_) => Look::NotYet(seen.join(", ")),
        None => Look::Never("there is no server to ask".to_owned()),
    }
}
