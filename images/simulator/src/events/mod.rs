//! What changed, told to those who listen (`event/stream`): one batch a log entry, made where
//! the entry is applied, so every server has its own and they are alike.
//!
//! The last hundred batches are kept, so that a listener which lost its connection can go on
//! where it was. A listener that is too slow, or that hears from a server whose state was
//! replaced by a snapshot, is cut off: it has to read the lists again anyway.

mod made;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

pub use made::{Removed, made, removed};

use crate::plant::{self, Plant};
use crate::types::{AclPolicy, AclRole, AclToken, Allocation, Deployment, Evaluation, Job, Node};

/// Batches kept (`event_buffer_size`).
const KEPT: usize = 100;

/// How far a listener may be behind beyond that.
const BEHIND: usize = 1024;

/// What an event is about.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Subject {
    Job(Arc<Job>),
    Evaluation(Arc<Evaluation>),
    Allocation(Arc<Allocation>),
    Deployment(Arc<Deployment>),
    Node(Arc<Node>),
    AclToken(Arc<AclToken>),
    AclPolicy(Arc<AclPolicy>),
    AclRole(Arc<AclRole>),
}

impl Subject {
    /// Nomad's name of its topic.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        match self {
            Self::Job(_) => "Job",
            Self::Evaluation(_) => "Evaluation",
            Self::Allocation(_) => "Allocation",
            Self::Deployment(_) => "Deployment",
            Self::Node(_) => "Node",
            Self::AclToken(_) => "ACLToken",
            Self::AclPolicy(_) => "ACLPolicy",
            Self::AclRole(_) => "ACLRole",
        }
    }

    /// ID or name, by which a listener asks for it.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Job(job) => &job.id,
            Self::Evaluation(eval) => &eval.id,
            Self::Allocation(alloc) => &alloc.id,
            Self::Deployment(deployment) => &deployment.id,
            Self::Node(node) => &node.id,
            Self::AclToken(token) => &token.accessor_id,
            Self::AclPolicy(policy) => &policy.name,
            Self::AclRole(role) => &role.id,
        }
    }

    /// Namespace; empty for what is in none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self {
            Self::Job(job) => &job.namespace,
            Self::Evaluation(eval) => &eval.namespace,
            Self::Allocation(alloc) => &alloc.namespace,
            Self::Deployment(deployment) => &deployment.namespace,
            Self::Node(_) | Self::AclToken(_) | Self::AclPolicy(_) | Self::AclRole(_) => "",
        }
    }

    /// Other keys by which a listener may ask for it.
    #[must_use]
    pub fn filter_keys(&self) -> Vec<&str> {
        let keys = match self {
            Self::Evaluation(eval) => vec![&eval.job_id, &eval.deployment_id],
            Self::Allocation(alloc) => vec![&alloc.job_id, &alloc.deployment_id],
            Self::Deployment(deployment) => vec![&deployment.job_id],
            _ => Vec::new(),
        };
        let keys = keys.into_iter().map(String::as_str);
        keys.filter(|key| !key.is_empty()).collect()
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Nomad's name of what happened: `JobRegistered`, ...
    pub kind: &'static str,
    /// What it happened to, as it is afterwards.
    pub subject: Subject,
}

/// The events of one log entry.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Index of the entry.
    pub index: u64,
    /// At least one.
    pub events: Vec<Event>,
}

/// The newest batches, and those who listen.
#[derive(Debug, Default)]
pub struct EventLog {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: VecDeque<Arc<Batch>>,
    listeners: Vec<mpsc::Sender<Arc<Batch>>>,
}

impl EventLog {
    /// Adds the events of an entry.
    pub fn push(&self, index: u64, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let batch = Arc::new(Batch { index, events });
        let mut inner = self.lock();
        if inner.kept.len() == KEPT {
            inner.kept.pop_front();
        }
        inner.kept.push_back(Arc::clone(&batch));
        // Whoever is full or gone is cut off by being dropped.
        inner
            .listeners
            .retain(|listener| listener.try_send(Arc::clone(&batch)).is_ok());
    }

    /// The state was replaced: what was is no past of what will be.
    pub fn reset(&self) {
        *self.lock() = Inner::default();
    }

    /// Listens from an index on: what is kept of it at once, the rest as it comes. An index
    /// that is not kept any more stands for the oldest that is, and so does 0.
    #[must_use]
    pub fn listen(&self, index: u64) -> mpsc::Receiver<Arc<Batch>> {
        let mut inner = self.lock();
        let (sender, receiver) = mpsc::channel(KEPT + BEHIND);
        let told = !plant::is(Plant::EventsLost);
        let kept = inner
            .kept
            .iter()
            .filter(|batch| told && batch.index >= index);
        for batch in kept {
            // There is room for all that is kept.
            drop(sender.try_send(Arc::clone(batch)));
        }
        inner.listeners.retain(|listener| !listener.is_closed());
        inner.listeners.push(sender);
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            kind: "NodeRegistration",
            subject: Subject::Node(Arc::default()),
        }
    }

    fn heard(listener: &mut mpsc::Receiver<Arc<Batch>>) -> Vec<u64> {
        let mut heard = Vec::new();
        while let Ok(batch) = listener.try_recv() {
            heard.push(batch.index);
        }
        heard
    }

    #[test]
    fn a_listener_goes_on_where_it_was_as_far_as_is_kept() {
        let log = EventLog::default();
        for index in 1..=150 {
            log.push(index, vec![event()]);
        }
        assert_eq!(heard(&mut log.listen(149)), [149, 150]);
        assert_eq!(heard(&mut log.listen(0)).first(), Some(&51));
        assert_eq!(heard(&mut log.listen(20)).first(), Some(&51));
        let mut listener = log.listen(151);
        log.push(151, Vec::new());
        log.push(152, vec![event()]);
        assert_eq!(heard(&mut listener), [152]);
    }

    #[test]
    fn who_is_too_slow_or_outlived_by_a_restore_is_cut_off() {
        let log = EventLog::default();
        let mut slow = log.listen(0);
        let many = u64::try_from(KEPT + BEHIND).unwrap() + 1;
        for index in 1..=many {
            log.push(index, vec![event()]);
        }
        assert_eq!(heard(&mut slow).len(), KEPT + BEHIND);
        assert!(slow.is_closed());
        let mut other = log.listen(many + 1);
        log.reset();
        assert!(matches!(
            other.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        ));
        assert!(heard(&mut log.listen(0)).is_empty());
    }
}
