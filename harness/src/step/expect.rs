//! Waits until something is so, and keeps how long that took.

use std::time::{Duration, Instant};

use super::{Scene, StepError};
use crate::measure::Measure;
use crate::poll;
use crate::probe::Condition;
use crate::timeline::millis;

/// How often to look: what is waited for takes a second or more, and a look costs some calls.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn run(
    scene: &mut Scene<'_>,
    that: &Condition,
    within: Duration,
    measured_as: Option<&str>,
) -> Result<String, StepError> {
    let agents = scene.untouched();
    let start = Instant::now();
    let seen = poll::eventually(within, INTERVAL, &that.to_string(), || that.look(&agents)).await?;
    if let Some(name) = measured_as {
        let taken = Measure::new(name, millis(start.elapsed()));
        scene.measures.push(taken);
    }
    Ok(seen)
}
