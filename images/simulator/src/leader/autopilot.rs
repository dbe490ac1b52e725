//! Autopilot: its configuration, and the health of servers that it computes.
//!
//! `membership` acts on it: dead servers are removed, new ones get their vote.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::insist;
use crate::clock;
use crate::consensus::{Member, Peer};
use crate::http::Context;
use crate::jobspec::duration;
use crate::state::Command;
use crate::types::Nanos;

/// Autopilot's own interval (`autopilot.UpdateInterval`).
const INTERVAL: Duration = Duration::from_secs(2);

/// Autopilot's configuration in the API's JSON; durations are Go's texts (`200ms`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct AutopilotConfig {
    pub cleanup_dead_servers: bool,
    pub last_contact_threshold: String,
    pub max_trailing_logs: u64,
    pub min_quorum: u64,
    pub server_stabilization_time: String,
    pub enable_redundancy_zones: bool,
    pub disable_upgrade_migration: bool,
    pub enable_custom_upgrades: bool,
    pub create_index: u64,
    pub modify_index: u64,
}

impl Default for AutopilotConfig {
    /// Nomad's defaults (`nomad/config.go`).
    fn default() -> Self {
        Self {
            cleanup_dead_servers: true,
            last_contact_threshold: "200ms".to_owned(),
            max_trailing_logs: 250,
            min_quorum: 0,
            server_stabilization_time: "10s".to_owned(),
            enable_redundancy_zones: false,
            disable_upgrade_migration: false,
            enable_custom_upgrades: false,
            create_index: 0,
            modify_index: 0,
        }
    }
}

/// `operator/autopilot/health`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// Whether every server is.
    pub healthy: bool,
    /// How many more voters may fail before the quorum is lost.
    pub failure_tolerance: usize,
    /// ID of the leader.
    pub leader: String,
    /// IDs of the voters.
    pub voters: Vec<String>,
    /// Every server of the Raft configuration.
    pub servers: Vec<ServerHealth>,
}

/// One server in [`Health`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct ServerHealth {
    #[serde(rename = "ID")]
    pub id: String,
    pub name: String,
    pub address: String,
    pub serf_status: String,
    pub version: String,
    pub leader: bool,
    /// Go's text: `12ms`.
    pub last_contact: String,
    pub last_term: u64,
    pub last_index: u64,
    pub healthy: bool,
    pub voter: bool,
    /// RFC 3339.
    pub stable_since: String,
    /// The same as a number.
    #[serde(skip)]
    pub since: Nanos,
}

/// Stores the file's configuration if none is stored, then keeps the history of health.
pub(super) async fn run(ctx: Context) {
    let state = ctx.consensus.snapshot();
    if state.autopilot.is_none() {
        let config = serde_json::json!(ctx.settings.autopilot);
        insist(&ctx, Command::Autopilot { config, cas: None }).await;
    }
    if state.scheduler_config.is_none() {
        let config = super::scheduler_config(&ctx);
        insist(&ctx, Command::SchedulerConfig { config, cas: None }).await;
    }
    if state.root_keys.is_empty() {
        let key = super::new_root_key();
        insist(&ctx, Command::RootKeyRotate { key }).await;
    }
    loop {
        drop(autopilot_health(&ctx));
        clock::sleep(clock::scaled(INTERVAL)).await;
    }
}

/// The configuration as stored, or of this server's file where none is.
#[must_use]
pub fn autopilot_config(ctx: &Context) -> AutopilotConfig {
    let state = ctx.consensus.snapshot();
    let stored = state.autopilot.clone();
    stored
        .and_then(|stored| serde_json::from_value(stored).ok())
        .unwrap_or_else(|| ctx.settings.autopilot.clone())
}

/// The health of all servers as the leader sees it now.
#[must_use]
pub fn autopilot_health(ctx: &Context) -> Health {
    let config = autopilot_config(ctx);
    let threshold = duration::parse(&config.last_contact_threshold).unwrap_or(0);
    let leadership = ctx.consensus.leadership().borrow().clone();
    let members = ctx.consensus.members();
    let newest = ctx.consensus.snapshot().index;
    let now = clock::now();
    let mut stability = ctx.leader.lock_stability();
    let mut servers = Vec::new();
    for peer in ctx.consensus.peers() {
        let member = members.iter().find(|m| m.tags.get("id") == Some(&peer.id));
        let member = member.or_else(|| members.iter().find(|m| m.name == peer.name));
        let leads = leadership.leader == Some(peer.address);
        let contact = if leads { Some(0) } else { peer.last_contact_ms };
        let in_touch = contact.is_some_and(|ms| nanos(ms) <= threshold);
        let index = if leads {
            newest
        } else {
            peer.last_index.unwrap_or(0)
        };
        let close = newest.saturating_sub(index) <= config.max_trailing_logs;
        let healthy = member.is_some_and(|m| m.status == "alive") && in_touch && close;
        let entry = stability.entry(peer.id.clone()).or_insert((healthy, now));
        if entry.0 != healthy {
            *entry = (healthy, now);
        }
        servers.push(ServerHealth {
            leader: leads,
            last_contact: duration::format(nanos(contact.unwrap_or(0))),
            last_term: leadership.term,
            last_index: index,
            healthy,
            stable_since: clock::rfc3339(entry.1),
            since: entry.1,
            ..identity(&peer, member)
        });
    }
    drop(stability);
    summary(servers)
}

fn nanos(ms: u64) -> Nanos {
    Nanos::try_from(ms)
        .unwrap_or(Nanos::MAX)
        .saturating_mul(1_000_000)
}

fn identity(peer: &Peer, member: Option<&Member>) -> ServerHealth {
    let build = member.and_then(|member| member.tags.get("build"));
    ServerHealth {
        id: peer.id.clone(),
        name: peer.name.clone(),
        address: peer.address.to_string(),
        serf_status: member.map_or("none", |m| m.status.as_str()).to_owned(),
        version: build.cloned().unwrap_or_default(),
        voter: peer.voter,
        ..ServerHealth::default()
    }
}

fn summary(servers: Vec<ServerHealth>) -> Health {
    let voters = servers.iter().filter(|server| server.voter);
    let quorum = voters.clone().count() / 2 + 1;
    let sound = voters.clone().filter(|server| server.healthy).count();
    let leader = servers.iter().find(|server| server.leader);
    Health {
        healthy: !servers.is_empty() && servers.iter().all(|server| server.healthy),
        failure_tolerance: sound.saturating_sub(quorum),
        leader: leader.map(|leader| leader.id.clone()).unwrap_or_default(),
        voters: voters.map(|voter| voter.id.clone()).collect(),
        servers,
    }
}
