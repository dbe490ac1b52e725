//! Who is where: a cluster's agents with their API clients, owned and cheap to clone, so that
//! background tasks can keep it while the target itself is only borrowed.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::nomad::{Api, ApiError};
use crate::spec::{AgentName, Role};
use crate::target::{AgentInfo, Target};

/// An agent, and how to talk to it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who and where.
    pub info: AgentInfo,
    /// Its HTTP API, with the management token.
    pub api: Api,
}

/// Some or all agents of a cluster.
#[derive(Clone, Debug)]
pub struct Directory {
    entries: Arc<Vec<Entry>>,
}

impl Directory {
    /// Lists all agents of a target.
    #[must_use]
    pub fn of(target: &dyn Target) -> Self {
        let entry = |info: &AgentInfo| Entry {
            info: info.clone(),
            api: target.api(&info.name),
        };
        Self {
            entries: Arc::new(target.agents().iter().map(entry).collect()),
        }
    }

    /// Returns the same without some agents: those that are down on purpose.
    #[must_use]
    pub fn without(&self, gone: &BTreeSet<AgentName>) -> Self {
        let stays = |entry: &&Entry| !gone.contains(&entry.info.name);
        Self {
            entries: Arc::new(self.entries.iter().filter(stays).cloned().collect()),
        }
    }

    /// Returns all agents, servers first.
    #[must_use]
    pub fn all(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the agents of one role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.info.role == role)
    }

    /// Returns the servers.
    pub fn servers(&self) -> impl Iterator<Item = &Entry> {
        self.of_role(Role::Server)
    }

    /// Returns an agent by its name.
    #[must_use]
    pub fn get(&self, name: &AgentName) -> Option<&Entry> {
        self.entries.iter().find(|entry| &entry.info.name == name)
    }

    /// Returns whose address an `IP:PORT` is.
    #[must_use]
    pub fn at(&self, address: &str) -> Option<&Entry> {
        let ip: Ipv4Addr = address.rsplit_once(':')?.0.parse().ok()?;
        self.entries.iter().find(|entry| entry.info.address == ip)
    }

    /// Asks one server after the other until one gives an answer that counts: a success, or an
    /// error that another server would repeat.
    ///
    /// # Errors
    /// The last server's error; with no server at all, [`ApiError::BadAddress`].
    pub async fn ask<T, F, Fut>(&self, call: F) -> Result<T, ApiError>
    where
        F: Fn(Api) -> Fut,
        Fut: Future<Output = Result<T, ApiError>>,
    {
        let mut last = ApiError::BadAddress {
            addr: "(no server)".to_owned(),
        };
        for entry in self.servers() {
            match call(entry.api.clone()).await {
                Err(error) if error.is_retryable() => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }
}
