//! A server alone, for tests: [`Consensus`] without network or disk, and a harness around it
//! that speaks to the API as a browser would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::consensus::{Consensus, ConsensusError, Leadership, Member, Peer, PeerChange};
use crate::events::{self, EventLog};
use crate::http::{AgentInfo, Context, Forward, ForwardError, Settings};
use crate::state::{Applied, Command, State};
use crate::types::{DriverInfo, Node, NodeResources, NodeStatus};

/// Where this server says it is.
pub const OWN: &str = "10.0.0.1:4647";

/// Where another server is said to be.
pub const OTHER: &str = "10.0.0.2:4647";

/// A replicated state with one replica.
pub struct Solo {
    state: Mutex<Arc<State>>,
    applied: watch::Sender<u64>,
    leadership: watch::Sender<Leadership>,
    pub members: Mutex<Vec<Member>>,
    pub peers: Mutex<Vec<Peer>>,
    events: Arc<EventLog>,
}

impl Solo {
    pub fn leading() -> Arc<Self> {
        let own = OWN.parse().unwrap();
        Self::with(Leadership {
            term: 2,
            leader: Some(own),
            is_self: true,
        })
    }

    pub fn with(leadership: Leadership) -> Arc<Self> {
        let tags = [
            ("id", "id-1"),
            ("build", "1.8.3"),
            ("rpc_addr", "10.0.0.1"),
            ("port", "4647"),
        ];
        let member = Member {
            name: "server-1.global".to_owned(),
            address: "10.0.0.1:4648".parse().unwrap(),
            status: "alive".to_owned(),
            tags: tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        };
        Arc::new(Self {
            state: Mutex::default(),
            applied: watch::Sender::new(0),
            leadership: watch::Sender::new(leadership),
            members: Mutex::new(vec![member]),
            peers: Mutex::new(vec![peer(1)]),
            events: Arc::default(),
        })
    }

    /// Changes who leads, as an election does.
    pub fn elect(&self, leader: Option<&str>) {
        self.leadership.send_modify(|now| {
            now.term += 1;
            now.leader = leader.map(|leader| leader.parse().unwrap());
            now.is_self = leader == Some(OWN);
        });
    }
}

#[async_trait]
impl Consensus for Solo {
    fn snapshot(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().unwrap())
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    async fn propose(&self, command: Command) -> Result<Applied, ConsensusError> {
        // What is logged must survive its serialisation.
        let logged = serde_json::to_vec(&command).unwrap();
        let command: Command = serde_json::from_slice(&logged).unwrap();
        let leadership = self.leadership.borrow().clone();
        if !leadership.is_self {
            return Err(ConsensusError::NotLeader(leadership.leader));
        }
        let applied = {
            let mut state = self.state.lock().unwrap();
            let index = state.index - state.index_shift + 1;
            let state = Arc::make_mut(&mut state);
            let removed = events::removed(state, &command);
            let applied = state.apply(index, &command);
            let events = events::made(state, applied.index, &command, removed);
            if matches!(command, Command::Restore { .. }) {
                self.events.reset();
            }
            self.events.push(applied.index, events);
            applied
        };
        self.applied.send_replace(applied.index);
        Ok(applied)
    }

    async fn read_barrier(&self) -> Result<(), ConsensusError> {
        let leadership = self.leadership.borrow().clone();
        if leadership.is_self {
            Ok(())
        } else {
            Err(ConsensusError::NotLeader(leadership.leader))
        }
    }

    async fn change_peers(&self, change: PeerChange) -> Result<(), ConsensusError> {
        let mut peers = self.peers.lock().unwrap();
        match change {
            PeerChange::Add { id, address } => peers.push(Peer {
                id,
                address,
                voter: false,
                ..peer(0)
            }),
            PeerChange::Promote { id } => {
                let mut peers = peers.iter_mut();
                peers.find(|peer| peer.id == id).unwrap().voter = true;
            }
            PeerChange::Remove { id } => peers.retain(|peer| peer.id != id),
        }
        Ok(())
    }

    async fn hand_over(&self, to: &str) -> Result<(), ConsensusError> {
        let peers = self.peers.lock().unwrap().clone();
        let address = peers.iter().find(|peer| peer.id == to).unwrap().address;
        self.elect(Some(&address.to_string()));
        Ok(())
    }

    fn events(&self) -> Arc<EventLog> {
        Arc::clone(&self.events)
    }

    fn peers(&self) -> Vec<Peer> {
        self.peers.lock().unwrap().clone()
    }

    fn members(&self) -> Vec<Member> {
        self.members.lock().unwrap().clone()
    }
}

/// What may befall a server that is asked.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// It never answers.
    Silence,
    /// It dies over the question.
    Death,
}

/// The server `id-N` at `10.0.0.N`, with a vote.
pub fn peer(n: u8) -> Peer {
    Peer {
        id: format!("id-{n}"),
        name: format!("server-{n}.global"),
        address: SocketAddr::from(([10, 0, 0, n], 4647)),
        voter: true,
        last_index: None,
        last_contact_ms: Some(0),
    }
}

/// A way to other servers which answers what the test says, and notes what was asked.
#[derive(Default)]
pub struct Relay {
    pub asked: Mutex<Vec<(SocketAddr, String, HeaderMap)>>,
    /// What the next calls come to instead, in this order.
    pub troubles: Mutex<Vec<Trouble>>,
    /// Headers of the reply; `None` where nobody can be reached.
    pub answer: Mutex<Option<HeaderMap>>,
}

#[async_trait]
impl Forward for Relay {
    async fn forward(
        &self,
        to: SocketAddr,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, ForwardError> {
        let line = format!("{} {}", request.method(), request.uri());
        let note = (to, line, request.headers().clone());
        self.asked.lock().unwrap().push(note);
        let trouble = {
            let mut troubles = self.troubles.lock().unwrap();
            (!troubles.is_empty()).then(|| troubles.remove(0))
        };
        match trouble {
            Some(Trouble::Silence) => return std::future::pending().await,
            Some(Trouble::Death) => return Err(ForwardError("EOF".to_owned())),
            None => {}
        }
        let Some(headers) = self.answer.lock().unwrap().clone() else {
            let text = format!("failed to get conn: dial tcp {to}: connect: connection refused");
            return Err(ForwardError(text));
        };
        let mut reply = Response::new(Body::from("\"relayed\""));
        *reply.headers_mut() = headers;
        Ok(reply)
    }
}

/// One server under test: API, RPC routes, and the leader's duties where they were started.
pub struct Server {
    pub solo: Arc<Solo>,
    pub relay: Arc<Relay>,
    pub ctx: Context,
    router: Router,
    duties: Option<JoinHandle<()>>,
    pub token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(duties) = &self.duties {
            duties.abort();
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn index(&self) -> u64 {
        self.headers["x-nomad-index"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub fn refusal(&self) -> (u16, &str) {
        (self.status.as_u16(), self.text.as_str())
    }
}

impl Server {
    /// A leader without ACLs.
    pub fn leading() -> Self {
        Self::new(Solo::leading(), Settings::default())
    }

    /// A leader with ACLs, bootstrapped; `token` is its management token.
    pub async fn secured() -> Self {
        let settings = Settings {
            acl_enabled: true,
            ..Settings::default()
        };
        let mut server = Self::new(Solo::leading(), settings);
        let token = server.put("/v1/acl/bootstrap", &json!({})).await.json();
        server.token = token["SecretID"].as_str().unwrap().to_owned();
        server
    }

    pub fn new(solo: Arc<Solo>, settings: Settings) -> Self {
        let relay = Arc::new(Relay::default());
        let agent = AgentInfo {
            name: "server-1".to_owned(),
            region: "global".to_owned(),
            datacenter: "dc1".to_owned(),
            version: crate::FOLLOWS.to_owned(),
            rpc_addr: OWN.parse().unwrap(),
            http_addr: "10.0.0.1:4646".parse().unwrap(),
            bootstrap_expect: 1,
            config: json!({ "DataDir": "/opt/nomad/data" }),
            inert: Vec::new(),
            gossip_encrypted: true,
        };
        let ctx = Context::new(solo.clone(), relay.clone(), agent, settings);
        let router = crate::http::router(ctx.clone()).merge(crate::leader::rpc_routes(ctx.clone()));
        Self {
            solo,
            relay,
            ctx,
            router,
            duties: None,
            token: String::new(),
        }
    }

    /// Starts the leader's duties.
    pub fn on_duty(mut self) -> Self {
        self.duties = Some(crate::leader::start(self.ctx.clone()));
        self
    }

    pub fn state(&self) -> Arc<State> {
        self.solo.snapshot()
    }

    /// The API, for replies that are not text.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::empty()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Body::from(body.to_string()))
            .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Body::empty()).await
    }

    /// A client's call, as the RPC listener gets it.
    pub async fn rpc(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    async fn call(&self, method: Method, path: &str, body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !self.token.is_empty() {
            request = request.header("x-nomad-token", &self.token);
        }
        self.send(request.body(body).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Registers a node that is ready, and hands back its ID.
    pub async fn add_node(&self, name: &str) -> String {
        let node = node(name);
        let id = node.id.clone();
        let reply = self.rpc("/client/register", &json!({ "node": node })).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        self.heartbeat(&id).await;
        id
    }

    pub async fn heartbeat(&self, id: &str) -> Answer {
        let beat = json!({ "node_id": id, "secret_id": format!("secret-{id}"), "status": "ready" });
        self.rpc("/client/heartbeat", &beat).await
    }

    /// Waits until the state is as wanted; fails with `what` after ten seconds.
    pub async fn until(&self, what: &str, wanted: impl Fn(&State) -> bool) -> Arc<State> {
        let mut applied = self.solo.applied();
        let holds = async {
            loop {
                applied.borrow_and_update();
                let state = self.solo.snapshot();
                if wanted(&state) {
                    return state;
                }
                applied.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(10), holds)
            .await
            .unwrap_or_else(|_| panic!("{what} did not happen: {:#?}", self.state().evals))
    }
}

/// A node with room for a few tasks; its secret is `secret-ID`.
pub fn node(name: &str) -> Node {
    let id = uuid::Uuid::new_v4().to_string();
    let driver = DriverInfo {
        detected: true,
        healthy: true,
        ..DriverInfo::default()
    };
    let attributes = [
        ("nomad.version", "1.8.3"),
        ("kernel.name", "linux"),
        ("driver.raw_exec", "1"),
        ("nomad.service_discovery", "true"),
    ];
    Node {
        secret_id: format!("secret-{id}"),
        id,
        name: name.to_owned(),
        datacenter: "dc1".to_owned(),
        node_pool: "default".to_owned(),
        http_addr: "10.0.0.9:4646".to_owned(),
        attributes: BTreeMap::from(attributes.map(|(k, v)| (k.to_owned(), v.to_owned()))),
        drivers: [("raw_exec".to_owned(), driver)].into(),
        node_resources: NodeResources {
            cpu_total: 1000,
            memory_mb: 1000,
            disk_mb: 1000,
            min_dynamic_port: 20000,
            max_dynamic_port: 32000,
            ip: "10.0.0.9".to_owned(),
        },
        status: NodeStatus::Initializing,
        ..Node::default()
    }
}

/// A service of `count`, as a submitter sends it.
pub fn service(count: i64) -> Value {
    json!({
        "ID": "web",
        "Name": "web",
        "Type": "service",
        "Datacenters": ["dc1"],
        "Update": {
            "MaxParallel": 1,
            "HealthCheck": "task_states",
            "MinHealthyTime": 1_000_000,
            "HealthyDeadline": 60_000_000_000_i64,
            "ProgressDeadline": 120_000_000_000_i64,
        },
        "TaskGroups": [{
            "Name": "web",
            "Count": count,
            "Tasks": [{
                "Name": "web",
                "Driver": "raw_exec",
                "Config": { "command": "/bin/web" },
                "Resources": { "CPU": 100, "MemoryMB": 100 },
            }],
        }],
    })
}
