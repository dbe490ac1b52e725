//! What the endpoints answer.

use std::time::Duration;

use serde_json::{Value, json};

use super::with_job;
use crate::solo::{OWN, Server, service};

#[tokio::test]
async fn every_reply_says_that_it_is_simulated() {
    let server = Server::leading();
    for path in [
        "/v1/status/leader",
        "/v1/job/none",
        "/v1/volumes",
        "/nothing",
    ] {
        let reply = server.get(path).await;
        assert_eq!(reply.headers["x-rehearse-simulated"], "true", "{path}");
    }
}

#[tokio::test]
async fn what_is_not_simulated_says_so_and_what_is_not_there_is_404() {
    let server = Server::leading();
    let reply = server.get("/v1/volumes").await;
    let text = "rehearse-simulator: GET /v1/volumes is not simulated";
    assert_eq!(reply.refusal(), (501, text));
    for path in ["/nothing", "/v1/nothing", "/v1/nothing/of/the/kind"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    let root = server.get("/").await;
    assert_eq!(root.status, 307);
    assert_eq!(root.headers["location"], "/ui/");
    assert_eq!(
        server.delete("/v1/nodes").await.refusal(),
        (405, "Invalid method")
    );
}

#[tokio::test]
async fn an_unknown_object_is_404_with_its_index() {
    let server = Server::leading();
    for (path, text) in [
        ("/v1/job/none", "job not found"),
        ("/v1/job/none/versions", "job versions not found"),
        ("/v1/job/none/summary", "job not found"),
        ("/v1/node/none", "node not found"),
        ("/v1/allocation/none", "alloc not found"),
        ("/v1/evaluation/none", "eval not found"),
        ("/v1/deployment/none", "deployment not found"),
    ] {
        let reply = server.get(path).await;
        assert_eq!(reply.refusal(), (404, text), "{path}");
        assert_eq!(reply.index(), 1, "{path}");
        assert_eq!(reply.headers["x-nomad-knownleader"], "true", "{path}");
        assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn registering_the_same_job_twice_keeps_its_version() {
    let (server, first) = with_job().await;
    let second = server
        .put("/v1/job/web", &json!({ "Job": service(1) }))
        .await;
    let second = second.json();
    assert_eq!(first["JobModifyIndex"], second["JobModifyIndex"]);
    assert_ne!(first["EvalID"], second["EvalID"]);
    assert_eq!(server.get("/v1/job/web").await.json()["Version"], 0);
    server
        .put("/v1/jobs", &json!({ "Job": service(2) }))
        .await
        .json();
    assert_eq!(server.get("/v1/job/web").await.json()["Version"], 1);
    let versions = server.get("/v1/job/web/versions").await.json();
    let numbers = versions["Versions"].as_array().unwrap().iter();
    let numbers: Vec<_> = numbers.map(|job| job["Version"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(0)]);
}

#[tokio::test]
async fn what_a_registration_answers_can_be_looked_up() {
    let (server, reply) = with_job().await;
    let eval = reply["EvalID"].as_str().unwrap();
    let eval = server.get(&format!("/v1/evaluation/{eval}")).await.json();
    assert_eq!(eval["TriggeredBy"], "job-register");
    assert_eq!(eval["JobModifyIndex"], reply["JobModifyIndex"]);
    assert_eq!(eval["CreateIndex"], reply["EvalCreateIndex"]);
    // Full evaluations leave empty fields out.
    assert_eq!(eval.get("NextEval"), None);
    assert_eq!(eval.get("WaitUntil"), None);
}

#[tokio::test]
async fn an_enforced_index_protects_against_whoever_was_faster() {
    let (server, _) = with_job().await;
    let body = json!({ "Job": service(3), "EnforceIndex": true, "JobModifyIndex": 99 });
    let reply = server.put("/v1/jobs", &body).await;
    let text = "Enforcing job modify index 99: job exists with conflicting job modify index: 1";
    assert_eq!(reply.refusal(), (500, text));
}

#[tokio::test]
async fn a_job_that_nomad_refuses_is_500_and_a_malformed_one_400() {
    let server = Server::leading();
    let mut job = service(1);
    job["TaskGroups"] = json!([]);
    let reply = server.put("/v1/jobs", &json!({ "Job": job })).await;
    assert_eq!(reply.status, 500);
    assert!(
        reply.text.contains("Missing job task groups"),
        "{}",
        reply.text
    );
    for (field, value, text) in [
        (
            "Namespace",
            "prod",
            "job \"web\" is in nonexistent namespace \"prod\"",
        ),
        (
            "NodePool",
            "gpu",
            "job \"web\" is in nonexistent node pool \"gpu\"",
        ),
    ] {
        let mut job = service(1);
        job[field] = json!(value);
        let reply = server.put("/v1/jobs", &json!({ "Job": job })).await;
        assert_eq!(reply.refusal(), (500, text));
    }
    let reply = server.put("/v1/jobs", &json!({})).await;
    assert_eq!(reply.refusal(), (400, "Job must be specified"));
    let reply = server
        .put("/v1/job/api", &json!({ "Job": service(1) }))
        .await;
    assert_eq!(reply.refusal(), (400, "Job ID does not match name"));
}

#[tokio::test]
async fn a_jobs_identifier_may_carry_a_slash() {
    let server = Server::leading();
    let mut job = service(1);
    job["ID"] = json!("team/web");
    server.put("/v1/jobs", &json!({ "Job": job })).await.json();
    let read = server.get("/v1/job/team%2Fweb").await.json();
    assert_eq!(read["ID"], "team/web");
    assert_eq!(server.get("/v1/job/team%2Fweb/summary").await.status, 200);
}

#[tokio::test]
async fn a_stopped_job_is_dead_and_a_purged_one_is_gone() {
    let (server, _) = with_job().await;
    let eval = server.delete("/v1/job/web").await.json()["EvalID"].clone();
    let eval = server
        .get(&format!("/v1/evaluation/{}", eval.as_str().unwrap()))
        .await
        .json();
    assert_eq!(eval["Type"], "service");
    let job = server.get("/v1/job/web").await.json();
    assert_eq!((&job["Stop"], &job["Version"]), (&json!(true), &json!(1)));
    server.delete("/v1/job/web?purge=true").await.json();
    assert_eq!(server.get("/v1/job/web").await.status, 404);
    let again = server.delete("/v1/job/web").await.json();
    assert_eq!(again["EvalID"], "");
}

#[tokio::test]
async fn reverting_registers_the_older_version_again() {
    let (server, _) = with_job().await;
    server
        .put("/v1/jobs", &json!({ "Job": service(2) }))
        .await
        .json();
    let revert = |version: u64| json!({ "JobID": "web", "JobVersion": version });
    let reply = server.put("/v1/job/web/revert", &revert(1)).await;
    assert_eq!(reply.refusal(), (500, "can't revert to current version"));
    let reply = server.put("/v1/job/web/revert", &revert(9)).await;
    let text = "job \"web\" in namespace \"default\" at version 9 not found";
    assert_eq!(reply.refusal(), (500, text));
    server.put("/v1/job/web/revert", &revert(0)).await.json();
    let job = server.get("/v1/job/web").await.json();
    assert_eq!(job["Version"], 2);
    assert_eq!(job["TaskGroups"][0]["Count"], 1);
}

#[tokio::test]
async fn scaling_is_a_new_version_with_another_count() {
    let (server, _) = with_job().await;
    let to = |group: &str, count: i64| json!({ "Target": { "Group": group }, "Count": count });
    let path = "/v1/job/web/scale";
    assert_eq!(server.put(path, &to("api", 2)).await.status, 400);
    server.put(path, &to("web", 4)).await.json();
    let status = server.get(path).await.json();
    assert_eq!(status["TaskGroups"]["web"]["Desired"], 4);
    assert_eq!(
        server.put("/v1/job/none/scale", &to("web", 1)).await.status,
        404
    );
}

#[tokio::test]
async fn a_blocking_query_returns_when_the_job_changes() {
    let (server, _) = with_job().await;
    let index = server.get("/v1/job/web").await.index();
    let path = format!("/v1/job/web?index={index}&wait=60s");
    let blocked = server.get(&path);
    let change = async {
        tokio::task::yield_now().await;
        // Another job's change must not be what ends the wait.
        let mut other = service(1);
        other["ID"] = json!("api");
        server
            .put("/v1/jobs", &json!({ "Job": other }))
            .await
            .json();
        tokio::task::yield_now().await;
        server
            .put("/v1/jobs", &json!({ "Job": service(2) }))
            .await
            .json()
    };
    let (reply, written) = tokio::join!(blocked, change);
    assert_eq!(reply.json()["Version"], 1);
    assert_eq!(json!(reply.index()), written["JobModifyIndex"]);
}

#[tokio::test(start_paused = true)]
async fn a_blocking_query_ends_unchanged_when_its_time_is_over() {
    let (server, _) = with_job().await;
    let index = server.get("/v1/job/web").await.index();
    let began = tokio::time::Instant::now();
    let path = format!("/v1/job/web?index={index}&wait=10s");
    let reply = server.get(&path).await;
    let took = began.elapsed();
    assert_eq!(reply.index(), index);
    assert!(took >= Duration::from_secs(10), "{took:?}");
    assert!(
        took <= Duration::from_secs_f64(10.0 * 17.0 / 16.0 + 0.1),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_bad_index_or_wait_is_400() {
    let server = Server::leading();
    let reply = server.get("/v1/jobs?index=x").await;
    assert_eq!(reply.refusal(), (400, "Invalid index"));
    let reply = server.get("/v1/jobs?index=1&wait=x").await;
    assert_eq!(reply.refusal(), (400, "Invalid wait time"));
    assert_eq!(server.get("/v1/jobs?stale=maybe").await.status, 400);
}

#[tokio::test]
async fn lists_are_filtered_by_prefix_and_namespace() {
    let (server, _) = with_job().await;
    let count = async |path: &str| {
        let reply = server.get(path).await.json();
        reply.as_array().unwrap().len()
    };
    assert_eq!(count("/v1/jobs?prefix=we").await, 1);
    assert_eq!(count("/v1/jobs?prefix=x").await, 0);
    assert_eq!(count("/v1/jobs?namespace=*").await, 1);
    assert_eq!(count("/v1/jobs?namespace=other").await, 0);
    assert_eq!(server.get("/v1/nodes?prefix=abc").await.status, 500);
}

#[tokio::test]
async fn a_job_file_is_parsed_and_its_errors_have_places() {
    let server = Server::leading();
    let hcl = "variable \"n\" { type = number }\njob \"web\" {\n  group \"web\" {\n    count = var.n\n    \
               task \"web\" {\n      driver = \"raw_exec\"\n      config { command = \"/bin/web\" }\n    }\n  }\n}\n";
    let body = json!({ "JobHCL": hcl, "Canonicalize": true, "Variables": "n = 3\n" });
    let job = server.put("/v1/jobs/parse", &body).await.json();
    assert_eq!(job["TaskGroups"][0]["Count"], 3);
    assert_eq!(job["Priority"], 50);
    let body = json!({ "JobHCL": hcl, "Variables": "n = 3\n" });
    let job = server.put("/v1/jobs/parse", &body).await.json();
    assert_eq!(job["TaskGroups"][0]["Count"], 3);
    for left_out in ["Priority", "Type", "Region", "Stop", "Status", "Version"] {
        assert_eq!(job[left_out], Value::Null, "{left_out}");
    }
    let twice = hcl
        .replace("count = var.n", "")
        .replace("job \"web\" {", "job \"web\" { \n type = \"batch\"\n");
    let body = json!({ "JobHCL": twice, "Variables": "n = 3\n" });
    let job = server.put("/v1/jobs/parse", &body).await.json();
    assert_eq!(job["TaskGroups"][0]["Count"], Value::Null);
    assert_eq!(job["Type"], "batch");
    let body = json!({ "JobHCL": "job \"web\" {\n  colour = 1\n}\n" });
    let reply = server.put("/v1/jobs/parse", &body).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("input.hcl:2,3"), "{}", reply.text);
}

#[tokio::test]
async fn validation_lists_what_is_wrong() {
    let server = Server::leading();
    let fine = server
        .put("/v1/validate/job", &json!({ "Job": service(1) }))
        .await
        .json();
    assert_eq!(fine["ValidationErrors"], Value::Null);
    let mut job = service(1);
    job["TaskGroups"][0]["Tasks"][0]["Artifacts"] = json!([{ "GetterSource": "x" }]);
    let wrong = server
        .put("/v1/validate/job", &json!({ "Job": job }))
        .await
        .json();
    let error = wrong["ValidationErrors"][0].as_str().unwrap();
    assert!(error.contains("Artifacts` is not simulated"), "{error}");
}

#[tokio::test]
async fn a_servers_own_view_carries_version_and_simulation() {
    let server = Server::leading();
    let own = server.get("/v1/agent/self").await.json();
    assert_eq!(own["config"]["Version"]["Version"], "1.8.3");
    let metadata = &own["config"]["Version"]["VersionMetadata"];
    assert_eq!(metadata, "rehearse-simulator");
    assert_eq!(own["config"]["DataDir"], "/opt/nomad/data");
    assert_eq!(own["config"]["NodeName"], "server-1");
    assert_eq!(own["stats"]["serf"]["encrypted"], "true");
    assert_eq!(own["stats"]["runtime"]["inert_keys"], "");
    assert_eq!(own["stats"]["nomad"]["leader"], "true");
    assert_eq!(own["stats"]["raft"]["state"], "Leader");
    let members = server.get("/v1/agent/members").await.json();
    assert_eq!(members["Members"][0]["Name"], "server-1.global");
    assert_eq!(members["Members"][0]["Status"], "alive");
    let raft = server.get("/v1/operator/raft/configuration").await.json();
    assert_eq!(raft["Servers"][0]["Leader"], true);
    assert_eq!(raft["Servers"][0]["Address"], OWN);
}

#[tokio::test]
async fn health_of_a_role_that_the_agent_lacks_is_500() {
    let server = Server::leading();
    let own = json!({ "server": { "ok": true, "message": "ok" } });
    for query in ["", "?type=server"] {
        let reply = server.get(&format!("/v1/agent/health{query}")).await;
        assert_eq!(reply.json(), own, "{query}");
    }
    let reply = server.get("/v1/agent/health?type=client").await;
    let (status, text) = reply.refusal();
    assert_eq!(status, 500);
    assert!(text.contains("client not enabled"), "{text}");
}

#[tokio::test]
async fn autopilot_answers_429_while_a_server_is_failed() {
    let server = Server::leading();
    let health = server.get("/v1/operator/autopilot/health").await.json();
    assert_eq!(health["Healthy"], true);
    assert_eq!(health["Servers"][0]["LastContact"], "0s");
    server.solo.members.lock().unwrap()[0].status = "failed".to_owned();
    let reply = server.get("/v1/operator/autopilot/health").await;
    assert_eq!(reply.status, 429);
    let health: Value = serde_json::from_str(&reply.text).unwrap();
    assert_eq!(health["Healthy"], false);
}

#[tokio::test]
async fn autopilots_configuration_is_replaced_whole_and_guarded() {
    let server = Server::leading();
    let path = "/v1/operator/autopilot/configuration";
    assert_eq!(server.get(path).await.json()["CleanupDeadServers"], true);
    let wanted = json!({ "MinQuorum": 3, "LastContactThreshold": "1s" });
    assert_eq!(server.put(path, &wanted).await.json(), true);
    let stored = server.get(path).await.json();
    assert_eq!(stored["MinQuorum"], 3);
    assert_eq!(stored["CleanupDeadServers"], false);
    assert_eq!(
        server.put(&format!("{path}?cas=77"), &wanted).await.json(),
        false
    );
    let wrong = json!({ "LastContactThreshold": "soon" });
    let reply = server.put(path, &wrong).await;
    let (status, text) = reply.refusal();
    assert_eq!(status, 400);
    assert!(
        text.starts_with("Error parsing autopilot config: "),
        "{text}"
    );
}

#[tokio::test]
async fn the_schedulers_configuration_keeps_what_is_not_given() {
    let server = Server::leading();
    let path = "/v1/operator/scheduler/configuration";
    let wanted = json!({ "SchedulerAlgorithm": "spread" });
    assert_eq!(server.put(path, &wanted).await.json()["Updated"], true);
    let config = &server.get(path).await.json()["SchedulerConfig"];
    assert_eq!(config["SchedulerAlgorithm"], "spread");
    assert_eq!(config["PreemptionConfig"]["SystemSchedulerEnabled"], true);
    let paused = json!({ "PauseEvalBroker": true });
    assert_eq!(server.put(path, &paused).await.status, 501);
}

#[tokio::test]
async fn a_node_is_shown_without_its_secret() {
    let server = Server::leading();
    let id = server.add_node("client-1").await;
    let node = server.get(&format!("/v1/node/{id}")).await.json();
    assert_eq!(node["SecretID"], "");
    assert_eq!(node["Status"], "ready");
    assert_eq!(node["NodeResources"]["Memory"]["MemoryMB"], 1000);
    assert_eq!(node["Resources"]["MemoryMB"], 1000, "as it was told before");
    assert_eq!(node["Reserved"]["CPU"], 0);
    let class = node["ComputedClass"].as_str().unwrap();
    assert!(class.starts_with("v1:"), "{class}");
    let other = server.add_node("client-2").await;
    let other = server.get(&format!("/v1/node/{other}")).await.json();
    assert_eq!(other["ComputedClass"], class, "alike but for their names");
    let stub = &server.get("/v1/nodes").await.json()[0];
    assert_eq!(stub["Address"], "10.0.0.9");
    assert_eq!(stub["Version"], "1.8.3");
    assert_eq!(stub["Drivers"]["raw_exec"]["Healthy"], true);
}

#[tokio::test]
async fn an_ineligible_node_says_so_in_its_history() {
    let server = Server::leading();
    let id = server.add_node("client-1").await;
    let path = format!("/v1/node/{id}/eligibility");
    server
        .put(&path, &json!({ "Eligibility": "ineligible" }))
        .await
        .json();
    let node = server.get(&format!("/v1/node/{id}")).await.json();
    assert_eq!(node["SchedulingEligibility"], "ineligible");
    let events = node["Events"].as_array().unwrap();
    let last = &events.last().unwrap()["Message"];
    assert_eq!(last, "Node marked as ineligible for scheduling");
    let reply = server.put(&path, &json!({ "Eligibility": "x" })).await;
    let text = "invalid scheduling eligibility \"x\"";
    assert_eq!(reply.refusal(), (500, text));
    let reply = server
        .put(
            "/v1/node/none/eligibility",
            &json!({ "Eligibility": "eligible" }),
        )
        .await;
    assert_eq!(reply.refusal(), (500, "node not found"));
}

#[tokio::test]
async fn a_job_without_deployments_has_the_deployment_null() {
    let (server, _) = with_job().await;
    assert_eq!(
        server.get("/v1/job/web/deployment").await.json(),
        Value::Null
    );
    assert_eq!(
        server.get("/v1/job/web/deployments").await.json(),
        json!([])
    );
}

#[tokio::test]
async fn a_job_of_a_purged_ones_name_has_none_of_its_deployments() {
    let server = Server::leading().on_duty();
    server.add_node("client-1").await;
    let body = json!({ "Job": service(1) });
    server.put("/v1/jobs", &body).await;
    let deployed = |n: usize| {
        move |state: &crate::state::State| state.deployments_of_job("default", "web").len() == n
    };
    server.until("a deployment", deployed(1)).await;
    server.delete("/v1/job/web?purge=true").await;
    // Nobody registers anew: what there was is shown.
    let old = server.get("/v1/job/web/deployment").await.json();
    server.put("/v1/jobs", &body).await;
    server.until("a second one", deployed(2)).await;
    let new = server.get("/v1/job/web/deployment").await.json();
    assert_ne!(new["ID"], old["ID"]);
    let count = async |query: &str| {
        let path = format!("/v1/job/web/deployments{query}");
        server.get(&path).await.json().as_array().unwrap().len()
    };
    assert_eq!(count("").await, 1);
    assert_eq!(count("?all=true").await, 2);
}

#[tokio::test]
async fn a_plan_stores_nothing() {
    let (server, _) = with_job().await;
    server.add_node("client-1").await;
    let before = server.state().index;
    let body = json!({ "Job": service(3), "Diff": true });
    let plan = server.put("/v1/job/web/plan", &body).await.json();
    assert_eq!(server.state().index, before);
    assert_eq!(plan["Diff"]["Type"], "Edited");
    assert_eq!(plan["Annotations"]["DesiredTGUpdates"]["web"]["Place"], 3);
    assert_eq!(plan["FailedTGAllocs"], Value::Null);
}

#[tokio::test]
async fn a_drain_is_shown_and_can_be_canceled() {
    let server = Server::leading();
    let id = server.add_node("client-1").await;
    let path = format!("/v1/node/{id}/drain");
    let hour = 3_600_000_000_000_i64;
    let spec = json!({ "DrainSpec": { "Deadline": hour, "IgnoreSystemJobs": true }, "Meta": { "why": "disk" } });
    let reply = server.put(&path, &spec).await.json();
    assert_eq!(reply["EvalIDs"], Value::Null);
    let node = server.get(&format!("/v1/node/{id}")).await.json();
    assert_eq!(
        (&node["Drain"], &node["SchedulingEligibility"]),
        (&json!(true), &json!("ineligible"))
    );
    let strategy = &node["DrainStrategy"];
    assert_eq!(
        (&strategy["Deadline"], &strategy["IgnoreSystemJobs"]),
        (&json!(hour), &json!(true))
    );
    assert!(strategy["ForceDeadline"].as_str() > strategy["StartedAt"].as_str());
    let last = &server.get("/v1/nodes").await.json()[0]["LastDrain"];
    assert_eq!(
        (&last["Status"], &last["Meta"]["why"]),
        (&json!("draining"), &json!("disk"))
    );
    let eligible = json!({ "Eligibility": "eligible" });
    let refused = server
        .put(&format!("/v1/node/{id}/eligibility"), &eligible)
        .await;
    let text = "can not set node's scheduling eligibility to eligible while it is draining";
    assert_eq!(refused.refusal(), (500, text));
    let cancel = json!({ "DrainSpec": null, "MarkEligible": true });
    server.put(&path, &cancel).await.json();
    let node = server.get(&format!("/v1/node/{id}")).await.json();
    assert_eq!(
        (&node["Drain"], &node["DrainStrategy"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(node["SchedulingEligibility"], "eligible");
    assert_eq!(node["LastDrain"]["Status"], "canceled");
    let events = node["Events"].as_array().unwrap().iter().rev().take(2);
    let events: Vec<_> = events
        .map(|e| (e["Message"].as_str(), e["Subsystem"].as_str()))
        .collect();
    let drain = Some("Drain");
    assert_eq!(
        events,
        [
            (Some("Node drain strategy disabled"), drain),
            (Some("Node drain strategy set"), drain)
        ]
    );
}

#[tokio::test]
async fn a_truth_value_must_be_one() {
    let (server, _) = with_job().await;
    let reply = server.delete("/v1/job/web?purge=perhaps").await;
    let (status, text) = reply.refusal();
    assert_eq!(status, 500);
    let start = "Failed to parse value of \"purge\" (perhaps) as a bool";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(server.get("/v1/job/web").await.status, 200);
    assert_eq!(server.delete("/v1/job/web?purge=t").await.status, 200);
    assert_eq!(server.get("/v1/job/web").await.status, 404);
}

#[tokio::test]
async fn a_job_is_shown_with_the_disk_that_it_is_given() {
    let (server, _) = with_job().await;
    let job = server.get("/v1/job/web").await.json();
    assert_eq!(job["TaskGroups"][0]["EphemeralDisk"]["SizeMB"], 300);
    let again = server.put("/v1/jobs", &json!({ "Job": job })).await;
    assert_eq!(again.status, 200, "what was read can be sent back");
}

#[tokio::test]
async fn an_unknown_type_of_job_is_refused_in_nomads_words() {
    let server = Server::leading();
    let mut job = json!(service(1));
    job["Type"] = json!("nonsense");
    let reply = server.put("/v1/jobs", &json!({ "Job": job })).await;
    let (status, text) = reply.refusal();
    assert_eq!(status, 500);
    assert!(text.contains("Invalid job type: \"nonsense\""), "{text}");
}

#[tokio::test]
async fn the_built_in_pools_and_those_of_nodes_are_listed() {
    let server = Server::leading();
    server.add_node("client-1").await;
    let pools = server.get("/v1/node/pools").await.json();
    let names: Vec<_> = pools
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["Name"])
        .collect();
    assert_eq!(names, ["all", "default"]);
}

#[tokio::test]
async fn a_server_keeps_no_list_of_servers() {
    let server = Server::leading();
    let reply = server.get("/v1/agent/servers").await;
    assert_eq!(reply.refusal(), (501, "Invalid method"));
}

#[tokio::test]
async fn an_evaluation_tells_its_relatives_only_when_asked() {
    let server = Server::leading().on_duty();
    let reply = server.put("/v1/jobs", &json!({ "Job": service(1) })).await;
    let reply = reply.json();
    let path = format!("/v1/evaluation/{}", reply["EvalID"].as_str().unwrap());
    let waits = |eval: &crate::types::Evaluation| !eval.blocked_eval.is_empty();
    let blocked = |state: &crate::state::State| state.evals.values().any(|eval| waits(eval));
    server.until("a blocked evaluation", blocked).await;
    let eval = server.get(&path).await.json();
    assert!(eval.get("RelatedEvals").is_none());
    let eval = server.get(&format!("{path}?related=true")).await.json();
    assert_eq!(eval["RelatedEvals"][0]["ID"], eval["BlockedEval"]);
}
