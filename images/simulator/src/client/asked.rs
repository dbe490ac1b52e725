//! What is asked of one client, by way of a server over the client's own connections: files,
//! logs, orders, statistics.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use super::tests::config;
use super::whole::Near;
use super::*;
use crate::http::{ClientContext, Settings, client_router, own_router};
use crate::rpc::{Callee, Kind, Listener, Pool};
use crate::solo::{self, Relay, Solo};
use crate::types::{AllocClientStatus, TaskStateKind};

/// A server that listens, and a client that is connected to it.
struct Pair {
    server: Arc<solo::Server>,
    client: Arc<Client>,
    tasks: Vec<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Drop for Pair {
    /// Also ends the tasks' processes, which would outlive the test as they outlive a client.
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for id in self.server.state().allocs.keys() {
            let view = self.client.allocation(id).unwrap_or_default();
            for pid in view.processes.into_values() {
                let group = nix::unistd::Pid::from_raw(pid);
                // It may have ended by itself.
                let _gone = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}

const JOB: &str = r#"
job "j" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "trap 'echo hup' HUP; echo one; echo two >&2; while true; do sleep 0.05; done"]
      }
    }
  }
}
"#;

impl Pair {
    async fn start(server: solo::Server) -> Self {
        let server = Arc::new(server.on_duty());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, Kind::Rpc, None).await.expect("a port");
        let address = listener.address().expect("its address");
        let dir = tempfile::tempdir().expect("a directory");
        let near = Arc::new(Near(Arc::clone(&server)));
        let client = Arc::new(Client::start(config(dir.path()), near).expect("it starts"));
        let callee = Callee {
            pool: Pool::new(None),
            servers: Arc::new(move || vec![address]),
            node_id: client.node_id().to_owned(),
            secret_id: client.secret_id().to_owned(),
            router: own_router(Arc::clone(&client)),
        };
        let tasks = vec![
            tokio::spawn(listener.serve(server.router())),
            tokio::spawn(callee.keep()),
        ];
        Self {
            server,
            client,
            tasks,
            _dir: dir,
        }
    }

    /// Runs the job; the ID of its allocation once the task has written.
    async fn run(&self) -> String {
        let parsed = json!({ "JobHCL": JOB, "Canonicalize": true });
        let job = self.server.put("/v1/jobs/parse", &parsed).await.json();
        self.server
            .put("/v1/jobs", &json!({ "Job": job }))
            .await
            .json();
        let runs = |state: &crate::state::State| {
            let mut allocs = state.allocs.values();
            allocs.any(|a| a.client_status == AllocClientStatus::Running)
        };
        let state = self.server.until("running", runs).await;
        let id = state.allocs.keys().next().expect("it is placed").clone();
        let path = self.client.alloc_dir(&id).join("alloc/logs/t.stderr.0");
        for _ in 0..500 {
            if std::fs::read_to_string(&path).is_ok_and(|text| text == "two\n") {
                return id;
            }
            crate::clock::sleep(Duration::from_millis(10)).await;
        }
        panic!("the task wrote nothing");
    }

    /// Asks until the client's connection is there.
    async fn get(&self, path: &str) -> solo::Answer {
        for _ in 0..20 {
            let answer = self.server.get(path).await;
            if answer.text != "No path to node" {
                return answer;
            }
        }
        panic!("the client did not connect");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_logs_are_read_by_way_of_a_server() {
    let pair = Pair::start(solo::Server::leading()).await;
    let id = pair.run().await;
    let logs = |kind: &str| format!("/v1/client/fs/logs/{id}?task=t&type={kind}&plain=true");
    assert_eq!(pair.get(&logs("stdout")).await.text, "one\n");
    assert_eq!(pair.get(&logs("stderr")).await.text, "two\n");
    let framed = pair
        .get(&format!("/v1/client/fs/logs/{id}?task=t&type=stdout"))
        .await;
    let expected = json!({ "Data": "b25lCg==", "File": "t.stdout.0", "Offset": 4 });
    assert_eq!(framed.json(), expected);
    let listed = pair
        .get(&format!("/v1/client/fs/ls/{id}?path=alloc/logs"))
        .await
        .json();
    let names: Vec<_> = listed.as_array().expect("a list").iter().collect();
    assert!(
        names
            .iter()
            .any(|f| f["Name"] == "t.stdout.0" && f["Size"] == 4),
        "{listed}"
    );
    let cat = format!("/v1/client/fs/cat/{id}?path=alloc/logs/t.stdout.0");
    assert_eq!(pair.get(&cat).await.text, "one\n");
    for (path, status, text) in [
        ("logs/ID?type=stdout", 400, "must provide task name"),
        (
            "logs/ID?task=t",
            400,
            "must provide log type (stdout/stderr)",
        ),
        ("logs/ID?task=x&type=stdout", 400, "unknown task name \"x\""),
        ("cat/ID", 400, "must provide a file name"),
        (
            "cat/ID?path=../../x",
            500,
            "Path escapes the alloc directory",
        ),
        ("cat/none?path=x", 404, "Unknown allocation \"none\""),
    ] {
        let path = format!("/v1/client/fs/{}", path.replace("ID", &id));
        let answer = pair.get(&path).await;
        assert_eq!(answer.refusal(), (status, text), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_and_statistics_reach_the_client() {
    let pair = Pair::start(solo::Server::leading()).await;
    let id = pair.run().await;
    pair.get(&format!("/v1/client/allocation/{id}/stats")).await;
    let hup = json!({ "Task": "t", "Signal": "SIGHUP" });
    let path = format!("/v1/client/allocation/{id}/signal");
    pair.server.put(&path, &hup).await.json();
    let follow = format!("/v1/client/fs/logs/{id}?task=t&type=stdout&plain=true&follow=true");
    let request = Request::get(&follow)
        .body(Body::empty())
        .expect("a request");
    let reply = pair
        .server
        .router()
        .oneshot(request)
        .await
        .expect("a reply");
    let mut body = reply.into_body();
    let mut seen = String::new();
    while !seen.ends_with("hup\n") {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await;
        let frame = frame
            .expect("in time")
            .expect("it goes on")
            .expect("no error");
        seen.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"));
    }
    let stats = pair
        .get(&format!("/v1/client/allocation/{id}/stats"))
        .await
        .json();
    let rss = &stats["Tasks"]["t"]["ResourceUsage"]["MemoryStats"]["RSS"];
    assert!(rss.as_u64() > Some(0), "{stats}");
    let host = format!("/v1/client/stats?node_id={}", pair.client.node_id());
    assert!(pair.get(&host).await.json()["Memory"]["Total"].as_u64() > Some(0));
    let restart = format!("/v1/client/allocation/{id}/restart");
    pair.server.put(&restart, &json!({})).await.json();
    let restarted = |state: &crate::state::State| {
        let found = state.allocs.get(&id).and_then(|a| a.task_states.get("t"));
        found.is_some_and(|t| t.restarts == 1 && t.state == TaskStateKind::Running)
    };
    pair.server.until("a restart", restarted).await;
    let unknown = format!("/v1/client/allocation/{id}/exec");
    assert_eq!(pair.server.get(&unknown).await.status, 501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_agent_serves_its_own_and_asks_servers_who_may() {
    let settings = Settings {
        acl_enabled: true,
        ..Settings::default()
    };
    let mut server = solo::Server::new(Solo::leading(), settings);
    let token = server.put("/v1/acl/bootstrap", &json!({})).await.json();
    server.token = token["SecretID"].as_str().expect("a secret").to_owned();
    let pair = Pair::start(server).await;
    let id = pair.run().await;
    let relay = Arc::new(Relay::default());
    let agent = client_router(ClientContext {
        servers: Arc::new(|| vec![solo::OWN.parse().expect("an address")]),
        forward: relay.clone(),
        agent: pair.server.ctx.agent.clone(),
        client: Arc::clone(&pair.client),
        acl_enabled: true,
    });
    let path = format!("/v1/client/fs/logs/{id}?task=t&type=stdout&plain=true");
    let ask = async || {
        let request = Request::get(&path).header("x-nomad-token", "s3cret");
        let request = request.body(Body::empty()).expect("a request");
        let reply = agent.clone().oneshot(request).await.expect("a reply");
        let status = reply.status().as_u16();
        let body = reply
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(ask().await.0, 500, "no server says that it may");
    *relay.answer.lock().expect("no test panics with it") = Some(HeaderMap::new());
    assert_eq!(ask().await, (200, "one\n".to_owned()));
    let asked = relay.asked.lock().expect("no test panics with it").clone();
    assert!(
        asked.iter().all(|(_, line, _)| line == "POST /client/may"),
        "{asked:?}"
    );
    let question = |token: &str, right: &str| json!({ "token": token, "namespace": "default", "capabilities": [right] });
    for (token, status) in [(pair.server.token.as_str(), 200), ("", 403), ("x", 403)] {
        let answer = pair
            .server
            .rpc("/client/may", &question(token, "read-fs"))
            .await;
        assert_eq!(answer.status, status, "{token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_taken_from_the_node_itself_only() {
    let server = solo::Server::leading();
    let node = server.add_node("client-1").await;
    for (id, secret, status) in [(node.as_str(), "wrong", 403), ("none", "", 404)] {
        let request = Request::get("/client/connect")
            .header("x-rehearse-node", id)
            .header("x-rehearse-secret", secret);
        let answer = server
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(answer.status, status, "{id}");
    }
    let answer = server
        .get(&format!("/v1/client/stats?node_id={node}"))
        .await;
    assert_eq!(answer.refusal(), (404, "No path to node"));
}
