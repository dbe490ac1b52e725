//! Servers on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Gossip, GossipSettings, Keyring};
use crate::consensus::{KeyOrder, Member, Membership};

const LIMIT: Duration = Duration::from_secs(20);

fn settings(n: usize, addresses: &[SocketAddr], key: u8) -> GossipSettings {
    GossipSettings {
        bind: addresses[n],
        advertise: addresses[n],
        name: format!("server-{}.global", n + 1),
        region: "global".to_owned(),
        datacenter: "dc1".to_owned(),
        id: Uuid::new_v4(),
        rpc: SocketAddr::new(addresses[n].ip(), 4647),
        expect: 3,
        join: addresses.iter().map(SocketAddr::to_string).collect(),
        port: 4648,
        keyring: Some(Keyring::of(&[key; 32]).unwrap()),
        speed: 50.0,
    }
}

async fn addresses(count: usize) -> Vec<SocketAddr> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    }
    sockets.iter().map(|s| s.local_addr().unwrap()).collect()
}

fn statuses(members: &[Member]) -> Vec<String> {
    members
        .iter()
        .map(|m| format!("{} {}", m.name, m.status))
        .collect()
}

async fn until(members: &mut watch::Receiver<Vec<Member>>, wanted: &[&str]) -> Vec<Member> {
    let seen = members.wait_for(|members| statuses(members) == wanted);
    if let Ok(seen) = tokio::time::timeout(LIMIT, seen).await {
        return seen.unwrap().clone();
    }
    panic!("wanted {wanted:?}, saw {:?}", statuses(&members.borrow()));
}

const ALL: [&str; 3] = [
    "server-1.global alive",
    "server-2.global alive",
    "server-3.global alive",
];

#[tokio::test]
async fn servers_find_each_other_and_notice_a_death_and_a_return() {
    let at = addresses(3).await;
    let mut servers = Vec::new();
    for n in 0..3 {
        servers.push(Gossip::start(settings(n, &at, 1)).await.unwrap());
    }
    for server in &servers {
        let members = until(&mut server.members(), &ALL).await;
        let tags = &members[2].tags;
        assert_eq!(tags["expect"], "3");
        assert_eq!(
            (tags["rpc_addr"].as_str(), tags["port"].as_str()),
            ("127.0.0.1", "4647")
        );
        assert_eq!(tags["build"], crate::FOLLOWS);
    }
    drop(servers.pop());
    let failed = [ALL[0], ALL[1], "server-3.global failed"];
    until(&mut servers[0].members(), &failed).await;
    until(&mut servers[1].members(), &failed).await;
    servers.push(Gossip::start(settings(2, &at, 1)).await.unwrap());
    for server in &servers {
        until(&mut server.members(), &ALL).await;
    }
}

#[tokio::test]
async fn a_server_with_another_key_stays_alone() {
    let at = addresses(3).await;
    let first = Gossip::start(settings(0, &at, 1)).await.unwrap();
    let second = Gossip::start(settings(1, &at, 1)).await.unwrap();
    let stranger = Gossip::start(settings(2, &at, 2)).await.unwrap();
    until(&mut first.members(), &ALL[..2]).await;
    until(&mut second.members(), &ALL[..2]).await;
    // As long as the two needed many times over.
    let mut members = first.members();
    let third = members.wait_for(|m| m.len() > 2);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), third)
            .await
            .is_err()
    );
    assert_eq!(statuses(&stranger.members().borrow()), [ALL[2]]);
}

#[tokio::test]
async fn an_operator_joins_servers_and_forgets_dead_ones() {
    let at = addresses(3).await;
    let alone = |n: usize| GossipSettings {
        join: Vec::new(),
        ..settings(n, &at, 1)
    };
    let first = Gossip::start(alone(0)).await.unwrap();
    let second = Gossip::start(alone(1)).await.unwrap();
    let asked = vec![at[1].to_string(), at[2].to_string()];
    let (joined, failures) = first.handle().join(asked).await;
    assert_eq!(joined, 1);
    assert!(failures[0].contains(&at[2].to_string()), "{failures:?}");
    until(&mut second.members(), &ALL[..2]).await;
    drop(second);
    let failed = [ALL[0], "server-2.global failed"];
    until(&mut first.members(), &failed).await;
    first.handle().leave_for("server-1.global", false).await;
    first.handle().leave_for("server-2.global", false).await;
    let left = [ALL[0], "server-2.global left"];
    until(&mut first.members(), &left).await;
    first.handle().leave_for("server-2.global", true).await;
    until(&mut first.members(), &ALL[..1]).await;
    let _again = Gossip::start(alone(1)).await.unwrap();
    let (joined, _) = first.handle().join(vec![at[1].to_string()]).await;
    assert_eq!(joined, 1);
    until(&mut first.members(), &ALL[..2]).await;
}

#[tokio::test]
async fn servers_go_on_hearing_each_other_while_the_key_is_rotated() {
    let at = addresses(2).await;
    let first = Gossip::start(settings(0, &at, 1)).await.unwrap();
    let second = Gossip::start(settings(1, &at, 1)).await.unwrap();
    until(&mut first.members(), &ALL[..2]).await;
    let new = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [2; 32]);
    for verb in ["install", "use"] {
        for server in [&first, &second] {
            let order = KeyOrder {
                verb: verb.to_owned(),
                key: new.clone(),
            };
            server.handle().keys(order).await.unwrap();
        }
    }
    drop(second);
    until(&mut first.members(), &[ALL[0], "server-2.global failed"]).await;
    // Only who has the new key comes in again.
    let _second = Gossip::start(settings(1, &at, 2)).await.unwrap();
    until(&mut first.members(), &ALL[..2]).await;
}

#[tokio::test]
async fn the_defect_gossip_key_ignored_takes_strangers_in() {
    let _planted = crate::plant::trial::plant(crate::plant::Plant::GossipKeyIgnored);
    let at = addresses(2).await;
    let first = Gossip::start(settings(0, &at, 1)).await.unwrap();
    let _stranger = Gossip::start(settings(1, &at, 2)).await.unwrap();
    until(&mut first.members(), &ALL[..2]).await;
}
