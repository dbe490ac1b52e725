//! Two clusters' agents, key by key: what each configuration says, where, and whether the other says the
//! same. What cannot be the same on two targets is declared, with the reason, and is no drift.

use std::collections::BTreeMap;

use agent::jobspec::duration;
use serde::Serialize;
use serde_json::Value as Json;

use super::defaults::default_of;
use super::windows;
pub use super::windows::{Span, Window};
use crate::spec::Role;

/// An agent's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its settings; of a key that is set twice, the last counts.
    pub settings: Vec<Setting>,
}

/// A key that is set.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its dotted path.
    pub key: String,
    /// Its value.
    pub value: Json,
    /// The file and line that says it.
    pub place: Option<String>,
}

/// A key that two sides have otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its dotted path.
    pub key: String,
    /// The agents of which it is so, by their names here.
    pub agents: Vec<String>,
    /// What it is here, and where that is said; a default of Nomad's has no place.
    pub here: Said,
    /// What it is there.
    pub there: Said,
    /// Why it cannot be the same; then it is no drift.
    pub declared: Option<String>,
}

/// What one side says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The value, as the file has it; nothing where the key is not set and has no default.
    pub value: Option<String>,
    /// The file and line.
    pub place: Option<String>,
}

/// What came of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Configurations {
    /// Keys that both sides have alike, over all agents.
    pub alike: usize,
    /// Keys that differ.
    pub differences: Vec<Difference>,
    /// What the timers of both predict.
    pub windows: Vec<Window>,
    /// What was not compared, and why.
    pub not_compared: Vec<String>,
}

impl Configurations {
    /// Returns what differs and should not.
    pub fn drifts(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|one| one.declared.is_none())
    }
}

/// Why a key is other on a cluster that was made here by itself.
fn usual(key: &str) -> Option<&'static str> {
    let reasons = [
        ("advertise.", "addresses are each cluster's own"),
        ("data_dir", "the data is in the container's volume"),
        ("server.encrypt", "every cluster has a key of its own"),
        ("tls.ca_file", "certificates are each cluster's own"),
        ("tls.cert_file", "certificates are each cluster's own"),
        ("tls.key_file", "certificates are each cluster's own"),
        (
            "client.servers",
            "clients find servers by the network that they are in",
        ),
        (
            "limits.http_max_conns_per_client",
            "all tests come from one address",
        ),
        ("client.network_interface", "the container's only one"),
        (
            "client.cpu_total_compute",
            "every client has the same measure here",
        ),
        (
            "client.memory_total_mb",
            "every client has the same measure here",
        ),
        (
            "client.disk_total_mb",
            "every client has the same measure here",
        ),
        (
            "client.disk_free_mb",
            "every client has the same measure here",
        ),
        (
            "client.options.",
            "no cloud is there to ask, and tasks are run by raw_exec",
        ),
        ("consul.", "no Consul is there"),
    ];
    let joins = key.contains("retry_join") || key.contains("start_join");
    let found = reasons
        .iter()
        .find(|(name, _)| key == *name || (name.ends_with('.') && key.starts_with(name)));
    found
        .map(|(_, why)| *why)
        .or_else(|| joins.then_some("servers are found by the network that they are in"))
}

/// Compares the agents of two sides. They are paired by name, or else by their order among those of
/// their role; `declared` tells why a key of an agent cannot be the same.
#[must_use]
pub fn compare(
    here: &[Agent],
    there: &[Agent],
    declared: &dyn Fn(&Agent, &str) -> Option<String>,
) -> Configurations {
    let mut outcome = pairs(here, there, declared);
    outcome.windows = windows::predict(here, there);
    for role in [Role::Server, Role::Client] {
        let of = |side: &[Agent]| side.iter().filter(|one| one.role == role).count();
        if of(here) != of(there) {
            outcome.differences.push(Difference {
                key: format!("{role}s"),
                agents: Vec::new(),
                here: number(of(here)),
                there: number(of(there)),
                declared: None,
            });
        }
    }
    outcome
        .differences
        .sort_by(|one, other| (&one.declared, &one.key).cmp(&(&other.declared, &other.key)));
    outcome
}

/// Compares agents with their twins, and nothing else.
pub(super) fn pairs(
    here: &[Agent],
    there: &[Agent],
    declared: &dyn Fn(&Agent, &str) -> Option<String>,
) -> Configurations {
    let mut outcome = Configurations::default();
    for agent in here {
        match twin(agent, here, there) {
            Some(twin) => pair(agent, twin, declared, &mut outcome),
            None => outcome.not_compared.push(format!(
                "`{}`: there is no such {} there",
                agent.name, agent.role
            )),
        }
    }
    for agent in there {
        if !here.iter().any(|one| twin(one, here, there) == Some(agent)) {
            outcome.not_compared.push(format!(
                "`{}` of there: there is no such {} here",
                agent.name, agent.role
            ));
        }
    }
    outcome
}

fn number(count: usize) -> Said {
    Said {
        value: Some(count.to_string()),
        place: None,
    }
}

fn twin<'a>(agent: &Agent, here: &[Agent], there: &'a [Agent]) -> Option<&'a Agent> {
    let alike = |one: &&Agent| one.role == agent.role;
    there
        .iter()
        .filter(alike)
        .find(|one| one.name == agent.name)
        .or_else(|| {
            let mut own = here.iter().filter(alike);
            let at = own.position(|one| one.name == agent.name)?;
            there.iter().filter(alike).nth(at)
        })
}

fn pair(
    agent: &Agent,
    twin: &Agent,
    declared: &dyn Fn(&Agent, &str) -> Option<String>,
    outcome: &mut Configurations,
) {
    fn by_key(agent: &Agent) -> BTreeMap<&str, &Setting> {
        let settings = agent.settings.iter();
        settings.map(|one| (one.key.as_str(), one)).collect()
    }
    let (ours, theirs) = (by_key(agent), by_key(twin));
    let mut keys: Vec<&str> = ours.keys().chain(theirs.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        // Whose name is whose is no difference.
        if key == "name" {
            continue;
        }
        let value = |side: &BTreeMap<&str, &Setting>| {
            let set = side.get(key).map(|setting| setting.value.clone());
            set.or_else(|| default_of(key))
        };
        let (one, other) = (value(&ours), value(&theirs));
        let secret = is_secret(key);
        let same = match (&one, &other) {
            (Some(one), Some(other)) => secret || alike(one, other),
            (one, other) => one == other,
        };
        if same {
            outcome.alike += 1;
            continue;
        }
        let said = |value: Option<Json>, side: &BTreeMap<&str, &Setting>| Said {
            value: value.map(|value| {
                if secret {
                    "set".to_owned()
                } else {
                    value.to_string()
                }
            }),
            place: side.get(key).and_then(|setting| setting.place.clone()),
        };
        let difference = Difference {
            key: key.to_owned(),
            agents: vec![agent.name.clone()],
            here: said(one, &ours),
            there: said(other, &theirs),
            // That gossip is encrypted on one side only is drift, whatever the keys are.
            declared: declared(agent, key).or_else(|| {
                let usual = usual(key).filter(|_| !secret);
                usual.map(str::to_owned)
            }),
        };
        add(difference, &mut outcome.differences);
    }
}

/// Joins what is the same of several agents.
fn add(difference: Difference, into: &mut Vec<Difference>) {
    let known = into.iter_mut().find(|one| {
        one.key == difference.key
            && one.here.value == difference.here.value
            && one.there.value == difference.there.value
    });
    match known {
        Some(known) => known.agents.extend(difference.agents),
        None => into.push(difference),
    }
}

/// Whether Nomad reads the two alike: it takes numbers and truth values as texts, too, and a time in any unit.
fn alike(one: &Json, other: &Json) -> bool {
    let time = |value: &Json| duration::parse(value.as_str()?).ok();
    if let (Some(one), Some(other)) = (time(one), time(other)) {
        return one == other;
    }
    let plain = |value: &Json| match value {
        Json::Number(number) => number.as_f64().map(|number| number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        Json::String(text) => Some(
            text.parse::<f64>()
                .map_or_else(|_| text.clone(), |number| number.to_string()),
        ),
        _ => None,
    };
    one == other || (plain(one).is_some() && plain(one) == plain(other))
}

fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    [
        "encrypt",
        "token",
        "secret",
        "password",
        "replication_token",
    ]
    .iter()
    .any(|word| last.ends_with(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn agent(name: &str, settings: &[(&str, Json)]) -> Agent {
        Agent {
            name: name.to_owned(),
            role: Role::Server,
            settings: settings
                .iter()
                .map(|(key, value)| Setting {
                    key: (*key).to_owned(),
                    value: value.clone(),
                    place: Some(format!("{name}.hcl:1")),
                })
                .collect(),
        }
    }

    fn none(_: &Agent, _: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_key_that_is_other_is_drift_with_both_places() {
        let here = agent(
            "server-1",
            &[
                ("server.encrypt", json!("x")),
                ("acl.enabled", json!(true)),
                ("server.raft_multiplier", json!(1)),
            ],
        );
        let there = agent("a", &[("acl.enabled", json!("true"))]);
        let outcome = compare(&[here], &[there], &none);
        let drifts: Vec<_> = outcome.drifts().collect();
        assert_eq!(
            drifts.len(),
            1,
            "defaults and texts are read as Nomad reads them: {outcome:#?}"
        );
        assert_eq!(drifts[0].key, "server.encrypt");
        assert_eq!(
            drifts[0].here.value.as_deref(),
            Some("set"),
            "no secret is shown"
        );
        assert_eq!(drifts[0].here.place.as_deref(), Some("server-1.hcl:1"));
        assert_eq!(outcome.alike, 2);
        insta::assert_snapshot!(super::super::drifts::to_text(&outcome), @r"
        drift: server.encrypt of server-1: set (server-1.hcl:1) here, not set there
        predicted: a leader that falls silent is missed after 1 to 2 s on both sides
        predicted: a leader that hears nobody steps down after 0.5 to 1 s on both sides
        predicted: a client that falls silent is down after 20 to 30 s on both sides
        predicted: a client that fell silent with the leader is down after 300 s on both sides
        2 keys alike, 1 drifts, 0 declared differences
        ");
    }

    #[test]
    fn what_cannot_be_the_same_is_declared() {
        let here = agent(
            "server-1",
            &[
                ("advertise.http", json!("10.0.0.1")),
                ("data_dir", json!("/a")),
            ],
        );
        let outcome = compare(std::slice::from_ref(&here), &[agent("x", &[])], &none);
        assert_eq!(outcome.drifts().count(), 0, "{outcome:#?}");
        assert_eq!(outcome.differences.len(), 2);
        let outcome = compare(
            &[agent("server-1", &[("log_level", json!("DEBUG"))])],
            &[agent("x", &[])],
            &|_, key| (key == "log_level").then(|| "asked for".to_owned()),
        );
        assert_eq!(
            outcome.differences[0].declared.as_deref(),
            Some("asked for")
        );
    }

    #[test]
    fn agents_of_a_role_are_paired_and_missing_ones_are_told() {
        let here = [
            agent("server-1", &[("log_level", json!("WARN"))]),
            agent("server-2", &[("log_level", json!("WARN"))]),
        ];
        let there = [agent("web-a", &[])];
        let outcome = compare(&here, &there, &none);
        assert_eq!(outcome.not_compared.len(), 1);
        let keys: Vec<&str> = outcome.drifts().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["log_level", "servers"]);
    }
}
