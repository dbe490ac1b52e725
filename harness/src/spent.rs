//! How a run's time was spent: in waits for Nomad, in times that the script asks to pass, and the rest, which is
//! the harness's own. The one wait loop (`poll.rs`) tells its waits; they are kept by task, so that workloads and
//! watches, which run in tasks of their own beside the steps, count for nothing.
//!
//! What is told of Nomad is the least that it can be: a wait ends where the last look began that did not find it
//! so. From there on (the rest of that look, the pause, the look that found it) time is the harness's, although
//! the thing may have come about at any moment of it. So is what Docker takes to end and start agents. A write
//! is a wait for Nomad, too, from its sending to its answer.

use std::cell::RefCell;
use std::future::Future;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::timeline::millis;

tokio::task_local! {
    static BOOK: RefCell<Book>;
}

/// Begin and end of each wait.
#[derive(Default)]
struct Book {
    nomad: Vec<(Instant, Instant)>,
    held: Vec<(Instant, Instant)>,
}

/// How a run's time was spent; all of it is one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Waiting for Nomad, at the least, in milliseconds.
    pub nomad_ms: f64,
    /// Let pass because the script says so, in milliseconds.
    pub held_ms: f64,
    /// The rest, in milliseconds.
    pub harness_ms: f64,
}

impl Spent {
    /// Returns the harness's own time in percent of the waits for Nomad; `None` where there were none.
    #[must_use]
    pub fn overhead_percent(&self) -> Option<f64> {
        (self.nomad_ms > 0.0).then(|| 100.0 * self.harness_ms / self.nomad_ms)
    }
}

impl std::iter::Sum for Spent {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            nomad_ms: sum.nomad_ms + one.nomad_ms,
            held_ms: sum.held_ms + one.held_ms,
            harness_ms: sum.harness_ms + one.harness_ms,
        })
    }
}

/// Keeps book of the waits in `work`.
pub async fn accounted<T>(work: impl Future<Output = T>) -> T {
    BOOK.scope(RefCell::default(), work).await
}

/// Notes a wait for Nomad; outside of [`accounted`], nothing.
pub(crate) fn waited(from: Instant, to: Instant) {
    // Whoever keeps no book wants no entry.
    let _noted = BOOK
        .try_with(|book| book.borrow_mut().nomad.push((from, to)))
        .is_ok();
}

/// Notes a time that a script let pass; outside of [`accounted`], nothing.
pub(crate) fn held(from: Instant, to: Instant) {
    let _noted = BOOK
        .try_with(|book| book.borrow_mut().held.push((from, to)))
        .is_ok();
}

/// Returns how a run's time was spent until now; `None` outside of [`accounted`].
#[must_use]
pub fn so_far(took_ms: f64) -> Option<Spent> {
    BOOK.try_with(|book| sum_up(&book.borrow(), took_ms)).ok()
}

fn sum_up(book: &Book, took_ms: f64) -> Spent {
    let nomad_ms = covered(book.nomad.iter().copied());
    let both = covered(book.nomad.iter().chain(&book.held).copied());
    Spent {
        nomad_ms,
        held_ms: both - nomad_ms,
        harness_ms: (took_ms - both).max(0.0),
    }
}

/// Returns how many milliseconds lie in any of the times: steps may wait side by side.
fn covered(times: impl Iterator<Item = (Instant, Instant)>) -> f64 {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let mut covered = 0.0;
    let mut done: Option<Instant> = None;
    for (from, to) in times {
        let from = done.map_or(from, |done| done.max(from));
        covered += millis(to.saturating_duration_since(from));
        done = Some(done.map_or(to, |done| done.max(to)));
    }
    covered
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_waits_side_by_side_counts_once_and_the_rest_is_ours() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let book = Book {
            nomad: vec![(at(500), at(700)), (at(0), at(100)), (at(50), at(200))],
            held: vec![(at(100), at(600))],
        };
        let spent = sum_up(&book, 1000.0);
        let expected = Spent {
            nomad_ms: 400.0,
            held_ms: 300.0,
            harness_ms: 300.0,
        };
        assert_eq!(spent, expected);
        assert_eq!(spent.overhead_percent(), Some(75.0));
        assert_eq!(Spent::default().overhead_percent(), None);
    }

    #[tokio::test]
    async fn tasks_beside_count_for_nothing() {
        let now = Instant::now();
        let spent = accounted(async {
            waited(now, now + Duration::from_millis(10));
            let beside = tokio::spawn(async move { waited(now, now + Duration::from_secs(9)) });
            beside.await.expect("it does not panic");
            so_far(100.0)
        });
        let spent = spent.await.expect("book was kept");
        assert_eq!((spent.nomad_ms, spent.harness_ms), (10.0, 90.0));
        assert_eq!(so_far(100.0), None);
    }
}
