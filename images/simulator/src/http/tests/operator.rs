//! What operators do to the servers: the lead, the Raft configuration, snapshots, gossip.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::with_job;
use crate::solo::{OTHER, Server, peer, service};
use crate::state::{ArchiveMeta, pack};

fn three() -> Server {
    let server = Server::leading();
    *server.solo.peers.lock().unwrap() = vec![peer(1), peer(2), peer(3)];
    server
}

const TRANSFER: &str = "/v1/operator/raft/transfer-leadership";

#[tokio::test]
async fn the_lead_is_handed_over_by_id_or_address() {
    for query in ["id=id-2", "address=10.0.0.2:4647"] {
        let server = three();
        let reply = server
            .put(&format!("{TRANSFER}?{query}"), &Value::Null)
            .await;
        let answer = reply.json();
        assert_eq!(answer["From"]["ID"], "id-1");
        assert_eq!(answer["To"], json!({ "ID": "id-2", "Address": OTHER }));
        assert_eq!(
            (&answer["Noop"], &answer["Err"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(server.get("/v1/status/leader").await.json(), OTHER);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handover_is_refused_in_nomads_words() {
    let server = three();
    for (query, text) in [
        ("", "must specify id or address"),
        (
            "?id=id-2&address=10.0.0.2:4647",
            "must specify either id or address",
        ),
        ("?id=", "id must be non-empty"),
        ("?address=", "address must be non-empty"),
        (
            "?id=id-9",
            "id \"id-9\" was not found in the Raft configuration",
        ),
        (
            "?address=10.0.0.9:4647",
            "address \"10.0.0.9:4647\" was not found in the Raft configuration",
        ),
    ] {
        let reply = server
            .put(&format!("{TRANSFER}{query}"), &Value::Null)
            .await;
        assert_eq!(reply.refusal(), (400, text), "{query}");
    }
    let own = server
        .put(&format!("{TRANSFER}?id=id-1"), &Value::Null)
        .await
        .json();
    assert_eq!(own["Noop"], true);
    server.solo.peers.lock().unwrap()[1].voter = false;
    let reply = server
        .put(&format!("{TRANSFER}?id=id-2"), &Value::Null)
        .await;
    assert_eq!(reply.status, 400);
    server.solo.elect(None);
    let reply = server
        .put(&format!("{TRANSFER}?id=id-2"), &Value::Null)
        .await;
    assert_eq!(reply.refusal(), (503, "No cluster leader"));
}

#[tokio::test]
async fn a_server_is_removed_by_id_or_address() {
    let server = three();
    let path = "/v1/operator/raft/peer";
    assert_eq!(server.delete(path).await.status, 400);
    let both = format!("{path}?id=id-2&address=10.0.0.2:4647");
    assert_eq!(server.delete(&both).await.status, 400);
    let text = "id \"id-9\" was not found in the Raft configuration";
    let reply = server.delete(&format!("{path}?id=id-9")).await;
    assert_eq!(reply.refusal(), (500, text));
    assert_eq!(server.delete(&format!("{path}?id=id-2")).await.status, 200);
    let address = format!("{path}?address=10.0.0.3:4647");
    assert_eq!(server.delete(&address).await.status, 200);
    let peers = server.solo.peers.lock().unwrap().clone();
    assert_eq!(peers.len(), 1);
}

async fn saved(server: &Server) -> Vec<u8> {
    let request = Request::get("/v1/operator/snapshot")
        .body(Body::empty())
        .unwrap();
    let reply = server.router().oneshot(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    let digest = reply.headers()["digest"].to_str().unwrap().to_owned();
    let bytes = reply.into_body().collect().await.unwrap().to_bytes();
    let wanted = STANDARD.encode(Sha256::digest(&bytes));
    assert_eq!(digest, format!("sha-256={wanted}"));
    bytes.to_vec()
}

async fn restore(server: &Server, archive: Vec<u8>) -> crate::solo::Answer {
    let request = Request::put("/v1/operator/snapshot");
    server
        .send(request.body(Body::from(archive)).unwrap())
        .await
}

#[tokio::test]
async fn a_snapshot_restores_a_fresh_cluster_and_indexes_only_rise() {
    let (old, _) = with_job().await;
    for count in 2..20 {
        old.put("/v1/jobs", &json!({ "Job": service(count) }))
            .await
            .json();
    }
    let archive = saved(&old).await;
    let before = old.get("/v1/job/web").await;
    let fresh = Server::leading();
    assert_eq!(restore(&fresh, archive).await.refusal(), (200, ""));
    let after = fresh.get("/v1/job/web").await;
    assert_eq!(after.json(), before.json());
    assert_eq!(after.json()["Version"], 18);
    assert!(fresh.state().index > old.state().index);
    fresh
        .put("/v1/jobs", &json!({ "Job": service(30) }))
        .await
        .json();
    let written = fresh.get("/v1/job/web").await.json();
    assert_eq!(written["Version"], 19);
    assert!(written["ModifyIndex"].as_u64() > before.json()["ModifyIndex"].as_u64());
}

#[tokio::test]
async fn a_restore_takes_the_place_of_what_was_written_since() {
    let (server, _) = with_job().await;
    let archive = saved(&server).await;
    let mut other = service(1);
    other["ID"] = json!("later");
    server
        .put("/v1/jobs", &json!({ "Job": other }))
        .await
        .json();
    let index = server.state().index;
    let path = format!("/v1/jobs?index={index}&wait=60s");
    let (waited, restored) = tokio::join!(server.get(&path), async {
        tokio::task::yield_now().await;
        restore(&server, archive.clone()).await
    });
    assert_eq!(restored.status, 200);
    assert_eq!(
        waited.json().as_array().unwrap().len(),
        1,
        "a blocking query looks again"
    );
    assert_eq!(server.get("/v1/job/later").await.status, 404);
    assert!(server.state().index > index);
}

#[tokio::test]
async fn what_is_no_snapshot_is_refused_and_changes_nothing() {
    let (server, _) = with_job().await;
    let state = server.state();
    let meta = ArchiveMeta::new(&state, 1, 1, &[]);
    let mut bent = pack(&state, meta).unwrap();
    let middle = bent.len() / 2;
    bent[middle] ^= 0xff;
    for archive in [Vec::new(), b"not a snapshot".to_vec(), bent] {
        let reply = restore(&server, archive).await;
        assert_eq!(reply.status, 500);
        assert!(
            reply.text.starts_with("failed to read snapshot file"),
            "{}",
            reply.text
        );
    }
    assert_eq!(server.state().index, state.index);
}

#[tokio::test]
async fn joining_and_leaving_need_a_name() {
    let server = Server::leading();
    let reply = server.put("/v1/agent/join", &Value::Null).await;
    assert_eq!(reply.refusal(), (400, "missing address to join"));
    let reply = server.put("/v1/agent/force-leave", &Value::Null).await;
    assert_eq!(reply.refusal(), (400, "missing node to force leave"));
    let path = "/v1/agent/join?address=10.0.0.2&address=10.0.0.3%3A4648";
    let answer = server.put(path, &Value::Null).await.json();
    assert_eq!(answer["num_joined"], 0);
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("10.0.0.3:4648"), "{error}");
}

#[tokio::test]
async fn a_keyring_that_is_not_there_is_reported_by_every_member() {
    let server = Server::leading();
    let text = "1/1 nodes reported failure";
    let reply = server.get("/v1/agent/keyring/list").await;
    assert_eq!(reply.refusal(), (500, text));
    assert_eq!(server.get("/v1/agent/keyring/use").await.status, 405);
    let reply = server.put("/v1/agent/keyring/turn", &json!({})).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn the_root_keyring_rotates_and_keeps_its_active_key() {
    let server = Server::leading().on_duty();
    let made = |state: &crate::state::State| !state.root_keys.is_empty();
    server.until("the first root key", made).await;
    let keys = server.get("/v1/operator/keyring/keys").await.json();
    let first = keys[0]["KeyID"].as_str().unwrap().to_owned();
    assert_eq!(keys[0]["State"], "active");
    let path = format!("/v1/operator/keyring/key/{first}");
    let text = "active root key cannot be deleted - call rotate first";
    assert_eq!(server.delete(&path).await.refusal(), (500, text));
    let rotated = server
        .put("/v1/operator/keyring/rotate", &json!({}))
        .await
        .json();
    assert_eq!(rotated["Key"]["State"], "active");
    let keys = server.get("/v1/operator/keyring/keys").await.json();
    assert_eq!(keys[0]["State"], "inactive");
    assert_eq!(server.delete(&path).await.status, 200);
    assert_eq!(
        server.delete(&path).await.refusal(),
        (500, "root key not found")
    );
    let keys = server.get("/v1/operator/keyring/keys").await.json();
    assert_eq!(keys.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn metrics_count_what_there_is() {
    let (server, _) = with_job().await;
    *server.solo.peers.lock().unwrap() = vec![peer(1), peer(2)];
    server.solo.peers.lock().unwrap()[1].last_contact_ms = Some(12);
    server.add_node("client-1").await;
    let metrics = server.get("/v1/metrics").await.json();
    let value = |name: &str| {
        let gauges = metrics["Gauges"].as_array().unwrap();
        let found = gauges.iter().find(|gauge| gauge["Name"] == name);
        found.unwrap_or_else(|| panic!("{name}"))["Value"].clone()
    };
    assert_eq!(value("nomad.nomad.broker.total_ready"), 1);
    assert_eq!(value("nomad.nomad.heartbeat.active"), 1);
    assert_eq!(value("nomad.nomad.job_status.pending"), 1);
    assert_eq!(value("nomad.nomad.job_summary.running"), 0);
    assert_eq!(value("nomad.raft.appliedIndex"), server.state().index);
    assert_eq!(metrics["Samples"][0]["Max"], 12);
    server.solo.elect(None);
    let metrics = server.get("/v1/metrics").await.json();
    let names = metrics["Gauges"].as_array().unwrap().iter();
    let mut names = names.map(|gauge| gauge["Name"].as_str().unwrap());
    assert!(
        !names.any(|name| name.contains("broker")),
        "a follower has no queue"
    );
    let reply = server.get("/v1/metrics?format=prometheus").await;
    assert_eq!(reply.status, 415);
}
