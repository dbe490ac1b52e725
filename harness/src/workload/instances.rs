//! Where a job's instances are, kept up to date by asking the API each 100 ms. The answers are
//! stale ones: a service must be found also while nobody leads.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Whether a deployment judges its health.
    in_deployment: bool,
    /// Whether it was ever found healthy. A change in place puts an instance into a new deployment,
    /// which has yet to judge it; it serves all the while.
    was_healthy: bool,
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
    /// The highest index that an answer carried.
    newest: Arc<Mutex<u64>>,
}

impl Instances {
    /// Returns those to which requests may be sent, in a fixed order.
    pub(super) fn routable(&self) -> Vec<Instance> {
        let known = lock(&self.known);
        known
            .values()
            .filter(|instance| instance.routable)
            .cloned()
            .collect()
    }

    /// Whether a request that ended then may have failed because its instance was told to stop.
    pub(super) fn was_told_to_stop(&self, alloc: &str, ended: Instant) -> bool {
        let known = lock(&self.known);
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
        let Some(listed) = self.listed(beside, job).await else {
            return;
        };
        for alloc in &listed {
            if !self.update(alloc) && alloc.client_status == "running" {
                self.add(beside, alloc, port).await;
            }
        }
        *lock(&self.seen) = Some(asked);
    }

    /// Asks one server after the other for the list. A server that was just started again
    /// answers with what it knew before: an answer older than one already seen does not count.
    async fn listed(&self, beside: &Beside, job: &str) -> Option<Vec<AllocStub>> {
        for server in beside.agents.servers() {
            let api = server.api.stale().timeout(ANSWER_WITHIN);
            let answer = api.job_allocations_since(job, 0, Duration::ZERO).await;
            let Ok(answer) = answer else { continue };
            let index = answer.index.unwrap_or(0);
            let mut newest = lock(&self.newest);
            if index >= *newest {
                *newest = index;
                return Some(answer.value);
            }
        }
        None
    }

    /// Brings a known instance up to date; returns whether it is known.
    fn update(&self, alloc: &AllocStub) -> bool {
        let last_look = *lock(&self.seen);
        let mut known = lock(&self.known);
        let Some(instance) = known.get_mut(&alloc.id) else {
            return false;
        };
        instance.was_healthy |= alloc.is_healthy();
        let judged = alloc.deployment_status.as_ref().and_then(|one| one.healthy);
        let fit = match judged {
            Some(healthy) => healthy,
            None => instance.was_healthy || !instance.in_deployment,
        };
        instance.routable = alloc.is_running() && fit;
        if alloc.is_told_to_stop() && instance.told_to_stop_after.is_none() {
            instance.told_to_stop_after = last_look.or_else(|| Some(Instant::now()));
        }
        true
    }

    async fn add(&self, beside: &Beside, alloc: &AllocStub, port: &str) {
        let Ok(place) = service::place(&beside.agents, &alloc.id, port).await else {
            return;
        };
        let Some(at) = place.at else { return };
        let instance = Instance {
            alloc: alloc.id.clone(),
            name: alloc.name.clone(),
            node: alloc.node_name.clone(),
            at,
            in_deployment: place.in_deployment,
            was_healthy: false,
            routable: false,
            told_to_stop_after: None,
        };
        lock(&self.known).insert(alloc.id.clone(), instance);
        self.update(alloc);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
