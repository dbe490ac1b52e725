//! Who is where: a cluster's agents with their API clients, owned and cheap to clone, so that
//! background tasks can keep it while the target itself is only borrowed.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
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

    /// Returns the agents of one region; of the cluster's first, where none is named.
    #[must_use]
    pub fn of_region(&self, region: Option<&str>) -> Self {
        let belongs = |entry: &&Entry| entry.info.region.as_deref() == region;
        Self {
            entries: Arc::new(self.entries.iter().filter(belongs).cloned().collect()),
        }
    }

    /// Returns the agents of each region, the cluster's first region first.
    #[must_use]
    pub fn by_region(&self) -> Vec<Self> {
        let mut regions: Vec<Option<&str>> = Vec::new();
        for entry in self.entries.iter() {
            let region = entry.info.region.as_deref();
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        let of_region = |region| self.of_region(region);
        regions.into_iter().map(of_region).collect()
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

    /// Returns where an address among the agents is reached from here: a machine in a cloud has
    /// another one for the world, which changes when it is stopped and started.
    #[must_use]
    pub fn way_to(&self, (ip, port): (Ipv4Addr, u16)) -> (Ipv4Addr, u16) {
        let entry = self.entries.iter().find(|entry| entry.info.address == ip);
        match entry.and_then(|entry| entry.api.place()) {
            Some(SocketAddr::V4(place)) => (*place.ip(), port),
            _ => (ip, port),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomad::{ApiConfig, Place};
    use crate::spec::Arch;

    #[test]
    fn a_machine_in_a_cloud_is_reached_at_the_address_that_it_has_now() {
        let place = Place::new(([203, 0, 113, 5], 4646).into());
        let config = ApiConfig {
            addr: "http://client.global.nomad:4646".to_owned(),
            ca_pem: String::new(),
            cert_pem: String::new(),
            key_pem: String::new(),
            token: None,
        };
        let info = AgentInfo {
            name: AgentName::new(Role::Client, 1),
            role: Role::Client,
            region: None,
            address: [10, 0, 1, 7].into(),
            arch: Arch::Amd64,
            emulated: false,
            api_addr: String::new(),
        };
        let api = Api::at(config, place.clone()).unwrap();
        let agents = Directory {
            entries: Arc::new(vec![Entry { info, api }]),
        };
        let task = ([10, 0, 1, 7].into(), 20_001);
        assert_eq!(agents.way_to(task), ([203, 0, 113, 5].into(), 20_001));
        place.move_to(([203, 0, 113, 6], 4646).into());
        assert_eq!(agents.way_to(task), ([203, 0, 113, 6].into(), 20_001));
        let other = ([10, 0, 1, 8].into(), 20_001);
        assert_eq!(agents.way_to(other), other);
    }
}
