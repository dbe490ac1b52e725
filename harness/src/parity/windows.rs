//! What each side's timers predict: within which time the loss of a leader, or of a client, is noticed. Known
//! before anything runs, from the configuration alone.

use serde::Serialize;

use super::config::{Agent, default_of};
use crate::spec::Role;

/// What is noticed, and within which time on each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// What.
    pub what: String,
    /// From when to when here; `None` where a timer cannot be read.
    pub here: Option<Span>,
    /// From when to when there.
    pub there: Option<Span>,
}

/// The least and the most, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// At the earliest.
    pub least_ms: u64,
    /// At the latest.
    pub most_ms: u64,
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ms: u64| f64::from(u32::try_from(ms).unwrap_or(u32::MAX)) / 1000.0;
        if self.least_ms == self.most_ms {
            return write!(f, "{} s", seconds(self.most_ms));
        }
        write!(
            f,
            "{} to {} s",
            seconds(self.least_ms),
            seconds(self.most_ms)
        )
    }
}

/// Returns the windows of both sides, where each has a server.
pub(super) fn predict(here: &[Agent], there: &[Agent]) -> Vec<Window> {
    let is_server = |agent: &&Agent| agent.role == Role::Server;
    let (here, there) = (here.iter().find(is_server), there.iter().find(is_server));
    let (Some(here), Some(there)) = (here, there) else {
        return Vec::new();
    };
    let both = |what: &str, of: fn(&Agent) -> Option<Span>| Window {
        what: what.to_owned(),
        here: of(here),
        there: of(there),
    };
    vec![
        both("a leader that falls silent is missed after", missed),
        both("a leader that hears nobody steps down after", steps_down),
        both("a client that falls silent is down after", down),
        both(
            "a client that fell silent with the leader is down after",
            down_with_leader,
        ),
    ]
}

/// `HeartbeatTimeout` of 1 s, times `raft_multiplier`, and as much again at random (hashicorp/raft).
fn missed(server: &Agent) -> Option<Span> {
    let timeout = 1000 * multiplier(server)?;
    Some(Span {
        least_ms: timeout,
        most_ms: 2 * timeout,
    })
}

/// `LeaderLeaseTimeout` of 500 ms, times `raft_multiplier`.
fn steps_down(server: &Agent) -> Option<Span> {
    let lease = 500 * multiplier(server)?;
    Some(Span {
        least_ms: lease,
        most_ms: 2 * lease,
    })
}

/// `min_heartbeat_ttl`, up to as much again at random, and `heartbeat_grace` (nomad/heartbeat.go); more where
/// `max_heartbeats_per_second` makes it longer, which takes 500 clients.
fn down(server: &Agent) -> Option<Span> {
    let ttl = millis(server, "server.min_heartbeat_ttl")?;
    let grace = millis(server, "server.heartbeat_grace")?;
    Some(Span {
        least_ms: ttl + grace,
        most_ms: 2 * ttl + grace,
    })
}

/// A new leader gives every client `failover_heartbeat_ttl`, 5 minutes.
fn down_with_leader(server: &Agent) -> Option<Span> {
    let ttl = millis(server, "server.failover_heartbeat_ttl")?;
    Some(Span {
        least_ms: ttl,
        most_ms: ttl,
    })
}

fn value(server: &Agent, key: &str) -> Option<serde_json::Value> {
    let set = server.settings.iter().rev().find(|one| one.key == key);
    set.map(|one| one.value.clone()).or_else(|| default_of(key))
}

/// 0 is Nomad's word for the default.
fn multiplier(server: &Agent) -> Option<u64> {
    let value = value(server, "server.raft_multiplier")?;
    let text = value.as_str().map(str::parse).and_then(Result::ok);
    value.as_u64().or(text).map(|times| times.max(1))
}

fn millis(server: &Agent, key: &str) -> Option<u64> {
    let value = value(server, key)?;
    let nanos = agent::jobspec::duration::parse(value.as_str()?).ok()?;
    u64::try_from(nanos / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::config::Setting;
    use super::*;

    fn server(settings: &[(&str, Value)]) -> Agent {
        let setting = |(key, value): &(&str, Value)| Setting {
            key: (*key).to_owned(),
            value: value.clone(),
            place: None,
        };
        Agent {
            name: "server-1".to_owned(),
            role: Role::Server,
            settings: settings.iter().map(setting).collect(),
        }
    }

    #[test]
    fn the_timers_of_each_side_say_when_a_loss_is_noticed() {
        let slow = server(&[
            ("server.raft_multiplier", json!("5")),
            ("server.heartbeat_grace", json!("1m")),
            ("server.failover_heartbeat_ttl", json!(300)),
        ]);
        let told: Vec<String> = predict(&[server(&[])], &[slow])
            .iter()
            .map(|one| {
                let (here, there) = (one.here.unwrap(), one.there.map(|span| span.to_string()));
                format!("{here} | {}", there.unwrap_or_default())
            })
            .collect();
        let expected = [
            "1 to 2 s | 5 to 10 s",
            "0.5 to 1 s | 2.5 to 5 s",
            "20 to 30 s | 70 to 80 s",
            // A number without a unit is no duration: not known.
            "300 s | ",
        ];
        assert_eq!(told, expected);
    }
}
