//! Filters, pages and order of lists.

use serde_json::{Value, json};

use crate::solo::{Server, service};

async fn jobs(names: &[&str]) -> Server {
    let server = Server::leading();
    for name in names {
        let mut job = service(1);
        job["ID"] = json!(name);
        job["Name"] = json!(name);
        server.put("/v1/jobs", &json!({ "Job": job })).await.json();
    }
    server
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["ID"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_filter_keeps_what_it_says() {
    let server = Server::leading();
    let first = server.add_node("client-1").await;
    let second = server.add_node("client-2").await;
    let path = format!("/v1/node/{second}/eligibility");
    let ineligible = json!({ "Eligibility": "ineligible" });
    server.put(&path, &ineligible).await.json();
    for (filter, kept) in [
        ("SchedulingEligibility%20==%20eligible", &first),
        ("Name%20==%20%22client-2%22", &second),
        (
            "Attributes%5B%22kernel.name%22%5D%20==%20linux%20and%20Name%20!=%20client-2",
            &first,
        ),
    ] {
        let listed = server
            .get(&format!("/v1/nodes?filter={filter}"))
            .await
            .json();
        assert_eq!(ids(&listed), [kept.as_str()], "{filter}");
    }
}

#[tokio::test]
async fn every_list_takes_filters_also_on_fields_that_are_empty() {
    let server = jobs(&["web"]).await;
    server.add_node("client-1").await;
    for (path, filter) in [
        ("/v1/jobs", "Status%20==%20%22pending%22"),
        ("/v1/evaluations", "BlockedEval%20is%20empty"),
        ("/v1/allocations", "DeploymentID%20==%20x"),
        ("/v1/deployments", "JobID%20==%20web"),
    ] {
        let reply = server.get(&format!("{path}?filter={filter}")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
    let evals = server
        .get("/v1/evaluations?filter=BlockedEval%20is%20empty")
        .await;
    assert_eq!(evals.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_filter_that_cannot_be_used_is_400() {
    let server = jobs(&["web"]).await;
    let reply = server.get("/v1/jobs?filter=Status%20=").await;
    assert_eq!(reply.status, 400);
    assert!(
        reply.text.contains("failed to read filter expression"),
        "{}",
        reply.text
    );
    let reply = server.get("/v1/jobs?filter=Colour%20==%20red").await;
    assert_eq!(reply.status, 400);
    assert!(
        reply.text.contains("error finding value in datum: /Colour"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn pages_cover_the_list_without_gap_or_repetition() {
    let server = jobs(&["e", "c", "a", "d", "b"]).await;
    let mut seen = Vec::new();
    let mut path = "/v1/jobs?per_page=2".to_owned();
    loop {
        let reply = server.get(&path).await;
        let page = reply.json();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(token) = reply.headers.get("x-nomad-nexttoken") else {
            break;
        };
        assert_eq!(page.as_array().unwrap().len(), 2);
        path = format!("/v1/jobs?per_page=2&next_token={}", token.to_str().unwrap());
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    let reply = server.get("/v1/jobs?per_page=5").await;
    assert!(!reply.headers.contains_key("x-nomad-nexttoken"));
}

#[tokio::test]
async fn evaluations_come_in_the_order_of_their_making_or_reversed() {
    let server = jobs(&["e", "c", "a"]).await;
    let of = |list: Value| -> Vec<String> {
        let items = list.as_array().unwrap().clone();
        let job = |item: &Value| item["JobID"].as_str().unwrap().to_owned();
        items.iter().map(job).collect()
    };
    assert_eq!(
        of(server.get("/v1/evaluations").await.json()),
        ["e", "c", "a"]
    );
    let reply = server.get("/v1/evaluations?reverse=true&per_page=1").await;
    let token = reply.headers["x-nomad-nexttoken"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(of(reply.json()), ["a"]);
    let path = format!("/v1/evaluations?reverse=true&next_token={token}");
    assert_eq!(of(server.get(&path).await.json()), ["c", "e"]);
    let wrong = server.get("/v1/evaluations?next_token=x").await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn tokens_and_policies_are_filtered_and_paged() {
    let server = Server::secured().await;
    for name in ["one", "two"] {
        let rules = json!({ "Rules": "node { policy = \"read\" }", "Description": name });
        server.put(&format!("/v1/acl/policy/{name}"), &rules).await;
        let token = json!({ "Name": name, "Type": "client", "Policies": [name] });
        server.put("/v1/acl/token", &token).await.json();
    }
    let listed = server
        .get("/v1/acl/tokens?filter=Type%20==%20client&per_page=1")
        .await;
    assert_eq!(listed.json()[0]["Name"], "one");
    assert!(listed.headers.contains_key("x-nomad-nexttoken"));
    let listed = server
        .get("/v1/acl/policies?filter=Name%20==%20two")
        .await
        .json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["Description"], "two");
}
