//! A client agent's way to the servers: any that answers will do, it passes the call on.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Pool, RpcError};
use crate::client::{HeartbeatReply, Servers, ServersError};
use crate::types::{Allocation, Node, NodeStatus};

/// Longest wait for a reply: servers hold a call for 5 s while they have no leader.
const REPLY_TIMEOUT: Duration = Duration::from_secs(7);

/// Longest blocking query asked for: a server that was paused meanwhile is left after it.
/// (Nomad's connections notice by keep-alive, within 30 s too.)
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The servers known: configured, then learnt from their replies.
#[derive(Debug)]
pub struct ServerClient {
    pool: Pool,
    /// The first is asked first.
    known: Mutex<Vec<SocketAddr>>,
}

impl ServerClient {
    /// Starts with the configured servers.
    #[must_use]
    pub fn new(pool: Pool, servers: Vec<SocketAddr>) -> Self {
        Self {
            pool,
            known: Mutex::new(servers),
        }
    }

    /// The servers known now, the one in use first.
    #[must_use]
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the servers of a reply, keeping the one in use in front.
    pub(crate) fn learn(&self, servers: &[SocketAddr]) {
        if servers.is_empty() {
            return;
        }
        let mut known = self.lock();
        let first = known.first().copied().filter(|s| servers.contains(s));
        known.clear();
        known.extend(first);
        known.extend(servers.iter().filter(|s| Some(**s) != first));
    }

    /// Puts a server that failed last, if it is still the one in use.
    fn demote(&self, server: SocketAddr) {
        let mut known = self.lock();
        if known.first() == Some(&server) {
            known.rotate_left(1);
        }
    }

    /// Asks the servers in turn until one answers.
    async fn ask<A: DeserializeOwned>(
        &self,
        path: &'static str,
        question: &impl Serialize,
        limit: Duration,
    ) -> Result<A, ServersError> {
        let body = serde_json::to_vec(question).expect("questions are JSON");
        let body = Bytes::from(body);
        let mut last = ServersError::Unavailable("no servers".to_owned());
        for server in self.servers() {
            let call = self.ask_one(server, path, body.clone());
            match tokio::time::timeout(limit, call).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(refused @ ServersError::Refused(_))) => return Err(refused),
                Ok(Err(failed)) => last = failed,
                Err(_elapsed) => {
                    last = ServersError::Unavailable(format!("{server}: i/o timeout"));
                }
            }
            self.demote(server);
        }
        Err(last)
    }

    async fn ask_one<A: DeserializeOwned>(
        &self,
        server: SocketAddr,
        path: &'static str,
        body: Bytes,
    ) -> Result<A, ServersError> {
        let unavailable = |problem: String| ServersError::Unavailable(problem);
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("content-type", "application/json")
            .body(body)
            .expect("method and path are constants");
        let response = self
            .pool
            .call(server, request)
            .await
            .map_err(|e: RpcError| unavailable(e.to_string()))?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|e| unavailable(e.to_string()))?
            .to_bytes();
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(ServersError::Refused(text));
        }
        // An empty reply is that of a call which answers nothing.
        let json: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(json).map_err(|e| unavailable(format!("{server}: {e}")))
    }
}

#[derive(Serialize)]
struct Registration<'a> {
    node: &'a Node,
}

#[derive(Serialize)]
struct Heartbeat<'a> {
    node_id: &'a str,
    secret_id: &'a str,
    status: NodeStatus,
}

#[derive(Serialize)]
struct AllocsQuery<'a> {
    node_id: &'a str,
    secret_id: &'a str,
    index: u64,
    wait: Duration,
}

#[derive(Deserialize)]
struct AllocsReply {
    index: u64,
    allocs: Vec<Allocation>,
}

#[derive(Serialize)]
struct AllocsUpdate<'a> {
    node_id: &'a str,
    secret_id: &'a str,
    allocs: Vec<Allocation>,
}

#[async_trait]
impl Servers for ServerClient {
    async fn register(&self, node: &Node) -> Result<HeartbeatReply, ServersError> {
        let reply: HeartbeatReply = self
            .ask("/client/register", &Registration { node }, REPLY_TIMEOUT)
            .await?;
        self.learn(&reply.servers);
        Ok(reply)
    }

    async fn heartbeat(
        &self,
        node_id: &str,
        secret_id: &str,
        status: NodeStatus,
    ) -> Result<HeartbeatReply, ServersError> {
        let question = Heartbeat {
            node_id,
            secret_id,
            status,
        };
        let path = "/client/heartbeat";
        let reply: HeartbeatReply = self.ask(path, &question, REPLY_TIMEOUT).await?;
        self.learn(&reply.servers);
        Ok(reply)
    }

    async fn allocs(
        &self,
        node_id: &str,
        secret_id: &str,
        index: u64,
        wait: Duration,
    ) -> Result<(u64, Vec<Allocation>), ServersError> {
        let wait = wait.min(LONGEST_WAIT);
        let question = AllocsQuery {
            node_id,
            secret_id,
            index,
            wait,
        };
        let limit = wait + REPLY_TIMEOUT;
        let reply: AllocsReply = self.ask("/client/allocs", &question, limit).await?;
        Ok((reply.index, reply.allocs))
    }

    async fn update_allocs(
        &self,
        node_id: &str,
        secret_id: &str,
        allocs: Vec<Allocation>,
    ) -> Result<(), ServersError> {
        let question = AllocsUpdate {
            node_id,
            secret_id,
            allocs,
        };
        self.ask("/client/update", &question, REPLY_TIMEOUT).await
    }
}
