//! The listener and the pool, end to end on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::trial::Authority;
use super::{Caller, Kind, Listener, Pool, RpcError, Tls, TlsError, TlsSettings};

fn tls(settings: TlsSettings) -> Arc<Tls> {
    Arc::new(Tls::load(settings).unwrap())
}

async fn serve(kind: Kind, tls: Arc<Tls>) -> (SocketAddr, JoinHandle<()>) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(any, kind, Some(tls)).await.unwrap();
    let address = listener.address().unwrap();
    let who = |Extension(caller): Extension<Caller>| async move { caller.names.join(" ") };
    let router = Router::new().route("/who", get(who));
    (address, tokio::spawn(listener.serve(router)))
}

async fn ask(pool: &Pool, to: SocketAddr) -> Result<String, RpcError> {
    let request = Request::get("/who").body(Bytes::new()).unwrap();
    let reply = pool.call(to, request).await?;
    assert_eq!(reply.status(), StatusCode::OK);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn callers_are_known_by_their_certificates() {
    let authority = Authority::new();
    let server = tls(authority.settings("s", &["server.global.nomad"]));
    let (address, _task) = serve(Kind::Rpc, server).await;
    let client = Pool::new(Some(tls(authority.settings("c", &["client.global.nomad"]))));
    let names = ask(&client, address).await.unwrap();
    assert!(names.contains("client.global.nomad"), "{names}");
}

#[tokio::test]
async fn servers_of_another_authority_or_name_are_not_talked_to() {
    let authority = Authority::new();
    let client = Pool::new(Some(tls(authority.settings("c", &["client.global.nomad"]))));
    let other = tls(Authority::new().settings("s", &["server.global.nomad"]));
    let (address, _task) = serve(Kind::Rpc, other).await;
    assert!(matches!(
        ask(&client, address).await,
        Err(RpcError::Connect { .. })
    ));
    let misnamed = tls(authority.settings("s", &["client.global.nomad"]));
    let (address, _task) = serve(Kind::Rpc, misnamed).await;
    assert!(matches!(
        ask(&client, address).await,
        Err(RpcError::Connect { .. })
    ));
    // Without `verify_server_hostname` the chain is enough.
    let mut settings = authority.settings("d", &["client.global.nomad"]);
    settings.verify_server_hostname = false;
    ask(&Pool::new(Some(tls(settings))), address).await.unwrap();
}

#[tokio::test]
async fn a_plain_request_to_https_is_told_so() {
    let authority = Authority::new();
    let server = tls(authority.settings("s", &["server.global.nomad"]));
    let (address, _task) = serve(Kind::Http, server).await;
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut reply = String::new();
    plain.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.0 400 "), "{reply}");
    assert!(
        reply.ends_with("Client sent an HTTP request to an HTTPS server.\n"),
        "{reply}"
    );
}

#[tokio::test]
async fn https_demands_a_certificate_only_where_it_is_told_to() {
    let authority = Authority::new();
    let stranger = Authority::new();
    // Trusts the server's authority, and shows a certificate of another.
    let mut settings = stranger.settings("c", &["cli.global.nomad"]);
    settings.ca_file = authority.folder().join("ca.pem");
    let pool = Pool::new(Some(tls(settings)));
    let mut strict = authority.settings("s", &["server.global.nomad"]);
    let (address, _task) = serve(Kind::Http, tls(strict.clone())).await;
    assert!(ask(&pool, address).await.is_err());
    strict.verify_https_client = false;
    let (address, _task) = serve(Kind::Http, tls(strict)).await;
    ask(&pool, address).await.unwrap();
}

#[tokio::test]
async fn certificates_are_read_again_without_a_restart() {
    let authority = Authority::new();
    let server = tls(authority.settings("s", &["server.global.nomad"]));
    let (address, _task) = serve(Kind::Rpc, Arc::clone(&server)).await;
    let client = || Pool::new(Some(tls(authority.settings("c", &["client.global.nomad"]))));
    ask(&client(), address).await.unwrap();
    authority.leaf("s", &["client.global.nomad"]);
    ask(&client(), address)
        .await
        .expect("still the old certificate");
    server.reload().unwrap();
    assert!(
        ask(&client(), address).await.is_err(),
        "the new one has the wrong name"
    );
    std::fs::write(authority.folder().join("s.pem"), "rubbish").unwrap();
    let refused = server.reload().unwrap_err();
    assert!(
        matches!(
            refused,
            TlsError::Content {
                key: "cert_file",
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_that_restarted_is_reached_again() {
    let authority = Authority::new();
    let server = tls(authority.settings("s", &["server.global.nomad"]));
    let pool = Pool::new(Some(tls(authority.settings("c", &["client.global.nomad"]))));
    let (address, task) = serve(Kind::Rpc, Arc::clone(&server)).await;
    ask(&pool, address).await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let refused = ask(&pool, address).await.unwrap_err().to_string();
    let wanted = format!("failed to get conn: dial tcp {address}: connect: connection refused");
    assert_eq!(refused, wanted);
    let listener = Listener::bind(address, Kind::Rpc, Some(server))
        .await
        .unwrap();
    let router = Router::new().route("/who", get(|| async { "back" }));
    let _task = tokio::spawn(listener.serve(router));
    assert_eq!(ask(&pool, address).await.unwrap(), "back");
}

#[tokio::test]
async fn a_peer_that_hangs_holds_up_only_those_who_ask_it() {
    let authority = Authority::new();
    let pool = Pool::new(Some(tls(authority.settings("c", &["client.global.nomad"]))));
    // Accepts (the kernel does) and never answers, as a paused process.
    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = paused.local_addr().unwrap();
    let server = tls(authority.settings("s", &["server.global.nomad"]));
    let (address, _task) = serve(Kind::Rpc, server).await;
    let (slow, fast) = tokio::join!(ask(&pool, hanging), async {
        for _ in 0..20 {
            ask(&pool, address).await.unwrap();
        }
        std::time::Instant::now()
    });
    assert!(
        fast.elapsed().as_millis() > 300,
        "the others waited with it"
    );
    let problem = slow.unwrap_err().to_string();
    assert!(problem.ends_with("i/o timeout"), "{problem}");
}

#[test]
fn what_tls_is_given_is_checked_with_the_files_name() {
    let authority = Authority::new();
    let good = authority.settings("s", &["server.global.nomad"]);
    let mut missing = good.clone();
    missing.ca_file = authority.folder().join("nowhere.pem");
    let problem = Tls::load(missing).unwrap_err().to_string();
    assert!(
        problem.contains("ca_file") && problem.contains("nowhere.pem"),
        "{problem}"
    );
    let mut swapped = good.clone();
    swapped.key_file = good.cert_file.clone();
    let problem = Tls::load(swapped).unwrap_err().to_string();
    assert!(problem.contains("key_file"), "{problem}");
    let (_, other_key) = authority.leaf("other", &["x"]);
    let mut unmatched = good;
    unmatched.key_file = other_key;
    assert!(matches!(
        Tls::load(unmatched),
        Err(TlsError::Unusable { .. })
    ));
}

#[tokio::test]
async fn the_defect_no_client_certificate_lets_strangers_in() {
    let authority = Authority::new();
    let _planted = crate::plant::trial::plant(crate::plant::Plant::NoClientCertificate);
    let stranger = Authority::new();
    let mut settings = stranger.settings("c", &["cli.global.nomad"]);
    settings.ca_file = authority.folder().join("ca.pem");
    let pool = Pool::new(Some(tls(settings)));
    let strict = authority.settings("s", &["server.global.nomad"]);
    assert!(strict.verify_https_client);
    let (address, _task) = serve(Kind::Http, tls(strict)).await;
    ask(&pool, address).await.unwrap();
}
