//! The event stream.

use axum::body::Body;
use axum::http::Request;
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::with_job;
use crate::solo::{Server, service};
use crate::state::{ArchiveMeta, Command, pack, wrap};

/// An open stream, line by line.
struct Stream {
    body: axum::body::BodyDataStream,
    rest: Vec<u8>,
}

impl Stream {
    async fn open(server: &Server, query: &str) -> Self {
        let request = Request::get(format!("/v1/event/stream{query}"));
        let request = request.header("x-nomad-token", &server.token);
        let reply = server
            .router()
            .oneshot(request.body(Body::empty()).unwrap());
        let reply = reply.await.unwrap();
        assert_eq!(reply.status(), 200);
        Self {
            body: reply.into_body().into_data_stream(),
            rest: Vec::new(),
        }
    }

    /// The next line; `None` where the stream ended.
    async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            self.rest
                .extend_from_slice(&self.body.next().await?.unwrap());
        }
    }

    async fn frame(&mut self) -> Value {
        loop {
            let line = self.line().await.expect("the stream goes on");
            if line != json!({}) {
                return line;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_at_once_and_every_thirty_seconds() {
    let server = Server::leading();
    let mut stream = Stream::open(&server, "").await;
    let began = tokio::time::Instant::now();
    assert_eq!(stream.line().await, Some(json!({})));
    assert!(began.elapsed().as_secs() < 1);
    assert_eq!(stream.line().await, Some(json!({})));
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_registration_is_told_with_its_job_and_evaluation() {
    let (server, reply) = with_job().await;
    let mut stream = Stream::open(&server, "?topic=Job:web&topic=Evaluation").await;
    let frame = stream.frame().await;
    assert_eq!(frame["Index"], reply["JobModifyIndex"]);
    let events = frame["Events"].as_array().unwrap();
    assert_eq!(events[0]["Type"], "JobRegistered");
    assert_eq!(events[0]["Payload"]["Job"]["ID"], "web");
    assert_eq!(events[1]["Topic"], "Evaluation");
    assert_eq!(events[1]["Key"], reply["EvalID"]);
    assert_eq!(events[1]["FilterKeys"], json!(["web"]));
}

#[tokio::test]
async fn a_listener_hears_its_topics_keys_and_namespace_only() {
    let (server, _) = with_job().await;
    let mut other = service(1);
    other["ID"] = json!("other");
    let mut stream = Stream::open(&server, "?topic=Job:other").await;
    let mut nodes = Stream::open(&server, "?topic=Node").await;
    let mut elsewhere = Stream::open(&server, "?namespace=elsewhere").await;
    server
        .put("/v1/jobs", &json!({ "Job": other }))
        .await
        .json();
    let id = server.add_node("client-1").await;
    let frame = stream.frame().await;
    assert_eq!(frame["Events"][0]["Key"], "other");
    let frame = nodes.frame().await;
    assert_eq!(frame["Events"][0]["Type"], "NodeRegistration");
    assert_eq!(frame["Events"][0]["Key"], json!(id));
    assert_eq!(frame["Events"][0]["Payload"]["Node"]["SecretID"], "");
    // Nodes are in no namespace.
    assert_eq!(elsewhere.frame().await["Events"][0]["Topic"], "Node");
}

#[tokio::test]
async fn a_listener_goes_on_at_the_index_it_left() {
    let (server, _) = with_job().await;
    let mut stream = Stream::open(&server, "?topic=Job").await;
    let first = stream.frame().await["Index"].as_u64().unwrap();
    drop(stream);
    server
        .put("/v1/jobs", &json!({ "Job": service(2) }))
        .await
        .json();
    let query = format!("?topic=Job&index={}", first + 1);
    let mut stream = Stream::open(&server, &query).await;
    let frame = stream.frame().await;
    assert!(frame["Index"].as_u64().unwrap() > first);
    assert_eq!(frame["Events"][0]["Payload"]["Job"]["Version"], 1);
}

#[tokio::test]
async fn a_purge_is_told_and_a_restore_ends_the_stream() {
    let (server, _) = with_job().await;
    let mut stream = Stream::open(&server, "?topic=Job&index=1000").await;
    server.delete("/v1/job/web?purge=true").await.json();
    let frame = stream.frame().await;
    assert_eq!(frame["Events"][0]["Type"], "JobDeregistered");
    let state = server.state();
    let archive = wrap(&pack(&state, ArchiveMeta::new(&state, 1, 0, &[])).unwrap());
    let restore = Command::Restore { archive };
    server.ctx.consensus.propose(restore).await.unwrap();
    assert_eq!(stream.line().await, None, "a restore ends the stream");
}

#[tokio::test]
async fn a_wrong_topic_or_index_is_400() {
    let server = Server::leading();
    for query in ["?topic=Jobs", "?topic=Job:", "?index=x"] {
        let path = format!("/v1/event/stream{query}");
        assert_eq!(server.get(&path).await.status, 400, "{query}");
    }
    let reply = server.get("/v1/event/stream?topic=Service").await;
    assert_eq!(reply.status, 501);
}

#[tokio::test]
async fn rights_decide_what_is_heard_and_their_loss_ends_it() {
    let mut server = Server::secured().await;
    let rules = json!({ "Rules": "namespace \"default\" { policy = \"read\" }" });
    server.put("/v1/acl/policy/reader", &rules).await;
    let wanted = json!({ "Name": "r", "Type": "client", "Policies": ["reader"] });
    let token = server.put("/v1/acl/token", &wanted).await.json();
    let secret = token["SecretID"].as_str().unwrap().to_owned();
    let management = std::mem::replace(&mut server.token, secret);
    for topic in ["Node", "ACLToken", "*"] {
        let path = format!("/v1/event/stream?topic={topic}");
        let reply = server.get(&path).await;
        assert_eq!(reply.refusal(), (500, "Permission denied"), "{topic}");
    }
    let mut stream = Stream::open(&server, "?topic=Job").await;
    assert_eq!(stream.line().await, Some(json!({})));
    server.token = management;
    server
        .put("/v1/jobs", &json!({ "Job": service(1) }))
        .await
        .json();
    assert_eq!(stream.frame().await["Events"][0]["Key"], "web");
    let accessor = token["AccessorID"].as_str().unwrap();
    server.delete(&format!("/v1/acl/token/{accessor}")).await;
    assert_eq!(stream.line().await, None);
}
