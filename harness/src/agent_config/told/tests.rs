//! Laws of what is taken over of an agent's own account.

use super::super::keys::{FURTHER, Key};
use super::*;

/// `agent/self` of a server of Nomad 1.1.2, by hand from `command/agent/agent_endpoint.go` and `config.go`: what it
/// shows where the file sets little, and secrets wherever one could stand, redacted there or not.
fn server() -> Value {
    serde_json::from_str(include_str!("server.json")).expect("it is JSON")
}

/// The same of a client, and of the simulator what it does not act on.
fn client() -> Value {
    serde_json::from_str(include_str!("client.json")).expect("it is JSON")
}

#[test]
fn a_servers_account_is_told_in_the_words_of_files() {
    let told = told(&server()).expect("it is a configuration");
    for (key, value) in [
        ("server.heartbeat_grace", json!("42s")),
        ("server.raft_multiplier", json!(5)),
        ("server.eval_gc_threshold", json!("1h30m")),
        ("server.num_schedulers", json!(0)),
        ("server.enabled_schedulers", json!(["batch", "service"])),
        ("server.encrypt", json!("set")),
        ("autopilot.last_contact_threshold", json!("200ms")),
        ("autopilot.min_quorum", json!(3)),
        ("acl.token_ttl", json!("1m30s")),
        ("limits.rpc_max_conns_per_client", json!(0)),
        ("tls.verify_https_client", json!(true)),
        ("ports.serf", json!(4648)),
        ("leave_on_terminate", json!(false)),
    ] {
        assert_eq!(told.settings.get(key), Some(&value), "{key}");
    }
    for unset in [
        "server.min_heartbeat_ttl",
        "server.job_gc_interval",
        "server.deploy_query_rate_limit",
        "autopilot.cleanup_dead_servers",
        "vault.enabled",
        "client.max_kill_timeout",
        "server.failover_heartbeat_ttl",
    ] {
        assert_eq!(told.settings.get(unset), None, "{unset}");
    }
}

#[test]
fn a_clients_account_has_the_clients_part_alone() {
    let told = told(&client()).expect("it is a configuration");
    for (key, value) in [
        ("client.cpu_total_compute", json!(4000)),
        ("client.gc_interval", json!("1m")),
        ("client.gc_disk_usage_threshold", json!(80)),
        ("client.reservable_cores", json!("0-1")),
        ("client.options.driver.allowlist", json!("raw_exec")),
        ("client.host_volume.data.read_only", json!(true)),
        (
            "client.template.function_denylist",
            json!(["plugin", "writeToFile"]),
        ),
        ("plugin.raw_exec.config.enabled", json!(true)),
        ("plugin.docker.config.allow_privileged", json!(true)),
    ] {
        assert_eq!(told.settings.get(key), Some(&value), "{key}");
    }
    assert!(
        !told.settings.contains_key("server.enable_event_broker"),
        "{told:?}"
    );
    assert_eq!(
        told.inert,
        ["client.gc_interval", "telemetry.prometheus_metrics"]
    );
}

#[test]
fn no_secret_and_nothing_of_one_agent_alone_is_taken() {
    for answer in [server(), client()] {
        assert!(answer.to_string().contains("PLANTED"));
        let told = told(&answer).expect("it is a configuration");
        let text = format!("{told:?}");
        for hidden in ["PLANTED", "10.20.0.2", "/opt/nomad", "server-1", "/c/"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
}

#[test]
fn every_key_is_one_of_nomads_files() {
    let rows = AGENT.iter().chain(SERVER).chain(CLIENT);
    for (key, _, _) in rows.flat_map(Part::rows) {
        let further = FURTHER.iter().any(|known| known.path == key);
        assert!(Key::find(&key).is_some() || further, "{key}");
    }
}

#[test]
fn what_is_no_configuration_is_none() {
    for answer in [
        json!({}),
        json!({ "config": null }),
        json!("Permission denied"),
    ] {
        assert_eq!(told(&answer), None, "{answer}");
    }
}

#[test]
fn times_are_as_people_write_them() {
    for (nanos, text) in [
        (10_000_000_000, "10s"),
        (300_000_000_000, "5m"),
        (3_600_000_000_000, "1h"),
        (5_400_000_000_000, "1h30m"),
        (90_000_000_000, "1m30s"),
        (36_000_000_000_000, "10h"),
        (200_000_000, "200ms"),
    ] {
        assert_eq!(time(nanos), json!(text));
    }
}
