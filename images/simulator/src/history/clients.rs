//! Clients that read and write registers by way of any server, and write down what they asked,
//! when, and what came of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::register::{Asked, Call};
use super::site::Site;
use crate::clock;
use crate::rpc::{Pool, RpcError};

const CLIENTS: u64 = 4;
/// Registers: jobs have even numbers, variables odd ones.
const REGISTERS: usize = 6;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a client rests after each answer.
const REST: Duration = Duration::from_millis(15);

/// In place of a status: there was no connection, so nothing was asked.
const UNSENT: u16 = 0;

/// Clients at work.
pub(super) struct Clients {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all clients of a history share.
struct Shared {
    pool: Pool,
    servers: Vec<SocketAddr>,
    /// Counts moments: of two that do not overlap the later has the higher number.
    moment: AtomicU64,
    /// Counts values, so that none is written twice.
    value: AtomicU64,
    ends: AtomicBool,
    calls: Mutex<Vec<Call>>,
}

/// A register as it was last seen.
#[derive(Clone, Copy, Default)]
struct Seen {
    value: Option<u64>,
    index: u64,
}

/// Sets clients to work.
pub(super) fn start(site: &Site, seed: u64) -> Clients {
    let shared = Arc::new(Shared {
        pool: Pool::new(None),
        servers: (0..site.size()).map(|server| site.api(server)).collect(),
        moment: AtomicU64::new(0),
        value: AtomicU64::new(1),
        ends: AtomicBool::new(false),
        calls: Mutex::default(),
    });
    let work = |number| {
        let shared = Arc::clone(&shared);
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        tokio::spawn(async move { shared.work(rng).await })
    };
    Clients {
        tasks: (0..CLIENTS).map(work).collect(),
        shared,
    }
}

impl Clients {
    /// Ends the work, reads every register by way of every server, and returns all calls.
    pub(super) async fn end(self, site: &Site) -> Vec<Call> {
        self.shared.ends.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no client panics");
        }
        for key in 0..REGISTERS {
            for server in 0..site.size() {
                let mut read = None;
                for _ in 0..10 {
                    read = self.shared.read(key, site.api(server)).await;
                    if read.is_some() {
                        break;
                    }
                }
                assert!(read.is_some(), "nobody answers after all is healed");
            }
        }
        let mut calls = self
            .shared
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut calls)
    }
}

impl Shared {
    async fn work(&self, mut rng: StdRng) {
        let mut seen = [Seen::default(); REGISTERS];
        while !self.ends.load(Ordering::Relaxed) {
            let key = rng.random_range(0..REGISTERS);
            let at = self.servers[rng.random_range(0..self.servers.len())];
            let known = &mut seen[key];
            if rng.random_bool(0.5) {
                if let Some(read) = self.read(key, at).await {
                    *known = read;
                }
            } else if is_job(key) {
                self.write_job(key, at).await;
            } else {
                self.swap_variable(key, at, known).await;
            }
            clock::sleep(REST).await;
        }
    }

    fn now(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, key: usize, asked: Asked, from: u64, is_answered: bool) {
        let to = is_answered.then(|| self.now());
        let call = Call {
            key,
            asked,
            from,
            to,
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
    }

    /// A read that is not answered tells nothing.
    async fn read(&self, key: usize, at: SocketAddr) -> Option<Seen> {
        let from = self.now();
        let (status, body) = self.ask(at, "GET", &path(key), Value::Null).await?;
        let seen = match status {
            200 => seen(key, &body),
            404 => Seen::default(),
            _ => return None,
        };
        self.note(key, Asked::Read(seen.value), from, true);
        Some(seen)
    }

    async fn write_job(&self, key: usize, at: SocketAddr) {
        let (from, value) = (self.now(), self.value.fetch_add(1, Ordering::Relaxed));
        let id = name(key);
        // It runs nothing: what it says is all that counts.
        let job = json!({
            "ID": id, "Name": id, "Type": "service", "Datacenters": ["dc1"],
            "Meta": { "value": value.to_string() },
            "TaskGroups": [{ "Name": "none", "Count": 0, "Tasks": [{
                "Name": "none", "Driver": "raw_exec", "Config": { "command": "/bin/true" },
            }] }],
        });
        let answer = self.ask(at, "PUT", "/v1/jobs", json!({ "Job": job }));
        let answer = answer.await.map(|(status, _)| status);
        if answer != Some(UNSENT) {
            self.note(key, Asked::Write(value), from, answer == Some(200));
        }
    }

    async fn swap_variable(&self, key: usize, at: SocketAddr, known: &mut Seen) {
        let (from, new) = (self.now(), self.value.fetch_add(1, Ordering::Relaxed));
        let old = known.value;
        let path = format!("{}?cas={}", path(key), known.index);
        let body = json!({ "Path": name(key), "Items": { "value": new.to_string() } });
        match self.ask(at, "PUT", &path, body).await {
            Some((200, stored)) => {
                self.note(key, Asked::Swap { old, new }, from, true);
                *known = Seen {
                    value: Some(new),
                    index: stored["ModifyIndex"].as_u64().unwrap_or(0),
                };
            }
            // Refused, since something else is there: nothing was done.
            Some((409 | UNSENT, _)) => {}
            _ => self.note(key, Asked::Swap { old, new }, from, false),
        }
    }

    /// Status and body of an answer; `None` where none came.
    async fn ask(
        &self,
        at: SocketAddr,
        method: &str,
        path: &str,
        body: Value,
    ) -> Option<(u16, Value)> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let request = Request::builder().method(method).uri(path).body(body);
        let request = request.expect("methods and paths are legal");
        let exchange = async {
            let reply = match self.pool.call(at, request).await {
                Ok(reply) => reply,
                Err(RpcError::Connect { .. }) => return Some((UNSENT, Value::Null)),
                Err(RpcError::Broken { .. }) => return None,
            };
            let status = reply.status().as_u16();
            let body = reply.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        tokio::time::timeout(PATIENCE, exchange).await.ok()?
    }
}

fn is_job(key: usize) -> bool {
    key % 2 == 0
}

fn name(key: usize) -> String {
    format!("register-{key}")
}

fn path(key: usize) -> String {
    let folder = if is_job(key) { "job" } else { "var" };
    format!("/v1/{folder}/{}", name(key))
}

fn seen(key: usize, body: &Value) -> Seen {
    let (table, index) = if is_job(key) {
        ("Meta", "JobModifyIndex")
    } else {
        ("Items", "ModifyIndex")
    };
    let value = body[table]["value"].as_str();
    Seen {
        value: value.and_then(|text| text.parse().ok()),
        index: body[index].as_u64().unwrap_or(0),
    }
}
