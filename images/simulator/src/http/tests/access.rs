//! Who may do what.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::http::Settings;
use crate::solo::{Server, Solo, service};

#[tokio::test]
async fn a_write_without_a_token_is_403() {
    let mut server = Server::secured().await;
    let token = std::mem::take(&mut server.token);
    let write = json!({ "Job": service(1) });
    for path in ["/v1/jobs", "/v1/job/web"] {
        let reply = server.put(path, &write).await;
        assert_eq!(reply.refusal(), (403, "Permission denied"), "{path}");
    }
    for path in [
        "/v1/jobs",
        "/v1/allocations",
        "/v1/evaluations",
        "/v1/deployments",
        "/v1/nodes",
        "/v1/agent/self",
        "/v1/agent/members",
        "/v1/operator/raft/configuration",
        "/v1/operator/autopilot/health",
        "/v1/acl/tokens",
    ] {
        assert_eq!(server.get(path).await.status, 403, "{path}");
    }
    server.token = token;
    server.put("/v1/jobs", &write).await.json();
}

#[tokio::test]
async fn health_and_leadership_need_no_token() {
    let mut server = Server::secured().await;
    server.token = String::new();
    for path in [
        "/v1/status/leader",
        "/v1/status/peers",
        "/v1/regions",
        "/v1/agent/health",
        "/v1/metrics",
    ] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn an_unknown_token_is_403_and_a_bearer_is_as_good_as_the_header() {
    let mut server = Server::secured().await;
    let bearer = format!("Bearer {}", server.token);
    server.token = "8d1c9a55-0000-4000-8000-000000000000".to_owned();
    let reply = server.get("/v1/jobs").await;
    assert_eq!(reply.refusal(), (403, "Permission denied"));
    let request = Request::get("/v1/jobs").header("authorization", bearer);
    let reply = server.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn acls_are_bootstrapped_once_with_a_chosen_secret() {
    let settings = Settings {
        acl_enabled: true,
        ..Settings::default()
    };
    let server = Server::new(Solo::leading(), settings);
    let secret = "2b778dd9-f5f1-6f29-b4b4-9a5fa948757a";
    let body = json!({ "BootstrapSecret": secret });
    let token = server.put("/v1/acl/bootstrap", &body).await.json();
    assert_eq!(token["SecretID"], secret);
    assert_eq!(token["Type"], "management");
    assert_eq!(token["Name"], "Bootstrap Token");
    let reply = server.put("/v1/acl/bootstrap", &body).await;
    let text = "ACL bootstrap already done (reset index: 1)";
    assert_eq!(reply.refusal(), (400, text));
    let open = Server::leading();
    let reply = open.put("/v1/acl/bootstrap", &json!({})).await;
    assert_eq!(reply.refusal(), (400, "ACL support disabled"));
}

#[tokio::test]
async fn a_client_token_may_do_what_its_policies_say() {
    let mut server = Server::secured().await;
    let rules = json!({ "Rules": "namespace \"default\" { policy = \"read\" }" });
    let reply = server.put("/v1/acl/policy/reader", &rules).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
    let wanted = json!({ "Name": "r", "Type": "client", "Policies": ["reader"] });
    let token = server.put("/v1/acl/token", &wanted).await.json();
    let management = std::mem::replace(
        &mut server.token,
        token["SecretID"].as_str().unwrap().to_owned(),
    );
    assert_eq!(server.get("/v1/jobs").await.status, 200);
    let reply = server.put("/v1/jobs", &json!({ "Job": service(1) })).await;
    assert_eq!(reply.status, 403);
    let own = server.get("/v1/acl/token/self").await.json();
    assert_eq!(own["AccessorID"], token["AccessorID"]);
    server.token = management;
    let listed = server.get("/v1/acl/tokens").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0].get("SecretID"), None);
    let path = format!("/v1/acl/token/{}", token["AccessorID"].as_str().unwrap());
    assert_eq!(server.delete(&path).await.status, 200);
    assert_eq!(
        server.get(&path).await.refusal(),
        (404, "ACL token not found")
    );
}

#[tokio::test]
async fn a_policy_with_rules_that_mean_nothing_is_400() {
    let server = Server::secured().await;
    let rules = json!({ "Rules": "namespaces \"default\" { policy = \"read\" }" });
    let reply = server.put("/v1/acl/policy/reader", &rules).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("`namespaces`"), "{}", reply.text);
    let token = json!({ "Type": "client", "Policies": ["none"] });
    assert_eq!(server.put("/v1/acl/token", &token).await.status, 400);
}

#[tokio::test]
async fn a_roles_rights_are_its_tokens_until_it_is_gone() {
    let mut server = Server::secured().await;
    let rules = json!({ "Rules": "namespace \"default\" { policy = \"read\" }" });
    server.put("/v1/acl/policy/reader", &rules).await;
    let role = json!({ "Name": "readers", "Policies": [{ "Name": "reader" }] });
    let role = server.put("/v1/acl/role", &role).await.json();
    let token = json!({ "Type": "client", "Roles": [{ "Name": "readers" }] });
    let token = server.put("/v1/acl/token", &token).await.json();
    let link = json!([{ "ID": role["ID"], "Name": "readers" }]);
    assert_eq!(token["Roles"], link);
    let secret = token["SecretID"].as_str().unwrap().to_owned();
    let management = std::mem::replace(&mut server.token, secret);
    server.get("/v1/jobs").await.json();
    server.get("/v1/acl/policy/reader").await.json();
    assert_eq!(server.get("/v1/nodes").await.status, 403);
    let reader = std::mem::replace(&mut server.token, management);
    let id = role["ID"].as_str().unwrap();
    let deleted = server.delete(&format!("/v1/acl/role/{id}")).await;
    assert_eq!(deleted.refusal(), (200, ""));
    let again = server.delete(&format!("/v1/acl/role/{id}")).await;
    assert_eq!(again.refusal(), (500, "ACL role not found"));
    server.token = reader;
    assert_eq!(server.get("/v1/jobs").await.status, 403);
}

#[tokio::test]
async fn a_namespace_is_not_deleted_under_its_jobs() {
    let server = Server::leading();
    let mut job = service(1);
    job["Namespace"] = json!("apart");
    let write = json!({ "Job": job });
    let text = "job \"web\" is in nonexistent namespace \"apart\"";
    assert_eq!(server.put("/v1/jobs", &write).await.refusal(), (500, text));
    let space = json!({ "Name": "apart", "Description": "a" });
    assert_eq!(
        server.put("/v1/namespace", &space).await.refusal(),
        (200, "")
    );
    server.put("/v1/jobs", &write).await.json();
    let refused = server.delete("/v1/namespace/apart").await;
    let text =
        "1 error occurred:\n\t* namespace \"apart\" has non-terminal jobs in regions: [global]\n\n";
    assert_eq!(refused.refusal(), (500, text));
    server
        .delete("/v1/job/web?namespace=apart&purge=true")
        .await;
    assert_eq!(
        server.delete("/v1/namespace/apart").await.refusal(),
        (200, "")
    );
    let listed = server.get("/v1/namespaces").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let quota = json!({ "Name": "apart", "Quota": "small" });
    assert_eq!(server.put("/v1/namespace", &quota).await.status, 501);
}
