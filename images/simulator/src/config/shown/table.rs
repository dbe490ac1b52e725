//! Where each key of the files stands in the JSON that `agent/self` shows.

use super::Form::{self, List, Map, Nanos, Open, Plain, Text};
use super::{Part, drain, raft_boltdb, scheduler};

/// Of every agent.
pub(super) const AGENT: &[Part<Form>] = &[
    Part {
        key: "",
        place: "",
        rows: &[
            ("plugin_dir", "PluginDir", Text),
            ("log_level", "LogLevel", Text),
            ("log_json", "LogJson", Plain),
            ("log_file", "LogFile", Text),
            ("enable_debug", "EnableDebug", Plain),
            ("enable_syslog", "EnableSyslog", Plain),
            ("syslog_facility", "SyslogFacility", Text),
            ("leave_on_interrupt", "LeaveOnInt", Plain),
            ("leave_on_terminate", "LeaveOnTerm", Plain),
            ("disable_update_check", "DisableUpdateCheck", Plain),
            (
                "disable_anonymous_signature",
                "DisableAnonymousSignature",
                Plain,
            ),
        ],
    },
    Part {
        key: "acl",
        place: "/ACL",
        rows: &[
            ("enabled", "Enabled", Plain),
            ("token_ttl", "TokenTTL", Nanos),
            ("policy_ttl", "PolicyTTL", Nanos),
            ("role_ttl", "RoleTTL", Nanos),
            ("token_min_expiration_ttl", "TokenMinExpirationTTL", Nanos),
            ("token_max_expiration_ttl", "TokenMaxExpirationTTL", Nanos),
        ],
    },
    Part {
        key: "tls",
        place: "/TLSConfig",
        rows: &[
            ("rpc_upgrade_mode", "RPCUpgradeMode", Plain),
            ("tls_cipher_suites", "TLSCipherSuites", Text),
            ("tls_min_version", "TLSMinVersion", Text),
            (
                "tls_prefer_server_cipher_suites",
                "TLSPreferServerCipherSuites",
                Plain,
            ),
        ],
    },
    Part {
        key: "limits",
        place: "/Limits",
        rows: &[
            ("https_handshake_timeout", "HTTPSHandshakeTimeout", Text),
            ("http_max_conns_per_client", "HTTPMaxConnsPerClient", Plain),
            ("rpc_handshake_timeout", "RPCHandshakeTimeout", Text),
            ("rpc_max_conns_per_client", "RPCMaxConnsPerClient", Plain),
        ],
    },
    Part {
        key: "telemetry",
        place: "/Telemetry",
        rows: &[
            ("collection_interval", "CollectionInterval", Text),
            ("disable_hostname", "DisableHostname", Plain),
            ("use_node_name", "UseNodeName", Plain),
            ("prometheus_metrics", "PrometheusMetrics", Plain),
            (
                "publish_allocation_metrics",
                "PublishAllocationMetrics",
                Plain,
            ),
            ("publish_node_metrics", "PublishNodeMetrics", Plain),
        ],
    },
    Part {
        key: "consul",
        place: "/Consuls/0",
        rows: &[
            ("auto_advertise", "AutoAdvertise", Plain),
            ("server_auto_join", "ServerAutoJoin", Plain),
            ("client_auto_join", "ClientAutoJoin", Plain),
        ],
    },
    Part {
        key: "vault",
        place: "/Vaults/0",
        rows: &[("enabled", "Enabled", Plain)],
    },
    Part {
        key: "ui",
        place: "/UI",
        rows: &[("enabled", "Enabled", Plain)],
    },
    Part {
        key: "autopilot",
        place: "/Autopilot",
        rows: &[
            ("cleanup_dead_servers", "CleanupDeadServers", Plain),
            ("last_contact_threshold", "LastContactThreshold", Nanos),
            ("max_trailing_logs", "MaxTrailingLogs", Plain),
            ("min_quorum", "MinQuorum", Plain),
            (
                "server_stabilization_time",
                "ServerStabilizationTime",
                Nanos,
            ),
        ],
    },
];

/// `server_join`, of servers and of clients.
const JOIN: &[(&str, &str, Form)] = &[
    ("start_join", "StartJoin", List),
    ("retry_join", "RetryJoin", List),
    ("retry_max", "RetryMaxAttempts", Plain),
    ("retry_interval", "RetryInterval", Nanos),
];

/// Of servers.
pub(super) const SERVER: &[Part<Form>] = &[
    Part {
        key: "server",
        place: "/Server",
        rows: &[
            ("authoritative_region", "AuthoritativeRegion", Text),
            ("bootstrap_expect", "BootstrapExpect", Plain),
            ("raft_protocol", "RaftProtocol", Plain),
            ("raft_multiplier", "RaftMultiplier", Plain),
            ("num_schedulers", "NumSchedulers", Plain),
            ("enabled_schedulers", "EnabledSchedulers", List),
            ("node_gc_threshold", "NodeGCThreshold", Text),
            ("job_gc_interval", "JobGCInterval", Text),
            ("job_gc_threshold", "JobGCThreshold", Text),
            ("eval_gc_threshold", "EvalGCThreshold", Text),
            ("batch_eval_gc_threshold", "BatchEvalGCThreshold", Text),
            ("deployment_gc_threshold", "DeploymentGCThreshold", Text),
            (
                "csi_volume_claim_gc_interval",
                "CSIVolumeClaimGCInterval",
                Text,
            ),
            (
                "csi_volume_claim_gc_threshold",
                "CSIVolumeClaimGCThreshold",
                Text,
            ),
            ("csi_plugin_gc_threshold", "CSIPluginGCThreshold", Text),
            ("acl_token_gc_threshold", "ACLTokenGCThreshold", Text),
            ("root_key_gc_interval", "RootKeyGCInterval", Text),
            ("root_key_gc_threshold", "RootKeyGCThreshold", Text),
            (
                "root_key_rotation_threshold",
                "RootKeyRotationThreshold",
                Text,
            ),
            ("heartbeat_grace", "HeartbeatGrace", Nanos),
            ("min_heartbeat_ttl", "MinHeartbeatTTL", Nanos),
            ("max_heartbeats_per_second", "MaxHeartbeatsPerSecond", Plain),
            ("failover_heartbeat_ttl", "FailoverHeartbeatTTL", Nanos),
            ("rejoin_after_leave", "RejoinAfterLeave", Plain),
            ("start_join", "StartJoin", List),
            ("retry_join", "RetryJoin", List),
            ("retry_max", "RetryMaxAttempts", Plain),
            ("retry_interval", "RetryInterval", Nanos),
            ("enable_event_broker", "EnableEventBroker", Plain),
            ("event_buffer_size", "EventBufferSize", Plain),
            ("deploy_query_rate_limit", "DeploymentQueryRateLimit", Plain),
            ("raft_boltdb", "RaftBoltConfig", Open(raft_boltdb)),
            (
                "default_scheduler_config",
                "DefaultSchedulerConfig",
                Open(scheduler),
            ),
            ("raft_snapshot_threshold", "RaftSnapshotThreshold", Plain),
            ("raft_snapshot_interval", "RaftSnapshotInterval", Text),
            ("raft_trailing_logs", "RaftTrailingLogs", Plain),
            ("job_default_priority", "JobDefaultPriority", Plain),
            ("job_max_priority", "JobMaxPriority", Plain),
            ("job_max_source_size", "JobMaxSourceSize", Text),
            ("job_tracked_versions", "JobTrackedVersions", Plain),
            ("oidc_issuer", "OIDCIssuer", Text),
        ],
    },
    Part {
        key: "server.server_join",
        place: "/Server/ServerJoin",
        rows: JOIN,
    },
    Part {
        key: "server.plan_rejection_tracker",
        place: "/Server/PlanRejectionTracker",
        rows: &[
            ("enabled", "Enabled", Plain),
            ("node_threshold", "NodeThreshold", Plain),
            ("node_window", "NodeWindow", Nanos),
        ],
    },
    Part {
        key: "server.search",
        place: "/Server/Search",
        rows: &[
            ("fuzzy_enabled", "FuzzyEnabled", Plain),
            ("limit_query", "LimitQuery", Plain),
            ("limit_results", "LimitResults", Plain),
            ("min_term_length", "MinTermLength", Plain),
        ],
    },
    Part {
        key: "server.default_scheduler_config",
        place: "/Server/DefaultSchedulerConfig",
        rows: &[
            ("scheduler_algorithm", "SchedulerAlgorithm", Plain),
            (
                "memory_oversubscription_enabled",
                "MemoryOversubscriptionEnabled",
                Plain,
            ),
            ("reject_job_registration", "RejectJobRegistration", Plain),
            ("pause_eval_broker", "PauseEvalBroker", Plain),
        ],
    },
    Part {
        key: "server.default_scheduler_config.preemption_config",
        place: "/Server/DefaultSchedulerConfig/PreemptionConfig",
        rows: &[
            ("system_scheduler_enabled", "SystemSchedulerEnabled", Plain),
            (
                "sysbatch_scheduler_enabled",
                "SysBatchSchedulerEnabled",
                Plain,
            ),
            ("batch_scheduler_enabled", "BatchSchedulerEnabled", Plain),
            (
                "service_scheduler_enabled",
                "ServiceSchedulerEnabled",
                Plain,
            ),
        ],
    },
    Part {
        key: "server.raft_boltdb",
        place: "/Server/RaftBoltConfig",
        rows: &[("no_freelist_sync", "NoFreelistSync", Plain)],
    },
];

/// Of clients.
pub(super) const CLIENT: &[Part<Form>] = &[
    Part {
        key: "client",
        place: "/Client",
        rows: &[
            ("state_dir", "StateDir", Text),
            ("alloc_dir", "AllocDir", Text),
            ("alloc_mounts_dir", "AllocMountsDir", Text),
            ("servers", "Servers", List),
            ("node_class", "NodeClass", Text),
            ("node_pool", "NodePool", Text),
            ("options", "Options", Map),
            ("meta", "Meta", Map),
            ("network_interface", "NetworkInterface", Text),
            ("network_speed", "NetworkSpeed", Plain),
            ("cpu_total_compute", "CpuCompute", Plain),
            ("memory_total_mb", "MemoryMB", Plain),
            ("disk_total_mb", "DiskTotalMB", Plain),
            ("disk_free_mb", "DiskFreeMB", Plain),
            ("reservable_cores", "ReservableCores", Text),
            ("max_kill_timeout", "MaxKillTimeout", Text),
            ("client_min_port", "ClientMinPort", Plain),
            ("client_max_port", "ClientMaxPort", Plain),
            ("min_dynamic_port", "MinDynamicPort", Plain),
            ("max_dynamic_port", "MaxDynamicPort", Plain),
            ("gc_interval", "GCInterval", Nanos),
            ("gc_parallel_destroys", "GCParallelDestroys", Plain),
            ("gc_disk_usage_threshold", "GCDiskUsageThreshold", Plain),
            ("gc_inode_usage_threshold", "GCInodeUsageThreshold", Plain),
            ("gc_max_allocs", "GCMaxAllocs", Plain),
            ("no_host_uuid", "NoHostUUID", Plain),
            ("disable_remote_exec", "DisableRemoteExec", Plain),
            ("cgroup_parent", "CgroupParent", Text),
            ("nomad_service_discovery", "NomadServiceDiscovery", Plain),
            ("drain_on_shutdown", "Drain", Open(drain)),
        ],
    },
    Part {
        key: "client.reserved",
        place: "/Client/Reserved",
        rows: &[
            ("cpu", "CPU", Plain),
            ("memory", "MemoryMB", Plain),
            ("disk", "DiskMB", Plain),
            ("cores", "Cores", Text),
            ("reserved_ports", "ReservedPorts", Text),
        ],
    },
    Part {
        key: "client.template",
        place: "/Client/TemplateConfig",
        rows: &[
            ("disable_file_sandbox", "DisableSandbox", Plain),
            ("function_denylist", "FunctionDenylist", List),
        ],
    },
    Part {
        key: "client.server_join",
        place: "/Client/ServerJoin",
        rows: JOIN,
    },
    Part {
        key: "client.drain_on_shutdown",
        place: "/Client/Drain",
        rows: &[
            ("deadline", "Deadline", Text),
            ("force", "Force", Plain),
            ("ignore_system_jobs", "IgnoreSystemJobs", Plain),
        ],
    },
];
