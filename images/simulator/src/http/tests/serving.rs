//! Where requests are served: here, by the leader, or nowhere.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::with_job;
use crate::http::{ClientContext, Forwarded, HOP_HEADER, NOT_LEADER_HEADER, client_router};
use crate::solo::{OTHER, OWN, Relay, Server, Trouble, service};

#[tokio::test]
async fn a_follower_passes_writes_and_consistent_reads_on_to_the_leader() {
    let server = Server::leading();
    server.solo.elect(Some(OTHER));
    *server.relay.answer.lock().unwrap() = Some(HeaderMap::new());
    assert_eq!(server.get("/v1/jobs?prefix=a").await.text, "\"relayed\"");
    server.put("/v1/jobs", &json!({ "Job": service(1) })).await;
    let asked = server.relay.asked.lock().unwrap().clone();
    let lines: Vec<_> = asked.iter().map(|(_, line, _)| line.as_str()).collect();
    assert_eq!(lines, ["GET /v1/jobs?prefix=a", "PUT /v1/jobs"]);
    assert!(asked.iter().all(|(to, _, _)| to.to_string() == OTHER));
    assert!(
        asked
            .iter()
            .all(|(_, _, headers)| headers.contains_key(HOP_HEADER))
    );
}

#[tokio::test]
async fn a_stale_read_is_answered_here_even_without_a_leader() {
    let (server, _) = with_job().await;
    server.solo.elect(None);
    let reply = server.get("/v1/jobs?stale").await;
    assert_eq!(reply.json().as_array().unwrap().len(), 1);
    assert_eq!(reply.headers["x-nomad-knownleader"], "false");
    assert_eq!(server.get("/v1/status/leader?stale").await.json(), "");
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_a_request_fails_after_five_seconds() {
    let (server, _) = with_job().await;
    server.solo.elect(None);
    for path in ["/v1/jobs", "/v1/status/leader", "/v1/jobs?stale=false"] {
        let began = tokio::time::Instant::now();
        let reply = server.get(path).await;
        assert_eq!(reply.refusal(), (500, "No cluster leader"), "{path}");
        let took = began.elapsed().as_secs_f64();
        assert!((5.0..5.5).contains(&took), "{path}: {took}");
    }
}

#[tokio::test]
async fn a_request_waits_for_the_election_and_is_then_served() {
    let (server, _) = with_job().await;
    server.solo.elect(None);
    let election = async {
        tokio::task::yield_now().await;
        server.solo.elect(Some(OWN));
    };
    let (reply, ()) = tokio::join!(server.get("/v1/job/web"), election);
    assert_eq!(reply.json()["ID"], "web");
}

#[tokio::test]
async fn a_leader_that_cannot_be_reached_is_an_rpc_error() {
    let server = Server::leading();
    server.solo.elect(Some(OTHER));
    let reply = server.get("/v1/jobs").await;
    assert_eq!(reply.status, 500);
    assert!(
        reply
            .text
            .starts_with("rpc error: failed to get conn: dial tcp"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_request_that_was_passed_on_is_never_passed_on_again() {
    let server = Server::leading();
    server.solo.elect(Some(OTHER));
    let request = |trusted: bool| {
        let mut request = Request::get("/v1/jobs").header(HOP_HEADER, "1");
        if trusted {
            request = request.extension(Forwarded);
        }
        request.body(Body::empty()).unwrap()
    };
    let reply = server.send(request(true)).await;
    assert_eq!(reply.status, 500);
    assert!(reply.headers.contains_key(NOT_LEADER_HEADER));
    assert!(server.relay.asked.lock().unwrap().is_empty());
    // From the HTTP listener the header is not believed.
    server.send(request(false)).await;
    assert_eq!(server.relay.asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_a_deposed_leader_is_tried_again() {
    let server = Server::leading();
    server.solo.elect(Some(OTHER));
    let mut headers = HeaderMap::new();
    headers.insert(NOT_LEADER_HEADER, HeaderValue::from_static("true"));
    *server.relay.answer.lock().unwrap() = Some(headers);
    let reply = server.get("/v1/jobs").await;
    assert_eq!(reply.refusal(), (500, "No cluster leader"));
    assert!(server.relay.asked.lock().unwrap().len() > 3);
}

/// A client agent that knows two servers, of which `relay` answers for both.
fn client_agent(relay: &Arc<Relay>, dir: &std::path::Path) -> axum::Router {
    let server = Server::leading();
    client_router(ClientContext {
        servers: Arc::new(|| vec![OWN.parse().unwrap(), OTHER.parse().unwrap()]),
        forward: relay.clone(),
        agent: server.ctx.agent.clone(),
        client: Arc::new(crate::client::tests::idle(dir)),
        acl_enabled: false,
    })
}

async fn ask(agent: &axum::Router, request: Request<Body>) -> (u16, String) {
    let reply = agent.clone().oneshot(request).await.unwrap();
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_client_agent_passes_everything_on_but_what_concerns_itself() {
    let relay = Arc::new(Relay::default());
    *relay.answer.lock().unwrap() = Some(HeaderMap::new());
    let dir = tempfile::tempdir().unwrap();
    let agent = client_agent(&relay, dir.path());
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let (status, text) = ask(&agent, get("/v1/jobs?prefix=a")).await;
    assert_eq!((status, text.as_str()), (200, "\"relayed\""));
    let asked = relay.asked.lock().unwrap().clone();
    assert_eq!(asked[0].1, "GET /v1/jobs?prefix=a");
    assert!(
        !asked[0].2.contains_key(HOP_HEADER),
        "the server may pass it on to the leader"
    );
    let (status, text) = ask(&agent, get("/v1/agent/health")).await;
    assert_eq!((status, text.contains("\"client\"")), (200, true));
    let (status, text) = ask(&agent, get("/v1/agent/keyring/list")).await;
    assert_eq!((status, text.as_str()), (501, "Invalid method"));
    let (status, _) = ask(&agent, get("/v1/metrics")).await;
    assert_eq!(status, 501);
    let (status, text) = ask(&agent, get("/v1/agent/self")).await;
    assert_eq!((status, text.contains("\"node_id\":\"")), (200, true));
}

#[tokio::test]
async fn a_client_agent_asks_the_next_server_where_one_cannot_be_reached() {
    let relay = Arc::new(Relay::default());
    let dir = tempfile::tempdir().unwrap();
    let agent = client_agent(&relay, dir.path());
    let put = Request::put("/v1/jobs").body(Body::empty()).unwrap();
    let (status, text) = ask(&agent, put).await;
    assert_eq!(status, 500);
    assert!(text.starts_with("rpc error: failed to get conn"), "{text}");
    let asked = relay.asked.lock().unwrap().clone();
    let to: Vec<_> = asked.iter().map(|(to, _, _)| to.to_string()).collect();
    assert_eq!(to, [OWN, OTHER]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_a_silent_leader_has_goes_to_its_successor() {
    let (server, _) = with_job().await;
    server.solo.elect(Some(OTHER));
    server.relay.troubles.lock().unwrap().push(Trouble::Silence);
    let election = async {
        // Longer than a request is held back without any leader.
        crate::clock::sleep(std::time::Duration::from_secs(20)).await;
        server.solo.elect(None);
        crate::clock::sleep(std::time::Duration::from_secs(2)).await;
        server.solo.elect(Some(OWN));
    };
    let (reply, ()) = tokio::join!(server.get("/v1/job/web"), election);
    assert_eq!(reply.json()["ID"], "web");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_its_leader_died_over_is_put_again_and_a_write_is_not() {
    let server = Server::leading();
    server.solo.elect(Some(OTHER));
    *server.relay.answer.lock().unwrap() = Some(HeaderMap::new());
    server.relay.troubles.lock().unwrap().push(Trouble::Death);
    assert_eq!(server.get("/v1/jobs").await.text, "\"relayed\"");
    assert_eq!(server.relay.asked.lock().unwrap().len(), 2);
    server.relay.troubles.lock().unwrap().push(Trouble::Death);
    let reply = server.put("/v1/jobs", &json!({ "Job": service(1) })).await;
    assert_eq!(reply.refusal(), (500, "rpc error: EOF"));
    assert_eq!(server.relay.asked.lock().unwrap().len(), 3);
}
