//! One lane of the writer: one write after the other, each through the next server.
//!
//! A write that is not answered soon does not hold up its lane: a server keeps a call for 5 s
//! while there is no leader, and a machine that vanished never answers at all. Such a write goes
//! on beside, with its book, and the lane goes on with a new one; when the answer comes after
//! all, it counts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::writer_book::{Book, COUNTER};
use super::{Beside, Breach};
use crate::directory::Entry;
use crate::nomad::{ApiError, SERVER_HOLD};
use crate::poll;
use crate::spec::AgentName;
use crate::timeline::{Kind, Recorder, millis};

/// How long one write may take: what a server holds it, and a second on top.
const WRITE_WITHIN: Duration = SERVER_HOLD.saturating_add(Duration::from_secs(1));
/// How long a lane waits for an answer before it goes on: several times what a write takes.
const PATIENCE: Duration = Duration::from_millis(400);
/// How soon a write that surely was not stored is tried again elsewhere.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// A time without an acknowledgement that is worth a line of its own.
const GAP: Duration = Duration::from_millis(500);

/// What all lanes saw.
#[derive(Default)]
pub(super) struct Notes {
    /// When each write was acknowledged, and how long it took.
    pub(super) acks: Vec<(Instant, Duration)>,
    /// When each attempt that failed did.
    pub(super) failed: Vec<Instant>,
    /// The servers whose last write failed.
    failing: BTreeSet<AgentName>,
    pub(super) breaches: Vec<Breach>,
}

/// Where all lanes write down what they see.
#[derive(Clone)]
pub(super) struct Notebook {
    notes: Arc<Mutex<Notes>>,
    recorder: Recorder,
}

/// One lane.
pub(super) struct Lane<'a> {
    /// What its jobs' names begin with.
    pub(super) name: String,
    /// From 0: where its turn of the servers begins.
    pub(super) number: usize,
    pub(super) servers: &'a [Entry],
    pub(super) datacenter: &'a str,
    pub(super) notebook: Notebook,
}

/// What became of one write.
type Written = Result<u64, ApiError>;

/// A write under way.
struct Attempt {
    server: AgentName,
    sent: Instant,
    call: BoxFuture<'static, Written>,
}

/// What a lane does after a write.
enum Next {
    /// The next write, to the same job.
    Another,
    /// The same write, at another server.
    Retry,
    /// The next write, to a new job.
    NewBook,
    /// Nothing more: the write was refused.
    End,
}

impl Lane<'_> {
    /// Writes until the stop; returns all books, closed.
    pub(super) async fn write(self, beside: &Beside, every: Duration) -> Vec<Book> {
        let mut closed = Vec::new();
        let mut late = JoinSet::new();
        let mut number = 0;
        let mut book = self.book(number);
        let mut turn = self.number;
        // One lane after the other, so that a gap is known to one write of all lanes.
        let lanes = u32::try_from(self.servers.len()).unwrap_or(1).max(1);
        let after = every * u32::try_from(self.number).unwrap_or(0) / lanes;
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + after, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stopped = beside.stopped();
        tokio::pin!(stopped);
        let mut retry = false;
        loop {
            let pause = async {
                if retry {
                    poll::rest(RETRY_AFTER).await;
                } else {
                    ticks.tick().await;
                }
            };
            tokio::select! {
                biased;
                () = &mut stopped => break,
                () = pause => {}
            }
            let mut attempt = self.attempt(turn, &book);
            turn += 1;
            let next = match tokio::time::timeout(PATIENCE, &mut attempt.call).await {
                Ok(written) => {
                    let (server, sent) = (&attempt.server, attempt.sent);
                    self.notebook.enter(server, sent, written, &mut book)
                }
                Err(_) => {
                    let book = std::mem::replace(&mut book, self.book(number + 1));
                    late.spawn(finish(attempt, book, self.notebook.clone()));
                    number += 1;
                    Next::Another
                }
            };
            retry = matches!(next, Next::Retry);
            match next {
                Next::Another | Next::Retry => {}
                Next::NewBook => {
                    number += 1;
                    closed.push(std::mem::replace(&mut book, self.book(number)));
                }
                Next::End => break,
            }
        }
        closed.push(book);
        // A task of ours that panicked took its book along: that is a bug, not a lost write.
        closed.extend(late.join_all().await);
        closed
    }

    fn book(&self, number: usize) -> Book {
        Book::new(format!("{}-{number}", self.name))
    }

    fn attempt(&self, turn: usize, book: &Book) -> Attempt {
        let server = &self.servers[turn % self.servers.len()];
        let job = job_with_counter(&book.job, self.datacenter, book.acked + 1);
        let api = server.api.timeout(WRITE_WITHIN);
        Attempt {
            server: server.info.name.clone(),
            sent: Instant::now(),
            call: async move { Ok(api.register(&job).await?.job_modify_index) }.boxed(),
        }
    }
}

/// Waits for a late answer and closes the book.
async fn finish(attempt: Attempt, mut book: Book, notebook: Notebook) -> Book {
    let written = attempt.call.await;
    // Whatever is next is done already.
    let _next = notebook.enter(&attempt.server, attempt.sent, written, &mut book);
    book
}

impl Notebook {
    pub(super) fn new(beside: &Beside) -> Self {
        Self {
            notes: Arc::default(),
            recorder: beside.recorder.clone(),
        }
    }

    /// Returns what was written down.
    pub(super) fn close(self) -> Notes {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what became of a write into the book and the notes.
    fn enter(&self, server: &AgentName, sent: Instant, written: Written, book: &mut Book) -> Next {
        match written {
            Ok(index) => {
                let counter = book.acked + 1;
                let lawful = book.acknowledge(counter, index);
                self.acknowledged(server, sent, lawful);
                Next::Another
            }
            Err(error) => {
                self.failed(server, &error);
                if !error.is_retryable() {
                    let what = format!("a write was refused: {error}");
                    self.lock().breaches.push(Breach { what, timed: false });
                    Next::End
                } else if error.surely_not_applied() {
                    Next::Retry
                } else {
                    book.one_unknown = true;
                    Next::NewBook
                }
            }
        }
    }

    fn acknowledged(&self, server: &AgentName, sent: Instant, lawful: Result<(), String>) {
        let mut notes = self.lock();
        let now = Instant::now();
        let gap = notes.acks.last().map(|(before, _)| now - *before);
        notes.acks.push((now, now - sent));
        if let Err(what) = lawful {
            notes.breaches.push(Breach { what, timed: false });
        }
        if notes.failing.remove(server) {
            let words = "takes writes again";
            self.recorder
                .record(Kind::Reachability, Some(server), words);
        }
        if let Some(gap) = gap.filter(|gap| *gap > GAP) {
            let words = format!("writes are taken again after {:.0} ms", millis(gap));
            self.recorder.record(Kind::Workload, None, words);
        }
    }

    fn failed(&self, server: &AgentName, error: &ApiError) {
        let mut notes = self.lock();
        notes.failed.push(Instant::now());
        if notes.failing.insert(server.clone()) {
            let words = format!("a write fails: {error}");
            self.recorder
                .record(Kind::Reachability, Some(server), words);
        }
    }
}

/// A job that places nothing and carries a counter. Of the lowest priority that Nomad takes: the
/// evaluations of thousands of these, at their removal, are not to be worked off before a scenario's own.
fn job_with_counter(id: &str, datacenter: &str, counter: u64) -> Value {
    json!({
        "ID": id,
        "Name": id,
        "Type": "batch",
        "Priority": 1,
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
