//! A server, put together: gossip finds the others, Raft replicates, RPC and HTTP listen, and
//! whoever sees the expected number of servers first, in the order of names, forms the cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::clock;
use crate::config::{AgentConfig, ServerOptions};
use crate::consensus::Member;
use crate::gossip::{Gossip, GossipError, GossipSettings, Keyring, KeyringError};
use crate::http::{self, AgentInfo, Context, Forward, ForwardError, Forwarded};
use crate::leader;
use crate::raft::{self, RaftSettings, RaftStatus, Replica, ReplicaError};
use crate::rpc::{Kind, Listener, ListenerError, Pool, Tls};

/// How long a server waits for another's answer whether it belongs to a cluster.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an undecided server looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How much longer each next server in the order of names waits before it forms the cluster.
const TURN: Duration = Duration::from_secs(3);

/// A server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A port is taken.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// Gossip's port is taken.
    #[error(transparent)]
    Gossip(#[from] GossipError),
    /// The gossip key is unusable.
    #[error(transparent)]
    Key(#[from] KeyringError),
    /// Raft's files are unusable.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The server's folder or ID is unusable.
    #[error("cannot use `{path}`: {problem}")]
    DataDir {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its replica.
    pub replica: Replica,
    _gossip: Gossip,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// Where a port is taken or its files are unusable.
    pub async fn start(
        config: &AgentConfig,
        options: &ServerOptions,
        info: AgentInfo,
        pool: Pool,
        tls: Option<Arc<Tls>>,
    ) -> Result<Self, ServerError> {
        let folder = config.data_dir.join("server");
        let id = node_id(&folder)?;
        let rpc = Listener::bind(config.bind.rpc, Kind::Rpc, tls.clone()).await?;
        let http = Listener::bind(config.bind.http, Kind::Http, tls).await?;
        let gossip = Gossip::start(gossip_settings(config, options, id)?).await?;
        let settings = RaftSettings {
            id,
            folder: folder.join("raft"),
            address: config.advertise.rpc,
            multiplier: options.raft_multiplier,
            snapshot_threshold: options.raft_snapshot_threshold,
            trailing_logs: options.raft_trailing_logs,
        };
        let replica = Replica::start(settings, pool.clone(), gossip.members()).await?;
        let context = Context::new(
            Arc::new(replica.clone()),
            Arc::new(pool.clone()),
            info,
            settings_of(config, options),
        )
        .with_membership(Arc::new(gossip.handle()));
        let region = config
            .tls
            .verify_server_hostname
            .then(|| config.region.clone());
        let routes = Router::new()
            .merge(raft::routes(&replica, region.clone()))
            .merge(http::gossip_rpc(context.clone(), region))
            .merge(leader::rpc_routes(context.clone()))
            .merge(http::router(context.clone()))
            .layer(Extension(Forwarded));
        let mut tasks = JoinSet::new();
        tasks.spawn(rpc.serve(routes));
        tasks.spawn(http.serve(http::router(context.clone())));
        tasks.spawn(end_with(leader::start(context)));
        let bootstrap = Bootstrap {
            id,
            expect: options.bootstrap_expect,
            replica: replica.clone(),
            pool,
            members: gossip.members(),
        };
        tasks.spawn(bootstrap.run());
        Ok(Self {
            replica,
            _gossip: gossip,
            _tasks: tasks,
        })
    }
}

impl Server {
    /// Ends it; its ports and files are free soon after.
    pub async fn shut_down(self) {
        self.replica.shut_down().await;
    }
}

/// Aborts a task together with the one that waits for it.
async fn end_with(task: tokio::task::JoinHandle<()>) {
    struct Abort(tokio::task::AbortHandle);
    impl Drop for Abort {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let _abort = Abort(task.abort_handle());
    if let Err(problem) = task.await {
        if problem.is_panic() {
            tracing::error!(target: "nomad", %problem, "the leader's duties ended");
        }
    }
}

fn gossip_settings(
    config: &AgentConfig,
    options: &ServerOptions,
    id: Uuid,
) -> Result<GossipSettings, KeyringError> {
    let file = config.data_dir.join("server").join("serf.keyring");
    let keyring = match options.encrypt.as_deref() {
        Some(key) => Some(Keyring::open(&file, key)?),
        None => None,
    };
    Ok(GossipSettings {
        bind: config.bind.serf,
        advertise: config.advertise.serf,
        name: format!("{}.{}", config.name, config.region),
        region: config.region.clone(),
        datacenter: config.datacenter.clone(),
        id,
        rpc: config.advertise.rpc,
        expect: options.bootstrap_expect,
        join: options.join.clone(),
        port: 4648,
        keyring,
        speed: 1.0,
    })
}

fn settings_of(config: &AgentConfig, options: &ServerOptions) -> http::Settings {
    let mut autopilot = leader::AutopilotConfig::default();
    let wanted = &config.autopilot;
    let millis = |d: Duration| format!("{}ms", d.as_millis());
    if let Some(clean) = wanted.cleanup_dead_servers {
        autopilot.cleanup_dead_servers = clean;
    }
    if let Some(threshold) = wanted.last_contact_threshold {
        autopilot.last_contact_threshold = millis(threshold);
    }
    if let Some(entries) = wanted.max_trailing_logs {
        autopilot.max_trailing_logs = entries;
    }
    if let Some(servers) = wanted.min_quorum {
        autopilot.min_quorum = servers;
    }
    if let Some(time) = wanted.server_stabilization_time {
        autopilot.server_stabilization_time = millis(time);
    }
    http::Settings {
        acl_enabled: config.acl_enabled,
        min_heartbeat_ttl: options.min_heartbeat_ttl,
        heartbeat_grace: options.heartbeat_grace,
        max_heartbeats_per_second: options.max_heartbeats_per_second,
        failover_heartbeat_ttl: options.failover_heartbeat_ttl,
        autopilot,
        scheduler: options.scheduler.clone(),
        ..http::Settings::default()
    }
}

/// Reads the server's ID, or makes one at the first start.
fn node_id(folder: &Path) -> Result<Uuid, ServerError> {
    let path = folder.join("node-id");
    let refused = |problem: String| ServerError::DataDir {
        path: path.clone(),
        problem,
    };
    std::fs::create_dir_all(folder).map_err(|e| refused(e.to_string()))?;
    match std::fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| refused(format!("expected a UUID, found `{}`", text.trim()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let id = Uuid::new_v4();
            // Whole or not at all, so that a kill at this moment leaves no half ID.
            let fresh = folder.join("node-id.new");
            std::fs::write(&fresh, id.to_string())
                .and_then(|()| std::fs::rename(&fresh, &path))
                .map_err(|e| refused(e.to_string()))?;
            Ok(id)
        }
        Err(e) => Err(refused(e.to_string())),
    }
}

#[async_trait]
impl Forward for Pool {
    async fn forward(
        &self,
        to: SocketAddr,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, ForwardError> {
        self.call(to, request)
            .await
            .map_err(|e| ForwardError(e.to_string()))
    }
}

/// Forms the cluster, as `bootstrap_expect` says.
struct Bootstrap {
    id: Uuid,
    expect: u64,
    replica: Replica,
    pool: Pool,
    members: watch::Receiver<Vec<Member>>,
}

/// A server that takes part in forming the cluster: its ID and RPC address.
type Candidate = (Uuid, SocketAddr);

impl Bootstrap {
    async fn run(mut self) {
        if self.expect == 0 {
            return;
        }
        let mut complete_since = None;
        while !self.replica.is_configured().await {
            let servers = self.candidates();
            let expected = usize::try_from(self.expect).unwrap_or(usize::MAX);
            if servers.len() < expected {
                complete_since = None;
                let changed = self.members.changed();
                // Also looks at times: this server may have been taken into a cluster.
                if let Ok(Err(_ended)) = tokio::time::timeout(LOOK_AGAIN, changed).await {
                    return;
                }
                continue;
            }
            let since = *complete_since.get_or_insert_with(tokio::time::Instant::now);
            let servers = &servers[..expected];
            if self
                .turn(servers)
                .is_some_and(|wait| since.elapsed() >= wait)
            {
                self.form(servers).await;
            }
            clock::sleep(LOOK_AGAIN).await;
        }
    }

    /// Alive servers with the same expectation, by name.
    fn candidates(&self) -> Vec<Candidate> {
        let expect = self.expect.to_string();
        let parse = |member: &Member| -> Option<Candidate> {
            let tags = &member.tags;
            if member.status != "alive" || tags.get("expect") != Some(&expect) {
                return None;
            }
            let ip = tags.get("rpc_addr")?.parse().ok()?;
            let port = tags.get("port")?.parse().ok()?;
            Some((tags.get("id")?.parse().ok()?, SocketAddr::new(ip, port)))
        };
        self.members.borrow().iter().filter_map(parse).collect()
    }

    /// How long this server leaves it to those before it; `None` where it is not among them.
    fn turn(&self, servers: &[Candidate]) -> Option<Duration> {
        let place = servers.iter().position(|(id, _)| *id == self.id)?;
        Some(TURN * u32::try_from(place).ok()?)
    }

    /// Forms the cluster unless another server already belongs to one, or does not answer.
    async fn form(&self, servers: &[Candidate]) {
        for (id, address) in servers {
            if *id == self.id {
                continue;
            }
            let status = tokio::time::timeout(STATUS_TIMEOUT, self.status(*address)).await;
            match status.unwrap_or(None) {
                Some(status) if !status.configured => {}
                Some(_) => {
                    tracing::info!(target: "nomad", peer = %address, "existing Raft peers reported by peer, disabling bootstrap mode");
                    return;
                }
                None => return,
            }
        }
        let peers: Vec<String> = servers.iter().map(|(_, a)| a.to_string()).collect();
        tracing::info!(target: "nomad", peers = peers.join(","), "found expected number of peers, attempting to bootstrap cluster");
        let servers: BTreeMap<Uuid, SocketAddr> = servers.iter().copied().collect();
        if let Err(problem) = self.replica.bootstrap(&servers).await {
            tracing::error!(target: "nomad", %problem, "failed to bootstrap cluster");
        }
    }

    async fn status(&self, address: SocketAddr) -> Option<RaftStatus> {
        let request = Request::get("/raft/status").body(Bytes::new()).ok()?;
        let response = self.pool.call(address, request).await.ok()?;
        let body = response.into_body().collect().await.ok()?.to_bytes();
        serde_json::from_slice(&body).ok()
    }
}

#[cfg(test)]
mod tests;
