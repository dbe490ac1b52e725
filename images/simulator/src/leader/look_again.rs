//! Waiting until one of the leader's watchers has something to look at again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock;
use crate::http::Context;
use crate::state::State;
use crate::types::Nanos;

/// Longest wait without looking at the clock again.
const IDLE: Duration = Duration::from_secs(3600);

/// Waits until what is `relevant` differs from what was `seen`, or the time has come; false where
/// the server ends.
pub(super) async fn look_again<T: PartialEq>(
    ctx: &Context,
    applied: &mut watch::Receiver<u64>,
    wake_at: Option<Nanos>,
    seen: T,
    relevant: fn(&State) -> T,
) -> bool {
    let wake = wake_at.map_or(IDLE, |at| {
        let nanos = u64::try_from(at - clock::now()).unwrap_or(0);
        Duration::from_nanos(nanos).min(IDLE)
    });
    let change = async {
        while relevant(&ctx.consensus.snapshot()) == seen {
            if applied.changed().await.is_err() {
                return false;
            }
        }
        true
    };
    !matches!(timeout(wake, change).await, Ok(false))
}
