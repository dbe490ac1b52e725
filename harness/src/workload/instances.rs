//! Where a job's instances are, kept up to date by asking the API each 100 ms. The answers are
//! stale ones: a service must be found also while nobody leads.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Beside;
use crate::nomad::types::AllocStub;
use crate::poll;
use crate::probe::service;

/// How often the list is read.
const EVERY: Duration = Duration::from_millis(100);
/// How long one server may take: the next one may be quicker.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// One instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) alloc: String,
    /// `whoami.web[0]`.
    pub(super) name: String,
    pub(super) node: String,
    pub(super) at: (Ipv4Addr, u16),
    /// Whether it is healthy and meant to run, so that requests may be sent to it.
    routable: bool,
    /// When it was last seen not yet told to stop, if it has been told since.
    told_to_stop_after: Option<Instant>,
}

/// The list, shared between the one who reads it up and the one who sends.
#[derive(Clone, Default)]
pub(super) struct Instances {
    known: Arc<Mutex<BTreeMap<String, Instance>>>,
    /// When the list was last read.
    seen: Arc<Mutex<Option<Instant>>>,
}

impl Instances {
    /// Returns those to which requests may be sent, in a fixed order.
    pub(super) fn routable(&self) -> Vec<Instance> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .values()
            .filter(|instance| instance.routable)
            .cloned()
            .collect()
    }

    /// Whether a request that ended then may have failed because its instance was told to stop.
    pub(super) fn was_told_to_stop(&self, alloc: &str, ended: Instant) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(alloc)
            .and_then(|instance| instance.told_to_stop_after)
            .is_some_and(|after| ended >= after)
    }

    /// Keeps the list up to date for ever.
    pub(super) async fn keep(&self, beside: &Beside, job: &str, port: &str) {
        loop {
            self.read(beside, job, port).await;
            poll::rest(EVERY).await;
        }
    }

    /// Reads the list once. What cannot be read stays as it was.
    pub(super) async fn read(&self, beside: &Beside, job: &str, port: &str) {
        let asked = Instant::now();
        let listed = beside
            .agents
            .ask(|api| async move {
                let api = api.stale().timeout(ANSWER_WITHIN);
                api.job_allocations(job).await
            })
            .await;
        let Ok(listed) = listed else { return };
        for alloc in &listed {
            if !self.update(alloc) && alloc.client_status == "running" {
                self.add(beside, alloc, port).await;
            }
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    /// Brings a known instance up to date; returns whether it is known.
    fn update(&self, alloc: &AllocStub) -> bool {
        let last_look = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(instance) = known.get_mut(&alloc.id) else {
            return false;
        };
        instance.routable = alloc.is_running() && alloc.is_healthy();
        if alloc.is_told_to_stop() && instance.told_to_stop_after.is_none() {
            instance.told_to_stop_after = last_look.or_else(|| Some(Instant::now()));
        }
        true
    }

    async fn add(&self, beside: &Beside, alloc: &AllocStub, port: &str) {
        let Ok(Some(at)) = service::endpoint(&beside.agents, &alloc.id, port).await else {
            return;
        };
        let instance = Instance {
            alloc: alloc.id.clone(),
            name: alloc.name.clone(),
            node: alloc.node_name.clone(),
            at,
            routable: false,
            told_to_stop_after: None,
        };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(alloc.id.clone(), instance);
        self.update(alloc);
    }
}
