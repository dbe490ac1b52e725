//! Reports to the servers: the newest state of each allocation that changed, in batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Servers;
use super::identity::Identity;
use crate::clock;
use crate::types::Allocation;

/// Nomad's `allocSyncIntv`.
const BATCH: Duration = Duration::from_millis(200);

/// Nomad's `allocSyncRetryIntv`.
const RETRY: Duration = Duration::from_secs(5);

/// Takes reports; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Updates(mpsc::UnboundedSender<Allocation>);

impl Updates {
    /// Sends what an allocation is now. The newest report of an allocation wins.
    pub(super) fn push(&self, report: Allocation) {
        // The receiver ends with the client only.
        let _ended = self.0.send(report);
    }
}

/// Makes the reporter and the loop that sends, which runs until aborted.
pub(super) fn channel(
    servers: Arc<dyn Servers>,
    identity: Identity,
) -> (Updates, impl Future<Output = ()> + Send) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Updates(sender), send(receiver, servers, identity))
}

async fn send(
    mut reports: mpsc::UnboundedReceiver<Allocation>,
    servers: Arc<dyn Servers>,
    identity: Identity,
) {
    let mut waiting: BTreeMap<String, Allocation> = BTreeMap::new();
    loop {
        if waiting.is_empty() {
            let Some(report) = reports.recv().await else {
                return;
            };
            waiting.insert(report.id.clone(), report);
        }
        clock::sleep(clock::scaled(BATCH)).await;
        while let Ok(report) = reports.try_recv() {
            waiting.insert(report.id.clone(), report);
        }
        let batch: Vec<Allocation> = waiting.values().cloned().collect();
        let sent = servers
            .update_allocs(&identity.node_id, &identity.secret_id, batch)
            .await;
        match sent {
            Ok(()) => waiting.clear(),
            Err(error) => {
                tracing::error!(target: "client", %error, "error updating allocations");
                clock::sleep(clock::scaled(RETRY)).await;
            }
        }
    }
}
