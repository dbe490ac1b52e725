//! What a timeline says about stretches of time: which fault was in from when to when, and when
//! nobody led.

use crate::spec::AgentName;
use crate::timeline::{Kind, Standing, Stretch, Timeline};

/// A fault on an agent, from its injection to its healing.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultWindow {
    /// The agent.
    pub agent: AgentName,
    /// The fault, in the words of its event.
    pub fault: String,
    /// When it was in.
    pub from_ms: f64,
    /// When it was healed, or the run's end.
    pub to_ms: f64,
}

/// A time in which no server said that it leads, after one had.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaderless {
    /// When the old leader was first seen not to lead.
    pub from_ms: f64,
    /// Who had led.
    pub old: AgentName,
    /// When a server first led again, and which; `None` where none did.
    pub end: Option<(f64, AgentName)>,
}

/// Returns the faults of a run, oldest first.
#[must_use]
pub fn fault_windows(timeline: &Timeline, end_ms: f64) -> Vec<FaultWindow> {
    let mut windows: Vec<(FaultWindow, bool)> = Vec::new();
    for event in &timeline.events {
        let Some(agent) = &event.agent else { continue };
        match event.kind {
            Kind::Injected => {
                let window = FaultWindow {
                    agent: agent.clone(),
                    fault: event.detail.clone(),
                    from_ms: event.at_ms,
                    to_ms: end_ms,
                };
                windows.push((window, false));
            }
            Kind::Healed => {
                let open = windows.iter_mut().rfind(|(window, is_healed)| {
                    !is_healed && window.agent == *agent && window.fault == event.detail
                });
                if let Some((window, is_healed)) = open {
                    window.to_ms = event.at_ms;
                    *is_healed = true;
                }
            }
            _ => {}
        }
    }
    windows.into_iter().map(|(window, _)| window).collect()
}

/// Returns the times without a leader, oldest first, as fine as the runner looked on.
#[must_use]
pub fn leaderless(timeline: &Timeline) -> Vec<Leaderless> {
    let mut reigns: Vec<&Stretch> = timeline
        .stretches
        .iter()
        .filter(|one| one.standing == Standing::Leader)
        .collect();
    reigns.sort_by(|a, b| a.from_ms.total_cmp(&b.from_ms));
    let end_ms = timeline
        .stretches
        .iter()
        .fold(0.0, |end: f64, one| end.max(one.to_ms));
    let mut found = Vec::new();
    let mut reigns = reigns.into_iter().peekable();
    while let Some(reign) = reigns.next() {
        let next = reigns.peek();
        let until = next.map_or(end_ms, |next| next.from_ms);
        if until <= reign.to_ms {
            continue;
        }
        let same = next.is_none_or(|next| next.agent == reign.agent);
        // A leader whose API was slow for a moment went on leading while nobody gave it up.
        if same && !given_up(timeline, reign.to_ms, until) {
            continue;
        }
        found.push(Leaderless {
            from_ms: reign.to_ms,
            old: reign.agent.clone(),
            end: next.map(|next| (next.from_ms, next.agent.clone())),
        });
    }
    found
}

fn given_up(timeline: &Timeline, from_ms: f64, to_ms: f64) -> bool {
    timeline.stretches.iter().any(|one| {
        one.standing == Standing::NoLeader && one.from_ms <= to_ms && one.to_ms >= from_ms
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Event;

    fn server(number: u16) -> AgentName {
        AgentName::new(crate::spec::Role::Server, number)
    }

    fn stretch(number: u16, standing: Standing, from_ms: f64, to_ms: f64) -> Stretch {
        Stretch {
            agent: server(number),
            standing,
            from_ms,
            to_ms,
        }
    }

    fn led(stretches: Vec<Stretch>) -> Vec<Leaderless> {
        leaderless(&Timeline {
            stretches,
            ..Timeline::default()
        })
    }

    #[test]
    fn the_time_between_two_reigns_is_without_a_leader() {
        let found = led(vec![
            stretch(1, Standing::Leader, 0.0, 1000.0),
            stretch(1, Standing::Silent, 1000.0, 5000.0),
            stretch(2, Standing::NoLeader, 2000.0, 3000.0),
            stretch(2, Standing::Leader, 3000.0, 5000.0),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].from_ms, 1000.0);
        assert_eq!(found[0].end, Some((3000.0, server(2))));
    }

    #[test]
    fn a_leader_that_was_only_slow_to_answer_was_not_lost() {
        let slow = vec![
            stretch(1, Standing::Leader, 0.0, 1000.0),
            stretch(1, Standing::Silent, 1000.0, 1500.0),
            stretch(1, Standing::Leader, 1500.0, 5000.0),
        ];
        assert_eq!(led(slow.clone()), []);
        let mut given_up = slow;
        given_up.push(stretch(2, Standing::NoLeader, 1200.0, 1400.0));
        assert_eq!(led(given_up).len(), 1);
    }

    #[test]
    fn a_fault_that_was_never_healed_lasts_to_the_end() {
        let event = |at_ms, kind, number| Event {
            at_ms,
            wall: String::new(),
            agent: Some(server(number)),
            kind,
            detail: "kill".into(),
        };
        let timeline = Timeline {
            events: vec![
                event(1.0, Kind::Injected, 1),
                event(2.0, Kind::Injected, 2),
                event(3.0, Kind::Healed, 1),
            ],
            ..Timeline::default()
        };
        let windows = fault_windows(&timeline, 9.0);
        let ends: Vec<_> = windows.iter().map(|window| window.to_ms).collect();
        assert_eq!(ends, [3.0, 9.0]);
    }
}
