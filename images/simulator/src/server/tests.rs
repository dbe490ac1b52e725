//! Whole servers in one process, from their configuration files on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::net::TcpListener;

use super::{Server, node_id};
use crate::clock;
use crate::config::{self, AgentConfig};
use crate::consensus::Consensus;
use crate::http::AgentInfo;
use crate::rpc::trial::Authority;
use crate::rpc::{Pool, Tls};

const LIMIT: Duration = Duration::from_secs(20);
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Folder, authority and ports of a cluster to be.
struct Site {
    authority: Authority,
    folder: tempfile::TempDir,
    ports: Vec<[u16; 3]>,
}

impl Site {
    async fn new(servers: usize) -> Self {
        let mut ports = Vec::new();
        let mut held = Vec::new();
        for _ in 0..servers {
            let mut three = [0; 3];
            for port in &mut three {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                *port = listener.local_addr().unwrap().port();
                held.push(listener);
            }
            ports.push(three);
        }
        drop(held);
        Self {
            authority: Authority::new(),
            folder: tempfile::tempdir().unwrap(),
            ports,
        }
    }

    fn config(&self, n: usize, key: &str) -> AgentConfig {
        let name = format!("server-{}", n + 1);
        let names = ["server.global.nomad", "localhost"];
        let tls = self.authority.settings(&name, &names);
        let [http, rpc, serf] = self.ports[n];
        let join: Vec<String> = self
            .ports
            .iter()
            .map(|p| format!("\"127.0.0.1:{}\"", p[2]))
            .collect();
        let text = format!(
            r#"
name = "{name}"
data_dir = "{folder}/{name}"
bind_addr = "127.0.0.1"
ports {{ http = {http} rpc = {rpc} serf = {serf} }}
advertise {{ http = "127.0.0.1" rpc = "127.0.0.1" serf = "127.0.0.1" }}
server {{
  enabled = true
  bootstrap_expect = {expect}
  encrypt = "{key}"
  server_join {{ retry_join = [{join}] }}
}}
tls {{
  http = true
  rpc = true
  verify_server_hostname = true
  verify_https_client = true
  ca_file = "{ca}"
  cert_file = "{cert}"
  key_file = "{private}"
}}
"#,
            folder = self.folder.path().display(),
            expect = self.ports.len(),
            join = join.join(", "),
            ca = tls.ca_file.display(),
            cert = tls.cert_file.display(),
            private = tls.key_file.display(),
        );
        let file = self.folder.path().join(format!("{name}.hcl"));
        std::fs::write(&file, text).unwrap();
        config::load(&[file]).unwrap()
    }

    async fn start(&self, n: usize, key: &str) -> Server {
        let config = self.config(n, key);
        let tls = Arc::new(Tls::load(config.tls.clone()).unwrap());
        let pool = Pool::new(Some(Arc::clone(&tls)));
        let info = AgentInfo {
            name: config.name.clone(),
            region: config.region.clone(),
            datacenter: config.datacenter.clone(),
            version: crate::FOLLOWS.to_owned(),
            rpc_addr: config.advertise.rpc,
            http_addr: config.advertise.http,
            bootstrap_expect: 3,
            config: serde_json::Value::Null,
            inert: Vec::new(),
            gossip_encrypted: true,
        };
        let options = config.server.clone().unwrap();
        Server::start(&config, &options, info, pool, Some(tls))
            .await
            .unwrap()
    }

    fn http(&self, n: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[n][0]))
    }

    /// Asks a server's HTTPS port with a certificate of the cluster's command line.
    async fn get(&self, n: usize, path: &str) -> String {
        self.ask(n, "GET", path, String::new()).await
    }

    async fn ask(&self, n: usize, method: &str, path: &str, body: String) -> String {
        let settings = self.authority.settings("cli", &["cli.global.nomad"]);
        let pool = Pool::new(Some(Arc::new(Tls::load(settings).unwrap())));
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Bytes::from(body)).unwrap();
        let reply = pool.call(self.http(n), request).await.unwrap();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

/// Waits until every server knows the same leader.
async fn agreed_leader(servers: &[Server]) -> SocketAddr {
    let look = async {
        loop {
            let known: Vec<_> = servers
                .iter()
                .map(|s| s.replica.leadership().borrow().leader)
                .collect();
            let serves = servers
                .iter()
                .any(|s| s.replica.leadership().borrow().is_self);
            if let Some(Some(first)) = known.first() {
                if serves && known.iter().all(|k| *k == Some(*first)) {
                    return *first;
                }
            }
            clock::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.expect("one leader")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_form_one_cluster_that_every_one_of_them_answers_for() {
    let site = Site::new(3).await;
    let mut servers = Vec::new();
    for n in 0..3 {
        servers.push(site.start(n, KEY).await);
    }
    let leader = agreed_leader(&servers).await;
    for (n, server) in servers.iter().enumerate() {
        assert_eq!(
            site.get(n, "/v1/status/leader").await,
            format!("\"{leader}\"")
        );
        let peers = server.replica.peers();
        let mut names: Vec<_> = peers.iter().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["server-1.global", "server-2.global", "server-3.global"]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_forms_a_cluster_without_the_expected_number() {
    let site = Site::new(3).await;
    let mut servers = vec![
        site.start(0, KEY).await,
        site.start(1, KEY).await,
        site.start(2, OTHER_KEY).await,
    ];
    let mut members = servers[0].replica.members();
    let both = async {
        while members.len() < 2 {
            clock::sleep(Duration::from_millis(20)).await;
            members = servers[0].replica.members();
        }
    };
    tokio::time::timeout(LIMIT, both)
        .await
        .expect("two members");
    // Several times what the third needs below.
    clock::sleep(Duration::from_secs(2)).await;
    for server in &servers {
        assert!(!server.replica.is_configured().await);
    }
    servers.pop().unwrap().shut_down().await;
    // Once it is there, it counts and not the configuration.
    let keyring = site.folder.path().join("server-3/server/serf.keyring");
    std::fs::remove_file(keyring).unwrap();
    let started = tokio::time::timeout(LIMIT, async {
        // Its ports and files are free once its tasks have ended.
        let data = site.folder.path().join("server-3/server/raft");
        while crate::raft::Store::open(&data).is_err() {
            clock::sleep(Duration::from_millis(20)).await;
        }
        site.start(2, KEY).await
    });
    servers.push(started.await.expect("started again"));
    agreed_leader(&servers).await;
}

#[test]
fn a_servers_id_stays_and_a_damaged_one_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("server");
    let id = node_id(&path).unwrap();
    assert_eq!(node_id(&path).unwrap(), id);
    std::fs::write(path.join("node-id"), "what").unwrap();
    let problem = node_id(&path).unwrap_err().to_string();
    assert!(
        problem.contains("node-id") && problem.contains("what"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gossip_key_is_rotated_on_every_server_by_one_request() {
    let site = Site::new(3).await;
    let mut servers = Vec::new();
    for n in 0..3 {
        servers.push(site.start(n, KEY).await);
    }
    agreed_leader(&servers).await;
    let all = async {
        while servers
            .iter()
            .any(|server| server.replica.members().len() < 3)
        {
            clock::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("all members");
    let key = |key: &str| serde_json::json!({ "Key": key }).to_string();
    for (operation, body) in [
        ("install", key(OTHER_KEY)),
        ("use", key(OTHER_KEY)),
        ("remove", key(KEY)),
    ] {
        let path = format!("/v1/agent/keyring/{operation}");
        let answer = site.ask(1, "PUT", &path, body).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["NumNodes"], 3, "{operation}");
    }
    let answer = site.get(0, "/v1/agent/keyring/list").await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["Keys"], serde_json::json!({ OTHER_KEY: 3 }));
    for n in 1..=3 {
        let file = site
            .folder
            .path()
            .join(format!("server-{n}/server/serf.keyring"));
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text, format!("[\"{OTHER_KEY}\"]"));
    }
    let answer = site
        .ask(2, "PUT", "/v1/agent/keyring/remove", key(OTHER_KEY))
        .await;
    assert_eq!(answer, "3/3 nodes reported failure");
}
