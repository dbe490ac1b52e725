//! Whether this program itself was scheduled. A run whose clock stood still for a second cannot
//! tell a slow cluster from a slow machine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::timeline::{Kind, Recorder, millis};

/// How often it beats.
const EVERY: Duration = Duration::from_millis(100);
/// From what delay on a run proves nothing any more.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// A task that only looks at the clock.
pub(super) struct Heartbeat {
    worst: Arc<Mutex<Duration>>,
    task: JoinHandle<()>,
}

impl Heartbeat {
    pub(super) fn start(recorder: Recorder) -> Self {
        let worst = Arc::new(Mutex::new(Duration::ZERO));
        let seen = Arc::clone(&worst);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last = ticks.tick().await.into_std();
            loop {
                ticks.tick().await;
                let now = Instant::now();
                let late = (now - last).saturating_sub(EVERY);
                last = now;
                if late >= STALL {
                    let words = format!("not scheduled for {:.0} ms", millis(late));
                    recorder.record(Kind::Stalled, None, words);
                }
                let mut worst = seen.lock().unwrap_or_else(PoisonError::into_inner);
                *worst = (*worst).max(late);
            }
        });
        Self { worst, task }
    }

    /// Ends it; returns what there is to say if it was ever late.
    pub(super) fn stop(self) -> Option<String> {
        let worst = *self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        (worst >= STALL).then(|| {
            format!(
                "this machine did not let the runner run for {:.1} s",
                worst.as_secs_f64()
            )
        })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
