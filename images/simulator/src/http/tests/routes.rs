//! Every route there is, asked without a token.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::solo::{Server, service};

/// What needs no token: method and path.
const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/v1/status/leader"),
    ("GET", "/v1/status/peers"),
    ("GET", "/v1/regions"),
    ("GET", "/v1/agent/health"),
    ("GET", "/v1/metrics"),
    // Works once, and needs what there is not yet.
    ("PUT", "/v1/acl/bootstrap"),
    // There is none, and none can be set.
    ("GET", "/v1/operator/license"),
    ("PUT", "/v1/operator/license"),
    // Shows each asker what it may see.
    ("GET", "/v1/namespaces"),
    // Not simulated on any agent: 501 tells nobody anything.
    ("GET", "/v1/agent/servers"),
    ("PUT", "/v1/agent/servers"),
    ("DELETE", "/v1/agent/servers"),
    ("GET", "/v1/client/{*rest}"),
    ("PUT", "/v1/client/{*rest}"),
    ("DELETE", "/v1/client/{*rest}"),
];

/// The paths of every route of the API, from its source: a route that is added is covered.
fn paths() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        // The client agent's own answers are for its servers to allow.
        if !file.is_file() || file.ends_with("client.rs") {
            continue;
        }
        let text = std::fs::read_to_string(file).unwrap();
        for rest in text.split(".route(").skip(1) {
            let path = rest.trim_start().strip_prefix('"');
            let path = path.and_then(|rest| rest.split('"').next());
            paths.extend(path.filter(|p| p.starts_with("/v1/")).map(str::to_owned));
        }
    }
    paths
}

/// A path with something in each of its places.
fn filled(path: &str) -> String {
    let places = path.replace("{operation}", "list");
    let parts = places.split('/').map(|part| match part.starts_with('{') {
        true => "web",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A body with which every write gets as far as the question of rights.
fn body() -> Value {
    let mut job = service(1);
    job["ID"] = json!("web");
    json!({
        "Job": job,
        "Name": "web",
        "JobID": "web",
        "JobHCL": "job \"web\" {}",
        "DeploymentID": "web",
        "NodeID": "web",
        "Eligibility": "eligible",
        "Target": { "Group": "web" },
        "Count": 1,
        "All": true,
        "Meta": {},
        "Items": { "k": "v" },
        "Prefix": "web",
        "Context": "all",
    })
}

#[tokio::test]
async fn without_a_token_every_route_but_the_public_ones_is_403_in_nomads_words() {
    let mut server = Server::secured().await;
    server.token = String::new();
    let paths = paths();
    assert!(paths.len() > 60, "the source was not read: {}", paths.len());
    let mut wrong = Vec::new();
    for path in &paths {
        let mut answered = false;
        for method in ["GET", "PUT", "DELETE"] {
            let at = filled(path);
            let at = match path.as_str() {
                "/v1/event/stream" => format!("{at}?topic=Job"),
                // What they lack is told before anything else.
                files if files.starts_with("/v1/client/fs/") => {
                    format!("{at}?task=web&type=stdout&path=web")
                }
                "/v1/job/{id}/submission" => format!("{at}?version=0"),
                _ => at,
            };
            let reply = match method {
                "GET" => server.get(&at).await,
                "PUT" => server.put(&at, &body()).await,
                _ => server.delete(&at).await,
            };
            if reply.status == 405 {
                continue;
            }
            answered = true;
            // By a stream the refusal comes without a code of its own.
            let denied = matches!(reply.refusal(), (403 | 500, "Permission denied"));
            let public = PUBLIC.contains(&(method, path.as_str()));
            if denied == public {
                wrong.push(format!("{method} {at}: {:?}", reply.refusal()));
            }
        }
        if !answered {
            wrong.push(format!("{path}: no method was tried that it has"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_anonymous_policy_opens_what_it_names_and_nothing_else() {
    let mut server = Server::secured().await;
    let rules = json!({ "Rules": "node { policy = \"read\" }" });
    server.put("/v1/acl/policy/anonymous", &rules).await;
    server.token = String::new();
    assert_eq!(server.get("/v1/nodes").await.status, 200);
    assert_eq!(server.get("/v1/agent/members").await.status, 200);
    assert_eq!(server.get("/v1/jobs").await.status, 403);
    assert_eq!(server.get("/v1/agent/self").await.status, 403);
}

#[tokio::test]
async fn a_token_ends_at_its_time() {
    let mut server = Server::secured().await;
    let ask = |fields: Value| {
        let mut token = json!({ "Name": "short", "Type": "management" });
        for (key, value) in fields.as_object().unwrap() {
            token[key] = value.clone();
        }
        token
    };
    for (fields, text) in [
        (json!({ "ExpirationTTL": "1s" }), "cannot be less than 1m0s"),
        (
            json!({ "ExpirationTTL": "48h" }),
            "cannot be more than 24h0m0s",
        ),
        (json!({ "ExpirationTTL": "-1h" }), "should not be negative"),
        (json!({ "ExpirationTTL": "soon" }), "invalid duration"),
        (
            json!({ "ExpirationTime": "2001-01-01T00:00:00Z" }),
            "before create time",
        ),
        (
            json!({ "ExpirationTTL": "1h", "ExpirationTime": "2101-01-01T00:00:00Z" }),
            "only one may be",
        ),
    ] {
        let reply = server.put("/v1/acl/token", &ask(fields)).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text.contains(text), "{}", reply.text);
    }
    let hour = ask(json!({ "ExpirationTTL": "1h" }));
    let token = server.put("/v1/acl/token", &hour).await.json();
    assert_eq!(token["ExpirationTTL"], "1h0m0s");
    let accessor = token["AccessorID"].as_str().unwrap().to_owned();
    let at = crate::clock::from_rfc3339(token["ExpirationTime"].as_str().unwrap()).unwrap();
    let left = at - crate::clock::now();
    assert!(
        (3_590_000_000_000..=3_600_000_000_000).contains(&left),
        "{left}"
    );
    let secret = token["SecretID"].as_str().unwrap().to_owned();
    let management = std::mem::replace(&mut server.token, secret);
    assert_eq!(server.get("/v1/jobs").await.status, 200);
    // Its time comes, as the log would have it had it been made an hour ago.
    let mut expired = crate::types::AclToken::clone(&server.state().acl_tokens[&accessor]);
    expired.expiration_time = 1;
    let tokens = vec![expired];
    let command = crate::state::Command::AclTokenUpsert { tokens };
    server.ctx.consensus.propose(command).await.unwrap();
    let reply = server.get("/v1/jobs").await;
    assert_eq!(reply.refusal(), (403, "Permission denied"));
    server.token = management;
    assert_eq!(server.get("/v1/jobs").await.status, 200);
}
