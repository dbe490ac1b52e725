//! Who leads, asked of every server each 20 ms, and from that the time without a leader.
//!
//! A window begins when the leader last said that it leads, and ends when any server first names
//! another one (or the old one leads again after others had given it up). Both moments lie
//! between two samples; the middle is taken, so each is off by at most half of the interval and
//! a window by at most 20 ms, as long as answers come within the interval.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::MissedTickBehavior;

use super::{Beside, Breach, Outcome, Workload};
use crate::directory::{Directory, Entry};
use crate::grammar::{Number, Word};
use crate::measure::Measure;
use crate::spec::AgentName;
use crate::timeline::{Kind, millis};

/// As scripts name it.
pub(super) const WORD: Word<Workload> = Word {
    name: "leader_watch",
    about: "asks every server each 20 ms who leads",
    args: &[],
    takes: &[
        Number {
            name: "leaderless_ms",
            about: "longest time without a leader",
        },
        Number {
            name: "leader_changes",
            about: "how often another server took over",
        },
    ],
    build: |_| Workload::LeaderWatch,
};

/// How often each server is asked.
const INTERVAL: Duration = Duration::from_millis(20);
/// After how long a server counts as not answering.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// What one server said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum View {
    /// This agent leads.
    Names(AgentName),
    /// Nobody leads (or somebody unknown to the harness does).
    NoLeader,
    /// It did not answer.
    Silent,
}

/// A time through which one server said the same.
#[derive(Clone, Debug)]
struct Stretch {
    view: View,
    first: Instant,
    last: Instant,
}

/// A time without a leader.
#[derive(Clone, Debug, PartialEq)]
struct Window {
    from: Instant,
    old: AgentName,
    /// When it ended and who leads since; `None` when it did not end.
    end: Option<(Instant, AgentName)>,
}

pub(super) async fn run(beside: Beside) -> Outcome {
    let servers: Vec<_> = beside.agents.servers().cloned().collect();
    let logs = join_all(servers.into_iter().map(|server| sample(&beside, server))).await;
    let logs: BTreeMap<_, _> = logs.into_iter().collect();
    judge(&logs)
}

async fn sample(beside: &Beside, server: Entry) -> (AgentName, Vec<Stretch>) {
    let name = server.info.name.clone();
    let api = server.api.stale().timeout(ANSWER_WITHIN);
    let mut log: Vec<Stretch> = Vec::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let stopped = beside.stopped();
    tokio::pin!(stopped);
    loop {
        // A last look at the end: what the step before has seen, the watch has seen, too.
        let last = tokio::select! {
            biased;
            () = &mut stopped => true,
            _ = ticks.tick() => false,
        };
        let view = read(&beside.agents, api.leader().await);
        let now = Instant::now();
        match log.last_mut() {
            Some(stretch) if stretch.view == view => stretch.last = now,
            _ => {
                note(beside, &name, &log, &view);
                log.push(Stretch {
                    view,
                    first: now,
                    last: now,
                });
            }
        }
        if last {
            return (name, log);
        }
    }
}

fn read(agents: &Directory, said: Result<Option<String>, crate::nomad::ApiError>) -> View {
    match said {
        Ok(Some(address)) => match agents.at(&address) {
            Some(leader) => View::Names(leader.info.name.clone()),
            None => View::NoLeader,
        },
        Ok(None) => View::NoLeader,
        // An answer that is an error is no sign of a leader, but of life.
        Err(error) if error.status().is_some() => View::NoLeader,
        Err(_) => View::Silent,
    }
}

/// Records a change of mind. A server that was silent and says what it had said before has not
/// changed its mind.
fn note(beside: &Beside, server: &AgentName, log: &[Stretch], view: &View) {
    let mut earlier = log.iter().rev();
    let before = earlier.next().map(|stretch| &stretch.view);
    let record = |kind, words: String| beside.recorder.record(kind, Some(server), words);
    let before = match before {
        Some(View::Silent) => {
            record(Kind::Reachability, "answers again".to_owned());
            earlier.next().map(|stretch| &stretch.view)
        }
        before => before,
    };
    match view {
        View::Silent => record(Kind::Reachability, "does not answer".to_owned()),
        same if Some(same) == before => {}
        View::Names(leader) => record(Kind::LeaderSeen, format!("names `{leader}` as leader")),
        View::NoLeader => record(Kind::LeaderSeen, "knows no leader".to_owned()),
    }
}

fn judge(logs: &BTreeMap<AgentName, Vec<Stretch>>) -> Outcome {
    let windows = windows(logs);
    let mut outcome = Outcome::default();
    let mut longest = Duration::ZERO;
    for window in &windows {
        match &window.end {
            Some((end, _)) => longest = longest.max(end.saturating_duration_since(window.from)),
            None => outcome.breaches.push(Breach {
                what: format!("no server led again after `{}`", window.old),
                timed: true,
            }),
        }
    }
    if first_leader(logs).is_none() {
        outcome.breaches.push(Breach {
            what: "no server led while the watch was on".to_owned(),
            timed: true,
        });
    }
    let changes = windows
        .iter()
        .filter(|window| {
            let new = window.end.as_ref().map(|(_, new)| new);
            new.is_some_and(|new| *new != window.old)
        })
        .count();
    outcome.measures = vec![
        Measure::new("leaderless_ms", millis(longest)),
        Measure::count("leader_changes", changes),
    ];
    outcome.summary = format!(
        "{changes} change(s) of leader, at most {:.0} ms without one",
        millis(longest)
    );
    outcome
}

/// Returns who first said of itself that it leads.
fn first_leader(logs: &BTreeMap<AgentName, Vec<Stretch>>) -> Option<(AgentName, Instant)> {
    logs.iter()
        .filter_map(|(name, log)| {
            let own = log.iter().find(|stretch| names(stretch, name))?;
            Some((name.clone(), own.first))
        })
        .min_by_key(|(_, first)| *first)
}

fn names(stretch: &Stretch, who: &AgentName) -> bool {
    stretch.view == View::Names(who.clone())
}

fn windows(logs: &BTreeMap<AgentName, Vec<Stretch>>) -> Vec<Window> {
    let mut found = Vec::new();
    let Some((mut leader, mut since)) = first_leader(logs) else {
        return found;
    };
    while let Some((lost, next)) = end_of_reign(&logs[&leader], &leader, since) {
        let another = first_naming_another(logs, &leader, lost);
        let again = logs[&leader]
            .iter()
            .find(|stretch| stretch.first > lost && names(stretch, &leader))
            .map(|stretch| stretch.first);
        let from = lost + (next - lost).min(INTERVAL) / 2;
        let another = another.filter(|(at, _)| again.is_none_or(|again| *at <= again));
        let end = match (another, again) {
            (Some((at, new)), _) => Some((at, new)),
            (None, Some(again)) => Some((again, leader.clone())),
            (None, None) => None,
        };
        let Some((at, new)) = end else {
            // The watch ended here. A leader that only its own API was silent about is not lost.
            if given_up(logs, lost, None) {
                found.push(Window {
                    from,
                    old: leader,
                    end: None,
                });
            }
            break;
        };
        // It led again: unless someone had given it up meanwhile, only its API was slow.
        if new != leader || given_up(logs, lost, Some(at)) {
            found.push(Window {
                from,
                old: leader,
                end: Some((at.max(from), new.clone())),
            });
        }
        leader = new;
        since = at;
    }
    found
}

/// Returns when the leader last said that it leads, and when it first said something else.
fn end_of_reign(log: &[Stretch], leader: &AgentName, since: Instant) -> Option<(Instant, Instant)> {
    // A leader named by others has said so itself by the sample after, if it lasts so long.
    let place = log
        .iter()
        .position(|stretch| stretch.last >= since && names(stretch, leader))?;
    let next = log.get(place + 1)?;
    Some((log[place].last, next.first))
}

fn first_naming_another(
    logs: &BTreeMap<AgentName, Vec<Stretch>>,
    old: &AgentName,
    after: Instant,
) -> Option<(Instant, AgentName)> {
    let mut first: Option<(Instant, AgentName)> = None;
    for log in logs.values() {
        for (place, stretch) in log.iter().enumerate() {
            let View::Names(new) = &stretch.view else {
                continue;
            };
            if new == old || stretch.first <= after {
                continue;
            }
            let before = place.checked_sub(1).map_or(stretch.first, |p| log[p].last);
            let at = stretch.first - (stretch.first - before).min(INTERVAL) / 2;
            if first.as_ref().is_none_or(|(earliest, _)| at < *earliest) {
                first = Some((at, new.clone()));
            }
        }
    }
    first
}

/// Whether any server said between two moments that nobody leads.
fn given_up(
    logs: &BTreeMap<AgentName, Vec<Stretch>>,
    from: Instant,
    until: Option<Instant>,
) -> bool {
    logs.values().flatten().any(|stretch| {
        stretch.view == View::NoLeader
            && until.is_none_or(|until| stretch.first <= until)
            && stretch.last >= from
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Role;

    fn server(number: u16) -> AgentName {
        AgentName::new(Role::Server, number)
    }

    /// Who said what from when to when.
    type Said<'a> = (u16, &'a [(u64, u64, View)]);

    /// Builds logs from `(from ms, to ms, view)` as samples each 20 ms would give them.
    fn logs(base: Instant, all: &[Said<'_>]) -> BTreeMap<AgentName, Vec<Stretch>> {
        let at = |ms| base + Duration::from_millis(ms);
        let stretch = |(from, to, view): &(u64, u64, View)| Stretch {
            view: view.clone(),
            first: at(*from),
            last: at(*to),
        };
        all.iter()
            .map(|(number, parts)| (server(*number), parts.iter().map(stretch).collect()))
            .collect()
    }

    fn led_by(number: u16) -> View {
        View::Names(server(number))
    }

    #[test]
    fn a_window_lasts_from_the_last_word_of_the_old_to_the_first_of_the_new() {
        let base = Instant::now();
        let logs = logs(
            base,
            &[
                (1, &[(0, 1000, led_by(1)), (1010, 9000, View::Silent)]),
                (
                    2,
                    &[
                        (0, 2500, led_by(1)),
                        (2520, 3480, View::NoLeader),
                        (3500, 9000, led_by(3)),
                    ],
                ),
                (
                    3,
                    &[
                        (0, 2500, led_by(1)),
                        (2520, 3460, View::NoLeader),
                        (3480, 9000, led_by(3)),
                    ],
                ),
            ],
        );
        let windows = windows(&logs);
        assert_eq!(windows.len(), 1);
        let (end, new) = windows[0].end.clone().expect("a new leader");
        assert_eq!(new, server(3));
        assert_eq!(end - windows[0].from, Duration::from_millis(3470 - 1005));
    }

    #[test]
    fn a_leader_whose_api_is_slow_for_a_moment_still_leads() {
        let base = Instant::now();
        let logs = logs(
            base,
            &[
                (
                    1,
                    &[
                        (0, 1000, led_by(1)),
                        (1200, 1200, View::Silent),
                        (1220, 5000, led_by(1)),
                    ],
                ),
                (2, &[(0, 5000, led_by(1))]),
            ],
        );
        assert_eq!(windows(&logs), []);
    }

    #[test]
    fn a_leader_silent_when_the_watch_ends_is_not_lost_while_others_name_it() {
        let base = Instant::now();
        let logs = logs(
            base,
            &[
                (1, &[(0, 4800, led_by(1)), (4980, 5000, View::Silent)]),
                (2, &[(0, 5000, led_by(1))]),
            ],
        );
        assert_eq!(judge(&logs).breaches, []);
    }

    #[test]
    fn a_leader_given_up_by_the_others_and_elected_again_was_missing() {
        let base = Instant::now();
        let logs = logs(
            base,
            &[
                (
                    1,
                    &[
                        (0, 1000, led_by(1)),
                        (1020, 3000, View::Silent),
                        (3020, 5000, led_by(1)),
                    ],
                ),
                (
                    2,
                    &[
                        (0, 2500, led_by(1)),
                        (2520, 3000, View::NoLeader),
                        (3020, 5000, led_by(1)),
                    ],
                ),
            ],
        );
        assert_eq!(windows(&logs).len(), 1);
    }

    #[test]
    fn a_cluster_that_stays_without_a_leader_breaks_the_law() {
        let base = Instant::now();
        let logs = logs(
            base,
            &[
                (1, &[(0, 1000, led_by(1)), (1020, 9000, View::Silent)]),
                (2, &[(0, 2500, led_by(1)), (2520, 9000, View::NoLeader)]),
            ],
        );
        assert_eq!(judge(&logs).breaches.len(), 1);
    }
}
