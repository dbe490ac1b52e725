//! What Nomad takes where nothing is said.

use serde_json::{Value, json};

/// Returns a key's default (`nomad/config.go`, `command/agent/config.go`); `None` where it depends on the machine, or
/// on the version, or is not known here.
pub(super) fn default_of(key: &str) -> Option<Value> {
    Some(match key {
        "region" => json!("global"),
        "datacenter" => json!("dc1"),
        "bind_addr" => json!("0.0.0.0"),
        "log_level" => json!("INFO"),
        "ports.http" => json!(4646),
        "ports.rpc" => json!(4647),
        "ports.serf" => json!(4648),
        "acl.token_ttl" | "acl.policy_ttl" | "acl.role_ttl" => json!("30s"),
        "limits.https_handshake_timeout" | "limits.rpc_handshake_timeout" => json!("5s"),
        "limits.http_max_conns_per_client" | "limits.rpc_max_conns_per_client" => json!(100),
        "telemetry.collection_interval" => json!("1s"),
        "autopilot.cleanup_dead_servers" => json!(true),
        "autopilot.last_contact_threshold" => json!("200ms"),
        "autopilot.max_trailing_logs" => json!(250),
        "autopilot.min_quorum" => json!(0),
        "autopilot.server_stabilization_time" => json!("10s"),
        "disable_update_check"
        | "enable_debug"
        | "leave_on_interrupt"
        | "leave_on_terminate"
        | "acl.enabled"
        | "tls.http"
        | "tls.rpc"
        | "tls.verify_server_hostname"
        | "tls.verify_https_client"
        | "tls.rpc_upgrade_mode"
        | "telemetry.prometheus_metrics"
        | "telemetry.publish_allocation_metrics"
        | "telemetry.publish_node_metrics"
        | "vault.enabled"
        | "plugin.raw_exec.config.enabled" => json!(false),
        _ => return of_server(key).or_else(|| of_client(key)),
    })
}

fn of_server(key: &str) -> Option<Value> {
    Some(match key.strip_prefix("server.")? {
        "raft_multiplier" => json!(1),
        "heartbeat_grace" | "min_heartbeat_ttl" => json!("10s"),
        "max_heartbeats_per_second" => json!(50.0),
        "failover_heartbeat_ttl" | "job_gc_interval" => json!("5m"),
        "eval_gc_threshold" | "deployment_gc_threshold" => json!("1h"),
        "job_gc_threshold" => json!("4h"),
        "node_gc_threshold" | "batch_eval_gc_threshold" => json!("24h"),
        "event_buffer_size" => json!(100),
        "raft_snapshot_threshold" => json!(8192),
        "raft_snapshot_interval" => json!("2m"),
        "raft_trailing_logs" => json!(10240),
        "job_default_priority" => json!(50),
        "job_max_priority" => json!(100),
        "job_tracked_versions" => json!(6),
        "enable_event_broker"
        | "search.fuzzy_enabled"
        | "default_scheduler_config.preemption_config.system_scheduler_enabled" => json!(true),
        "default_scheduler_config.scheduler_algorithm" => json!("binpack"),
        "rejoin_after_leave"
        | "plan_rejection_tracker.enabled"
        | "raft_boltdb.no_freelist_sync"
        | "default_scheduler_config.memory_oversubscription_enabled"
        | "default_scheduler_config.reject_job_registration"
        | "default_scheduler_config.pause_eval_broker"
        | "default_scheduler_config.preemption_config.batch_scheduler_enabled"
        | "default_scheduler_config.preemption_config.service_scheduler_enabled"
        | "default_scheduler_config.preemption_config.sysbatch_scheduler_enabled" => json!(false),
        _ => return None,
    })
}

fn of_client(key: &str) -> Option<Value> {
    Some(match key.strip_prefix("client.")? {
        "node_class" => json!(""),
        "node_pool" => json!("default"),
        "max_kill_timeout" => json!("30s"),
        "min_dynamic_port" => json!(20_000),
        "max_dynamic_port" => json!(32_000),
        "gc_interval" => json!("1m"),
        "gc_parallel_destroys" => json!(2),
        "gc_disk_usage_threshold" => json!(80),
        "gc_inode_usage_threshold" => json!(70),
        "gc_max_allocs" => json!(50),
        "reserved.cpu" | "reserved.memory" | "reserved.disk" => json!(0),
        "reserved.cores" | "reserved.reserved_ports" => json!(""),
        "disable_remote_exec" | "template.disable_file_sandbox" => json!(false),
        _ => return None,
    })
}

/// Whether a key that is not set is itself something that is known: there is no default, and nothing is done.
pub(super) fn is_told_by_absence(key: &str) -> bool {
    key == "server.encrypt" || key.starts_with("client.drain_on_shutdown.")
}

/// Defaults that changed from version to version; where two sides of two versions have two of them, neither may have
/// been configured at all.
const CHANGED: &[(&str, &[&[&str]])] = &[(
    "client.template.function_denylist",
    &[
        &["plugin"],
        &["plugin", "writeToFile"],
        &["executeTemplate", "plugin", "writeToFile"],
    ],
)];

/// Whether both values may be what the sides' versions take where nothing is said.
pub(super) fn may_be_defaults(key: &str, here: &str, there: &str) -> bool {
    let Some((_, defaults)) = CHANGED.iter().find(|(changed, _)| *changed == key) else {
        return false;
    };
    let is = |value: &str| {
        let value: Value = serde_json::from_str(value).unwrap_or_default();
        defaults.iter().any(|one| json!(one) == value)
    };
    is(here) && is(there)
}
