//! Who votes in Raft, and whether autopilot finds them healthy. Both are asked: a voter that is
//! dead is still a voter, and autopilot's list may lag behind Raft's by its 2 s round.

use super::{Condition, leader};
use crate::directory::Directory;
use crate::grammar::{Arg, Type, Word};
use crate::poll::Look;

/// As scripts name it.
pub const WORD: Word<Condition> = Word {
    name: "voters",
    about: "exactly so many servers vote in Raft, autopilot finds each of them healthy, and each that no fault touches \
            names the leader",
    args: &[Arg::optional(
        "healthy",
        Type::Count,
        "how many; every server that no fault touches, where it is left out",
    )],
    takes: &[],
    build: |args| Condition::Voters {
        healthy: args.opt_size("healthy"),
    },
};

/// Done when exactly `healthy` servers vote, autopilot finds each of them healthy, and each names the leader.
pub async fn look(agents: &Directory, healthy: usize) -> Look<String> {
    let configuration = agents
        .ask(|api| async move { api.raft_configuration().await })
        .await;
    let configuration = match configuration {
        Ok(configuration) => configuration,
        Err(error) => return Look::failed(&error),
    };
    let health = agents
        .ask(|api| async move { api.autopilot_health().await })
        .await;
    let health = match health {
        Ok(health) => health,
        Err(error) => return Look::failed(&error),
    };
    let voters: Vec<_> = configuration
        .servers
        .iter()
        .filter(|peer| peer.voter)
        .collect();
    let fit = |id: &str| {
        let mut servers = health.servers.iter();
        servers.any(|server| server.id == id && server.healthy && server.voter)
    };
    let unfit: Vec<_> = voters
        .iter()
        .filter(|peer| !fit(&peer.id))
        .map(|peer| format!("`{}` ({})", peer.node, peer.address))
        .collect();
    if voters.len() == healthy && unfit.is_empty() && health.healthy {
        // Autopilot looks each 2 s: a server that ended and came back between two looks was healthy all the
        // while. Who names a leader has heard of it.
        return match leader::look(agents).await {
            Look::Done(_) => Look::Done(format!("{healthy} voters, all healthy")),
            Look::NotYet(seen) => Look::NotYet(format!("{healthy} voters, but {seen}")),
            Look::Never(why) => Look::Never(why),
        };
    }
    let mut seen = format!("{} voters", voters.len());
    if unfit.is_empty() {
        let verdict = if health.healthy {
            "healthy"
        } else {
            "unhealthy"
        };
        seen.push_str(&format!(", autopilot {verdict}"));
    } else {
        seen.push_str(&format!(", not healthy: {}", unfit.join(", ")));
    }
    Look::NotYet(seen)
}
