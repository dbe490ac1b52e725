//! Variables and services.

use serde_json::{Value, json};

use crate::solo::{Server, service};

#[tokio::test]
async fn a_variable_is_written_read_listed_and_deleted() {
    let server = Server::leading();
    let body = json!({ "Path": "app/db", "Items": { "user": "u", "password": "p" } });
    let written = server.put("/v1/var/app/db", &body).await.json();
    assert_eq!(written["Items"], body["Items"]);
    assert_eq!(written["Namespace"], "default");
    let read = server.get("/v1/var/app/db").await;
    assert_eq!(read.json(), written);
    assert_eq!(read.index(), written["ModifyIndex"].as_u64().unwrap());
    let listed = server.get("/v1/vars?prefix=app").await.json();
    assert_eq!(listed[0]["Path"], "app/db");
    assert_eq!(listed[0].get("Items"), None);
    assert_eq!(server.get("/v1/vars?prefix=x").await.json(), json!([]));
    let again = server.put("/v1/var/app/db", &body).await.json();
    assert_eq!(again["CreateIndex"], written["CreateIndex"]);
    assert_ne!(again["ModifyIndex"], written["ModifyIndex"]);
    assert_eq!(server.delete("/v1/var/app/db").await.refusal(), (204, ""));
    let gone = server.get("/v1/var/app/db").await;
    assert_eq!(gone.refusal(), (404, "variable not found"));
}

#[tokio::test]
async fn check_and_set_lets_one_of_two_writers_win() {
    let server = Server::leading();
    let body = |text: &str| json!({ "Items": { "k": text } });
    let first = server.put("/v1/var/a?cas=0", &body("1")).await.json();
    let lost = server.put("/v1/var/a?cas=0", &body("2")).await;
    assert_eq!(lost.status, 409);
    let conflict: Value = serde_json::from_str(&lost.text).unwrap();
    assert_eq!(conflict, first);
    let index = first["ModifyIndex"].as_u64().unwrap();
    let path = format!("/v1/var/a?cas={index}");
    server.put(&path, &body("3")).await.json();
    assert_eq!(server.put(&path, &body("4")).await.status, 409);
    assert_eq!(server.delete(&path).await.status, 409);
    assert_eq!(server.get("/v1/var/a").await.json()["Items"]["k"], "3");
    assert_eq!(server.put("/v1/var/a?cas=x", &body("5")).await.status, 400);
}

#[tokio::test]
async fn what_is_no_variable_is_refused() {
    let server = Server::leading();
    let fine = json!({ "Items": { "k": "v" } });
    for (path, body) in [
        ("/v1/var/a", json!({ "Items": {} })),
        ("/v1/var/a", json!({ "Path": "b", "Items": { "k": "v" } })),
        ("/v1/var/a", json!({ "Items": { "k": "v".repeat(70_000) } })),
        ("/v1/var/nomad/other", fine.clone()),
        ("/v1/var/a%20b", fine.clone()),
    ] {
        assert_eq!(server.put(path, &body).await.status, 400, "{path}");
    }
    let lock = server.put("/v1/var/a?lock-acquire", &fine).await;
    assert_eq!(lock.status, 501);
    server.put("/v1/var/nomad/jobs/web", &fine).await.json();
}

#[tokio::test]
async fn variables_are_for_those_whose_policy_names_their_path() {
    let mut server = Server::secured().await;
    let rules = r#"namespace "default" {
        variables {
            path "app/*" { capabilities = ["read"] }
        }
    }"#;
    server
        .put("/v1/acl/policy/app", &json!({ "Rules": rules }))
        .await;
    let wanted = json!({ "Name": "app", "Type": "client", "Policies": ["app"] });
    let token = server.put("/v1/acl/token", &wanted).await.json();
    let body = json!({ "Items": { "k": "v" } });
    for path in ["/v1/var/app/a", "/v1/var/other"] {
        server.put(path, &body).await.json();
    }
    server.token = token["SecretID"].as_str().unwrap().to_owned();
    server.get("/v1/var/app/a").await.json();
    assert_eq!(server.get("/v1/var/other").await.status, 403);
    assert_eq!(server.put("/v1/var/app/a", &body).await.status, 403);
    assert_eq!(server.delete("/v1/var/app/a").await.status, 403);
    let listed = server.get("/v1/vars").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

/// A job whose group registers the service `web-http`.
fn with_service() -> Value {
    let mut job = service(1);
    job["TaskGroups"][0]["Networks"] = json!([{ "DynamicPorts": [{ "Label": "http" }] }]);
    job["TaskGroups"][0]["Services"] = json!([{
        "Name": "web-http",
        "PortLabel": "http",
        "Provider": "nomad",
        "Tags": ["v1"],
    }]);
    job
}

#[tokio::test]
async fn a_service_is_there_while_its_allocation_runs() {
    let server = Server::leading().on_duty();
    let node = server.add_node("client-1").await;
    server
        .put("/v1/jobs", &json!({ "Job": with_service() }))
        .await
        .json();
    let placed = |state: &crate::state::State| state.allocs.len() == 1;
    let state = server.until("the placement", placed).await;
    let alloc = state.allocs.values().next().unwrap().clone();
    assert_eq!(server.get("/v1/service/web-http").await.json(), json!([]));
    let report = async |status: &str| {
        let mut changed = serde_json::to_value(alloc.as_ref()).unwrap();
        changed["ClientStatus"] = json!(status);
        let body = json!({
            "node_id": node,
            "secret_id": format!("secret-{node}"),
            "allocs": [changed],
        });
        assert_eq!(server.rpc("/client/update", &body).await.status, 200);
    };
    report("running").await;
    let found = server.get("/v1/service/web-http").await.json();
    assert_eq!(found[0]["AllocID"], json!(alloc.id));
    assert_eq!(found[0]["Address"], "10.0.0.9");
    assert_eq!(found[0]["Port"], json!(alloc.ports[0].value));
    assert_eq!(found[0]["Tags"], json!(["v1"]));
    let listed = server.get("/v1/services").await.json();
    let wanted = json!([{
        "Namespace": "default",
        "Services": [{ "ServiceName": "web-http", "Tags": ["v1"] }],
    }]);
    assert_eq!(listed, wanted);
    let id = found[0]["ID"].as_str().unwrap();
    let wrong = server.delete(&format!("/v1/service/other/{id}")).await;
    assert_eq!(wrong.status, 404);
    server.delete("/v1/job/web").await.json();
    server
        .until("the stop", |state| state.services.is_empty())
        .await;
    assert_eq!(server.get("/v1/services").await.json(), json!([]));
}
