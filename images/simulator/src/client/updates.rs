//! Reports to the servers: the newest state of each allocation that changed, in batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

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
    let began = Instant::now();
    loop {
        if waiting.is_empty() {
            let Some(report) = reports.recv().await else {
                return;
            };
            waiting.insert(report.id.clone(), report);
        }
        clock::sleep(until_beat(began.elapsed(), clock::scaled(BATCH))).await;
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

/// As Nomad's ticker: a report waits for the next beat, not for a whole one.
fn until_beat(elapsed: Duration, beat: Duration) -> Duration {
    let over = elapsed.as_nanos() % beat.as_nanos().max(1);
    beat.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::super::{HeartbeatReply, ServersError};
    use super::*;
    use crate::types::{AllocClientStatus, Node, NodeStatus};

    /// Takes reports, after it refused `refuse` times.
    #[derive(Default)]
    struct Taker {
        refuse: Mutex<usize>,
        taken: Mutex<Vec<Vec<Allocation>>>,
    }

    #[async_trait]
    impl Servers for Taker {
        async fn register(&self, _: &Node) -> Result<HeartbeatReply, ServersError> {
            unreachable!("only reports are sent here")
        }

        async fn heartbeat(
            &self,
            _: &str,
            _: &str,
            _: NodeStatus,
        ) -> Result<HeartbeatReply, ServersError> {
            unreachable!("only reports are sent here")
        }

        async fn allocs(
            &self,
            _: &str,
            _: &str,
            _: u64,
            _: Duration,
        ) -> Result<(u64, Vec<Allocation>), ServersError> {
            unreachable!("only reports are sent here")
        }

        async fn update_allocs(
            &self,
            _: &str,
            _: &str,
            allocs: Vec<Allocation>,
        ) -> Result<(), ServersError> {
            let mut refuse = self.refuse.lock().expect("no test panics with it");
            if *refuse > 0 {
                *refuse -= 1;
                return Err(ServersError::Refused("No cluster leader".to_owned()));
            }
            drop(refuse);
            self.taken
                .lock()
                .expect("no test panics with it")
                .push(allocs);
            Ok(())
        }
    }

    fn report(id: &str, client_status: AllocClientStatus) -> Allocation {
        Allocation {
            id: id.to_owned(),
            client_status,
            ..Allocation::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_reports_are_sent_together_and_kept_until_taken() {
        let taker = Arc::new(Taker::default());
        *taker.refuse.lock().expect("fresh") = 2;
        let identity = Identity {
            node_id: "n".to_owned(),
            secret_id: "s".to_owned(),
        };
        let servers: Arc<dyn Servers> = Arc::clone(&taker) as Arc<dyn Servers>;
        let (updates, sending) = channel(servers, identity);
        let sending = tokio::spawn(sending);
        updates.push(report("a1", AllocClientStatus::Pending));
        updates.push(report("a2", AllocClientStatus::Pending));
        updates.push(report("a1", AllocClientStatus::Running));
        clock::sleep(Duration::from_secs(6)).await;
        updates.push(report("a2", AllocClientStatus::Failed));
        clock::sleep(Duration::from_secs(30)).await;
        let taken = taker.taken.lock().expect("no test panics with it");
        let shown: Vec<Vec<_>> = taken
            .iter()
            .map(|batch| {
                batch
                    .iter()
                    .map(|a| (a.id.as_str(), a.client_status))
                    .collect()
            })
            .collect();
        let both = vec![
            ("a1", AllocClientStatus::Running),
            ("a2", AllocClientStatus::Failed),
        ];
        assert_eq!(shown, [both]);
        sending.abort();
    }
}
