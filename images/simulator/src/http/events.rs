//! `event/stream`: events as lines of JSON, from this server's own log of them.
//!
//! Heartbeats are `{}`, one at once and then one each 30 s. The stream ends where the listener
//! was cut off, or its token is not what it was any more.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::call::{Call, secret};
use super::context::Context;
use super::reply::{ApiError, Reply};
use super::shape;
use crate::acl::{Acl, Level};
use crate::clock;
use crate::events::{Batch, Event, Subject};
use crate::state::{State, Table};

/// Between heartbeats; it is the connection's, so it is not scaled.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Topics that there are.
const TOPICS: &[&str] = &[
    "*",
    "Job",
    "Evaluation",
    "Allocation",
    "Deployment",
    "Node",
    "ACLToken",
    "ACLPolicy",
    "ACLRole",
];

/// Nomad's other topics, of which nothing would ever be heard.
const NOT_SIMULATED: &[&str] = &["Service", "NodePool", "HostVolume", "CSIVolume"];

pub fn routes() -> Router<Context> {
    Router::new().route("/v1/event/stream", get(listen))
}

/// Topic and key; `*` stands for any.
type Topic = (String, String);

struct Listener {
    ctx: Context,
    topics: Vec<Topic>,
    namespace: String,
    secret: String,
    acl: Acl,
    /// Indexes of the tables that decide about rights, when `acl` was made.
    rights: [u64; 3],
    batches: mpsc::Receiver<Arc<Batch>>,
    heartbeat: Instant,
    /// Lines to be sent before anything else.
    ready: VecDeque<Bytes>,
}

async fn listen(call: Call, uri: Uri, headers: HeaderMap) -> Reply {
    let topics = topics(&uri)?;
    let index = match call.parameter("index") {
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::bad(format!("Unable to parse index: {text:?}")))?,
        None => 0,
    };
    for (topic, _) in &topics {
        if !may_hear(&call.acl, topic, &call.namespace) {
            // It comes by the stream, without a code of its own.
            return Err(ApiError::server("Permission denied"));
        }
    }
    let listener = Listener {
        rights: rights(&call.ctx),
        batches: call.ctx.consensus.events().listen(index),
        ctx: call.ctx.clone(),
        topics,
        namespace: call.namespace.clone(),
        secret: secret(&headers),
        acl: call.acl,
        heartbeat: Instant::now() + HEARTBEAT,
        ready: VecDeque::from([line(&json!({}))]),
    };
    let lines = stream::unfold(listener, |mut listener| async move {
        let line = listener.next().await?;
        Some((Ok::<_, Infallible>(line), listener))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    let no = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, no);
    Ok(response)
}

/// `topic=Job:web&topic=Node`; everything where none is given.
fn topics(uri: &Uri) -> Result<Vec<Topic>, ApiError> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let pairs = pairs.map_err(|error| ApiError::bad(error.to_string()))?.0;
    let mut topics = Vec::new();
    for (_, text) in pairs.into_iter().filter(|(name, _)| name == "topic") {
        let (topic, key) = text.split_once(':').unwrap_or((&text, "*"));
        if NOT_SIMULATED.contains(&topic) {
            return Err(ApiError::not_simulated(&format!("topic `{topic}`")));
        }
        if !TOPICS.contains(&topic) || key.is_empty() || key.contains(':') {
            let text = format!("Invalid topic query: invalid key value pair for topic: {text:?}");
            return Err(ApiError::bad(text));
        }
        topics.push((topic.to_owned(), key.to_owned()));
    }
    if topics.is_empty() {
        topics.push(("*".to_owned(), "*".to_owned()));
    }
    Ok(topics)
}

fn may_hear(acl: &Acl, topic: &str, namespace: &str) -> bool {
    match topic {
        "Job" | "Evaluation" | "Allocation" | "Deployment" => {
            // Of all namespaces each event is judged by itself.
            let named = acl.allows(namespace, "read-job");
            named || (namespace == "*" && acl.token().is_some())
        }
        "Node" => acl.node(Level::Read),
        _ => acl.is_management(),
    }
}

fn rights(ctx: &Context) -> [u64; 3] {
    let state = ctx.consensus.snapshot();
    [Table::AclTokens, Table::AclPolicies, Table::AclRoles].map(|table| state.index_of(table))
}

impl Listener {
    /// The next line; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            match timeout_at(self.heartbeat, self.batches.recv()).await {
                Err(_elapsed) => {
                    self.is_allowed().then_some(())?;
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    return Some(line(&json!({})));
                }
                Ok(None) => return None,
                Ok(Some(batch)) => {
                    self.is_allowed().then_some(())?;
                    self.take(&batch);
                }
            }
        }
    }

    fn take(&mut self, batch: &Batch) {
        let events = batch.events.iter().filter(|event| self.wants(event));
        let state = self.ctx.consensus.snapshot();
        let shown: Vec<_> = events
            .map(|event| show(&state, event, batch.index))
            .collect();
        if !shown.is_empty() {
            let frame = json!({ "Index": batch.index, "Events": shown });
            self.ready.push_back(line(&frame));
        }
    }

    /// Whether the token still stands, with what it may now.
    fn is_allowed(&mut self) -> bool {
        if !self.ctx.settings.acl_enabled {
            return true;
        }
        let state = self.ctx.consensus.snapshot();
        let Ok(acl) = Acl::of(&state, &self.secret, clock::now()) else {
            return false;
        };
        let now = rights(&self.ctx);
        if now != self.rights {
            self.rights = now;
            let hears = |(topic, _): &Topic| may_hear(&acl, topic, &self.namespace);
            if !self.topics.iter().all(hears) {
                return false;
            }
            self.acl = acl;
        }
        true
    }

    fn wants(&self, event: &Event) -> bool {
        let subject = &event.subject;
        let namespace = subject.namespace();
        let here = namespace.is_empty() || self.namespace == "*" || self.namespace == namespace;
        let readable = namespace.is_empty() || self.acl.allows(namespace, "read-job");
        let asked = |(topic, key): &Topic| {
            let same = topic == "*" || topic == subject.topic();
            let keyed = || {
                let others = subject.filter_keys();
                key == "*" || key == subject.key() || others.contains(&key.as_str())
            };
            same && keyed()
        };
        here && readable && self.topics.iter().any(asked)
    }
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

fn show(state: &State, event: &Event, index: u64) -> Value {
    let subject = &event.subject;
    let keys = subject.filter_keys();
    json!({
        "Topic": subject.topic(),
        "Type": event.kind,
        "Key": subject.key(),
        "Namespace": subject.namespace(),
        "FilterKeys": if keys.is_empty() { Value::Null } else { json!(keys) },
        "Index": index,
        "Payload": payload(state, subject),
    })
}

fn payload(state: &State, subject: &Subject) -> Value {
    match subject {
        Subject::Job(job) => json!({ "Job": shape::job(job) }),
        Subject::Evaluation(eval) => json!({ "Evaluation": shape::eval(eval) }),
        Subject::Allocation(alloc) => {
            let mut shown = shape::alloc(alloc);
            if let Some(fields) = shown.as_object_mut() {
                fields.remove("Job");
            }
            json!({ "Allocation": shown })
        }
        Subject::Deployment(d) => json!({ "Deployment": shape::deployment(d) }),
        Subject::Node(node) => json!({ "Node": shape::node(node) }),
        Subject::AclToken(token) => json!({ "ACLToken": shape::token_stub(state, token) }),
        Subject::AclPolicy(policy) => json!({ "ACLPolicy": policy }),
        Subject::AclRole(role) => json!({ "ACLRole": role }),
    }
}
