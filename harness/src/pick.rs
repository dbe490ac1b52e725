//! Which agents a step is about, decided when the step runs: who leads is not known before.
//! Random picks come from the run's seed, so that a run can be repeated.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::grammar::{Arg, Args, Type, Word};
use crate::poll::{self, PollError};
use crate::probe::leader;
use crate::spec::{AgentName, Role};

/// A way to choose agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// The server that leads.
    Leader,
    /// One server that does not lead, by the seed.
    Follower,
    /// Every server that does not lead.
    Followers,
    /// One agent of a role, by the seed.
    Any(Role),
    /// Fewer than half of the servers, as many as possible, by the seed.
    Minority,
    /// Just more than half of the servers, by the seed.
    Majority,
    /// Every agent of a role.
    All(Role),
    /// Every agent, clients first: what is healed in reverse begins with the servers.
    Everyone,
    /// By name.
    Named(Vec<AgentName>),
    /// The client that runs the first running allocation of a job.
    NodeRunning {
        /// The job.
        job: String,
    },
    /// The agent whose turn it is in a `for_each`.
    Each,
    /// Those whom the step before picked that picked any.
    Last,
}

/// Every way to pick, as it is written.
pub const PICKS: &[Word<Pick>] = &[
    Word {
        name: "leader",
        about: "the server that leads",
        args: &[],
        takes: &[],
        build: |_| Pick::Leader,
    },
    Word {
        name: "follower",
        about: "one server that does not lead, by the seed",
        args: &[],
        takes: &[],
        build: |_| Pick::Follower,
    },
    Word {
        name: "followers",
        about: "every server that does not lead",
        args: &[],
        takes: &[],
        build: |_| Pick::Followers,
    },
    Word {
        name: "any",
        about: "one agent of a role, by the seed",
        args: &[Arg::required("role", Type::Role, "of which")],
        takes: &[],
        build: |args| Pick::Any(required_role(args)),
    },
    Word {
        name: "all",
        about: "every agent of a role",
        args: &[Arg::required("role", Type::Role, "of which")],
        takes: &[],
        build: |args| Pick::All(required_role(args)),
    },
    Word {
        name: "everyone",
        about: "every agent (of the region, where there are several)",
        args: &[],
        takes: &[],
        build: |_| Pick::Everyone,
    },
    Word {
        name: "minority",
        about: "fewer than half of the servers, as many as possible, by the seed",
        args: &[],
        takes: &[],
        build: |_| Pick::Minority,
    },
    Word {
        name: "majority",
        about: "just more than half of the servers, by the seed",
        args: &[],
        takes: &[],
        build: |_| Pick::Majority,
    },
    Word {
        name: "node_running",
        about: "the client that runs the first running allocation of a job",
        args: &[Arg::required("job", Type::Job, "which job")],
        takes: &[],
        build: |args| Pick::NodeRunning {
            job: args.text("job"),
        },
    },
    Word {
        name: "each",
        about: "the agent whose turn it is; only inside `for_each`",
        args: &[],
        takes: &[],
        build: |_| Pick::Each,
    },
    Word {
        name: "last",
        about: "those whom the last step that picked any picked",
        args: &[],
        takes: &[],
        build: |_| Pick::Last,
    },
];

/// The word of a pick by name, which is written as the names themselves: `"server-1"`, or
/// `["server-1", "client-2"]`. Its arguments are the names.
pub const BY_NAME: &str = "named";

fn required_role(args: &Args) -> Role {
    role(args, "role").expect("it is required, and checked before")
}

/// Returns the role that an argument names; `None` where it is left out.
pub(crate) fn role(args: &Args, name: &str) -> Option<Role> {
    let server = args.opt_text(name)? == "server";
    Some(if server { Role::Server } else { Role::Client })
}

impl Pick {
    /// Returns the pick that a word of [`PICKS`], or [`BY_NAME`], says.
    ///
    /// # Panics
    /// When the word is none of them, which the reader rules out.
    #[must_use]
    pub fn of((word, args): (&str, &Args)) -> Self {
        if word == BY_NAME {
            let names = args.texts("names").into_values().map(AgentName);
            return Self::Named(names.collect());
        }
        let known = PICKS.iter().find(|known| known.name == word);
        (known.expect("a word that was looked up before").build)(args)
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("the leader"),
            Self::Follower => f.write_str("a follower"),
            Self::Followers => f.write_str("the followers"),
            Self::Any(role) => write!(f, "any {role}"),
            Self::Minority => f.write_str("a minority of the servers"),
            Self::Majority => f.write_str("a majority of the servers"),
            Self::All(role) => write!(f, "all {role}s"),
            Self::Everyone => f.write_str("every agent"),
            Self::Named(names) => {
                let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                f.write_str(&quoted.join(", "))
            }
            Self::NodeRunning { job } => write!(f, "a node running `{job}`"),
            Self::Each => f.write_str("each"),
            Self::Last => f.write_str("the same"),
        }
    }
}

/// Nobody could be picked.
#[derive(Debug, thiserror::Error)]
pub enum PickError {
    /// No server leads.
    #[error("cannot tell who leads: {0}")]
    NoLeader(#[source] PollError),
    /// The role or the names match nobody.
    #[error("no agent matches {pick}; there are {known}")]
    Nobody {
        /// The pick in words.
        pick: String,
        /// The agents that there are.
        known: String,
    },
    /// The job runs nowhere.
    #[error("no running allocation of `{job}`: {seen}")]
    RunsNowhere {
        /// The job.
        job: String,
        /// What was found instead.
        seen: String,
    },
}

/// How long the question who leads may stay open: an election takes 1 to 4 s in Nomad, twice
/// that when a vote is split.
const LEADER_WITHIN: Duration = Duration::from_secs(15);

impl Pick {
    /// Chooses among the agents given.
    ///
    /// # Errors
    /// [`PickError`].
    pub async fn choose(
        &self,
        agents: &Directory,
        rng: &mut StdRng,
    ) -> Result<Vec<AgentName>, PickError> {
        let chosen = match self {
            Self::Leader => vec![who_leads(agents).await?],
            Self::Follower => {
                let leader = who_leads(agents).await?;
                let mut followers = names(agents, Role::Server);
                followers.retain(|name| *name != leader);
                one(&followers, rng)
            }
            Self::Followers => {
                let leader = who_leads(agents).await?;
                let mut followers = names(agents, Role::Server);
                followers.retain(|name| *name != leader);
                followers
            }
            Self::Any(role) => one(&names(agents, *role), rng),
            Self::Minority => some(names(agents, Role::Server), rng, |all| (all - 1) / 2),
            Self::Majority => some(names(agents, Role::Server), rng, |all| all / 2 + 1),
            Self::All(role) => names(agents, *role),
            Self::Everyone => {
                let mut all = names(agents, Role::Client);
                all.extend(names(agents, Role::Server));
                all
            }
            Self::Named(wanted) => {
                let known = |name: &&AgentName| agents.get(name).is_some();
                let found: Vec<_> = wanted.iter().filter(known).cloned().collect();
                if found.len() == wanted.len() {
                    found
                } else {
                    Vec::new()
                }
            }
            Self::NodeRunning { job } => vec![node_running(agents, job).await?],
            // Whoever knows them has put them in before.
            Self::Each | Self::Last => Vec::new(),
        };
        if chosen.is_empty() {
            let known: Vec<_> = agents
                .all()
                .iter()
                .map(|entry| entry.info.name.to_string())
                .collect();
            return Err(PickError::Nobody {
                pick: self.to_string(),
                known: known.join(", "),
            });
        }
        Ok(chosen)
    }
}

fn names(agents: &Directory, role: Role) -> Vec<AgentName> {
    agents
        .of_role(role)
        .map(|entry| entry.info.name.clone())
        .collect()
}

fn one(from: &[AgentName], rng: &mut StdRng) -> Vec<AgentName> {
    from.choose(rng).cloned().into_iter().collect()
}

fn some(
    mut from: Vec<AgentName>,
    rng: &mut StdRng,
    how_many: impl Fn(usize) -> usize,
) -> Vec<AgentName> {
    if from.is_empty() {
        return from;
    }
    let wanted = how_many(from.len());
    from.shuffle(rng);
    from.truncate(wanted);
    from.sort();
    from
}

async fn who_leads(agents: &Directory) -> Result<AgentName, PickError> {
    poll::eventually(
        LEADER_WITHIN,
        Duration::from_millis(50),
        "a leader that all servers name",
        || leader::look(agents),
    )
    .await
    .map_err(PickError::NoLeader)
}

async fn node_running(agents: &Directory, job: &str) -> Result<AgentName, PickError> {
    let nowhere = |seen: String| PickError::RunsNowhere {
        job: job.to_owned(),
        seen,
    };
    let allocations = agents
        .ask(|api| async move { api.job_allocations(job).await })
        .await
        .map_err(|error| nowhere(error.to_string()))?;
    let mut running: Vec<_> = allocations
        .iter()
        .filter(|alloc| alloc.is_running())
        .collect();
    running.sort_by(|a, b| a.name.cmp(&b.name));
    running
        .iter()
        .map(|alloc| AgentName(alloc.node_name.clone()))
        .find(|name| agents.get(name).is_some())
        .ok_or_else(|| nowhere(format!("{} allocations, none running", allocations.len())))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn servers(count: u16) -> Vec<AgentName> {
        (1..=count)
            .map(|number| AgentName::new(Role::Server, number))
            .collect()
    }

    #[test]
    fn a_minority_leaves_a_majority_and_a_majority_does_not() {
        for (all, fewer, more) in [(3, 1, 2), (5, 2, 3)] {
            let mut rng = StdRng::seed_from_u64(1);
            assert_eq!(some(servers(all), &mut rng, |n| (n - 1) / 2).len(), fewer);
            assert_eq!(some(servers(all), &mut rng, |n| n / 2 + 1).len(), more);
        }
    }

    #[test]
    fn the_same_seed_picks_the_same_agents() {
        let picked = |seed| one(&servers(5), &mut StdRng::seed_from_u64(seed));
        assert_eq!(picked(7), picked(7));
        let all: std::collections::BTreeSet<_> = (0..50).flat_map(picked).collect();
        assert_eq!(all.len(), 5, "every server can be picked");
    }
}
