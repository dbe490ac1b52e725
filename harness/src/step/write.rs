//! Writes to the cluster: it may be without a leader for a moment, and a write may have been
//! applied although its answer was lost.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{Scene, StepError};
use crate::nomad::{Api, ApiError};
use crate::poll::{self, Look};
use crate::spent;

/// How long the cluster may be without a leader meanwhile: an election takes 1 to 4 s in Nomad,
/// more when votes are split.
const WITHIN: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_millis(200);

/// Whether a write may be sent twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Doing it twice is as doing it once.
    Yes,
    /// Only where the first surely did nothing.
    IfNothingHappened,
}

/// Writes, until a server takes it.
pub(super) async fn write<T, F, Fut>(
    scene: &Scene<'_>,
    what: &str,
    again: Again,
    call: F,
) -> Result<T, StepError>
where
    F: Fn(Api) -> Fut,
    Fut: Future<Output = Result<T, ApiError>>,
{
    let agents = scene.untouched();
    let written = poll::eventually(scene.allowed(WITHIN), INTERVAL, what, || async {
        for entry in agents.servers() {
            let began = Instant::now();
            match call(entry.api.clone()).await {
                Ok(written) => {
                    // Nomad commits it, and answers.
                    spent::waited(began, Instant::now());
                    return Look::Done(Ok(written));
                }
                Err(error) if !error.is_retryable() => return Look::Never(error.to_string()),
                Err(error) if again == Again::Yes || error.surely_not_applied() => {
                    tracing::debug!("{what}: {error}");
                }
                Err(error) => return Look::Done(Err(error)),
            }
        }
        Look::NotYet("no server took it".to_owned())
    })
    .await?;
    written.map_err(|error| StepError::Inconclusive {
        why: format!("{what}: whether it was applied is not known: {error}"),
    })
}
