//! Servers on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Gossip, GossipSettings, Seal};
use crate::consensus::Member;

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
        seal: Some(Seal::new(&[key; 32]).unwrap()),
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
