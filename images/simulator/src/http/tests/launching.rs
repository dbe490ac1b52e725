//! Jobs that launch others, scaling, and search.

use serde_json::{Value, json};

use crate::solo::{Server, service};

/// A batch job with this block.
fn template(block: &str, value: &Value) -> Value {
    let mut job = service(1);
    job["ID"] = json!("resize");
    job["Type"] = json!("batch");
    job["Update"] = Value::Null;
    job[block] = value.clone();
    job
}

async fn with_template(block: &str, value: &Value) -> Server {
    let server = Server::leading();
    let body = json!({ "Job": template(block, value) });
    let reply = server.put("/v1/jobs", &body).await.json();
    assert_eq!(reply["EvalID"], "", "it does not run itself");
    server
}

#[tokio::test]
async fn a_dispatch_makes_a_job_of_its_own() {
    let rules = json!({ "Payload": "required", "MetaRequired": ["who"], "MetaOptional": ["why"] });
    let server = with_template("ParameterizedJob", &rules).await;
    let path = "/v1/job/resize/dispatch";
    let body = json!({ "Payload": "aGVsbG8=", "Meta": { "who": "me" } });
    let reply = server.put(path, &body).await.json();
    let id = reply["DispatchedJobID"].as_str().unwrap();
    assert!(id.starts_with("resize/dispatch-"), "{id}");
    let state = server.state();
    let child = state.job("default", id).unwrap();
    assert_eq!(
        (child.parent_id.as_str(), child.dispatched),
        ("resize", true)
    );
    assert_eq!(child.payload.as_deref(), Some("aGVsbG8="));
    assert_eq!(child.meta.as_ref().unwrap()["who"], "me");
    let eval = &state.evals[reply["EvalID"].as_str().unwrap()];
    assert_eq!(eval.job_id, id);
    let summary = server.get("/v1/job/resize/summary").await.json();
    let expected = json!({ "Pending": 1, "Running": 0, "Dead": 0 });
    assert_eq!(summary["Children"], expected);
    let stub = &server.get("/v1/jobs?prefix=resize").await.json()[0];
    assert_eq!(
        (&stub["ParameterizedJob"], &stub["Status"]),
        (&json!(true), &json!("running"))
    );
    for (body, text) in [
        (
            json!({ "Meta": { "who": "me" } }),
            "Payload is not provided but required by parameterized job",
        ),
        (
            json!({ "Payload": "aGVsbG8=" }),
            "Dispatch did not provide required meta keys: [who]",
        ),
        (
            json!({ "Payload": "aGVsbG8=", "Meta": { "who": "me", "x": "y" } }),
            "Dispatch request included unpermitted metadata keys: [x]",
        ),
    ] {
        assert_eq!(server.put(path, &body).await.refusal(), (500, text));
    }
    let reply = server.put("/v1/job/none/dispatch", &body).await;
    assert_eq!(reply.refusal(), (500, "parameterized job not found"));
}

#[tokio::test]
async fn a_dispatch_with_the_same_token_is_the_same_dispatch() {
    let server = with_template("ParameterizedJob", &json!({ "Payload": "forbidden" })).await;
    let path = "/v1/job/resize/dispatch?idempotency_token=t1";
    let first = server.put(path, &json!({})).await.json();
    let second = server.put(path, &json!({})).await.json();
    assert_eq!(first["DispatchedJobID"], second["DispatchedJobID"]);
    assert_eq!(second["EvalID"], "");
    let other = server
        .put("/v1/job/resize/dispatch", &json!({}))
        .await
        .json();
    assert_ne!(first["DispatchedJobID"], other["DispatchedJobID"]);
    let payload = json!({ "Payload": "aGVsbG8=" });
    let reply = server.put(path, &payload).await;
    let text = "Payload provided but forbidden by parameterized job";
    assert_eq!(reply.refusal(), (500, text));
}

#[tokio::test]
async fn a_periodic_job_can_be_launched_by_hand() {
    let server = with_template("Periodic", &json!({ "Enabled": true, "Spec": "@yearly" })).await;
    let reply = server
        .put("/v1/job/resize/periodic/force", &json!({}))
        .await
        .json();
    let state = server.state();
    let eval = &state.evals[reply["EvalID"].as_str().unwrap()];
    assert!(
        eval.job_id.starts_with("resize/periodic-"),
        "{}",
        eval.job_id
    );
    assert_eq!(json!(eval.triggered_by), "periodic-job");
    assert_eq!(
        state.job("default", &eval.job_id).unwrap().parent_id,
        "resize"
    );
    let reply = server.put("/v1/job/resize/evaluate", &json!({})).await;
    assert_eq!(reply.refusal(), (500, "can't evaluate periodic job"));
    server
        .put("/v1/jobs", &json!({ "Job": service(1) }))
        .await
        .json();
    let reply = server.put("/v1/job/web/periodic/force", &json!({})).await;
    assert_eq!(
        reply.refusal(),
        (500, "can't force launch non-periodic job")
    );
    let reply = server.delete("/v1/job/resize").await.json();
    assert_eq!(reply["EvalID"], "");
    assert_eq!(server.get("/v1/job/resize").await.json()["Status"], "dead");
}

#[tokio::test]
async fn only_work_that_ends_is_launched() {
    let server = Server::leading();
    for (block, text) in [
        (
            "Periodic",
            "Periodic can only be used with \"batch\" or \"sysbatch\" scheduler",
        ),
        (
            "ParameterizedJob",
            "Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler",
        ),
    ] {
        let mut job = template(block, &json!({ "Spec": "@daily" }));
        if block == "ParameterizedJob" {
            job[block] = json!({});
        }
        job["Type"] = json!("service");
        let reply = server.put("/v1/jobs", &json!({ "Job": job })).await;
        assert_eq!(reply.status, 500);
        assert!(reply.text.contains(text), "{}", reply.text);
    }
}

#[tokio::test]
async fn scaling_keeps_to_its_bounds_and_is_remembered() {
    let server = Server::leading();
    let mut job = service(2);
    job["TaskGroups"][0]["Scaling"] = json!({ "Min": 1, "Max": 3 });
    server.put("/v1/jobs", &json!({ "Job": job })).await.json();
    let path = "/v1/job/web/scale";
    let to =
        |count: i64| json!({ "Target": { "Group": "web" }, "Count": count, "Message": "load" });
    for (count, text) in [
        (0, "group count was less than scaling policy minimum: 0 < 1"),
        (
            4,
            "group count was greater than scaling policy maximum: 4 > 3",
        ),
    ] {
        assert_eq!(server.put(path, &to(count)).await.refusal(), (400, text));
    }
    let reply = server.put(path, &to(3)).await.json();
    let note = json!({ "Target": { "Group": "web" }, "Error": true, "Message": "no metrics" });
    assert_eq!(server.put(path, &note).await.json()["EvalID"], "");
    let status = server.get(path).await.json();
    let group = &status["TaskGroups"]["web"];
    assert_eq!(group["Desired"], 3);
    let events = group["Events"].as_array().unwrap();
    assert_eq!(
        (&events[0]["Error"], &events[0]["Message"]),
        (&json!(true), &json!("no metrics"))
    );
    assert_eq!(
        (&events[1]["Count"], &events[1]["PreviousCount"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(events[1]["EvalID"], reply["EvalID"]);
}

#[tokio::test]
async fn a_search_finds_what_begins_so_and_says_where_there_is_more() {
    let server = Server::leading();
    let node = server.add_node("client-1").await;
    for i in 0..25 {
        let mut job = service(1);
        job["ID"] = json!(format!("web-{i:02}"));
        server.put("/v1/jobs", &json!({ "Job": job })).await.json();
    }
    let ask = |prefix: &str, context: &str| json!({ "Prefix": prefix, "Context": context });
    let found = server.put("/v1/search", &ask("web", "jobs")).await.json();
    assert_eq!(found["Matches"]["jobs"].as_array().unwrap().len(), 20);
    assert_eq!(found["Truncations"]["jobs"], true);
    let found = server
        .put("/v1/search", &ask(&node[..7], "all"))
        .await
        .json();
    assert_eq!(found["Matches"]["nodes"], json!([node]));
    assert_eq!(found["Matches"]["jobs"], Value::Null);
    assert_eq!(
        server.put("/v1/search", &ask("x", "plugins")).await.status,
        501
    );
    let secured = Server::secured().await;
    let mut nobody = secured;
    nobody.token = String::new();
    let reply = nobody.put("/v1/search", &ask("web", "jobs")).await;
    assert_eq!(reply.refusal(), (403, "Permission denied"));
}
