//! The way from servers to clients: connections that clients open.
//!
//! As in Nomad, a client need not be reachable. It keeps a few connections open to every server
//! it knows; on such a connection the roles are turned round, and the server asks. Each serves
//! one request, then the client opens another.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Pool;
use crate::clock;

/// Where a server takes such connections.
pub const PATH: &str = "/client/connect";

/// Header with the node's ID.
const NODE: &str = "x-rehearse-node";

/// Header with the node's secret.
const SECRET: &str = "x-rehearse-secret";

/// What the connection is upgraded to.
const PROTOCOL: &str = "rehearse-reverse";

/// Connections that wait on each server.
const SPARE: usize = 2;

/// Pause after a connection that could not be made.
const RETRY: Duration = Duration::from_secs(1);

/// How often the client looks whether the list of servers changed.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long a client may take to begin its answer: it streams, so the head comes at once.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a request waits for a connection while the client opens another.
const WAIT: Duration = Duration::from_millis(500);

type Sender = SendRequest<Full<Bytes>>;

/// A client cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReverseError {
    /// It has no connection to this server.
    #[error("No path to node")]
    NoPath,
    /// It did not answer.
    #[error("rpc error: i/o timeout")]
    Timeout,
    /// The connection broke.
    #[error("rpc error: EOF")]
    Broken,
}

/// A server's connections to its clients; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reverse(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    nodes: Mutex<HashMap<String, Vec<Sender>>>,
    added: Notify,
}

impl Reverse {
    /// Node and secret that a request to [`PATH`] claims.
    #[must_use]
    pub fn claimed(headers: &HeaderMap) -> Option<(String, String)> {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Some((text(NODE)?, text(SECRET)?))
    }

    /// Turns the connection of a checked request round.
    pub fn accept(&self, node_id: String, mut request: Request<Body>) -> Response<Body> {
        let upgrade = hyper::upgrade::on(&mut request);
        let reverse = self.clone();
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            match http1::handshake(upgraded).await {
                Ok((sender, connection)) => {
                    reverse.add(node_id, sender);
                    // Its end is seen by whoever asks.
                    drop(connection.await);
                }
                Err(problem) => {
                    tracing::debug!(target: "nomad.rpc", %problem, "client connection failed");
                }
            }
        });
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
        response
    }

    fn add(&self, node_id: String, sender: Sender) {
        let mut nodes = self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = nodes.entry(node_id).or_default();
        senders.retain(|sender| !sender.is_closed());
        senders.push(sender);
        drop(nodes);
        self.0.added.notify_waiters();
    }

    /// The newest connection: an older one may lead into a network that is cut.
    fn take(&self, node_id: &str) -> Option<Sender> {
        let mut nodes = self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = nodes.get_mut(node_id)?;
        while let Some(sender) = senders.pop() {
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    async fn taken(&self, node_id: &str) -> Option<Sender> {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let added = self.0.added.notified();
            if let Some(sender) = self.take(node_id) {
                return Some(sender);
            }
            if tokio::time::timeout_at(deadline, added).await.is_err() {
                return self.take(node_id);
            }
        }
    }

    /// Asks a client; the answer's body is still streaming.
    ///
    /// # Errors
    /// Where the client has no connection to this server, or does not answer on it.
    pub async fn ask(
        &self,
        node_id: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, ReverseError> {
        let mut sender = self.taken(node_id).await.ok_or(ReverseError::NoPath)?;
        let mut request = request.map(Full::new);
        let host = HeaderValue::from_static("client");
        request.headers_mut().insert(header::HOST, host);
        match tokio::time::timeout(ANSWER, sender.send_request(request)).await {
            Ok(Ok(response)) => {
                // Without its sender the connection would end before the answer's body does.
                tokio::spawn(async move { drop(sender.ready().await) });
                Ok(response.map(Body::new))
            }
            Ok(Err(_broken)) => Err(ReverseError::Broken),
            Err(_elapsed) => Err(ReverseError::Timeout),
        }
    }
}

/// A client's end: keeps connections open to every server and answers with `router`.
pub struct Callee {
    /// The way to servers.
    pub pool: Pool,
    /// Their addresses now.
    pub servers: Arc<dyn Fn() -> Vec<SocketAddr> + Send + Sync>,
    /// Node ID.
    pub node_id: String,
    /// Its secret.
    pub secret_id: String,
    /// What answers.
    pub router: Router,
}

impl Callee {
    /// Keeps the connections until aborted.
    pub async fn keep(self) {
        let callee = Arc::new(self);
        let mut open: BTreeMap<SocketAddr, JoinSet<()>> = BTreeMap::new();
        loop {
            let servers = (callee.servers)();
            open.retain(|server, _| servers.contains(server));
            for server in servers {
                open.entry(server).or_insert_with(|| {
                    let mut slots = JoinSet::new();
                    for _ in 0..SPARE {
                        slots.spawn(Arc::clone(&callee).serve(server));
                    }
                    slots
                });
            }
            clock::sleep(LOOK_AGAIN).await;
        }
    }

    /// Keeps one connection waiting on a server; those in use go on beside it.
    async fn serve(self: Arc<Self>, server: SocketAddr) {
        let mut busy = JoinSet::new();
        loop {
            while busy.try_join_next().is_some() {}
            let Some(connection) = self.connect(server).await else {
                clock::sleep(RETRY).await;
                continue;
            };
            let begun = Arc::new(Notify::new());
            let answering = answer(connection, self.router.clone(), Arc::clone(&begun));
            let mut answering = Box::pin(answering);
            tokio::select! {
                () = begun.notified() => {
                    busy.spawn(async move {
                        answering.await;
                    });
                }
                served = &mut answering => if !served {
                    // The server ended it: it restarts, perhaps.
                    clock::sleep(RETRY).await;
                },
            }
        }
    }

    async fn connect(&self, server: SocketAddr) -> Option<Upgraded> {
        let stream = self.pool.stream(server).await.ok()?;
        let (mut sender, connection) = http1::handshake(stream).await.ok()?;
        tokio::spawn(async move {
            // Its end is seen by whoever holds what it was upgraded to.
            drop(connection.with_upgrades().await);
        });
        let request = Request::get(PATH)
            .header(header::HOST, server.to_string())
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, PROTOCOL)
            .header(NODE, &self.node_id)
            .header(SECRET, &self.secret_id)
            .body(Full::new(Bytes::new()))
            .ok()?;
        let response = sender.send_request(request).await.ok()?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        hyper::upgrade::on(response).await.ok()
    }
}

/// Answers one request; `begun` tells when it came. Whether one came.
async fn answer(connection: Upgraded, router: Router, begun: Arc<Notify>) -> bool {
    let inner = TowerToHyperService::new(router);
    let came = Arc::new(AtomicBool::new(false));
    let comes = Arc::clone(&came);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        comes.store(true, Ordering::Relaxed);
        begun.notify_one();
        hyper::service::Service::call(&inner, request.map(Body::new))
    });
    let served = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(connection, service)
        .await;
    if let Err(problem) = served {
        tracing::trace!(target: "client.rpc", %problem, "connection ended");
    }
    came.load(Ordering::Relaxed)
}
