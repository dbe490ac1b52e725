//! Follows what the servers want on this node, and has a runner for each allocation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, watch};

use super::Servers;
use super::identity::Identity;
use super::runner::{AllocRunner, Heard, Message, Setup, View};
use super::store::{Record, Store};
use super::task::Place;
use super::updates::Updates;
use crate::clock;
use crate::types::{Allocation, Node};

/// How long one blocking query waits. Nomad waits 5 minutes; a shorter time costs little and
/// frees the client sooner from a server that hangs.
const WAIT: Duration = Duration::from_secs(30);

/// What is granted on top for the answer to arrive.
const GRACE: Duration = Duration::from_secs(10);

/// Pauses after an error: first and longest. (Nomad waits 30 s and more, but wakes up early
/// when another call to the servers succeeds.) Servers without a leader hold a query back
/// themselves, so the pause only bounds how soon the new leader is asked.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));

struct Handle {
    messages: mpsc::UnboundedSender<Message>,
    /// Last change by the servers that was passed on.
    index: u64,
    done: watch::Receiver<bool>,
    view: watch::Receiver<View>,
}

/// See the module.
pub(super) struct Allocs {
    pub(super) identity: Identity,
    pub(super) servers: Arc<dyn Servers>,
    pub(super) node: Arc<Node>,
    pub(super) region: String,
    /// `data_dir/alloc`.
    pub(super) dir: PathBuf,
    pub(super) store: Store,
    pub(super) updates: Updates,
    /// When a server was last heard of ([`crate::types::Nanos`] since the epoch), 0 before.
    pub(super) heard: Heard,
    runners: Mutex<BTreeMap<String, Handle>>,
    /// Allocations from before the client restarted, until a server was heard.
    remembered: Mutex<BTreeMap<String, Record>>,
}

/// Why a user's order was not passed on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OrderError {
    /// Not on this node.
    #[error("Unknown allocation \"{0}\"")]
    UnknownAllocation(String),
    /// The allocation has no such task.
    #[error("Could not find task runner for task: {0}")]
    UnknownTask(String),
    /// The same, said of a signal.
    #[error("Task not found")]
    NoTask,
    /// It has ended.
    #[error("Task not running")]
    NotRunning,
}

impl Allocs {
    /// Prepares the node's allocations.
    pub(super) fn new(
        identity: Identity,
        servers: Arc<dyn Servers>,
        node: Arc<Node>,
        region: String,
        dir: PathBuf,
        store: Store,
        updates: Updates,
    ) -> Self {
        let remembered = store.load().unwrap_or_else(|error| {
            tracing::error!(target: "client", %error, "failed to restore state");
            BTreeMap::new()
        });
        Self {
            identity,
            servers,
            node,
            region,
            dir,
            store,
            updates,
            heard: Arc::new(|| 0),
            runners: Mutex::default(),
            remembered: Mutex::new(remembered),
        }
    }

    /// How many allocations this node has.
    pub(super) fn count(&self) -> usize {
        let runners = self.runners.lock();
        runners.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What is known of an allocation here.
    pub(super) fn view(&self, alloc_id: &str) -> Option<View> {
        let runners = self.runners.lock();
        let runners = runners.unwrap_or_else(PoisonError::into_inner);
        Some(runners.get(alloc_id)?.view.borrow().clone())
    }

    /// Passes a user's order on.
    pub(super) fn order(
        &self,
        alloc_id: &str,
        task: Option<&str>,
        message: impl FnOnce(Option<String>) -> Message,
    ) -> Result<(), OrderError> {
        let runners = self.runners.lock();
        let runners = runners.unwrap_or_else(PoisonError::into_inner);
        let handle = runners
            .get(alloc_id)
            .ok_or_else(|| OrderError::UnknownAllocation(alloc_id.to_owned()))?;
        let tasks = &handle.view.borrow().tasks;
        if let Some(task) = task.filter(|task| !tasks.contains_key(*task)) {
            return Err(OrderError::UnknownTask(task.to_owned()));
        }
        if *handle.done.borrow() {
            return Err(OrderError::NotRunning);
        }
        handle
            .messages
            .send(message(task.map(str::to_owned)))
            .map_err(|_| OrderError::NotRunning)
    }

    /// A signal by its name; as in Nomad, an unknown one is SIGINT.
    pub(super) fn signal(
        &self,
        alloc_id: &str,
        task: Option<&str>,
        name: &str,
    ) -> Result<(), OrderError> {
        let signal = crate::drivers::raw_exec::signal_named(name).unwrap_or(Signal::SIGINT);
        let sent = self.order(alloc_id, task, |task| Message::Signal(task, signal));
        sent.map_err(|error| match error {
            OrderError::UnknownTask(_) => OrderError::NoTask,
            other => other,
        })
    }

    /// Follows the servers until aborted.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut index = 0;
        let mut pause = RETRY.0;
        loop {
            let query = self.servers.allocs(
                &self.identity.node_id,
                &self.identity.secret_id,
                index,
                WAIT,
            );
            let error = match tokio::time::timeout(WAIT + GRACE, query).await {
                Ok(Ok((new, allocs))) if new >= index || self.is_collected(&allocs) => {
                    index = new.max(1);
                    pause = RETRY.0;
                    self.apply(allocs);
                    continue;
                }
                // A server that is behind must not make us stop what it has not heard of.
                Ok(Ok((new, _))) => format!("stale allocation information: index {new} < {index}"),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(target: "client", error, "error querying node allocations");
            clock::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// Takes up the processes that survived the client's restart, before any server is heard.
    pub(super) fn take_up(&self) {
        let mut runners = self.runners.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        let alive = |record: &Record| record.processes.values().any(|found| found.is_alive());
        let records = remembered.values().filter(|record| alive(record));
        let allocs: Vec<Allocation> = records.map(|record| record.alloc.clone()).collect();
        for alloc in allocs {
            self.add(alloc, &mut runners, &mut remembered);
        }
    }

    /// Whether a list differs from what is known here only by ended allocations that are gone.
    ///
    /// The servers' index is that of the newest allocation listed, so it goes down when that
    /// one is collected; a list that is behind lacks live ones, or knows older versions.
    pub(super) fn is_collected(&self, allocs: &[Allocation]) -> bool {
        let runners = self.runners.lock().unwrap_or_else(PoisonError::into_inner);
        runners.iter().all(
            |(id, handle)| match allocs.iter().find(|alloc| alloc.id == *id) {
                Some(alloc) => alloc.alloc_modify_index >= handle.index,
                None => *handle.done.borrow(),
            },
        )
    }

    /// Makes the runners follow the servers' list.
    fn apply(&self, allocs: Vec<Allocation>) {
        let mut runners = self.runners.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = self.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        let wanted: BTreeSet<&str> = allocs.iter().map(|a| a.id.as_str()).collect();
        let gone: Vec<String> = runners
            .keys()
            .filter(|id| !wanted.contains(id.as_str()))
            .cloned()
            .collect();
        for id in gone {
            if let Some(handle) = runners.remove(&id) {
                // A runner that is gone needs no telling.
                let _ended = handle.messages.send(Message::Destroy);
            }
        }
        for alloc in allocs {
            match runners.get_mut(&alloc.id) {
                Some(handle) if handle.index >= alloc.alloc_modify_index => {}
                Some(handle) => {
                    handle.index = alloc.alloc_modify_index;
                    // As above.
                    let _ended = handle.messages.send(Message::Update(Arc::new(alloc)));
                }
                None => self.add(alloc, &mut runners, &mut remembered),
            }
        }
        // What no server knows any more.
        for (id, _) in std::mem::take(&mut *remembered) {
            self.forget(&id);
        }
    }

    fn add(
        &self,
        alloc: Allocation,
        runners: &mut BTreeMap<String, Handle>,
        remembered: &mut BTreeMap<String, Record>,
    ) {
        let record = remembered.remove(&alloc.id);
        // Ended long ago, on a client that lost its memory: nothing to run or to report.
        if record.is_none() && alloc.client_status.is_terminal() {
            return;
        }
        let (sender, messages) = mpsc::unbounded_channel();
        let done = watch::Sender::new(false);
        let previous = runners.get(&alloc.previous_allocation);
        let setup = Setup {
            place: Arc::new(Place {
                node: Arc::clone(&self.node),
                region: self.region.clone(),
                alloc_dir: self.dir.join(&alloc.id),
            }),
            store: self.store.clone(),
            updates: self.updates.clone(),
            heard: Arc::clone(&self.heard),
            messages,
            previous: previous.map(|handle| handle.done.clone()),
            done,
        };
        let (id, index) = (alloc.id.clone(), alloc.alloc_modify_index);
        let done = setup.done.subscribe();
        let runner = AllocRunner::new(setup, Arc::new(alloc), record);
        let handle = Handle {
            messages: sender,
            index,
            done,
            view: runner.view(),
        };
        runners.insert(id, handle);
        tokio::spawn(runner.run());
    }

    fn forget(&self, id: &str) {
        let removed = self.store.remove(id);
        let dir = std::fs::remove_dir_all(self.dir.join(id));
        if let Err(error) = removed.and(dir) {
            tracing::debug!(target: "client.gc", alloc_id = id, %error, "allocation directory not removed");
        }
    }
}
