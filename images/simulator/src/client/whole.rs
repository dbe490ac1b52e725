//! The whole way of a job, but for network and disk of the servers: job file, API, leader,
//! scheduler, three clients with real processes, health, deployment.

use std::collections::BTreeSet;

use serde_json::json;

use super::tests::config;
use super::*;
use crate::solo;
use crate::types::{AllocClientStatus, DeploymentStatus, JobStatus};

/// The RPC of a server in this process.
pub(super) struct Near(pub(super) Arc<solo::Server>);

impl Near {
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: serde_json::Value,
    ) -> Result<T, ServersError> {
        let answer = self.0.rpc(path, &body).await;
        if answer.status != 200 {
            return Err(ServersError::Refused(answer.text));
        }
        let text = if answer.text.is_empty() {
            "null"
        } else {
            &answer.text
        };
        Ok(serde_json::from_str(text).expect("an answer is JSON"))
    }
}

#[derive(Deserialize)]
struct Listed {
    index: u64,
    allocs: Vec<Allocation>,
}

#[async_trait]
impl Servers for Near {
    async fn register(&self, node: &Node) -> Result<HeartbeatReply, ServersError> {
        self.ask("/client/register", json!({ "node": node })).await
    }

    async fn heartbeat(
        &self,
        node_id: &str,
        secret_id: &str,
        status: NodeStatus,
    ) -> Result<HeartbeatReply, ServersError> {
        let body = json!({ "node_id": node_id, "secret_id": secret_id, "status": status });
        self.ask("/client/heartbeat", body).await
    }

    async fn allocs(
        &self,
        node_id: &str,
        secret_id: &str,
        index: u64,
        wait: Duration,
    ) -> Result<(u64, Vec<Allocation>), ServersError> {
        let body = json!({
            "node_id": node_id, "secret_id": secret_id, "index": index, "wait": wait,
        });
        let listed: Listed = self.ask("/client/allocs", body).await?;
        Ok((listed.index, listed.allocs))
    }

    async fn update_allocs(
        &self,
        node_id: &str,
        secret_id: &str,
        allocs: Vec<Allocation>,
    ) -> Result<(), ServersError> {
        let body = json!({ "node_id": node_id, "secret_id": secret_id, "allocs": allocs });
        self.ask("/client/update", body).await
    }
}

/// The sample job, shortened, with a process that any machine has.
fn sample(text: &str) -> String {
    text.replace("/usr/local/bin/rehearse-agent", "sh")
        .replace(
            r#"["workload", "-version", "${NOMAD_META_version}"]"#,
            r#"["-c", "echo $NOMAD_META_version; exec sleep 1000"]"#,
        )
        .replace("min_healthy_time = \"1s\"", "min_healthy_time = \"200ms\"")
}

async fn submit(server: &solo::Server, text: &str) {
    let parsed = json!({ "JobHCL": sample(text), "Canonicalize": true });
    let job = server.put("/v1/jobs/parse", &parsed).await.json();
    server.put("/v1/jobs", &json!({ "Job": job })).await.json();
}

/// Waits until the version's deployment is successful; returns the lowest number of healthy
/// allocations that was seen meanwhile.
async fn roll_out(server: &solo::Server, version: u64) -> usize {
    let lowest = Mutex::new(usize::MAX);
    server
        .until("a successful deployment", |state| {
            let healthy = state.allocs_of_job("default", "whoami").filter(|a| {
                let health = a.deployment_status.as_ref().and_then(|s| s.healthy);
                let runs = a.client_status == AllocClientStatus::Running;
                runs && health == Some(true) && !a.is_terminal()
            });
            let mut lowest = lowest.lock().expect("no test panics with it");
            *lowest = healthy.count().min(*lowest);
            let newest = state
                .deployments_of_job("default", "whoami")
                .into_iter()
                .next();
            newest.is_some_and(|d| {
                d.job_version == version && d.status == DeploymentStatus::Successful
            })
        })
        .await;
    lowest.into_inner().expect("no test panics with it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_job_runs_is_updated_and_stops() {
    let server = Arc::new(solo::Server::leading().on_duty());
    let dirs: Vec<_> = (0..3)
        .map(|_| tempfile::tempdir().expect("a directory"))
        .collect();
    let mut clients = Vec::new();
    for (i, dir) in dirs.iter().enumerate() {
        let mut config = config(dir.path());
        config.name = format!("client-{}", i + 1);
        let servers = Arc::new(Near(Arc::clone(&server)));
        clients.push(Client::start(config, servers).expect("it starts"));
    }
    server
        .until("three ready nodes", |state| {
            let ready = state
                .nodes
                .values()
                .filter(|n| n.status == NodeStatus::Ready);
            ready.count() == 3
        })
        .await;
    submit(&server, include_str!("../../../../jobs/whoami.nomad.hcl")).await;
    roll_out(&server, 0).await;
    let state = server.state();
    let nodes: BTreeSet<_> = state.allocs.values().map(|a| a.node_id.clone()).collect();
    assert_eq!((state.allocs.len(), nodes.len()), (3, 3));

    submit(
        &server,
        include_str!("../../../../jobs/whoami-v2.nomad.hcl"),
    )
    .await;
    let lowest = roll_out(&server, 1).await;
    assert_eq!(lowest, 2, "one at a time");
    let state = server.state();
    let live: Vec<_> = state.allocs.values().filter(|a| !a.is_terminal()).collect();
    assert_eq!(live.len(), 3);
    for alloc in &live {
        let client = clients.iter().find(|c| c.node_id() == alloc.node_id);
        let dir = client.expect("one of ours").alloc_dir(&alloc.id);
        let log = std::fs::read_to_string(dir.join("alloc/logs/server.stdout.0"));
        assert_eq!(log.expect("it wrote"), "2\n");
    }

    server.delete("/v1/job/whoami").await.json();
    server
        .until("the end of every task", |state| {
            let job = state.job("default", "whoami").expect("it is there");
            let mut allocs = state.allocs.values();
            job.status == JobStatus::Dead && allocs.all(|a| a.client_status.is_terminal())
        })
        .await;
}
