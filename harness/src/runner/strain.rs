//! Whether this machine has time for us. The heartbeat sees a program that is not scheduled at
//! all; a machine whose cores are shared by many still wakes a sleeper at once, and lets everything
//! that computes crawl, agents and elections with it. So a thread computes a little now and then
//! and looks how long that really took.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::timeline::{Kind, Recorder};

/// How often it computes: 2 % of a core.
const EVERY: Duration = Duration::from_millis(500);
/// For how long: above the slice that a scheduler gives to whoever wakes up.
const WORK: Duration = Duration::from_millis(10);
/// Over how many times the middle one is taken: 3 s, longer than a cluster's own bursts (six
/// agents' TLS handshakes after an election take less than 1 s of two cores).
const WINDOW: usize = 6;
/// From what stretch on a run proves nothing about time: a quarter of a core each.
pub(super) const LIMIT: f64 = 4.0;

/// A thread that measures how much slower than alone this machine computes.
pub(super) struct Strain {
    stop: Sender<()>,
    thread: JoinHandle<f64>,
}

impl Strain {
    pub(super) fn start(recorder: Recorder) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut gauge = Gauge::default();
            // Ends with its owner, too: a dropped sender disconnects.
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                if gauge.take(stretch()) {
                    let words = format!("this machine computes {:.1} times slower", gauge.worst);
                    recorder.record(Kind::Stalled, None, words);
                }
            }
            gauge.worst
        });
        Self { stop, thread }
    }

    /// Ends it; returns what there is to say if the machine was too busy.
    pub(super) fn stop(self) -> Option<String> {
        drop(self.stop);
        // A thread that cannot be joined has panicked: nothing is known then.
        let worst = self.thread.join().ok()?;
        (worst >= LIMIT).then(|| {
            format!(
                "this machine was busy with other work: computing took {worst:.1} times as long \
                 as on a free core"
            )
        })
    }
}

/// How often longer than its own CPU time a piece of work takes; 1 where the system does not tell.
fn stretch() -> f64 {
    let cpu = || {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
            .ok()
            .map(Duration::from)
    };
    let start = Instant::now();
    let Some(began) = cpu() else { return 1.0 };
    loop {
        black_box((0..2_000_u64).fold(1, |sum: u64, n| black_box(sum.wrapping_mul(31) ^ n)));
        let Some(now) = cpu() else { return 1.0 };
        let spent = now.saturating_sub(began);
        if spent >= WORK {
            return start.elapsed().as_secs_f64() / spent.as_secs_f64();
        }
    }
}

/// The last stretches, and the worst middle one of a full window.
#[derive(Default)]
struct Gauge {
    last: VecDeque<f64>,
    worst: f64,
}

impl Gauge {
    /// Takes one more; returns whether the machine has become too busy with it.
    fn take(&mut self, stretch: f64) -> bool {
        self.last.push_back(stretch);
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
        if self.last.len() < WINDOW {
            return false;
        }
        let mut sorted: Vec<f64> = self.last.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        // The lower middle: half of the window and one more were at least so slow.
        let middle = sorted[(WINDOW - 1) / 2];
        let crossed = self.worst < LIMIT && middle >= LIMIT;
        self.worst = self.worst.max(middle);
        crossed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier};

    use super::*;

    fn told(stretches: &[f64]) -> (usize, f64) {
        let mut gauge = Gauge::default();
        let told = stretches.iter().filter(|one| gauge.take(**one)).count();
        (told, gauge.worst)
    }

    #[test]
    fn a_lasting_strain_is_told_once_and_a_burst_is_not() {
        assert_eq!(told(&[1.0, 9.0, 9.0, 1.0, 1.0, 1.2, 1.0, 9.0]).0, 0);
        assert_eq!(told(&[5.0, 5.0, 6.0, 5.0, 5.0, 5.0, 7.0]), (1, 5.0));
        assert_eq!(told(&[50.0; WINDOW - 1]), (0, 0.0));
    }

    #[test]
    fn a_crowd_on_every_core_stretches_the_work() {
        let alone = stretch();
        let crowd = 8 * std::thread::available_parallelism().map_or(1, usize::from);
        let over = Arc::new(AtomicBool::new(false));
        let here = Arc::new(Barrier::new(crowd + 1));
        let busy: Vec<_> = (0..crowd)
            .map(|_| {
                let (over, here) = (Arc::clone(&over), Arc::clone(&here));
                std::thread::spawn(move || {
                    here.wait();
                    while !over.load(Ordering::Relaxed) {
                        black_box(0);
                    }
                })
            })
            .collect();
        here.wait();
        let crowded = (0..20).map(|_| stretch()).fold(0.0, f64::max);
        over.store(true, Ordering::Relaxed);
        for thread in busy {
            thread.join().expect("it only counts");
        }
        assert!(alone >= 0.9, "{alone}");
        assert!(crowded > 2.0, "{crowded} in a crowd, {alone} alone");
    }
}
