//! What an agent was, from when to when: leader, follower, ready, down.

use serde::{Deserialize, Serialize};

use crate::spec::AgentName;

/// What an agent is, as the cluster itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// A server that says of itself that it leads.
    Leader,
    /// A server that names another one as leader.
    Follower,
    /// A server that knows no leader.
    NoLeader,
    /// A server that does not answer.
    Silent,
    /// A client whose node takes work.
    Ready,
    /// A client whose node takes no new work: drained, or not eligible.
    Ineligible,
    /// A client whose node the servers call down, or disconnected.
    Down,
}

/// A time through which an agent was the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// The agent.
    pub agent: AgentName,
    /// What it was.
    pub standing: Standing,
    /// When it was first seen so, in milliseconds since the run began.
    pub from_ms: f64,
    /// When it was first seen otherwise, or the look-out ended.
    pub to_ms: f64,
}

/// Stretches under way: each look adds to them.
#[derive(Clone, Debug, Default)]
pub struct Stretches {
    all: Vec<Stretch>,
}

impl Stretches {
    /// Enters what an agent is at a moment.
    pub fn enter(&mut self, agent: &AgentName, standing: Standing, at_ms: f64) {
        let last = self.all.iter_mut().rfind(|one| one.agent == *agent);
        if let Some(last) = last {
            last.to_ms = at_ms;
            if last.standing == standing {
                return;
            }
        }
        self.all.push(Stretch {
            agent: agent.clone(),
            standing,
            from_ms: at_ms,
            to_ms: at_ms,
        });
    }

    /// Returns them, by agent and time; each agent's last one lasts until `end_ms`.
    #[must_use]
    pub fn end(mut self, end_ms: f64) -> Vec<Stretch> {
        let order =
            |a: &Stretch, b: &Stretch| a.agent.cmp(&b.agent).then(a.from_ms.total_cmp(&b.from_ms));
        self.all.sort_by(order);
        for place in 0..self.all.len() {
            let next = self.all.get(place + 1).map(|next| next.agent.clone());
            if next.as_ref() != Some(&self.all[place].agent) {
                self.all[place].to_ms = end_ms.max(self.all[place].from_ms);
            }
        }
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Role;

    #[test]
    fn looks_that_agree_are_one_stretch_and_the_last_lasts_to_the_end() {
        let (one, two) = (
            AgentName::new(Role::Server, 1),
            AgentName::new(Role::Server, 2),
        );
        let mut stretches = Stretches::default();
        stretches.enter(&one, Standing::Leader, 0.0);
        stretches.enter(&two, Standing::Follower, 1.0);
        stretches.enter(&one, Standing::Leader, 250.0);
        stretches.enter(&one, Standing::Silent, 500.0);
        let all: Vec<_> = stretches
            .end(900.0)
            .into_iter()
            .map(|one| (one.agent.to_string(), one.standing, one.from_ms, one.to_ms))
            .collect();
        assert_eq!(
            all,
            [
                ("server-1".to_owned(), Standing::Leader, 0.0, 500.0),
                ("server-1".to_owned(), Standing::Silent, 500.0, 900.0),
                ("server-2".to_owned(), Standing::Follower, 1.0, 900.0),
            ]
        );
    }
}
