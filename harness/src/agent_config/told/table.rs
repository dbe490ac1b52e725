//! What is taken over of an agent's own account: the keys, and nothing else.

use agent::config::Part;

use super::Form::{self, Count, Exact, Flag, Nanos, Text, Texts, Time};

/// Of every agent.
pub(super) const AGENT: &[Part<Form>] = &[
    Part {
        key: "",
        place: "",
        rows: &[
            ("region", "Region", Text),
            ("datacenter", "Datacenter", Text),
            ("log_level", "LogLevel", Text),
            ("enable_debug", "EnableDebug", Flag),
            ("leave_on_interrupt", "LeaveOnInt", Flag),
            ("leave_on_terminate", "LeaveOnTerm", Flag),
        ],
    },
    Part {
        key: "ports",
        place: "/Ports",
        rows: &[
            ("http", "HTTP", Count),
            ("rpc", "RPC", Count),
            ("serf", "Serf", Count),
        ],
    },
    Part {
        key: "server",
        place: "/Server",
        rows: &[("enabled", "Enabled", Flag)],
    },
    Part {
        key: "client",
        place: "/Client",
        rows: &[("enabled", "Enabled", Flag)],
    },
    Part {
        key: "acl",
        place: "/ACL",
        rows: &[
            ("enabled", "Enabled", Flag),
            ("token_ttl", "TokenTTL", Nanos),
            ("policy_ttl", "PolicyTTL", Nanos),
            ("role_ttl", "RoleTTL", Nanos),
        ],
    },
    Part {
        key: "tls",
        place: "/TLSConfig",
        rows: &[
            ("http", "EnableHTTP", Flag),
            ("rpc", "EnableRPC", Flag),
            ("verify_server_hostname", "VerifyServerHostname", Flag),
            ("verify_https_client", "VerifyHTTPSClient", Flag),
            ("rpc_upgrade_mode", "RPCUpgradeMode", Flag),
            ("tls_cipher_suites", "TLSCipherSuites", Text),
            ("tls_min_version", "TLSMinVersion", Text),
        ],
    },
    Part {
        key: "limits",
        place: "/Limits",
        rows: &[
            ("https_handshake_timeout", "HTTPSHandshakeTimeout", Time),
            ("http_max_conns_per_client", "HTTPMaxConnsPerClient", Exact),
            ("rpc_handshake_timeout", "RPCHandshakeTimeout", Time),
            ("rpc_max_conns_per_client", "RPCMaxConnsPerClient", Exact),
        ],
    },
    Part {
        key: "telemetry",
        place: "/Telemetry",
        rows: &[
            ("collection_interval", "CollectionInterval", Time),
            ("prometheus_metrics", "PrometheusMetrics", Flag),
            (
                "publish_allocation_metrics",
                "PublishAllocationMetrics",
                Flag,
            ),
            ("publish_node_metrics", "PublishNodeMetrics", Flag),
        ],
    },
    Part {
        key: "vault",
        place: "/Vault",
        rows: &[
            // One until 1.6, several since.
            ("enabled", "Enabled", Flag),
        ],
    },
    Part {
        key: "vault",
        place: "/Vaults/0",
        rows: &[("enabled", "Enabled", Flag)],
    },
];

/// Of servers.
pub(super) const SERVER: &[Part<Form>] = &[
    Part {
        key: "server",
        place: "/Server",
        rows: &[
            ("bootstrap_expect", "BootstrapExpect", Count),
            ("authoritative_region", "AuthoritativeRegion", Text),
            ("raft_protocol", "RaftProtocol", Count),
            ("raft_multiplier", "RaftMultiplier", Count),
            ("num_schedulers", "NumSchedulers", Exact),
            ("enabled_schedulers", "EnabledSchedulers", Texts),
            ("node_gc_threshold", "NodeGCThreshold", Time),
            ("job_gc_interval", "JobGCInterval", Time),
            ("job_gc_threshold", "JobGCThreshold", Time),
            ("eval_gc_threshold", "EvalGCThreshold", Time),
            ("batch_eval_gc_threshold", "BatchEvalGCThreshold", Time),
            ("deployment_gc_threshold", "DeploymentGCThreshold", Time),
            ("heartbeat_grace", "HeartbeatGrace", Nanos),
            ("min_heartbeat_ttl", "MinHeartbeatTTL", Nanos),
            ("max_heartbeats_per_second", "MaxHeartbeatsPerSecond", Count),
            ("failover_heartbeat_ttl", "FailoverHeartbeatTTL", Nanos),
            ("rejoin_after_leave", "RejoinAfterLeave", Flag),
            ("enable_event_broker", "EnableEventBroker", Flag),
            ("event_buffer_size", "EventBufferSize", Exact),
            ("deploy_query_rate_limit", "DeploymentQueryRateLimit", Count),
            ("raft_snapshot_threshold", "RaftSnapshotThreshold", Count),
            ("raft_snapshot_interval", "RaftSnapshotInterval", Time),
            ("raft_trailing_logs", "RaftTrailingLogs", Count),
            ("job_default_priority", "JobDefaultPriority", Count),
            ("job_max_priority", "JobMaxPriority", Count),
            ("job_tracked_versions", "JobTrackedVersions", Count),
        ],
    },
    Part {
        key: "server.default_scheduler_config",
        place: "/Server/DefaultSchedulerConfig",
        rows: &[
            ("scheduler_algorithm", "SchedulerAlgorithm", Text),
            (
                "memory_oversubscription_enabled",
                "MemoryOversubscriptionEnabled",
                Flag,
            ),
            ("reject_job_registration", "RejectJobRegistration", Flag),
            ("pause_eval_broker", "PauseEvalBroker", Flag),
        ],
    },
    Part {
        key: "server.default_scheduler_config.preemption_config",
        place: "/Server/DefaultSchedulerConfig/PreemptionConfig",
        rows: &[
            ("batch_scheduler_enabled", "BatchSchedulerEnabled", Flag),
            ("service_scheduler_enabled", "ServiceSchedulerEnabled", Flag),
            (
                "sysbatch_scheduler_enabled",
                "SysBatchSchedulerEnabled",
                Flag,
            ),
            ("system_scheduler_enabled", "SystemSchedulerEnabled", Flag),
        ],
    },
    Part {
        key: "server.plan_rejection_tracker",
        place: "/Server/PlanRejectionTracker",
        rows: &[("enabled", "Enabled", Flag)],
    },
    Part {
        key: "server.search",
        place: "/Server/Search",
        rows: &[("fuzzy_enabled", "FuzzyEnabled", Flag)],
    },
    Part {
        key: "server.raft_boltdb",
        place: "/Server/RaftBoltConfig",
        rows: &[("no_freelist_sync", "NoFreelistSync", Flag)],
    },
    Part {
        key: "server.raft_logstore",
        place: "/Server/RaftLogStoreConfig",
        rows: &[("backend", "Backend", Text)],
    },
    Part {
        key: "autopilot",
        place: "/Autopilot",
        rows: &[
            ("cleanup_dead_servers", "CleanupDeadServers", Flag),
            ("last_contact_threshold", "LastContactThreshold", Nanos),
            ("max_trailing_logs", "MaxTrailingLogs", Count),
            ("min_quorum", "MinQuorum", Count),
            (
                "server_stabilization_time",
                "ServerStabilizationTime",
                Nanos,
            ),
        ],
    },
];

/// Of clients.
pub(super) const CLIENT: &[Part<Form>] = &[
    Part {
        key: "client",
        place: "/Client",
        rows: &[
            ("node_class", "NodeClass", Text),
            ("node_pool", "NodePool", Text),
            ("network_speed", "NetworkSpeed", Count),
            ("cpu_total_compute", "CpuCompute", Count),
            ("memory_total_mb", "MemoryMB", Count),
            ("disk_total_mb", "DiskTotalMB", Count),
            ("disk_free_mb", "DiskFreeMB", Count),
            // The field was misspelt in 1.1.
            ("reservable_cores", "ReserveableCores", Text),
            ("reservable_cores", "ReservableCores", Text),
            ("max_kill_timeout", "MaxKillTimeout", Time),
            ("min_dynamic_port", "MinDynamicPort", Count),
            ("max_dynamic_port", "MaxDynamicPort", Count),
            ("gc_interval", "GCInterval", Nanos),
            ("gc_parallel_destroys", "GCParallelDestroys", Count),
            ("gc_disk_usage_threshold", "GCDiskUsageThreshold", Count),
            ("gc_inode_usage_threshold", "GCInodeUsageThreshold", Count),
            ("gc_max_allocs", "GCMaxAllocs", Count),
            ("disable_remote_exec", "DisableRemoteExec", Flag),
            ("nomad_service_discovery", "NomadServiceDiscovery", Flag),
        ],
    },
    Part {
        key: "client.reserved",
        place: "/Client/Reserved",
        rows: &[
            ("cpu", "CPU", Count),
            ("memory", "MemoryMB", Count),
            ("disk", "DiskMB", Count),
            ("cores", "Cores", Text),
            ("reserved_ports", "ReservedPorts", Text),
        ],
    },
    Part {
        key: "client.template",
        place: "/Client/TemplateConfig",
        rows: &[
            ("disable_file_sandbox", "DisableSandbox", Flag),
            ("function_denylist", "FunctionDenylist", Texts),
        ],
    },
    Part {
        key: "client.drain_on_shutdown",
        place: "/Client/Drain",
        rows: &[
            ("deadline", "Deadline", Time),
            ("force", "Force", Flag),
            ("ignore_system_jobs", "IgnoreSystemJobs", Flag),
        ],
    },
];

/// Client options that are Nomad's own, of no secret, and decide what runs.
pub(super) const OPTIONS: &[&str] = &[
    "driver.allowlist",
    "driver.denylist",
    "driver.whitelist",
    "driver.blacklist",
    "driver.raw_exec.enable",
    "driver.raw_exec.no_cgroups",
    "fingerprint.allowlist",
    "fingerprint.denylist",
    "fingerprint.whitelist",
    "fingerprint.blacklist",
];

/// Switches of drivers, by plugin.
pub(super) const SWITCHES: &[(&str, &str)] = &[
    ("raw_exec", "enabled"),
    ("raw_exec", "no_cgroups"),
    ("docker", "allow_privileged"),
    ("exec", "no_pivot_root"),
    ("java", "default_pid_mode"),
];
