//! One server's replica: openraft started with this agent's settings, seen as [`Consensus`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use openraft::{BasicNode, Config, SnapshotPolicy};
use tokio::sync::watch;
use uuid::Uuid;

use super::contacts::Contacts;
use super::leadership;
use super::machine::{Machine, View};
use super::network::Network;
use super::store::{Store, StoreError};
use super::{Handle, LogId, ended};
use crate::clock;
use crate::consensus::{Consensus, ConsensusError, Leadership, Member, Peer, PeerChange};
use crate::events::EventLog;
use crate::plant::{self, Plant};
use crate::rpc::Pool;
use crate::state::{Applied, Command, State};

/// Longest that a write or a barrier waits for a quorum before it is given up: Nomad's
/// `raft` apply limit is 30 s; its leader steps down long before.
const QUORUM_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a read waits for a quorum to confirm the leader, retrying: one beat may be lost.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a replica is started with.
#[derive(Clone, Debug)]
pub struct RaftSettings {
    /// This server's ID (`data_dir/server/node-id`).
    pub id: Uuid,
    /// Where log and snapshots are (`data_dir/server/raft`).
    pub folder: PathBuf,
    /// This server's advertised RPC address.
    pub address: SocketAddr,
    /// `raft_multiplier`, 1 to 10.
    pub multiplier: u32,
    /// Entries after which a snapshot is taken (`raft_snapshot_threshold`).
    pub snapshot_threshold: u64,
    /// Entries kept behind a snapshot (`raft_trailing_logs`).
    pub trailing_logs: u64,
}

/// The replica cannot start or be bootstrapped.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// Its files are unusable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// openraft refused.
    #[error("raft: {0}")]
    Raft(String),
}

#[derive(Debug)]
pub(super) struct Inner {
    address: SocketAddr,
    view: Arc<View>,
    contacts: Arc<Contacts>,
    members: watch::Receiver<Vec<Member>>,
    leadership: watch::Receiver<Leadership>,
    barriers: Barriers,
    pub(super) network: Network,
    /// Writes are refused for the moment, as the lead is being handed over.
    pub(super) held: AtomicBool,
}

/// This server's replica; cheap to clone.
#[derive(Clone)]
pub struct Replica {
    pub(super) raft: Handle,
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// Opens the store and starts taking part, as far as the stored configuration says so.
    /// `members` is gossip's view, for names.
    ///
    /// # Errors
    /// Where the store is unusable or disagrees with itself.
    pub async fn start(
        settings: RaftSettings,
        pool: Pool,
        members: watch::Receiver<Vec<Member>>,
    ) -> Result<Self, ReplicaError> {
        let store = Store::open(&settings.folder)?;
        let (machine, view) =
            Machine::open(store.clone()).map_err(|e| ReplicaError::Raft(e.to_string()))?;
        let contacts = Arc::new(Contacts::default());
        let network = Network {
            pool,
            contacts: Arc::clone(&contacts),
        };
        let timing = Timing::new(settings.multiplier);
        let config = Arc::new(timing.config(&settings)?);
        let raft = Handle::new(settings.id, config, network.clone(), store, machine)
            .await
            .map_err(|e| ReplicaError::Raft(e.to_string()))?;
        if plant::is(Plant::NoFailover) {
            // The first election comes with forming the cluster, not with a time that ran out.
            raft.runtime_config().elect(false);
        }
        let leadership = leadership::watch(raft.clone(), settings.address, timing.lease());
        Ok(Self {
            raft,
            inner: Arc::new(Inner {
                address: settings.address,
                view,
                contacts,
                members,
                leadership,
                barriers: Barriers::default(),
                network,
                held: AtomicBool::new(false),
            }),
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.raft.clone()
    }

    /// Whether this server belongs to a cluster.
    pub async fn is_configured(&self) -> bool {
        self.raft.is_initialized().await.unwrap_or(true)
    }

    /// Forms a new cluster of these servers; only where none of them belongs to one. It is
    /// harmless where several of them do it with the same servers.
    ///
    /// # Errors
    /// Where this server belongs to a cluster by now, or its storage fails.
    pub async fn bootstrap(
        &self,
        servers: &BTreeMap<Uuid, SocketAddr>,
    ) -> Result<(), ReplicaError> {
        let nodes: BTreeMap<Uuid, BasicNode> = servers
            .iter()
            .map(|(id, address)| (*id, BasicNode::new(address)))
            .collect();
        self.raft
            .initialize(nodes)
            .await
            .map_err(|e| ReplicaError::Raft(e.to_string()))
    }

    /// Stops taking part.
    pub async fn shut_down(&self) {
        if let Err(problem) = self.raft.shutdown().await {
            tracing::error!(target: "nomad.raft", %problem, "raft ended badly");
        }
    }

    /// Waits until Raft has failed for good (disk full, damaged store) and returns why. The
    /// agent must end then: it can neither write nor know whether it did.
    pub async fn failed(&self) -> String {
        let mut metrics = self.raft.metrics();
        let failed = metrics
            .wait_for(|m| m.running_state.is_err())
            .await
            .map(|m| m.running_state.clone());
        match failed {
            Ok(Err(problem)) => problem.to_string(),
            _ => "raft ended".to_owned(),
        }
    }

    /// Waits until every server has an entry.
    async fn everywhere(&self, index: u64) {
        let mut metrics = self.raft.metrics();
        let has = |at: &Option<LogId>| at.is_some_and(|at| at.index >= index);
        let all = metrics.wait_for(|seen| {
            let matched = seen.replication.as_ref();
            matched.is_none_or(|matched| matched.values().all(has))
        });
        // Raft has ended: nothing is waited for.
        drop(all.await);
    }

    async fn confirm(&self) -> Result<(), ConsensusError> {
        match self.raft.ensure_linearizable().await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(other))) => {
                let address = other.leader_node.and_then(|node| node.addr.parse().ok());
                Err(ConsensusError::NotLeader(address))
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(e))) => {
                Err(ConsensusError::NoQuorum(e.to_string()))
            }
            Err(RaftError::Fatal(e)) => Err(ended(&e)),
        }
    }

    /// Confirms the leadership, trying again as long as there is no word of another leader.
    async fn confirm_patiently(&self) -> Result<(), ConsensusError> {
        let deadline = tokio::time::Instant::now() + BARRIER_TIMEOUT;
        loop {
            match tokio::time::timeout_at(deadline, self.confirm()).await {
                Ok(Err(ConsensusError::NoQuorum(problem))) => {
                    if tokio::time::Instant::now() >= deadline {
                        return Err(ConsensusError::NoQuorum(problem));
                    }
                    clock::sleep(Duration::from_millis(20)).await;
                }
                Ok(other) => return other,
                Err(_elapsed) => {
                    let problem = "leadership was not confirmed in time".to_owned();
                    return Err(ConsensusError::NoQuorum(problem));
                }
            }
        }
    }
}

/// Lets reads share confirmations: one that starts after a read arrived serves that read.
#[derive(Debug, Default)]
struct Barriers {
    arrived: AtomicU64,
    served: AtomicU64,
    turn: tokio::sync::Mutex<()>,
}

impl Barriers {
    async fn pass(&self, replica: &Replica) -> Result<(), ConsensusError> {
        let mine = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        let _turn = self.turn.lock().await;
        if self.served.load(Ordering::SeqCst) >= mine {
            return Ok(());
        }
        let covered = self.arrived.load(Ordering::SeqCst);
        replica.confirm_patiently().await?;
        self.served.fetch_max(covered, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Consensus for Replica {
    fn snapshot(&self) -> Arc<State> {
        self.inner.view.state()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.inner.view.applied()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    async fn propose(&self, command: Command) -> Result<Applied, ConsensusError> {
        let mut leadership = self.leadership();
        let now = leadership.borrow_and_update().clone();
        if !now.is_self {
            let elsewhere = now.leader.filter(|leader| *leader != self.inner.address);
            return Err(ConsensusError::NotLeader(elsewhere));
        }
        if self.is_held() {
            // Nothing was done: whoever asks may look for the new leader.
            return Err(ConsensusError::NotLeader(None));
        }
        // From here on the entry may be in the log: whatever goes wrong, it may still commit.
        let lost = || ConsensusError::NoQuorum("leadership lost while committing log".to_owned());
        let write = async {
            let written = self.raft.client_write(command).await;
            if let (Ok(reply), true) = (&written, plant::is(Plant::WriteWaitsForAll)) {
                self.everywhere(reply.log_id.index).await;
            }
            written
        };
        tokio::select! {
            written = write => match written {
                Ok(reply) => Ok(reply.data),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(lost()),
                Err(RaftError::APIError(e @ ClientWriteError::ChangeMembershipError(_))) => {
                    Err(ConsensusError::Fatal(e.to_string()))
                }
                Err(RaftError::Fatal(e)) => Err(ended(&e)),
            },
            _ = leadership.wait_for(|l| !l.is_self || l.term != now.term) => Err(lost()),
            () = clock::sleep(QUORUM_TIMEOUT) => {
                Err(ConsensusError::NoQuorum("timed out enqueuing operation".to_owned()))
            }
        }
    }

    async fn read_barrier(&self) -> Result<(), ConsensusError> {
        let now = self.inner.leadership.borrow().clone();
        if !now.is_self {
            let elsewhere = now.leader.filter(|leader| *leader != self.inner.address);
            return Err(ConsensusError::NotLeader(elsewhere));
        }
        self.inner.barriers.pass(self).await
    }

    async fn change_peers(&self, change: PeerChange) -> Result<(), ConsensusError> {
        self.change(change).await
    }

    async fn hand_over(&self, to: &str) -> Result<(), ConsensusError> {
        self.transfer(to).await
    }

    fn peers(&self) -> Vec<Peer> {
        let metrics = self.raft.metrics().borrow().clone();
        let members = self.inner.members.borrow();
        let membership = metrics.membership_config.membership();
        let voters: Vec<Uuid> = membership.voter_ids().collect();
        let leads = metrics.replication.is_some();
        let shift = self.inner.view.state().index_shift;
        let peer = |(id, node): (&Uuid, &BasicNode)| {
            let address = node.addr.parse().ok()?;
            let text = id.to_string();
            let name = members
                .iter()
                .find(|member| member.tags.get("id") == Some(&text))
                .map_or_else(|| "(unknown)".to_owned(), |member| member.name.clone());
            let itself = *id == metrics.id;
            let last_log = match (&metrics.replication, itself) {
                (Some(_), true) => metrics.last_log_index,
                (Some(matched), false) => matched.get(id).copied().flatten().map(|log| log.index),
                (None, _) => None,
            };
            let last_contact_ms = match (leads, itself) {
                (true, true) => Some(0),
                (true, false) => self.inner.contacts.millis_since(*id),
                (false, _) => None,
            };
            Some(Peer {
                id: text,
                name,
                address,
                voter: voters.contains(id),
                last_index: last_log.map(|index| index + shift),
                last_contact_ms,
            })
        };
        self.nodes().iter().filter_map(peer).collect()
    }

    fn events(&self) -> Arc<EventLog> {
        self.inner.view.events()
    }

    fn members(&self) -> Vec<Member> {
        self.inner.members.borrow().clone()
    }
}

/// Raft's timers. In openraft a follower waits for the leader's lease (the longest election
/// timeout) and then for its own election timeout: halves of Nomad's, so that the sum lies
/// within Nomad's 1–2 s after the last sign of life.
struct Timing {
    heartbeat: Duration,
    election: Duration,
}

impl Timing {
    fn new(multiplier: u32) -> Self {
        // Never below Nomad's shortest: there the disk and the other servers' work decide.
        let scaled = |millis: u64, floor: u64| {
            let timer = clock::scaled(Duration::from_millis(millis) * multiplier.max(1));
            timer.max(Duration::from_millis(floor))
        };
        Self {
            heartbeat: scaled(100, 100),
            election: scaled(500, 500),
        }
    }

    /// How long a leader may serve after a quorum last answered it: as long as no follower
    /// would vote for another. (Nomad's own is 500 ms, half of that.)
    fn lease(&self) -> Duration {
        self.election * 2
    }

    fn config(&self, settings: &RaftSettings) -> Result<Config, ReplicaError> {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: "nomad".to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election),
            election_timeout_max: millis(self.election * 2),
            install_snapshot_timeout: 60_000,
            max_payload_entries: 64,
            replication_lag_threshold: settings.trailing_logs.max(settings.snapshot_threshold),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.snapshot_threshold),
            max_in_snapshot_log_to_keep: settings.trailing_logs,
            purge_batch_size: 64,
            ..Config::default()
        };
        config
            .validate()
            .map_err(|e| ReplicaError::Raft(e.to_string()))
    }
}
