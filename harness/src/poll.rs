//! The only wait loop: looks again and again until something is so, for as long as a deadline
//! allows, and keeps the last thing seen. A deadline that passes is an error that says what was
//! last seen; it is never success.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::nomad::ApiError;
use crate::spent;

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// It is so.
    Done(T),
    /// Not yet; this is what was seen instead.
    NotYet(String),
    /// It can never be so any more, for this reason: waiting on is of no use.
    Never(String),
}

impl<T> Look<T> {
    /// Sorts a failed call: one that may succeed a moment later is `NotYet`, others `Never`.
    #[must_use]
    pub fn failed(error: &ApiError) -> Self {
        if error.is_retryable() {
            Self::NotYet(error.to_string())
        } else {
            Self::Never(error.to_string())
        }
    }
}

/// A wait that did not end as hoped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// The deadline passed.
    #[error("{what}: not within {after:?}; last seen: {last_seen}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The deadline.
        after: Duration,
        /// What the last finished look found.
        last_seen: String,
    },
    /// It can never be so any more.
    #[error("{what}: no longer possible after {after:?}: {seen}")]
    Hopeless {
        /// What was waited for.
        what: String,
        /// How long it had been waited for.
        after: Duration,
        /// What the last look found.
        seen: String,
    },
    /// It was not so throughout.
    #[error("{what}: broken after {after:?}: {seen}")]
    Broken {
        /// What should have held.
        what: String,
        /// How long it had held.
        after: Duration,
        /// What the look that broke it found.
        seen: String,
    },
}

impl PollError {
    /// Returns what was seen last.
    #[must_use]
    pub fn last_seen(&self) -> &str {
        match self {
            Self::TimedOut { last_seen, .. } => last_seen,
            Self::Hopeless { seen, .. } | Self::Broken { seen, .. } => seen,
        }
    }
}

/// What is said when not even one look came to its end.
const NOTHING_SEEN: &str = "nothing (no look finished in time)";

/// Looks each `interval` until a look says `Done`, for at most `deadline`. A look that is still
/// under way at the deadline is dropped.
///
/// # Errors
/// [`PollError::TimedOut`], [`PollError::Hopeless`].
pub async fn eventually<T, F, Fut>(
    deadline: Duration,
    interval: Duration,
    what: &str,
    mut probe: F,
) -> Result<T, PollError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Look<T>>,
{
    let start = Instant::now();
    let mut last_seen = NOTHING_SEEN.to_owned();
    // Until when it was surely not so.
    let mut not_so = start;
    let looking = async {
        loop {
            let began = Instant::now();
            match probe().await {
                Look::Done(found) => return Ok(found),
                Look::NotYet(seen) => (last_seen, not_so) = (seen, began),
                Look::Never(seen) => {
                    return Err(PollError::Hopeless {
                        what: what.to_owned(),
                        after: start.elapsed(),
                        seen,
                    });
                }
            }
            rest(interval).await;
        }
    };
    let outcome = tokio::time::timeout(deadline, looking).await;
    let until = if outcome.is_ok() {
        not_so
    } else {
        Instant::now()
    };
    spent::waited(start, until);
    match outcome {
        Ok(outcome) => outcome,
        Err(_) => Err(PollError::TimedOut {
            what: what.to_owned(),
            after: deadline,
            last_seen,
        }),
    }
}

/// Looks each `interval` for the whole of `duration`; the first look that says `Err` breaks it.
/// Returns how many looks were made: none is an error, since nothing was proved.
///
/// # Errors
/// [`PollError::Broken`]; [`PollError::TimedOut`] when no look finished.
pub async fn throughout<F, Fut>(
    duration: Duration,
    interval: Duration,
    what: &str,
    probe: F,
) -> Result<u64, PollError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let start = Instant::now();
    let outcome = throughout_until(rest(duration), interval, what, probe).await;
    spent::held(start, Instant::now());
    outcome
}

/// Lets a time pass that a script asks for.
pub async fn hold(duration: Duration) {
    let start = Instant::now();
    rest(duration).await;
    spent::held(start, Instant::now());
}

/// As [`throughout`], until `end` comes about.
///
/// # Errors
/// [`PollError::Broken`]; [`PollError::TimedOut`] when no look finished.
pub async fn throughout_until<F, Fut>(
    end: impl Future<Output = ()>,
    interval: Duration,
    what: &str,
    mut probe: F,
) -> Result<u64, PollError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let start = Instant::now();
    let mut looks = 0;
    let looking = async {
        loop {
            if let Err(seen) = probe().await {
                return PollError::Broken {
                    what: what.to_owned(),
                    after: start.elapsed(),
                    seen,
                };
            }
            looks += 1;
            rest(interval).await;
        }
    };
    tokio::select! {
        biased;
        broken = looking => return Err(broken),
        () = end => {}
    }
    if looks == 0 {
        return Err(PollError::TimedOut {
            what: what.to_owned(),
            after: start.elapsed(),
            last_seen: NOTHING_SEEN.to_owned(),
        });
    }
    Ok(looks)
}

/// Lets time pass between two looks, or between two requests of a load. Not a way to wait for
/// something: that is [`eventually`].
#[expect(
    clippy::disallowed_methods,
    reason = "the one sleep that all others are made of"
)]
pub async fn rest(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_timeout_is_never_success_and_says_what_was_last_seen() {
        let mut looks = 0;
        let outcome = eventually::<(), _, _>(20 * TICK, TICK, "three leaders", || {
            looks += 1;
            let seen = looks;
            async move { Look::NotYet(format!("look {seen}")) }
        })
        .await;
        let error = outcome.expect_err("nothing was found");
        assert!(looks > 1);
        assert_eq!(error.last_seen(), format!("look {looks}"));
        assert!(error.to_string().starts_with("three leaders: not within"));
    }

    #[tokio::test]
    async fn a_wait_is_nomads_until_the_last_look_that_found_it_not_so() {
        let tick = Duration::from_millis(40);
        let mut looks = 0;
        let waiting = eventually(50 * tick, tick, "a third look", || {
            looks += 1;
            let done = looks == 3;
            async move {
                rest(tick).await;
                if done {
                    Look::Done(())
                } else {
                    Look::NotYet(String::new())
                }
            }
        });
        let (spent, took) = spent::accounted(async {
            let start = Instant::now();
            waiting.await.expect("the third look is made");
            hold(tick).await;
            let took = crate::timeline::millis(start.elapsed());
            (spent::so_far(took).expect("book was kept"), took)
        })
        .await;
        // Look and pause before the second look began; then a look, a pause and a look are ours.
        assert!(spent.nomad_ms >= 80.0 && spent.held_ms >= 40.0, "{spent:?}");
        assert!(spent.harness_ms >= 120.0, "{spent:?}");
        let sum = spent.nomad_ms + spent.held_ms + spent.harness_ms;
        assert!((sum - took).abs() < 0.01, "{spent:?}, {took}");
    }

    #[tokio::test]
    async fn a_look_that_hangs_does_not_outlive_the_deadline() {
        let start = Instant::now();
        let outcome = eventually::<(), _, _>(20 * TICK, TICK, "an answer", || async {
            std::future::pending().await
        })
        .await;
        assert!(matches!(outcome, Err(PollError::TimedOut { .. })));
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(outcome.expect_err("timed out").last_seen(), NOTHING_SEEN);
    }

    #[tokio::test]
    async fn what_can_never_be_is_not_waited_for() {
        let outcome =
            eventually::<(), _, _>(Duration::from_secs(60), TICK, "a deployment", || async {
                Look::Never("it failed".to_owned())
            })
            .await;
        assert!(matches!(outcome, Err(PollError::Hopeless { .. })));
    }

    #[tokio::test]
    async fn what_breaks_once_did_not_hold_throughout() {
        let mut looks = 0;
        let outcome = throughout(Duration::from_secs(60), TICK, "three healthy", || {
            looks += 1;
            let healthy = if looks == 5 { 2 } else { 3 };
            async move {
                if healthy == 3 {
                    Ok(())
                } else {
                    Err(format!("{healthy} healthy"))
                }
            }
        })
        .await;
        assert!(matches!(outcome, Err(PollError::Broken { seen, .. }) if seen == "2 healthy"));
    }

    #[tokio::test]
    async fn no_look_at_all_proves_nothing() {
        let outcome = throughout(5 * TICK, TICK, "three healthy", || async {
            std::future::pending().await
        })
        .await;
        assert!(matches!(outcome, Err(PollError::TimedOut { .. })));
    }
}
