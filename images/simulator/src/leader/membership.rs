//! Servers come and go: gossip's news are carried over into the Raft configuration, and
//! autopilot's rules applied to it.
//!
//! A server that gossip shows for the first time, or again, is added without a vote; one that
//! left is removed. Each ten seconds autopilot looks: a server that was healthy for
//! `ServerStabilizationTime` gets its vote, and dead ones are removed (`CleanupDeadServers`)
//! as far as fewer than half of the voters go and `MinQuorum` remain.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::autopilot::{AutopilotConfig, Health, autopilot_config, autopilot_health};
use crate::clock;
use crate::consensus::{Member, Peer, PeerChange};
use crate::http::Context;
use crate::jobspec::duration;
use crate::types::Nanos;

/// How soon gossip's news are acted on.
const LOOK: Duration = Duration::from_secs(1);

/// Autopilot's own interval (`autopilot.ReconcileInterval`).
const AUTOPILOT: Duration = Duration::from_secs(10);

/// Nomad's leader compares gossip and Raft as a whole so often (`ReconcileInterval`).
const RECONCILE: Duration = Duration::from_secs(60);

pub(super) async fn run(ctx: Context) {
    let mut known = BTreeMap::new();
    let (mut autopilot, mut reconcile) = (Instant::now(), Instant::now());
    loop {
        let members = ctx.consensus.members();
        if reconcile.elapsed() >= clock::scaled(RECONCILE) {
            reconcile = Instant::now();
            known.clear();
        }
        let news = news(&mut known, &members);
        act(&ctx, followed(&ctx.consensus.peers(), &news)).await;
        if autopilot.elapsed() >= clock::scaled(AUTOPILOT) {
            autopilot = Instant::now();
            let config = autopilot_config(&ctx);
            let health = autopilot_health(&ctx);
            act(&ctx, promoted(&config, &health, clock::now())).await;
            act(&ctx, cleaned(&config, &health)).await;
        }
        clock::sleep(clock::scaled(LOOK)).await;
    }
}

async fn act(ctx: &Context, changes: Vec<PeerChange>) {
    for change in changes {
        tracing::info!(target: "nomad.autopilot", "changing the Raft configuration: {change:?}");
        if let PeerChange::Remove { id } = &change {
            let members = ctx.consensus.members();
            let gone = members.iter().find(|m| m.tags.get("id") == Some(id));
            if let Some(gone) = gone.filter(|m| m.status == "failed") {
                crate::http::force_leave(ctx, &gone.name, false).await;
            }
        }
        if let Err(problem) = ctx.consensus.change_peers(change).await {
            tracing::warn!(target: "nomad.autopilot", %problem, "the Raft configuration was not changed");
        }
    }
}

/// Members whose status is another than when it was last looked. One that comes back before it was
/// missed is no news, even with another ID: Nomad passes over updates (`serf.EventMemberUpdate`)
/// until it compares the whole.
fn news(known: &mut BTreeMap<String, String>, members: &[Member]) -> Vec<Member> {
    let mut news = members.to_vec();
    news.retain(|member| known.get(&member.name) != Some(&member.status));
    *known = members
        .iter()
        .map(|member| (member.name.clone(), member.status.clone()))
        .collect();
    news
}

/// What the Raft configuration needs to follow gossip.
fn followed(peers: &[Peer], news: &[Member]) -> Vec<PeerChange> {
    let mut changes = Vec::new();
    for member in news {
        let Some((id, address)) = server(member) else {
            continue;
        };
        let known = peers.iter().any(|peer| peer.id == id);
        match member.status.as_str() {
            "alive" if !known => {
                // A server that lost its data comes back at its address under another ID.
                let before = peers.iter().filter(|peer| peer.address == address);
                changes.extend(before.map(|peer| PeerChange::Remove {
                    id: peer.id.clone(),
                }));
                changes.push(PeerChange::Add { id, address });
            }
            "left" if known => changes.push(PeerChange::Remove { id }),
            _ => {}
        }
    }
    changes
}

fn server(member: &Member) -> Option<(String, SocketAddr)> {
    let ip = member.tags.get("rpc_addr")?.parse().ok()?;
    let port = member.tags.get("port")?.parse().ok()?;
    Some((member.tags.get("id")?.clone(), SocketAddr::new(ip, port)))
}

/// Servers without a vote that have been healthy long enough.
fn promoted(config: &AutopilotConfig, health: &Health, now: Nanos) -> Vec<PeerChange> {
    let needed = duration::parse(&config.server_stabilization_time).unwrap_or(0);
    let needed = clock::scaled_time(needed);
    let servers = health.servers.iter();
    servers
        .filter(|server| !server.voter && server.healthy && now - server.since >= needed)
        .map(|server| PeerChange::Promote {
            id: server.id.clone(),
        })
        .collect()
}

/// Dead servers that may be removed: autopilot's rule.
fn cleaned(config: &AutopilotConfig, health: &Health) -> Vec<PeerChange> {
    if !config.cleanup_dead_servers {
        return Vec::new();
    }
    let voters = health.servers.iter().filter(|s| s.voter).count();
    let mut changes = Vec::new();
    let mut removed = 0;
    for server in health.servers.iter().filter(|s| s.serf_status == "failed") {
        if server.voter {
            let remain = voters - removed - 1;
            let enough = u64::try_from(remain).is_ok_and(|remain| remain >= config.min_quorum);
            if (removed + 1) * 2 >= voters || !enough {
                continue;
            }
            removed += 1;
        }
        changes.push(PeerChange::Remove {
            id: server.id.clone(),
        });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leader::ServerHealth;

    fn member(n: u8, status: &str) -> Member {
        let tags = [
            ("id", format!("id-{n}")),
            ("rpc_addr", format!("10.0.0.{n}")),
            ("port", "4647".to_owned()),
        ];
        Member {
            name: format!("server-{n}.global"),
            address: SocketAddr::from(([10, 0, 0, n], 4648)),
            status: status.to_owned(),
            tags: tags.map(|(k, v)| (k.to_owned(), v)).into(),
        }
    }

    fn peer(n: u8) -> Peer {
        Peer {
            id: format!("id-{n}"),
            name: format!("server-{n}.global"),
            address: SocketAddr::from(([10, 0, 0, n], 4647)),
            voter: true,
            last_index: None,
            last_contact_ms: None,
        }
    }

    fn health(failed: &[usize], of: usize) -> Health {
        let server = |n: usize| ServerHealth {
            id: format!("id-{n}"),
            serf_status: if failed.contains(&n) {
                "failed"
            } else {
                "alive"
            }
            .to_owned(),
            healthy: !failed.contains(&n),
            voter: true,
            ..ServerHealth::default()
        };
        Health {
            healthy: failed.is_empty(),
            failure_tolerance: 0,
            leader: "id-1".to_owned(),
            voters: Vec::new(),
            servers: (1..=of).map(server).collect(),
        }
    }

    fn removed(changes: &[PeerChange]) -> Vec<&str> {
        let id = |change: &PeerChange| matches!(change, PeerChange::Remove { .. });
        assert!(changes.iter().all(id));
        changes
            .iter()
            .map(|change| match change {
                PeerChange::Remove { id } => id.as_str(),
                _ => unreachable!(),
            })
            .collect()
    }

    #[test]
    fn fewer_than_half_of_the_voters_are_removed_when_dead() {
        let config = AutopilotConfig::default();
        assert_eq!(removed(&cleaned(&config, &health(&[3], 3))), ["id-3"]);
        assert_eq!(removed(&cleaned(&config, &health(&[2, 3], 3))), ["id-2"]);
        assert!(cleaned(&config, &health(&[2], 2)).is_empty());
        assert_eq!(removed(&cleaned(&config, &health(&[4, 5], 5))).len(), 2);
    }

    #[test]
    fn min_quorum_and_the_switch_keep_dead_servers() {
        let mut config = AutopilotConfig {
            min_quorum: 3,
            ..AutopilotConfig::default()
        };
        assert!(cleaned(&config, &health(&[3], 3)).is_empty());
        assert_eq!(cleaned(&config, &health(&[4], 4)).len(), 1);
        config.min_quorum = 0;
        config.cleanup_dead_servers = false;
        assert!(cleaned(&config, &health(&[3], 3)).is_empty());
    }

    #[test]
    fn gossips_news_are_followed_once() {
        let peers = [peer(1), peer(2)];
        let mut known = BTreeMap::new();
        let members = [member(1, "alive"), member(2, "left"), member(3, "alive")];
        let changes = followed(&peers, &news(&mut known, &members));
        let added = PeerChange::Add {
            id: "id-3".to_owned(),
            address: "10.0.0.3:4647".parse().unwrap(),
        };
        let left = PeerChange::Remove {
            id: "id-2".to_owned(),
        };
        assert_eq!(changes, [left, added]);
        // An operator's removal of a server that lives is not undone at once.
        assert!(followed(&peers, &news(&mut known, &members)).is_empty());
        // Back with another ID before it was missed: no news, either.
        let mut members = members;
        members[0].tags.insert("id".to_owned(), "id-9".to_owned());
        assert!(news(&mut known, &members).is_empty());
        members[0].status = "failed".to_owned();
        assert_eq!(news(&mut known, &members).len(), 1);
    }

    #[test]
    fn a_server_that_lost_its_data_takes_the_place_of_its_address() {
        let mut again = member(2, "alive");
        again.tags.insert("id".to_owned(), "id-9".to_owned());
        let changes = followed(&[peer(1), peer(2)], &[again]);
        assert_eq!(changes.len(), 2);
        assert_eq!(removed(&changes[..1]), ["id-2"]);
        assert!(matches!(&changes[1], PeerChange::Add { id, .. } if id == "id-9"));
    }

    #[test]
    fn a_new_server_gets_its_vote_after_the_stabilization_time() {
        let mut health = health(&[], 3);
        health.servers[2].voter = false;
        health.servers[2].since = 1_000_000_000;
        let config = AutopilotConfig::default();
        assert!(promoted(&config, &health, 10_000_000_000).is_empty());
        let promote = PeerChange::Promote {
            id: "id-3".to_owned(),
        };
        assert_eq!(promoted(&config, &health, 11_000_000_000), [promote]);
        health.servers[2].healthy = false;
        assert!(promoted(&config, &health, 12_000_000_000).is_empty());
    }

    /// Three servers, of which the third has failed; the leader is on duty.
    fn cluster(status: &str) -> crate::solo::Server {
        let server = crate::solo::Server::leading();
        let mut members: Vec<_> = [1, 2].map(|n| member(n, "alive")).into();
        members.push(member(3, status));
        *server.solo.members.lock().unwrap() = members;
        let peers = [1, 2, 3].map(|n| Peer {
            last_contact_ms: Some(0),
            last_index: Some(u64::MAX),
            ..peer(n)
        });
        *server.solo.peers.lock().unwrap() = peers.into();
        server.on_duty()
    }

    fn voters(server: &crate::solo::Server) -> Vec<String> {
        let peers = server.solo.peers.lock().unwrap();
        let voters = peers.iter().filter(|peer| peer.voter);
        voters.map(|peer| peer.id.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_server_is_removed_and_added_without_a_vote_when_it_is_back() {
        let server = cluster("failed");
        clock::sleep(Duration::from_secs(8)).await;
        assert_eq!(voters(&server).len(), 3);
        clock::sleep(Duration::from_secs(4)).await;
        assert_eq!(voters(&server), ["id-1", "id-2"]);
        server.solo.members.lock().unwrap()[2] = member(3, "alive");
        clock::sleep(Duration::from_secs(2)).await;
        let peers = server.solo.peers.lock().unwrap().clone();
        assert!(!peers[2].voter, "at first it has no vote");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_left_is_removed_at_once() {
        let server = cluster("left");
        clock::sleep(Duration::from_secs(2)).await;
        assert_eq!(voters(&server), ["id-1", "id-2"]);
    }
}
