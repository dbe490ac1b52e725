//! Three servers that can be killed, frozen and cut off.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock;
use crate::config::{self, AgentConfig};
use crate::consensus::Consensus as _;
use crate::http::AgentInfo;
use crate::plant::{self, Plant};
use crate::raft::{Replica, Store};
use crate::rpc::Pool;
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SERVERS: usize = 3;

/// Who served as leader of each term.
type Terms = Arc<Mutex<BTreeMap<u64, Vec<usize>>>>;

/// The servers of one history.
pub(super) struct Site {
    folder: tempfile::TempDir,
    /// The first three numbers of the servers' addresses: each history has a network of its own
    /// on the loopback, so that no port is anybody else's while its server is down.
    network: [u8; 3],
    plant: Option<Plant>,
    servers: Vec<Option<Running>>,
    terms: Terms,
}

/// A server on a thread of its own.
struct Running {
    thread: std::thread::JoinHandle<()>,
    end: oneshot::Sender<()>,
    runtime: tokio::runtime::Handle,
    replica: Replica,
    pool: Pool,
    frozen: Option<mpsc::Sender<()>>,
}

impl Site {
    /// Starts all, and waits for a leader.
    pub(super) async fn start(seed: u64, plant: Option<Plant>) -> Self {
        let place = u64::from(std::process::id()) * 31 + seed;
        let byte = |number: u64| u8::try_from(number % 250 + 2).expect("it is below 252");
        let mut site = Self {
            folder: tempfile::tempdir().expect("there is a place for temporary files"),
            network: [127, byte(place), byte(place / 250)],
            plant,
            servers: (0..SERVERS).map(|_| None).collect(),
            terms: Terms::default(),
        };
        for server in 0..SERVERS {
            site.start_again(server).await;
        }
        let led = async {
            while site.leader().is_none() {
                clock::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(LIMIT, led).await.expect("a leader");
        site
    }

    pub(super) fn size(&self) -> usize {
        self.servers.len()
    }

    /// Where a server's HTTP API answers.
    pub(super) fn api(&self, server: usize) -> SocketAddr {
        self.address(server, 4646)
    }

    /// The server that serves as leader, by its own word.
    pub(super) fn leader(&self) -> Option<usize> {
        let serves = |running: &Running| running.replica.leadership().borrow().is_self;
        let mut servers = self.servers.iter();
        servers.position(|server| server.as_ref().is_some_and(serves))
    }

    /// Ends a server wherever it is: nothing is written or said any more.
    pub(super) async fn kill(&mut self, server: usize) {
        let running = self.servers[server].take().expect("it runs");
        drop(running.replica);
        drop(running.end);
        let thread = tokio::task::spawn_blocking(move || running.thread.join());
        thread.await.expect("it is joined").expect("no panic");
    }

    /// Starts a server, with what it has on disk.
    pub(super) async fn start_again(&mut self, server: usize) {
        let config = self.config(server);
        let raft = config.data_dir.join("server/raft");
        let free = async {
            // A write that was under way when it was killed may still hold the file.
            while Store::open(&raft).is_err() {
                clock::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(LIMIT, free)
            .await
            .expect("its store is free");
        let (started, has_started) = oneshot::channel();
        let (end, ends) = oneshot::channel();
        let plant = self.plant;
        let pool = Pool::new(None);
        let own = pool.clone();
        let thread = std::thread::spawn(move || serve(&config, own, plant, started, ends));
        let (runtime, replica) = has_started.await.expect("it starts");
        self.watch(server, &replica);
        self.servers[server] = Some(Running {
            thread,
            end,
            runtime,
            replica,
            pool,
            frozen: None,
        });
    }

    /// Stops a server's only thread.
    pub(super) fn freeze(&mut self, server: usize) {
        let running = self.servers[server].as_mut().expect("it runs");
        let (thaw, thawed) = mpsc::channel();
        running.runtime.spawn(async move {
            // Whoever thaws may also go.
            let _ = thawed.recv();
        });
        running.frozen = Some(thaw);
    }

    pub(super) fn thaw(&mut self, server: usize) {
        let running = self.servers[server].as_mut().expect("it runs");
        drop(running.frozen.take());
    }

    /// Holds back what goes from and to a server.
    pub(super) fn cut_off(&self, server: usize) {
        self.connect(server, false);
    }

    pub(super) fn join(&self, server: usize) {
        self.connect(server, true);
    }

    fn connect(&self, server: usize, joined: bool) {
        let all: Vec<_> = (0..SERVERS).map(|one| self.address(one, 4647)).collect();
        for (other, running) in self.servers.iter().enumerate() {
            let Some(running) = running else { continue };
            for (to, address) in all.iter().enumerate() {
                if (other == server) != (to == server) {
                    running.pool.cuts().set(*address, !joined);
                }
            }
        }
    }

    /// Notes whenever a server serves as leader.
    fn watch(&self, server: usize, replica: &Replica) {
        let mut leadership = replica.leadership();
        let terms = Arc::clone(&self.terms);
        tokio::spawn(async move {
            loop {
                let now = leadership.borrow_and_update().clone();
                if now.is_self {
                    let mut terms = terms.lock().unwrap_or_else(PoisonError::into_inner);
                    let of_term = terms.entry(now.term).or_default();
                    if !of_term.contains(&server) {
                        of_term.push(server);
                    }
                }
                if leadership.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Checks that no term had two leaders; returns how many terms had one.
    pub(super) fn one_leader_a_term(&self) -> Result<usize, String> {
        let terms = self.terms.lock().unwrap_or_else(PoisonError::into_inner);
        for (term, leaders) in terms.iter() {
            if leaders.len() > 1 {
                return Err(format!("term {term} had several leaders: {leaders:?}"));
            }
        }
        Ok(terms.len())
    }

    /// Checks that all servers have the same jobs and variables soon.
    pub(super) async fn agree(&self) -> Result<(), String> {
        let tables = || {
            self.servers.iter().flatten().map(|running| {
                let state = running.replica.snapshot();
                (state.jobs.clone(), state.variables.clone())
            })
        };
        let same = async {
            loop {
                let all: Vec<_> = tables().collect();
                if all.windows(2).all(|two| two[0] == two[1]) {
                    return;
                }
                clock::sleep(LOOK).await;
            }
        };
        let agreed = tokio::time::timeout(LIMIT, same).await;
        agreed.map_err(|_| "the servers do not come to hold the same".to_owned())
    }

    fn address(&self, server: usize, port: u16) -> SocketAddr {
        let [a, b, c] = self.network;
        let last = u8::try_from(server + 1).expect("there are three");
        SocketAddr::from(([a, b, c, last], port))
    }

    fn config(&self, server: usize) -> AgentConfig {
        let name = format!("server-{}", server + 1);
        let join: Vec<String> = (0..SERVERS)
            .map(|one| format!("\"{}\"", self.address(one, 4648)))
            .collect();
        let ip = self.address(server, 0).ip();
        let text = format!(
            r#"
name = "{name}"
data_dir = "{folder}/{name}"
bind_addr = "{ip}"
advertise {{ http = "{ip}" rpc = "{ip}" serf = "{ip}" }}
server {{
  enabled = true
  bootstrap_expect = {SERVERS}
  encrypt = "{KEY}"
  raft_snapshot_threshold = 100
  raft_trailing_logs = 20
  server_join {{ retry_join = [{join}] }}
}}
"#,
            folder = self.folder.path().display(),
            join = join.join(", "),
        );
        let file = self.folder.path().join(format!("{name}.hcl"));
        std::fs::write(&file, text).expect("the folder is there");
        config::load(&[file]).expect("the text is a configuration")
    }
}

/// A server's whole life, on its thread.
fn serve(
    config: &AgentConfig,
    pool: Pool,
    plant: Option<Plant>,
    started: oneshot::Sender<(tokio::runtime::Handle, Replica)>,
    ends: oneshot::Receiver<()>,
) {
    let _planted = plant.map(plant::trial::plant);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("there are threads");
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let info = AgentInfo {
            name: config.name.clone(),
            region: config.region.clone(),
            datacenter: config.datacenter.clone(),
            version: crate::FOLLOWS.to_owned(),
            rpc_addr: config.advertise.rpc,
            http_addr: config.advertise.http,
            bootstrap_expect: 3,
            config: serde_json::Value::Null,
            inert: Vec::new(),
            gossip_encrypted: true,
        };
        let options = config.server.clone().expect("it is a server");
        let server = Server::start(config, &options, info, pool, None).await;
        let server = server.expect("its ports and files are free");
        drop(started.send((handle, server.replica.clone())));
        drop(ends.await);
    });
    runtime.shutdown_background();
}
