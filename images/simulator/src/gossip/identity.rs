//! What gossip knows of a server.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::GossipSettings;
use crate::clock;
use crate::consensus::Member;

/// A server's identity; the newest of an address wins, so a restarted server replaces what it
/// was. Keys are short: several identities share a datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Gossip address.
    #[serde(rename = "a")]
    pub address: SocketAddr,
    /// Milliseconds since the epoch when it started, more after each return from the dead.
    #[serde(rename = "s")]
    since: u64,
    /// `server-1.global`.
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    region: String,
    #[serde(rename = "d", default, skip_serializing_if = "String::is_empty")]
    datacenter: String,
    #[serde(rename = "v", default, skip_serializing_if = "String::is_empty")]
    build: String,
    #[serde(rename = "i", default, skip_serializing_if = "Uuid::is_nil")]
    id: Uuid,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    rpc: Option<SocketAddr>,
    #[serde(rename = "e", default)]
    expect: u64,
}

impl Identity {
    /// This server's own.
    pub(super) fn of(settings: &GossipSettings) -> Self {
        let millis = clock::now() / 1_000_000;
        Self {
            address: settings.advertise,
            since: u64::try_from(millis).unwrap_or(0),
            name: settings.name.clone(),
            region: settings.region.clone(),
            datacenter: settings.datacenter.clone(),
            build: crate::version::announced(),
            id: settings.id,
            rpc: Some(settings.rpc),
            expect: settings.expect,
        }
    }

    /// Somebody at an address of whom nothing is known yet.
    pub(super) fn unknown(address: SocketAddr) -> Self {
        Self {
            address,
            since: 0,
            name: String::new(),
            region: String::new(),
            datacenter: String::new(),
            build: String::new(),
            id: Uuid::nil(),
            rpc: None,
            expect: 0,
        }
    }

    /// As the API shows it, with Nomad's tags.
    pub(super) fn member(&self, status: &str) -> Member {
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        let mut tag = |key: &str, value: String| tags.insert(key.to_owned(), value);
        tag("role", "nomad".to_owned());
        tag("region", self.region.clone());
        tag("dc", self.datacenter.clone());
        tag("build", self.build.clone());
        tag("vsn", "1".to_owned());
        tag("raft_vsn", "3".to_owned());
        tag("id", self.id.to_string());
        tag("simulated", "true".to_owned());
        if let Some(rpc) = self.rpc {
            tag("rpc_addr", rpc.ip().to_string());
            tag("port", rpc.port().to_string());
        }
        if self.expect > 0 {
            tag("expect", self.expect.to_string());
        }
        Member {
            name: self.name.clone(),
            address: self.address,
            status: status.to_owned(),
            tags,
        }
    }
}

impl foca::Identity for Identity {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        let mut renewed = self.clone();
        renewed.since += 1;
        Some(renewed)
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.since > adversary.since
    }
}
