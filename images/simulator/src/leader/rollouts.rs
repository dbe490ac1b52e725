//! Deployments go on: the pure watcher is asked after each change, and at its deadlines.

use std::time::Duration;

use tokio::time::timeout;

use super::insist;
use crate::clock;
use crate::deployments;
use crate::http::Context;
use crate::state::{State, Table};

/// Nomad's watcher gathers changes for this long (`deploymentwatcher.CrossDeploymentUpdateBatchDuration`).
const BATCH: Duration = Duration::from_millis(250);

/// Longest wait without looking at the clock again.
const IDLE: Duration = Duration::from_secs(3600);

pub(super) async fn run(ctx: Context) {
    let mut applied = ctx.consensus.applied();
    loop {
        applied.borrow_and_update();
        let state = ctx.consensus.snapshot();
        let now = clock::now();
        let advance = deployments::advance(&state, now);
        let seen = relevant(&state);
        for command in advance.commands {
            insist(&ctx, command).await;
        }
        let wake = advance.wake_at.map_or(IDLE, |at| {
            let nanos = u64::try_from(at - now).unwrap_or(0);
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
        if let Ok(false) = timeout(wake, change).await {
            return;
        }
        // Also bounds how often a watcher that is never content is asked.
        clock::sleep(clock::scaled(BATCH)).await;
    }
}

/// What the watcher looks at.
fn relevant(state: &State) -> [u64; 3] {
    [Table::Deployments, Table::Allocs, Table::Jobs].map(|table| state.index_of(table))
}
