//! Whole configurations.

use std::path::PathBuf;

use super::{AgentConfig, ConfigError, load};

const SERVER: &str = r#"
name = "server-1"
data_dir = "/opt/nomad/data"
bind_addr = "10.1.2.3"
log_level = "debug"
disable_update_check = true
server {
  enabled = true
  bootstrap_expect = 3
  encrypt = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
  raft_protocol = 3
  server_join { retry_join = ["10.1.2.4", "10.1.2.5:4648"] retry_interval = "1s" }
  default_scheduler_config { scheduler_algorithm = "spread" preemption_config { system_scheduler_enabled = true } }
}
acl { enabled = true }
autopilot { min_quorum = 3 last_contact_threshold = "200ms" }
tls { http = true rpc = true verify_server_hostname = true verify_https_client = true
  ca_file = "/c/ca.pem" cert_file = "/c/s.pem" key_file = "/c/k.pem" }
consul { auto_advertise = false client_auto_join = false server_auto_join = false }
telemetry { prometheus_metrics = true }
"#;

const CLIENT: &str = r#"
name = "client-1"
data_dir = "/opt/nomad/data"
advertise { http = "127.0.0.2:5646" rpc = "127.0.0.2" serf = "127.0.0.2" }
client {
  enabled = true
  servers = ["10.1.2.3:4647"]
  network_interface = "lo"
  cpu_total_compute = 4000
  memory_total_mb = 2048
  meta { rack = "r1" }
  options { "driver.allowlist" = "raw_exec" }
}
plugin "raw_exec" { config { enabled = true } }
"#;

fn read(texts: &[(&str, &str)]) -> Result<AgentConfig, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (name, text) in texts {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        paths.push(path);
    }
    let place = format!("{}/", folder.path().display());
    load(&paths).map_err(|e| ConfigError(e.0.iter().map(|l| l.replace(&place, "")).collect()))
}

#[test]
fn a_servers_file_is_read() {
    let config = read(&[("a.hcl", SERVER)]).unwrap();
    let server = config.server.as_ref().unwrap();
    assert_eq!(
        (config.name.as_str(), config.region.as_str()),
        ("server-1", "global")
    );
    assert_eq!(server.bootstrap_expect, 3);
    assert_eq!(server.encrypt.as_ref().unwrap().len(), 32);
    assert_eq!(server.join, ["10.1.2.4", "10.1.2.5:4648"]);
    assert_eq!(
        server.scheduler.as_ref().unwrap()["SchedulerAlgorithm"],
        "spread"
    );
    assert!(config.client.is_none() && config.acl_enabled && config.tls.verify_https_client);
    assert_eq!(config.autopilot.min_quorum, Some(3));
    assert_eq!(config.bind.rpc.to_string(), "10.1.2.3:4647");
    assert_eq!(config.advertise.serf.to_string(), "10.1.2.3:4648");
    assert!(
        config.inert.contains("consul.auto_advertise"),
        "{:?}",
        config.inert
    );
}

#[test]
fn a_clients_file_is_read() {
    let config = read(&[("c.hcl", CLIENT)]).unwrap();
    let client = config.client.as_ref().unwrap();
    assert!(config.raw_exec && config.server.is_none());
    assert_eq!(client.options["driver.allowlist"], "raw_exec");
    assert_eq!(client.cpu_total_compute, Some(4000));
    assert_eq!(config.advertise.http.to_string(), "127.0.0.2:5646");
    let ip = client.task_ip(config.advertise.http).unwrap();
    assert!(ip.is_loopback());
}

#[test]
fn later_files_win_and_json_is_read_too() {
    let json = r#"{"region": "eu", "server": {"bootstrap_expect": 1, "server_join": [{"retry_join": ["10.1.2.6"]}]}}"#;
    let config = read(&[("a.hcl", SERVER), ("b.json", json)]).unwrap();
    let server = config.server.unwrap();
    assert_eq!((config.region.as_str(), server.bootstrap_expect), ("eu", 1));
    assert_eq!(server.join, ["10.1.2.4", "10.1.2.5:4648", "10.1.2.6"]);
    assert_eq!(config.tls.region, "eu");
}

#[test]
fn unexpected_keys_are_reported_all_at_once_with_their_file() {
    let first = format!("{SERVER}\nfoo = 1\nbar = 2\n");
    let second = "server { bogus = true raft_multiplier = 11 }\nclient { enabeld = true }\n";
    let problems = read(&[("a.hcl", &first), ("b.hcl", second)]).unwrap_err().0;
    assert_eq!(
        problems,
        [
            "a.hcl: unexpected keys foo, bar",
            "b.hcl:1:23: `server.raft_multiplier`: expected 1 to 10",
            "b.hcl: server unexpected keys bogus",
            "b.hcl: client unexpected keys enabeld",
        ]
    );
}

#[test]
fn what_nomad_refuses_is_refused() {
    let refused = |text: &str, word: &str| {
        let problems = read(&[("x.hcl", text)]).unwrap_err().0.join("\n");
        assert!(problems.contains(word), "{problems}");
    };
    refused("", "data_dir");
    refused("data_dir = \"/d\"", "neither `server` nor `client`");
    refused(
        "data_dir = \"d\"\nserver { enabled = true }",
        "absolute path",
    );
    refused(
        "data_dir = \"/d\"\nbind_addr = \"127.0.0.1\"\nserver { enabled = true }",
        "localhost is unsafe",
    );
    refused("server { encrypt = \"c2hvcnQ=\" }", "16, 24 or 32 bytes");
    refused("datacenter = \"dc*\"", "may not contain");
    refused("tls { http = true }", "tls.ca_file");
    refused(
        "server {\n enabled = maybe }",
        "x.hcl:2:12: expected a value, found `maybe`",
    );
    refused(
        "server { retry_join = [\"provider=gce tag_value=x\"] }",
        "not simulated",
    );
    refused(
        "server { retry_join = [\"provider=aws tag_key=a b\"] }",
        "`b` has no `=`",
    );
}
