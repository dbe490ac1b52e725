//! `run --target aws` from end to end: AWS is a stand-in whose machines are the containers of a
//! simulated cluster. EC2's switch stops and starts them, scripts of Systems Manager are known by what
//! they hold, and pull the container's lever. So client, journal, addresses, certificates and levers
//! are put together as on AWS; what the scripts do on a machine is not proved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use nomad_harness::Cluster;
use nomad_harness::spec::AgentName;
use nomad_harness::target::Target as _;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::Stage;

/// The stand-in: which agent is which machine, which machines are off, what was asked.
struct Cloud {
    cluster: Cluster,
    machines: BTreeMap<String, AgentName>,
    off: Mutex<BTreeSet<String>>,
    asked: Mutex<Vec<String>>,
    outputs: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    fn instances(&self) -> String {
        let item = |(id, name): (&String, &AgentName)| {
            let info = self.cluster.agent(name.as_str()).unwrap().info().clone();
            let state = if lock(&self.off).contains(id) {
                "stopped"
            } else {
                "running"
            };
            format!(
                "<item><instanceId>{id}</instanceId><instanceState><name>{state}</name></instanceState>\
                 <privateIpAddress>{ip}</privateIpAddress><ipAddress>{ip}</ipAddress><architecture>x86_64</architecture>\
                 <tagSet><item><key>rehearse-cluster</key><value>away</value></item></tagSet></item>",
                ip = info.address
            )
        };
        let items: String = self.machines.iter().map(item).collect();
        format!(
            "<R><reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet></R>"
        )
    }

    async fn ec2(&self, body: &str) -> String {
        let of = |key: &str| body.split('&').find_map(|part| part.strip_prefix(key));
        let action = of("Action=").unwrap_or_default();
        let id = of("InstanceId.1=").unwrap_or_default();
        if let Some(agent) = self.machines.get(id) {
            lock(&self.asked).push(format!("{action} {agent}"));
            match action {
                "StopInstances" => {
                    self.cluster.target().stop(agent).await.unwrap();
                    lock(&self.off).insert(id.to_owned());
                }
                "StartInstances" => {
                    self.cluster.target().start(agent).await.unwrap();
                    lock(&self.off).remove(id);
                }
                _ => {}
            }
        }
        match action {
            "DescribeInstances" => self.instances(),
            "GetCallerIdentity" => {
                "<R><Account>1</Account><Arn>arn:aws:iam::1:user/t</Arn></R>".to_owned()
            }
            _ => "<R/>".to_owned(),
        }
    }

    /// Does what a script would; returns what it would print.
    async fn script(&self, id: &str, script: &str) -> String {
        let (agent, target) = (&self.machines[id], self.cluster.target());
        let verb = if let Some((_, rest)) = script.split_once("elements = { ") {
            let peers: Vec<&str> = rest.split_once(" }").unwrap().0.split(", ").collect();
            let is_peer = |one: &&nomad_harness::target::AgentInfo| {
                peers.contains(&one.address.to_string().as_str())
            };
            let peers = target
                .agents()
                .iter()
                .filter(is_peer)
                .map(|one| one.name.clone());
            target
                .isolate(agent, &peers.collect::<Vec<_>>())
                .await
                .unwrap();
            "isolate"
        } else if script.contains("nft delete table") {
            target.heal(agent).await.unwrap();
            "rejoin"
        } else if script.contains("--signal=KILL") {
            target.kill(agent).await.unwrap();
            "kill"
        } else if script.contains("systemctl start nomad") {
            target.start(agent).await.unwrap();
            "start"
        } else if script.contains("rp_filter") {
            return target.network_state(agent).await.unwrap();
        } else {
            return target.logs(agent, 50).await.unwrap();
        };
        lock(&self.asked).push(format!("{verb} {agent}"));
        String::new()
    }

    async fn ssm(&self, action: &str, asked: &Value) -> Value {
        match action {
            "DescribeInstanceInformation" => {
                let online = |id: &String| json!({ "InstanceId": id, "PingStatus": "Online" });
                json!({ "InstanceInformationList": self.machines.keys().map(online).collect::<Vec<_>>() })
            }
            "SendCommand" => {
                let id = asked["InstanceIds"][0].as_str().unwrap();
                let lines = asked["Parameters"]["commands"].as_array().unwrap();
                let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
                let printed = self.script(id, &lines.join("\n")).await;
                let mut outputs = lock(&self.outputs);
                outputs.push(printed);
                json!({ "Command": { "CommandId": (outputs.len() - 1).to_string() } })
            }
            _ => {
                let number: usize = asked["CommandId"].as_str().unwrap().parse().unwrap();
                let printed = lock(&self.outputs)[number].clone();
                json!({ "Status": "Success", "ResponseCode": 0, "StandardOutputContent": printed })
            }
        }
    }
}

async fn answer(
    State(cloud): State<Arc<Cloud>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let text = match target.and_then(|target| target.strip_prefix("AmazonSSM.")) {
        Some(action) => {
            let asked = serde_json::from_str(&body).unwrap_or_default();
            cloud.ssm(action, &asked).await.to_string()
        }
        None => cloud.ec2(&body).await,
    };
    (StatusCode::OK, text)
}

/// What Terraform would put out for the cluster.
fn outputs(cluster: &Cluster, machines: &BTreeMap<String, AgentName>) -> Value {
    let record = cluster.target().record();
    let folder = cluster.target().folder();
    let files = folder.cli_files(&record.spec.region);
    let agents: serde_json::Map<String, Value> = machines
        .iter()
        .map(|(id, name)| {
            let info = cluster.agent(name.as_str()).unwrap().info().clone();
            let agent = json!({
                "role": info.role, "instance_id": id, "private_ip": info.address, "public_ip": info.address
            });
            (name.to_string(), agent)
        })
        .collect();
    let value = |value: Value| json!({ "value": value });
    json!({
        "ca_file": value(files.ca.display().to_string().into()),
        "cert_file": value(files.certificate.display().to_string().into()),
        "key_file": value(files.key.display().to_string().into()),
        "token_file": value(folder.token_file().display().to_string().into()),
        "tls_server_name": value(format!("server.{}.nomad", record.spec.region).into()),
        "cluster": value(json!({
            "name": "away", "aws_region": "us-east-2", "nomad_version": "1.8.3",
            "cluster_tag": { "key": "rehearse-cluster", "value": "away" }, "agents": agents,
        })),
    })
}

/// Makes a cluster the machines of a stand-in for AWS; returns it with the file to attach by, its
/// address, and the task that serves it.
async fn attached(
    stage: &Stage,
    cluster: Cluster,
) -> (Arc<Cloud>, PathBuf, String, JoinHandle<std::io::Result<()>>) {
    let machines: BTreeMap<String, AgentName> = cluster
        .agents()
        .enumerate()
        .map(|(number, agent)| (format!("i-0{number}"), agent.name().clone()))
        .collect();
    let file = stage.folder.path().join("cluster.json");
    std::fs::write(&file, outputs(&cluster, &machines).to_string()).unwrap();
    let cloud = Arc::new(Cloud {
        cluster,
        machines,
        off: Mutex::default(),
        asked: Mutex::default(),
        outputs: Mutex::default(),
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(cloud.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    (cloud, file, endpoint, server)
}

/// The command, attached to the stand-in.
fn rehearse(stage: &Stage, words: &[&str], file: &Path, endpoint: &str) -> Command {
    let mut command = stage.rehearse();
    command
        .args(words)
        .args(["--target", "aws", "--attach"])
        .arg(file)
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .current_dir(stage.folder.path());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_run_on_a_live_cluster_with_the_machines_own_levers() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let cluster = stage.builder().start().await.unwrap();
    let first = cluster.agents().next().unwrap().info().address;
    let reached = tokio::net::TcpStream::connect((first, 4646)).await;
    if let Err(error) = reached {
        eprintln!(
            "\n*** SKIPPED: containers are not reached at their own addresses ({error}) ***\n"
        );
        cluster.tear_down().await.unwrap();
        return;
    }
    let (cloud, file, endpoint, server) = attached(&stage, cluster).await;

    let reports = stage.folder.path().join("reports");
    let run = |words: &[&str]| rehearse(&stage, words, &file, &endpoint);
    let report = reports.to_string_lossy().into_owned();
    let words = [
        "run",
        "leader-failover",
        "leader-isolated",
        "--yes",
        "--report",
        &report,
    ];
    let output = stage.output(run(&words)).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let asked = lock(&cloud.asked).clone();
    assert_eq!(output.status.code(), Some(0), "{said}\n{asked:#?}");
    let count = |verb: &str| asked.iter().filter(|one| one.starts_with(verb)).count();
    assert!(
        count("kill server-") >= 1 && count("start server-") >= 1,
        "{asked:?}"
    );
    assert!(
        count("isolate server-") == 1 && count("rejoin server-") >= 1,
        "{asked:?}"
    );
    let results = std::fs::read_to_string(reports.join("results.json")).unwrap();
    assert!(
        results.contains("Nomad 1.8.3 (aws)"),
        "it is told as what it is: {results}"
    );

    // A machine that was stopped by hand is started by healing.
    let output = stage
        .output(run(&["lever", "stop", "client-1", "--yes"]))
        .await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = stage.output(run(&["heal", "--yes"])).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(lock(&cloud.off).is_empty());

    server.abort();
    drop(server.await);
    let cloud = Arc::into_inner(cloud).expect("nobody asks any more");
    cloud.cluster.tear_down().await.unwrap();
}
