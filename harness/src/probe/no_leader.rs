//! Whether the servers are without a leader, as each says itself.

use std::time::Duration;

use futures::future::join_all;

use super::Condition;
use crate::directory::Directory;
use crate::grammar::Word;
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "no_leader",
    about: "every server that no fault touches says that it knows no leader",
    args: &[],
    takes: &[],
    build: |_| Condition::NoLeader,
};

/// How long one server may take to say who leads.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Asks every server; done when all answer and none knows a leader. A server that does not answer
/// says nothing.
pub async fn look(agents: &Directory) -> Look<String> {
    let opinions = join_all(agents.servers().map(|entry| async move {
        let api = entry.api.stale().timeout(ANSWER_WITHIN);
        (&entry.info.name, api.leader().await)
    }))
    .await;
    if opinions.is_empty() {
        return Look::Never("there is no server to ask".to_owned());
    }
    let mut others = Vec::new();
    for (name, opinion) in &opinions {
        match opinion {
            Ok(None) => {}
            Ok(Some(address)) => match agents.at(address) {
                Some(leader) => others.push(format!("`{name}` names `{}`", leader.info.name)),
                None => others.push(format!("`{name}` names {address}, which should be down")),
            },
            Err(error) => others.push(format!("`{name}` does not say ({error})")),
        }
    }
    if others.is_empty() {
        Look::Done("no server knows a leader".to_owned())
    } else {
        Look::NotYet(others.join(", "))
    }
}
