//! Laws of the client, against a server that says what a test wants.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get};

use super::*;

async fn serve(router: Router) -> Api {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port of this machine");
    let addr = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    client(addr)
}

fn client(addr: String) -> Api {
    Api::new(ApiConfig {
        addr,
        ca_pem: String::new(),
        cert_pem: String::new(),
        key_pem: String::new(),
        token: Some(Token::new("very-secret")),
    })
    .expect("a plain address")
}

fn status(status: u16, body: &str) -> ApiError {
    ApiError::Status {
        call: Call {
            method: "GET",
            path: "/v1/x".into(),
            addr: "https://127.0.0.1:1".into(),
        },
        status,
        body: body.into(),
    }
}

#[test]
fn what_passes_by_itself_is_retryable_and_what_is_wrong_is_not() {
    for passing in [
        "No cluster leader",
        "Not ready to serve consistent reads",
        "rpc error: failed to get conn: dial tcp 10.0.0.2:4647: connect: connection refused",
        "rpc error: EOF",
        "EOF",
        "rpc error: lead thread didn't get connection",
        "rpc error: leadership lost while committing log",
        "write /data/server/raft/raft.db: no space left on device",
        "rpc error: raft is already shutdown",
    ] {
        assert!(status(500, passing).is_retryable(), "{passing}");
    }
    for final_word in [
        "1 error occurred:\n\t* Missing job datacenters",
        "rpc error: Permission denied",
        "job \"x\" not found",
    ] {
        assert!(!status(500, final_word).is_retryable(), "{final_word}");
    }
    assert!(!status(403, "Permission denied").is_retryable());
    assert!(status(429, "too many connections").is_retryable());
}

#[test]
fn only_what_never_reached_a_leader_surely_changed_nothing() {
    assert!(status(400, "ACL token not found").is_unknown_token());
    assert!(status(403, "Permission denied").is_unknown_token());
    assert!(!status(400, "bad").is_unknown_token());
    assert!(status(400, "bad").surely_not_applied());
    assert!(status(500, "No cluster leader").surely_not_applied());
    assert!(status(500, "rpc error: No cluster leader").surely_not_applied());
    assert!(!status(500, "rpc error: EOF").surely_not_applied());
    assert!(!status(500, "leadership lost while committing log").surely_not_applied());
}

#[test]
fn a_secret_is_never_shown() {
    let api = client("http://127.0.0.1:1".into());
    assert!(!format!("{api:?}").contains("very-secret"));
    assert!(!format!("{:?}", api.token()).contains("very-secret"));
}

#[test]
fn bad_certificates_are_told_before_anything_is_asked() {
    let config = ApiConfig {
        addr: "https://127.0.0.1:1".into(),
        ca_pem: "not a certificate".into(),
        cert_pem: String::new(),
        key_pem: String::new(),
        token: None,
    };
    let error = Api::new(config).expect_err("there is no authority in it");
    assert!(
        error
            .to_string()
            .contains("the authority for https://127.0.0.1:1")
    );
    assert!(matches!(
        Api::new(ApiConfig {
            addr: "127.0.0.1:4646".into(),
            ca_pem: String::new(),
            cert_pem: String::new(),
            key_pem: String::new(),
            token: None,
        }),
        Err(ApiError::BadAddress { .. })
    ));
}

#[tokio::test]
async fn nobody_listening_is_unreachable_and_retryable() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let addr = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let error = client(addr).leader().await.expect_err("nobody listens");
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error:?}");
    assert!(error.is_retryable() && error.surely_not_applied());
}

#[tokio::test]
async fn an_answer_that_does_not_come_times_out() {
    let router = Router::new().route(
        "/v1/status/leader",
        get(|| async { std::future::pending::<()>().await }),
    );
    let api = serve(router).await.timeout(Duration::from_millis(50));
    let error = api.leader().await.expect_err("it never answers");
    assert!(matches!(error, ApiError::TimedOut { .. }), "{error:?}");
    assert!(!error.surely_not_applied());
}

#[tokio::test]
async fn what_nomad_says_in_headers_is_read() {
    let router = Router::new().route(
        "/v1/nodes",
        get(|headers: HeaderMap, uri: axum::http::Uri| async move {
            assert_eq!(headers["x-nomad-token"], "very-secret");
            let query = uri.query().unwrap_or_default();
            assert_eq!(query, "stale=true&index=7&wait=2000ms");
            (
                [
                    ("x-nomad-index", "42"),
                    ("x-nomad-knownleader", "false"),
                    ("x-nomad-lastcontact", "1500"),
                ],
                "[]",
            )
        }),
    );
    let api = serve(router).await;
    let query = Query::default().stale().blocking(7, Duration::from_secs(2));
    let reply = api.get::<Value>("nodes", &query).await.expect("a reply");
    assert_eq!(reply.index, Some(42));
    assert_eq!(reply.known_leader, Some(false));
    assert_eq!(reply.last_contact, Some(Duration::from_millis(1500)));
}

#[tokio::test]
async fn empty_and_null_replies_are_nothing_and_not_an_error() {
    let router = Router::new()
        .route("/v1/job/x/deployment", get(|| async { "null" }))
        .route("/v1/job/x/allocations", get(|| async { "null" }))
        .route("/v1/nodes", get(|| async { "" }))
        .route(
            "/v1/job/x",
            get(|| async { r#"{"ID":"x","Meta":null,"TaskGroups":null,"New":1}"# }),
        );
    let api = serve(router).await;
    assert_eq!(api.latest_deployment("x").await.expect("a reply"), None);
    assert_eq!(api.job_allocations("x").await.expect("a reply"), []);
    assert_eq!(api.nodes().await.expect("a reply"), []);
    assert_eq!(api.job("x").await.expect("a reply").id, "x");
}

#[tokio::test]
async fn an_unhealthy_autopilot_is_an_answer() {
    let router = Router::new().route(
        "/v1/operator/autopilot/health",
        get(|| async {
            let body = r#"{"Healthy":false,"Servers":[{"Name":"server-1.global"}]}"#;
            (StatusCode::TOO_MANY_REQUESTS, body)
        }),
    );
    let health = serve(router).await.autopilot_health().await;
    let health = health.expect("429 carries a body");
    assert!(!health.healthy);
    assert_eq!(health.servers[0].name, "server-1.global");
}

#[tokio::test]
async fn an_error_carries_the_agents_words() {
    let refuse = || async {
        let words = "job not found\n";
        (StatusCode::NOT_FOUND, words).into_response()
    };
    let api = serve(Router::new().fallback(any(refuse))).await;
    let error = api.job("a/b").await.expect_err("404");
    assert_eq!(error.status(), Some(404));
    assert_eq!(error.body(), Some("job not found"));
    let words = error.to_string();
    assert!(
        words.starts_with("`GET /v1/job/a%2Fb` at http://"),
        "{words}"
    );
    assert!(words.ends_with("HTTP 404: job not found"), "{words}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_agent_that_moved_is_found_at_its_new_address_under_its_old_name() {
    // The same port at two of this machine's own addresses.
    let first = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = first.local_addr().unwrap().port();
    let second = tokio::net::TcpListener::bind(("127.0.0.2", port)).await;
    let second = second.expect("all of 127.0.0.0/8 is this machine's on Linux");
    for (listener, leader) in [(first, "one:4647"), (second, "two:4647")] {
        let answer = move || async move { axum::Json(leader) };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    let place = Place::new(([127, 0, 0, 1], port).into());
    let config = ApiConfig {
        addr: format!("http://server.global.nomad:{port}"),
        ca_pem: String::new(),
        cert_pem: String::new(),
        key_pem: String::new(),
        token: None,
    };
    let api = Api::at(config, place.clone()).unwrap();
    assert_eq!(api.leader().await.unwrap().as_deref(), Some("one:4647"));
    place.move_to(([127, 0, 0, 2], port).into());
    // A connection that is kept would still lead to the old place; a clone made before knows of the
    // move as well.
    let moved = api.showing(None).unwrap();
    assert_eq!(moved.leader().await.unwrap().as_deref(), Some("two:4647"));
}
