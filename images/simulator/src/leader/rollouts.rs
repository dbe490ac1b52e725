//! Deployments go on: the pure watcher is asked after each change, and at its deadlines.

use std::time::Duration;

use super::insist;
use super::look_again::look_again;
use crate::clock;
use crate::deployments;
use crate::http::Context;
use crate::state::{State, Table};

/// Nomad's watcher gathers changes for this long (`deploymentwatcher.CrossDeploymentUpdateBatchDuration`).
const BATCH: Duration = Duration::from_millis(250);

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
        if !look_again(&ctx, &mut applied, advance.wake_at, seen, relevant).await {
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
