//! Three servers in one process, over mutual TLS on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{RaftSettings, Replica, Store, routes};
use crate::clock;
use crate::consensus::{Consensus, ConsensusError, PeerChange};
use crate::rpc::trial::Authority;
use crate::rpc::{Kind, Listener, Pool, Tls};
use crate::state::{ArchiveMeta, Command, State, pack, wrap};
use crate::types::Job;

const LIMIT: Duration = Duration::from_secs(20);

struct Server {
    id: Uuid,
    address: SocketAddr,
    folder: tempfile::TempDir,
    tls: Arc<Tls>,
    running: Option<(Replica, JoinHandle<()>)>,
}

impl Server {
    async fn start(&mut self) {
        let pool = Pool::new(Some(Arc::clone(&self.tls)));
        let settings = RaftSettings {
            id: self.id,
            folder: self.folder.path().join("raft"),
            address: self.address,
            multiplier: 1,
            snapshot_threshold: 50,
            trailing_logs: 10,
        };
        let (_, members) = watch::channel(Vec::new());
        let replica = Replica::start(settings, pool, members).await.unwrap();
        let listener = Listener::bind(self.address, Kind::Rpc, Some(Arc::clone(&self.tls)))
            .await
            .unwrap();
        let router = routes(&replica, Some("global".to_owned()));
        self.running = Some((replica, tokio::spawn(listener.serve(router))));
    }

    async fn kill(&mut self) {
        let (replica, listener) = self.running.take().unwrap();
        listener.abort();
        replica.shut_down().await;
        drop(replica);
        assert!(listener.await.unwrap_err().is_cancelled());
        // openraft's tasks let go of the store soon after its core has ended.
        let released = async {
            while Store::open(&self.folder.path().join("raft")).is_err() {
                clock::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, released)
            .await
            .expect("released");
    }

    fn replica(&self) -> &Replica {
        &self.running.as_ref().unwrap().0
    }
}

struct Trio {
    authority: Authority,
    servers: Vec<Server>,
}

impl Trio {
    async fn start() -> Self {
        let authority = Authority::new();
        let mut servers = Vec::new();
        for n in 1..=3 {
            let settings = authority.settings(&format!("server-{n}"), &["server.global.nomad"]);
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
            servers.push(Server {
                id: Uuid::new_v4(),
                address: free.local_addr().unwrap(),
                folder: tempfile::tempdir().unwrap(),
                tls: Arc::new(Tls::load(settings).unwrap()),
                running: None,
            });
        }
        for server in &mut servers {
            server.start().await;
        }
        let ids: BTreeMap<Uuid, SocketAddr> = servers.iter().map(|s| (s.id, s.address)).collect();
        servers[0].replica().bootstrap(&ids).await.unwrap();
        Self { authority, servers }
    }

    fn alive(&self) -> impl Iterator<Item = (usize, &Server)> {
        self.servers
            .iter()
            .enumerate()
            .filter(|(_, s)| s.running.is_some())
    }

    /// Waits for a leader that serves, other than `not`, and returns its position.
    async fn leader(&self, not: Option<usize>) -> usize {
        let look = async {
            loop {
                for (n, server) in self.alive() {
                    if Some(n) != not && server.replica().leadership().borrow().is_self {
                        return n;
                    }
                }
                clock::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, look).await.expect("a leader")
    }

    async fn write(&self, leader: usize, value: u64) -> u64 {
        let command = Command::Autopilot {
            config: serde_json::json!(value),
            cas: None,
        };
        let replica = self.servers[leader].replica();
        replica.propose(command).await.unwrap().index
    }

    async fn holds(&self, server: usize, index: u64, value: u64) {
        let replica = self.servers[server].replica();
        let mut applied = replica.applied();
        tokio::time::timeout(LIMIT, applied.wait_for(|at| *at >= index))
            .await
            .expect("applied in time")
            .unwrap();
        let state = replica.snapshot();
        assert_eq!(state.autopilot, Some(serde_json::json!(value)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_reaches_every_server() {
    let trio = Trio::start().await;
    let leader = trio.leader(None).await;
    let index = trio.write(leader, 7).await;
    for n in 0..3 {
        trio.holds(n, index, 7).await;
    }
    // The leader knows it of a follower when that one's answer has come.
    let replica = trio.servers[leader].replica();
    let known = async {
        while !replica.peers().iter().all(|p| p.last_index >= Some(index)) {
            clock::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, known)
        .await
        .expect("all answer");
    let peers = replica.peers();
    assert!(peers.len() == 3 && peers.iter().all(|p| p.voter));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_comes_back_with_its_data() {
    let mut trio = Trio::start().await;
    let first = trio.leader(None).await;
    trio.write(first, 1).await;
    let killed = std::time::Instant::now();
    trio.servers[first].kill().await;
    let second = trio.leader(Some(first)).await;
    let gap = killed.elapsed();
    assert!(gap < Duration::from_secs(8), "leaderless for {gap:?}");
    let index = trio.write(second, 2).await;
    trio.servers[first].start().await;
    trio.holds(first, index, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_far_behind_catches_up_by_snapshot() {
    let mut trio = Trio::start().await;
    let leader = trio.leader(None).await;
    let behind = (leader + 1) % 3;
    trio.servers[behind].kill().await;
    let mut index = 0;
    for value in 0..150 {
        index = trio.write(leader, value).await;
    }
    trio.servers[behind].start().await;
    trio.holds(behind, index, 149).await;
}

/// A state of some ten megabytes in JSON.
fn large() -> State {
    let mut state = State::default();
    for number in 0..6000 {
        let filling = Uuid::new_v4().to_string().repeat(8);
        let job = Arc::new(Job {
            id: format!("job-{number}"),
            namespace: "default".to_owned(),
            meta: Some([("filling".to_owned(), filling)].into()),
            ..Job::default()
        });
        let key = State::job_key("default", &job.id);
        state.job_versions.insert(key.clone(), vec![job.clone()]);
        state.jobs.insert(key, job);
    }
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_snapshots_restore_costs_the_leader_nothing() {
    let trio = Trio::start().await;
    let leader = trio.leader(None).await;
    let large = large();
    let meta = ArchiveMeta::new(&large, 1, 0, &[]);
    let archive = wrap(&pack(&large, meta).unwrap());
    let restore = Command::Restore { archive };
    let address = Some(trio.servers[leader].address);
    let mut watched = Vec::new();
    for (_, server) in trio.alive() {
        let mut leadership = server.replica().leadership();
        let known = leadership.wait_for(|seen| seen.leader == address);
        tokio::time::timeout(LIMIT, known).await.unwrap().unwrap();
        watched.push(leadership);
    }
    let index = trio.servers[leader].replica().propose(restore).await;
    let index = index.unwrap().index;
    for (_, server) in trio.alive() {
        let mut applied = server.replica().applied();
        let reached = applied.wait_for(|at| *at >= index);
        tokio::time::timeout(LIMIT, reached).await.unwrap().unwrap();
        assert_eq!(server.replica().snapshot().jobs.len(), 6000);
    }
    for leadership in watched {
        let changed = leadership.has_changed().unwrap();
        assert!(!changed, "came to {:?}", leadership.borrow());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_servers_restarted_keep_what_was_written() {
    let mut trio = Trio::start().await;
    let leader = trio.leader(None).await;
    trio.write(leader, 42).await;
    for server in &mut trio.servers {
        server.kill().await;
    }
    for server in &mut trio.servers {
        server.start().await;
    }
    let leader = trio.leader(None).await;
    trio.servers[leader].replica().read_barrier().await.unwrap();
    let state = trio.servers[leader].replica().snapshot();
    assert_eq!(state.autopilot, Some(serde_json::json!(42)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_a_quorum_stops_serving() {
    let mut trio = Trio::start().await;
    let leader = trio.leader(None).await;
    for n in 0..3 {
        if n != leader {
            trio.servers[n].kill().await;
        }
    }
    let replica = trio.servers[leader].replica();
    // At once: no stale read, although it may not know yet.
    let read = replica.read_barrier().await;
    assert!(read.is_err(), "a read was confirmed without a quorum");
    let mut leadership = replica.leadership();
    tokio::time::timeout(
        LIMIT,
        leadership.wait_for(|l| !l.is_self && l.leader.is_none()),
    )
    .await
    .expect("it gives up")
    .unwrap();
    let refused = replica.propose(Command::Barrier).await.unwrap_err();
    assert!(
        matches!(refused, ConsensusError::NotLeader(None)),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_refused_by_raft() {
    let trio = Trio::start().await;
    let settings = trio
        .authority
        .settings("client-1", &["client.global.nomad"]);
    let pool = Pool::new(Some(Arc::new(Tls::load(settings).unwrap())));
    let request = axum::http::Request::get("/raft/status")
        .body(bytes::Bytes::new())
        .unwrap();
    let reply = pool.call(trio.servers[0].address, request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
}

#[test]
fn a_damaged_store_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let path: &Path = &folder.path().join("raft.redb");
    std::fs::write(path, b"not a store at all").unwrap();
    let problem = Store::open(folder.path()).unwrap_err().to_string();
    assert!(problem.contains("raft.redb"), "{problem}");
}

#[test]
fn a_store_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let held = Store::open(folder.path()).unwrap();
    let problem = Store::open(folder.path()).unwrap_err().to_string();
    drop(held);
    assert!(problem.contains("another agent is using it"), "{problem}");
}

/// Hands the lead from `leader` to another server.
async fn hand_over(trio: &Trio, leader: usize, to: usize) {
    let id = trio.servers[to].id.to_string();
    let replica = trio.servers[leader].replica();
    replica.hand_over(&id).await.unwrap();
    assert_eq!(trio.leader(None).await, to);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_goes_to_the_chosen_server_with_all_that_was_written() {
    let trio = Trio::start().await;
    let mut leader = trio.leader(None).await;
    for (round, step) in [1, 2, 1].into_iter().enumerate() {
        let to = (leader + step) % 3;
        let value = u64::try_from(round).unwrap();
        let index = trio.write(leader, value).await;
        let began = std::time::Instant::now();
        hand_over(&trio, leader, to).await;
        // An election alone takes 1 s at the least.
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        leader = to;
        trio.holds(leader, index, value).await;
    }
    trio.write(leader, 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_is_not_given_to_a_dead_server_or_a_stranger() {
    let mut trio = Trio::start().await;
    let leader = trio.leader(None).await;
    let dead = (leader + 1) % 3;
    trio.servers[dead].kill().await;
    // Written after its death, so it is not up to date.
    trio.write(leader, 1).await;
    let replica = trio.servers[leader].replica();
    let id = trio.servers[dead].id.to_string();
    let refused = replica.hand_over(&id).await.unwrap_err();
    assert!(refused.to_string().contains("not up to date"), "{refused}");
    let stranger = Uuid::new_v4().to_string();
    assert!(replica.hand_over(&stranger).await.is_err());
    assert_eq!(trio.leader(None).await, leader);
    trio.write(leader, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_server_does_not_count_and_can_come_back() {
    let mut trio = Trio::start().await;
    let leader = trio.leader(None).await;
    let gone = (leader + 1) % 3;
    trio.servers[gone].kill().await;
    let id = trio.servers[gone].id.to_string();
    let address = trio.servers[gone].address;
    let replica = trio.servers[leader].replica().clone();
    let remove = PeerChange::Remove { id: id.clone() };
    replica.change_peers(remove).await.unwrap();
    assert_eq!(replica.peers().len(), 2);
    let index = trio.write(leader, 5).await;
    trio.servers[gone].start().await;
    let leader = trio.leader(Some(gone)).await;
    let replica = trio.servers[leader].replica().clone();
    let add = PeerChange::Add {
        id: id.clone(),
        address,
    };
    replica.change_peers(add).await.unwrap();
    let own = |peers: Vec<crate::consensus::Peer>| peers.into_iter().find(|p| p.id == id).unwrap();
    assert!(!own(replica.peers()).voter);
    let leader = trio.leader(Some(gone)).await;
    trio.holds(gone, index, 5).await;
    let replica = trio.servers[leader].replica().clone();
    let promote = PeerChange::Promote { id: id.clone() };
    replica.change_peers(promote).await.unwrap();
    assert!(own(replica.peers()).voter);
}

#[tokio::test]
async fn the_defect_no_failover_leaves_the_cluster_without_a_leader() {
    let _planted = crate::plant::trial::plant(crate::plant::Plant::NoFailover);
    let mut trio = Trio::start().await;
    let first = trio.leader(None).await;
    trio.write(first, 1).await;
    trio.servers[first].kill().await;
    // Several times what an election takes.
    let none = tokio::time::timeout(Duration::from_secs(6), trio.leader(Some(first)));
    assert!(none.await.is_err(), "a leader was elected");
}
