//! Which faults are in, in the order of their injection: what the end of every run heals, in
//! reverse. An entry is made before the lever is pulled, so that a fault that failed half-way is
//! healed too.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fault::Fault;
use crate::spec::AgentName;

/// A fault on an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The fault.
    pub fault: Fault,
    /// The agent.
    pub agent: AgentName,
}

/// The faults that are in. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: Arc<Mutex<Vec<Injection>>>,
    /// Everyone whom a fault ever touched: those whose network is looked at in the end.
    ever: Arc<Mutex<BTreeSet<AgentName>>>,
}

impl Ledger {
    /// Notes a fault that is about to be injected.
    pub fn enter(&self, fault: Fault, agent: &AgentName) {
        let injection = Injection {
            fault,
            agent: agent.clone(),
        };
        lock(&self.entries).push(injection);
        lock(&self.ever).insert(agent.clone());
    }

    /// Strikes out the newest entry of a fault that was healed.
    pub fn strike(&self, healed: &Injection) {
        let mut entries = lock(&self.entries);
        if let Some(place) = entries.iter().rposition(|entry| entry == healed) {
            entries.remove(place);
        }
    }

    /// Returns what is in, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<Injection> {
        lock(&self.entries).clone()
    }

    /// Returns the agents that some fault touches now.
    #[must_use]
    pub fn touched(&self) -> BTreeSet<AgentName> {
        let entries = lock(&self.entries);
        entries.iter().map(|entry| entry.agent.clone()).collect()
    }

    /// Returns the agents among these that some fault touches now, as seen by themselves: a split that has all
    /// of them on one side is none to them.
    #[must_use]
    pub fn touched_of(&self, agents: &BTreeSet<AgentName>) -> BTreeSet<AgentName> {
        let entries = self.entries();
        let split: BTreeSet<_> = entries
            .iter()
            .filter(|entry| entry.fault == Fault::Partition)
            .map(|entry| entry.agent.clone())
            .collect();
        let whole = agents.is_subset(&split);
        entries
            .into_iter()
            .filter(|entry| !(whole && entry.fault == Fault::Partition))
            .map(|entry| entry.agent)
            .filter(|agent| agents.contains(agent))
            .collect()
    }

    /// Returns the agents that some fault touched at any time.
    #[must_use]
    pub fn ever_touched(&self) -> BTreeSet<AgentName> {
        lock(&self.ever).clone()
    }

    /// Returns the agents whose process may be found ended.
    #[must_use]
    pub fn may_be_down(&self) -> BTreeSet<AgentName> {
        let entries = lock(&self.entries);
        let down = entries.iter().filter(|entry| entry.fault.takes_down());
        down.map(|entry| entry.agent.clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_that_is_cut_off_whole_is_whole_to_itself() {
        let name = |text: &str| AgentName(text.to_owned());
        let names = |all: &[&str]| all.iter().map(|one| name(one)).collect::<BTreeSet<_>>();
        let (east, west) = (
            names(&["server-1", "client-1"]),
            names(&["west-server-1", "west-client-1"]),
        );
        let ledger = Ledger::default();
        ledger.enter(Fault::Partition, &name("west-server-1"));
        assert_eq!(
            ledger.touched_of(&west),
            names(&["west-server-1"]),
            "half of it is cut off"
        );
        ledger.enter(Fault::Partition, &name("west-client-1"));
        assert_eq!(ledger.touched_of(&west), BTreeSet::new());
        assert_eq!(ledger.touched_of(&east), BTreeSet::new());
        assert_eq!(
            ledger.touched(),
            west,
            "what is done to it is not forgotten"
        );
        ledger.enter(Fault::Kill, &name("west-server-1"));
        assert_eq!(ledger.touched_of(&west), names(&["west-server-1"]));
    }
}
