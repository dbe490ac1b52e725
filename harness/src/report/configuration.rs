//! What the agents of a run were configured with, as each said itself: agents of a role that say the same
//! stand together, so that a report says it once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::{AgentName, Role};

/// The agents' configuration, in the names of Nomad's files; no secrets, nothing that each agent has to itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Agents that say the same, servers first.
    pub agents: Vec<Configured>,
    /// Agents that were not read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_read: Vec<NotRead>,
}

/// Agents of one role that say the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configured {
    /// Server or client.
    pub role: Role,
    /// Who.
    pub names: Vec<AgentName>,
    /// What is set, or what Nomad tells as its default: by key (`server.heartbeat_grace`). What is not there is
    /// not set, or not known to that version.
    pub settings: BTreeMap<String, Value>,
    /// Keys and blocks that their files set and that they do not act on: the simulator's alone.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub inert: Vec<String>,
}

impl Configured {
    /// Whether the agents act on a key that is set.
    #[must_use]
    pub fn has_effect(&self, key: &str) -> bool {
        let mut ends = key.match_indices('.').map(|(at, _)| at).chain([key.len()]);
        // The key itself, or a block that it is in.
        !ends.any(|end| self.inert.iter().any(|inert| *inert == key[..end]))
    }
}

/// An agent that did not tell its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRead {
    /// Who.
    pub agent: AgentName,
    /// Why.
    pub why: String,
}

/// What one agent said: its settings, and those that it does not act on; or why it said nothing.
pub type Answer = Result<(BTreeMap<String, Value>, Vec<String>), String>;

impl Configuration {
    /// Joins what all agents said, in their order.
    #[must_use]
    pub fn of(answers: Vec<(AgentName, Role, Answer)>) -> Self {
        let mut all = Self::default();
        for (name, role, answer) in answers {
            match answer {
                Ok((settings, inert)) => all.add(name, role, settings, inert),
                Err(why) => all.not_read.push(NotRead { agent: name, why }),
            }
        }
        all
    }

    fn add(
        &mut self,
        name: AgentName,
        role: Role,
        settings: BTreeMap<String, Value>,
        inert: Vec<String>,
    ) {
        let same = |one: &&mut Configured| {
            one.role == role && one.settings == settings && one.inert == inert
        };
        match self.agents.iter_mut().find(same) {
            Some(known) => known.names.push(name),
            None => self.agents.push(Configured {
                role,
                names: vec![name],
                settings,
                inert,
            }),
        }
    }
}

/// Names in a few letters: `server-1..3, web`, where numbers follow each other.
#[must_use]
pub fn ranges<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let numbered = |name: &'a str| {
        let (stem, number) = name.rsplit_once('-')?;
        let plain = !number.starts_with('0') && number.bytes().all(|one| one.is_ascii_digit());
        Some((stem, number.parse::<u32>().ok().filter(|_| plain)?))
    };
    // What is written of a stretch, its stem and its last number.
    let mut parts: Vec<(&str, Option<(&str, u32)>)> = Vec::new();
    for name in names {
        let here = numbered(name);
        match (parts.last_mut(), here) {
            (Some((_, Some((stem, last)))), Some((its, number)))
                if *stem == its && number == *last + 1 =>
            {
                *last = number;
            }
            _ => parts.push((name, here)),
        }
    }
    let written = parts.into_iter().map(|(name, end)| match end {
        Some((stem, last)) if name != format!("{stem}-{last}") => format!("{name}..{last}"),
        _ => name.to_owned(),
    });
    written.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(grace: &str) -> Answer {
        let settings = [("server.heartbeat_grace".to_owned(), json!(grace))];
        Ok((settings.into(), Vec::new()))
    }

    #[test]
    fn agents_of_a_role_that_say_the_same_stand_together() {
        let server = |number| AgentName::new(Role::Server, number);
        let all = Configuration::of(vec![
            (server(1), Role::Server, said("10s")),
            (server(2), Role::Server, said("42s")),
            (server(3), Role::Server, said("10s")),
            (server(4), Role::Server, Err("no answer".to_owned())),
            (AgentName::new(Role::Client, 1), Role::Client, said("10s")),
        ]);
        let names = |one: &Configured| ranges(one.names.iter().map(AgentName::as_str));
        let groups: Vec<String> = all.agents.iter().map(names).collect();
        assert_eq!(groups, ["server-1, server-3", "server-2", "client-1"]);
        assert_eq!(all.not_read[0].why, "no answer");
    }

    #[test]
    fn a_key_of_a_block_without_effect_has_none() {
        let group = Configured {
            role: Role::Client,
            names: Vec::new(),
            settings: BTreeMap::new(),
            inert: vec!["telemetry".to_owned(), "client.gc_interval".to_owned()],
        };
        for (key, has) in [
            ("telemetry.prometheus_metrics", false),
            ("client.gc_interval", false),
            ("client.gc_max_allocs", true),
            ("telemetries", true),
        ] {
            assert_eq!(group.has_effect(key), has, "{key}");
        }
    }

    #[test]
    fn numbers_that_follow_each_other_are_a_range() {
        let told = |names: &[&str]| ranges(names.iter().copied());
        assert_eq!(told(&["server-1", "server-2", "server-3"]), "server-1..3");
        assert_eq!(
            told(&["server-1", "server-3", "client-1"]),
            "server-1, server-3, client-1"
        );
        assert_eq!(told(&["a-9", "a-10", "web", "b-01"]), "a-9..10, web, b-01");
        assert_eq!(told(&[]), "");
    }
}
