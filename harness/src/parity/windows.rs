//! What each side's timers predict: within which time the loss of a leader, or of a client, is noticed. Known
//! before anything runs, from the configuration alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::Agent;
use super::defaults::default_of;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl Span {
    /// Returns it with both of its times made others.
    pub(super) fn map(self, time: impl Fn(Duration) -> Duration) -> Self {
        let of =
            |ms| u64::try_from(time(Duration::from_millis(ms)).as_millis()).unwrap_or(u64::MAX);
        Self {
            least_ms: of(self.least_ms),
            most_ms: of(self.most_ms),
        }
    }
}

/// Returns the windows of both sides, where each has a server, or a client.
pub(super) fn predict(here: &[Agent], there: &[Agent]) -> Vec<Window> {
    of_sides(&[here, there])
        .into_iter()
        .filter_map(|(what, spans)| match spans[..] {
            [Some(here), Some(there)] => Some(Window {
                what: what.to_owned(),
                here,
                there,
            }),
            _ => None,
        })
        .collect()
}

/// What one side's timers say: `None` where it has no agent of the role, and within where a timer cannot be read.
type Predicted = Option<Option<Span>>;

/// Returns what is noticed, with each side's window.
pub(super) fn of_sides(sides: &[&[Agent]]) -> Vec<(&'static str, Vec<Predicted>)> {
    let row = |rule: &Rule| {
        let spans = sides.iter().map(|side| {
            let agent = side.iter().find(|agent| agent.role == rule.whose);
            agent.map(rule.span)
        });
        (rule.what, spans.collect::<Vec<Predicted>>())
    };
    let nothing = |span: &Predicted| matches!(span, None | Some(Some(Span { most_ms: 0, .. })));
    let rows = WINDOWS.iter().map(row);
    // What happens on no side is no window.
    rows.filter(|(_, spans)| !spans.iter().all(nothing))
        .collect()
}

/// What is noticed, whose timers say when, and how.
struct Rule {
    what: &'static str,
    whose: Role,
    span: fn(&Agent) -> Option<Span>,
}

const WINDOWS: &[Rule] = &[
    Rule {
        what: "a leader that falls silent is missed after",
        whose: Role::Server,
        span: missed,
    },
    Rule {
        what: "a leader that hears nobody steps down after",
        whose: Role::Server,
        span: steps_down,
    },
    Rule {
        what: "a client that falls silent is down after",
        whose: Role::Server,
        span: down,
    },
    Rule {
        what: "a client that fell silent with the leader is down after",
        whose: Role::Server,
        span: down_with_leader,
    },
    Rule {
        what: "a task that does not stop is killed at the latest after",
        whose: Role::Client,
        span: killed,
    },
    Rule {
        what: "a client that is told to leave drains for at most",
        whose: Role::Client,
        span: drains,
    },
];

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

/// `max_kill_timeout`, however long the task's own `kill_timeout` is (client/allocrunner/taskrunner).
fn killed(client: &Agent) -> Option<Span> {
    let limit = millis(client, "client.max_kill_timeout")?;
    Some(Span {
        least_ms: limit,
        most_ms: limit,
    })
}

/// `drain_on_shutdown`, an hour where it sets no `deadline`; without it nothing is drained (client/config/drain.go).
fn drains(client: &Agent) -> Option<Span> {
    let block = "client.drain_on_shutdown.";
    let deadline = "client.drain_on_shutdown.deadline";
    let is_set = client.settings.iter().any(|one| one.key.starts_with(block));
    let limit = match (is_set, value(client, deadline)) {
        (false, _) => 0,
        (true, None) => 3_600_000,
        (true, Some(_)) => millis(client, deadline)?,
    };
    Some(Span {
        least_ms: limit,
        most_ms: limit,
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
