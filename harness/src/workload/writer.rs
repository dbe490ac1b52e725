//! The writer: counters written through all servers in turn, to see for how long nobody takes a
//! write and whether every acknowledged one survives.
//!
//! Portable writes: variables exist from Nomad 1.4 on only, so each write registers a job that
//! places nothing (count 0) and whose meta carries the counter. One lane for each server: while
//! a server holds one lane's call for want of a leader, the others go on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::writer_book::{Book, COUNTER};
use super::{Beside, Breach, Outcome};
use crate::directory::{Directory, Entry};
use crate::measure::{Measure, quantile};
use crate::nomad::{ApiError, SERVER_HOLD};
use crate::poll::{self, Look};
use crate::spec::AgentName;
use crate::timeline::{Kind, millis};

/// How the writer's jobs are called.
pub const JOB_PREFIX: &str = "rehearse-writer-";
/// How long one write may take: what a server holds it, and a second on top.
const WRITE_WITHIN: Duration = SERVER_HOLD.saturating_add(Duration::from_secs(1));
/// How soon a write that surely was not stored is tried again elsewhere.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// A time without an acknowledgement that is worth a line of its own.
const GAP: Duration = Duration::from_millis(500);
/// How long reading back may take: the cluster has a leader by then.
const READ_WITHIN: Duration = Duration::from_secs(15);

/// What all lanes write down.
#[derive(Default)]
struct Notes {
    acks: Vec<(Instant, Duration)>,
    failed: usize,
    /// The servers whose last write failed.
    failing: BTreeSet<AgentName>,
    breaches: Vec<Breach>,
}

struct Lane<'a> {
    number: usize,
    beside: &'a Beside,
    servers: &'a [Entry],
    datacenter: &'a str,
    /// Sets this run's jobs apart from those that a run before left.
    run: String,
    notes: Arc<Mutex<Notes>>,
}

pub(super) async fn run(beside: Beside, rate: u32) -> Outcome {
    let servers: Vec<_> = beside.agents.servers().cloned().collect();
    let lanes = u32::try_from(servers.len()).unwrap_or(1).max(1);
    let every = Duration::from_secs(1) * lanes / rate.max(1);
    let notes = Arc::new(Mutex::new(Notes::default()));
    let datacenter = beside
        .agents
        .ask(|api| async move { api.agent_self().await })
        .await
        .map(|agent| agent.config.datacenter);
    let datacenter = match datacenter {
        Ok(datacenter) => datacenter,
        Err(error) => return broken_from_the_start(&error),
    };
    let run = uuid::Uuid::new_v4().simple().to_string()[..6].to_owned();
    let books = join_all((0..servers.len()).map(|number| {
        let lane = Lane {
            number,
            beside: &beside,
            servers: &servers,
            datacenter: &datacenter,
            run: run.clone(),
            notes: Arc::clone(&notes),
        };
        async move { lane.write(every).await }
    }))
    .await;
    let ended = Instant::now();
    let mut broken = Vec::new();
    for book in books.iter().flatten() {
        broken.extend(read_back(&beside.agents, book).await);
    }
    let stored: usize = books.iter().flatten().count();
    tidy_up(&beside.agents, books.iter().flatten()).await;
    let notes = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
    sum_up(&beside, notes, broken, ended, stored)
}

fn broken_from_the_start(error: &ApiError) -> Outcome {
    let what = format!("the writer could not start: {error}");
    Outcome {
        summary: what.clone(),
        breaches: vec![Breach { what, timed: true }],
        ..Outcome::default()
    }
}

impl Lane<'_> {
    /// Writes until the stop; returns the closed books.
    async fn write(self, every: Duration) -> Vec<Book> {
        let mut books = Vec::new();
        let mut book = self.fresh_book(0);
        let mut turn = self.number;
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = self.beside.stopped();
        tokio::pin!(stopped);
        'writes: loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                _ = ticks.tick() => {}
            }
            // Tries until it is acknowledged, or until its fate is unknown.
            loop {
                let server = &self.servers[turn % self.servers.len()];
                turn += 1;
                let sent = Instant::now();
                match self.register(server, &book).await {
                    Ok(index) => {
                        let counter = book.acked + 1;
                        let lawful = book.acknowledge(counter, index);
                        self.acknowledged(server, sent, lawful);
                        break;
                    }
                    Err(error) => {
                        self.failed(server, &error);
                        if !error.is_retryable() {
                            self.refused(&error);
                            break 'writes;
                        }
                        if !error.surely_not_applied() {
                            book.one_unknown = true;
                            books.push(book);
                            book = self.fresh_book(books.len());
                            break;
                        }
                    }
                }
                if self.beside.is_stopped() {
                    break 'writes;
                }
                poll::rest(RETRY_AFTER).await;
            }
        }
        books.push(book);
        books
    }

    fn fresh_book(&self, number: usize) -> Book {
        let (run, lane) = (&self.run, self.number + 1);
        Book::new(format!("{JOB_PREFIX}{run}-{lane}-{number}"))
    }

    async fn register(&self, server: &Entry, book: &Book) -> Result<u64, ApiError> {
        let job = job_with_counter(&book.job, self.datacenter, book.acked + 1);
        let api = server.api.timeout(WRITE_WITHIN);
        Ok(api.register(&job).await?.job_modify_index)
    }

    fn acknowledged(&self, server: &Entry, sent: Instant, lawful: Result<(), String>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        notes.acks.push((now, now - sent));
        if let Err(what) = lawful {
            notes.breaches.push(Breach { what, timed: false });
        }
        if notes.failing.remove(&server.info.name) {
            self.say(
                Kind::Reachability,
                Some(server),
                "takes writes again".into(),
            );
        }
        let before = notes.acks.iter().rev().nth(1).map(|(at, _)| now - *at);
        if let Some(gap) = before.filter(|gap| *gap > GAP) {
            let words = format!("writes are taken again after {:.0} ms", millis(gap));
            self.say(Kind::Workload, None, words);
        }
    }

    fn failed(&self, server: &Entry, error: &ApiError) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.failed += 1;
        if notes.failing.insert(server.info.name.clone()) {
            let words = format!("a write fails: {error}");
            self.say(Kind::Reachability, Some(server), words);
        }
    }

    fn say(&self, kind: Kind, server: Option<&Entry>, words: String) {
        let agent = server.map(|server| &server.info.name);
        self.beside.recorder.record(kind, agent, words);
    }

    fn refused(&self, error: &ApiError) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.breaches.push(Breach {
            what: format!("a write was refused: {error}"),
            timed: false,
        });
    }
}

/// A job that places nothing and carries a counter.
fn job_with_counter(id: &str, datacenter: &str, counter: u64) -> Value {
    json!({
        "ID": id,
        "Name": id,
        "Type": "batch",
        "Datacenters": [datacenter],
        "Meta": { COUNTER: counter.to_string() },
        "TaskGroups": [{
            "Name": "nothing",
            "Count": 0,
            "Tasks": [{
                "Name": "nothing",
                "Driver": "raw_exec",
                "Config": { "command": "/bin/true" },
                "Resources": { "CPU": 50, "MemoryMB": 16 },
            }],
        }],
    })
}

/// Reads a job and its versions as the leader has them, and compares with the book.
async fn read_back(agents: &Directory, book: &Book) -> Vec<Breach> {
    let job = &book.job;
    let what = format!("reading back `{job}`");
    let found = poll::eventually(READ_WITHIN, Duration::from_millis(200), &what, || async {
        let read = agents
            .ask(|api| async move {
                let stored = api.job(job).await?;
                Ok((stored, api.job_versions(job).await?))
            })
            .await;
        match read {
            Ok(found) => Look::Done(Some(found)),
            Err(error) if error.status() == Some(404) => Look::Done(None),
            Err(error) => Look::failed(&error),
        }
    })
    .await;
    let lost = |what| Breach { what, timed: false };
    match found {
        Ok(Some((stored, versions))) => book
            .compare(&stored, &versions)
            .into_iter()
            .map(lost)
            .collect(),
        Ok(None) if book.may_be_absent() => Vec::new(),
        Ok(None) => vec![lost(format!(
            "`{job}` is gone with its {} acknowledged writes",
            book.acked
        ))],
        Err(error) => vec![Breach {
            what: error.to_string(),
            timed: true,
        }],
    }
}

async fn tidy_up(agents: &Directory, books: impl Iterator<Item = &Book>) {
    for book in books {
        let job = &book.job;
        let purged = agents
            .ask(|api| async move { api.stop_job(job, true).await })
            .await;
        if let Err(error) = purged {
            tracing::warn!("cannot purge `{job}`: {error}");
        }
    }
}

fn sum_up(
    beside: &Beside,
    mut notes: Notes,
    broken: Vec<Breach>,
    ended: Instant,
    jobs: usize,
) -> Outcome {
    let lost = broken.len();
    notes.breaches.extend(broken);
    notes.acks.sort_by_key(|(at, _)| *at);
    let mut took: Vec<_> = notes.acks.iter().map(|(_, took)| millis(*took)).collect();
    took.sort_by(f64::total_cmp);
    let mut measures = vec![
        Measure::count("writes_acknowledged", notes.acks.len()),
        Measure::count("writes_failed", notes.failed),
    ];
    if let Some((from, gap)) = longest_gap(&notes.acks, ended) {
        measures.push(Measure::new("write_gap_ms", millis(gap)));
        let words = format!("no write was acknowledged for {:.0} ms", millis(gap));
        beside.recorder.record_at(from, Kind::Measured, None, words);
    } else {
        notes.breaches.push(Breach {
            what: "no write was acknowledged".to_owned(),
            timed: true,
        });
    }
    for (name, share) in [("write_ms_p50", 0.5), ("write_ms_p99", 0.99)] {
        measures.extend(quantile(&took, share).map(|value| Measure::new(name, value)));
    }
    Outcome {
        summary: format!(
            "{} writes acknowledged in {jobs} jobs, {} attempts failed, {lost} laws broken",
            notes.acks.len(),
            notes.failed
        ),
        measures,
        breaches: notes.breaches,
    }
}

/// Returns when the longest time without an acknowledgement began, and how long it was. The time
/// from the last one to the end counts.
fn longest_gap(acks: &[(Instant, Duration)], ended: Instant) -> Option<(Instant, Duration)> {
    let moments: Vec<_> = acks.iter().map(|(at, _)| *at).collect();
    let ends = moments.iter().skip(1).copied().chain([ended]);
    moments
        .iter()
        .zip(ends)
        .map(|(from, to)| (*from, to.saturating_duration_since(*from)))
        .max_by_key(|(_, gap)| *gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_may_be_the_last() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let acks: Vec<_> = [0, 50, 3050, 3100]
            .into_iter()
            .map(|ms| (at(ms), Duration::ZERO))
            .collect();
        let (from, gap) = longest_gap(&acks, at(3200)).expect("there are some");
        assert_eq!((from, gap), (at(50), Duration::from_secs(3)));
        let (from, gap) = longest_gap(&acks, at(9000)).expect("there are some");
        assert_eq!((from, gap), (at(3100), Duration::from_millis(5900)));
        assert_eq!(longest_gap(&[], at(0)), None);
    }
}
