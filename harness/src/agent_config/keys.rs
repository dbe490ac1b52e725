//! Which key of the agent's configuration which Nomad knows.
//!
//! An unknown key is fatal to Nomad, whatever its version, so that nothing may be written which
//! the version at hand does not know. Read from `command/agent/config.go`, `config_parse.go` and
//! `nomad/structs/config/*` at the tags from 1.1.2 to 2.0.5.

use semver::Version;

/// A released version: major, minor, patch.
pub(super) type Release = (u64, u64, u64);

/// A key, as a dotted path, and the first and the last Nomad that read it. A path that ends in
/// `.*` stands for every key below: those are maps whose keys the user chooses.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) path: &'static str,
    /// `None`: already in 1.1, the oldest that is supported.
    pub(super) first: Option<Release>,
    /// `None`: still in 2.0.5.
    pub(super) last: Option<Release>,
}

impl Key {
    /// Returns the key that `path` names, `None` where no Nomad has such a one.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.names(path))
    }

    fn names(&self, path: &str) -> bool {
        match self.path.strip_suffix("*") {
            Some(map) => path.len() > map.len() && path.starts_with(map),
            None => self.path == path,
        }
    }

    /// Returns whether `version` reads the key.
    pub(super) fn is_known_to(&self, version: &Version) -> bool {
        let release = (version.major, version.minor, version.patch);
        self.first.is_none_or(|first| first <= release)
            && self.last.is_none_or(|last| release <= last)
    }
}

/// The last patch of a minor release, whatever its number.
const ANY: u64 = u64::MAX;

const fn key(path: &'static str) -> Key {
    Key {
        path,
        first: None,
        last: None,
    }
}

const fn from(major: u64, minor: u64, patch: u64, path: &'static str) -> Key {
    Key {
        path,
        first: Some((major, minor, patch)),
        last: None,
    }
}

const fn until(major: u64, minor: u64, patch: u64, path: &'static str) -> Key {
    Key {
        path,
        first: None,
        last: Some((major, minor, patch)),
    }
}

/// Every key that may be written or set. Order: as Nomad's documentation has them.
pub(super) const KEYS: &[Key] = &[
    key("region"),
    key("datacenter"),
    key("name"),
    key("data_dir"),
    key("plugin_dir"),
    key("bind_addr"),
    key("log_level"),
    key("log_json"),
    key("log_file"),
    key("log_rotate_duration"),
    key("log_rotate_bytes"),
    key("log_rotate_max_files"),
    from(1, 6, 3, "log_include_location"),
    key("enable_debug"),
    key("leave_on_interrupt"),
    key("leave_on_terminate"),
    key("disable_update_check"),
    key("disable_anonymous_signature"),
    key("http_api_response_headers.*"),
    key("ports.http"),
    key("ports.rpc"),
    key("ports.serf"),
    key("addresses.http"),
    key("addresses.rpc"),
    key("addresses.serf"),
    key("advertise.http"),
    key("advertise.rpc"),
    key("advertise.serf"),
    key("server.enabled"),
    key("server.bootstrap_expect"),
    key("server.authoritative_region"),
    key("server.raft_protocol"),
    key("server.raft_multiplier"),
    key("server.num_schedulers"),
    key("server.enabled_schedulers"),
    key("server.node_gc_threshold"),
    key("server.job_gc_interval"),
    key("server.job_gc_threshold"),
    key("server.eval_gc_threshold"),
    // Also in 1.3.10 and 1.4.5, which a single range cannot say.
    from(1, 5, 0, "server.batch_eval_gc_threshold"),
    key("server.deployment_gc_threshold"),
    key("server.csi_volume_claim_gc_threshold"),
    key("server.heartbeat_grace"),
    key("server.min_heartbeat_ttl"),
    key("server.max_heartbeats_per_second"),
    from(1, 2, 0, "server.failover_heartbeat_ttl"),
    key("server.rejoin_after_leave"),
    key("server.encrypt"),
    // Read by Enterprise builds; others accept and ignore it.
    key("server.license_path"),
    key("server.server_join.retry_join"),
    key("server.server_join.start_join"),
    key("server.server_join.retry_max"),
    key("server.server_join.retry_interval"),
    key("server.default_scheduler_config.scheduler_algorithm"),
    key("server.default_scheduler_config.memory_oversubscription_enabled"),
    from(
        1,
        2,
        4,
        "server.default_scheduler_config.reject_job_registration",
    ),
    from(1, 3, 2, "server.default_scheduler_config.pause_eval_broker"),
    key("server.default_scheduler_config.preemption_config.*"),
    from(1, 3, 2, "server.plan_rejection_tracker.*"),
    key("server.enable_event_broker"),
    key("server.event_buffer_size"),
    key("server.search.*"),
    key("server.deploy_query_rate_limit"),
    from(1, 3, 0, "server.raft_boltdb.no_freelist_sync"),
    from(1, 5, 0, "server.raft_snapshot_threshold"),
    from(1, 5, 0, "server.raft_snapshot_interval"),
    from(1, 5, 0, "server.raft_trailing_logs"),
    from(2, 0, 0, "server.raft_logstore.*"),
    from(1, 5, 0, "server.job_default_priority"),
    from(1, 5, 0, "server.job_max_priority"),
    from(1, 6, 0, "server.job_max_source_size"),
    from(1, 6, 2, "server.job_tracked_versions"),
    from(1, 11, 0, "server.job_max_count"),
    from(1, 7, 0, "server.oidc_issuer"),
    from(1, 4, 0, "server.root_key_gc_interval"),
    from(1, 4, 0, "server.root_key_gc_threshold"),
    from(1, 4, 0, "server.root_key_rotation_threshold"),
    from(1, 4, 0, "server.acl_token_gc_threshold"),
    from(1, 10, 1, "server.start_timeout"),
    from(1, 11, 0, "server.client_introduction.*"),
    key("client.enabled"),
    key("client.servers"),
    key("client.server_join.retry_join"),
    key("client.server_join.retry_max"),
    key("client.server_join.retry_interval"),
    key("client.state_dir"),
    key("client.alloc_dir"),
    from(1, 8, 0, "client.alloc_mounts_dir"),
    key("client.node_class"),
    from(1, 6, 0, "client.node_pool"),
    key("client.options.*"),
    key("client.meta.*"),
    key("client.network_interface"),
    from(1, 8, 2, "client.preferred_address_family"),
    key("client.network_speed"),
    key("client.cpu_total_compute"),
    key("client.memory_total_mb"),
    from(1, 5, 0, "client.disk_total_mb"),
    from(1, 5, 0, "client.disk_free_mb"),
    from(1, 9, 7, "client.cpu_disable_dmidecode"),
    key("client.reserved.*"),
    key("client.reservable_cores"),
    from(1, 2, 0, "client.min_dynamic_port"),
    from(1, 2, 0, "client.max_dynamic_port"),
    key("client.client_min_port"),
    key("client.client_max_port"),
    key("client.max_kill_timeout"),
    key("client.gc_interval"),
    key("client.gc_disk_usage_threshold"),
    key("client.gc_inode_usage_threshold"),
    key("client.gc_max_allocs"),
    key("client.gc_parallel_destroys"),
    key("client.no_host_uuid"),
    key("client.disable_remote_exec"),
    key("client.template.*"),
    from(1, 3, 1, "client.artifact.*"),
    key("client.cgroup_parent"),
    from(1, 3, 0, "client.nomad_service_discovery"),
    from(1, 5, 4, "client.drain_on_shutdown.deadline"),
    from(1, 5, 4, "client.drain_on_shutdown.force"),
    from(1, 5, 4, "client.drain_on_shutdown.ignore_system_jobs"),
    from(1, 8, 0, "client.users.*"),
    from(1, 10, 2, "client.node_max_allocs"),
    from(2, 0, 3, "client.default_ineligible"),
    key("acl.enabled"),
    key("acl.token_ttl"),
    key("acl.policy_ttl"),
    from(1, 4, 2, "acl.role_ttl"),
    key("acl.replication_token"),
    from(1, 4, 0, "acl.token_min_expiration_ttl"),
    from(1, 4, 0, "acl.token_max_expiration_ttl"),
    key("tls.http"),
    key("tls.rpc"),
    key("tls.verify_server_hostname"),
    key("tls.verify_https_client"),
    key("tls.ca_file"),
    key("tls.cert_file"),
    key("tls.key_file"),
    key("tls.rpc_upgrade_mode"),
    key("tls.tls_cipher_suites"),
    key("tls.tls_min_version"),
    until(1, 8, ANY, "tls.tls_prefer_server_cipher_suites"),
    key("autopilot.cleanup_dead_servers"),
    key("autopilot.last_contact_threshold"),
    key("autopilot.max_trailing_logs"),
    key("autopilot.min_quorum"),
    key("autopilot.server_stabilization_time"),
    key("limits.https_handshake_timeout"),
    key("limits.http_max_conns_per_client"),
    key("limits.rpc_handshake_timeout"),
    key("limits.rpc_max_conns_per_client"),
    key("consul.address"),
    key("consul.auto_advertise"),
    key("consul.server_auto_join"),
    key("consul.client_auto_join"),
    key("vault.enabled"),
    key("telemetry.prometheus_metrics"),
    key("telemetry.publish_allocation_metrics"),
    key("telemetry.publish_node_metrics"),
    key("telemetry.disable_hostname"),
    key("telemetry.use_node_name"),
    key("telemetry.collection_interval"),
    key("telemetry.prefix_filter"),
    key("telemetry.filter_default"),
    from(1, 7, 7, "telemetry.in_memory_collection_interval"),
    from(1, 7, 7, "telemetry.in_memory_retention_period"),
    from(1, 9, 0, "telemetry.include_alloc_metadata_in_metrics"),
    from(1, 2, 4, "ui.enabled"),
    from(1, 2, 4, "ui.label.*"),
    from(1, 7, 0, "reporting.*"),
    until(1, 7, ANY, "plugin.raw_exec.config.no_cgroups"),
    key("plugin.*"),
];
