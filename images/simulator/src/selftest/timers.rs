//! Timers and threads, as the runtime uses them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::{Found, on_runtime, same};
use crate::clock;

/// Counts of four threads meet: atomics, locks and wake-ups work across them.
pub(super) fn threads() -> Found {
    const TURNS: u64 = 10_000;
    let count = Arc::new(AtomicU64::new(0));
    let done = Arc::new((Mutex::new(0), Condvar::new()));
    for _ in 0..4 {
        let (count, done) = (Arc::clone(&count), Arc::clone(&done));
        std::thread::spawn(move || {
            for _ in 0..TURNS {
                count.fetch_add(1, Ordering::Relaxed);
            }
            let (ended, changed) = &*done;
            *ended.lock().expect("nobody panics with it") += 1;
            changed.notify_one();
        });
    }
    let (ended, changed) = &*done;
    let guard = ended.lock().expect("nobody panics with it");
    drop(changed.wait_while(guard, |ended| *ended < 4));
    same("count", &(4 * TURNS), &count.load(Ordering::Relaxed))?;
    Ok(format!("counted to {}", 4 * TURNS))
}

/// A timer neither ends early nor sleeps for ever, and the clocks go forward.
pub(super) fn timers() -> Found {
    const ASKED: Duration = Duration::from_millis(50);
    let before = clock::now();
    let begin = Instant::now();
    on_runtime(async {
        clock::sleep(ASKED).await;
        Ok(())
    })?;
    let took = begin.elapsed();
    if took < ASKED {
        return Err(format!("a timer of {ASKED:?} ended after {took:?}"));
    }
    if clock::now() <= before {
        return Err("the clock stood still".to_owned());
    }
    Ok(format!("asked {ASKED:?}, got {took:?}"))
}
