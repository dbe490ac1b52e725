//! Every key of Nomad 1.8.3's agent configuration: what is acted on, and what is only known.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hcl::Block;
use super::reader::{Findings, Reader};
use super::{Addresses, AgentConfig, AutopilotOptions, ClientOptions, ServerOptions, address};
use crate::cloud;
use crate::rpc::TlsSettings;

/// The files' values before defaults and checks that need several of them.
#[derive(Debug, Default)]
pub(super) struct Raw {
    name: Option<String>,
    region: Option<String>,
    datacenter: Option<String>,
    data_dir: Option<String>,
    log_level: Option<String>,
    bind_addr: Option<String>,
    ports: Trio<u16>,
    addresses: Trio<String>,
    advertise: Trio<String>,
    server: Option<(bool, ServerOptions)>,
    client: Option<(bool, ClientOptions)>,
    acl_enabled: bool,
    tls: TlsSettings,
    autopilot: AutopilotOptions,
    raw_exec: bool,
}

#[derive(Debug, Default)]
struct Trio<T> {
    http: Option<T>,
    rpc: Option<T>,
    serf: Option<T>,
}

/// Reads a block as the top level of the configuration.
pub(super) fn read(block: &Block, findings: &mut Findings) -> Raw {
    let mut r = Reader::new(block, "", findings);
    let mut raw = Raw {
        name: r.text("name"),
        region: r.text("region"),
        datacenter: r.text("datacenter"),
        data_dir: r.text("data_dir"),
        log_level: r.text("log_level"),
        bind_addr: r.text("bind_addr"),
        ports: r.block("ports", ports).unwrap_or_default(),
        addresses: r.block("addresses", texts).unwrap_or_default(),
        advertise: r.block("advertise", texts).unwrap_or_default(),
        server: r.block("server", server),
        client: r.block("client", client),
        acl_enabled: r.block("acl", acl).unwrap_or_default(),
        tls: r.block("tls", tls).unwrap_or_default(),
        autopilot: r.block("autopilot", autopilot).unwrap_or_default(),
        raw_exec: false,
    };
    let mut raw_exec = false;
    r.labelled("plugin", |label, r| plugin(label, r, &mut raw_exec));
    raw.raw_exec = raw_exec;
    inert_blocks(&mut r);
    r.inert(&[
        "plugin_dir",
        "log_json",
        "log_file",
        "log_rotate_duration",
        "log_rotate_bytes",
        "log_rotate_max_files",
        "log_include_location",
        "enable_debug",
        "enable_syslog",
        "syslog_facility",
        "leave_on_interrupt",
        "leave_on_terminate",
        "disable_update_check",
        "disable_anonymous_signature",
        "http_api_response_headers",
    ]);
    r.finish();
    raw
}

fn ports(r: &mut Reader<'_>) -> Trio<u16> {
    Trio {
        http: r.port("http"),
        rpc: r.port("rpc"),
        serf: r.port("serf"),
    }
}

fn texts(r: &mut Reader<'_>) -> Trio<String> {
    Trio {
        http: r.text("http"),
        rpc: r.text("rpc"),
        serf: r.text("serf"),
    }
}

fn acl(r: &mut Reader<'_>) -> bool {
    r.inert(&[
        "token_ttl",
        "policy_ttl",
        "role_ttl",
        "replication_token",
        "token_min_expiration_ttl",
        "token_max_expiration_ttl",
    ]);
    r.flag("enabled").unwrap_or(false)
}

fn tls(r: &mut Reader<'_>) -> TlsSettings {
    r.inert(&[
        "rpc_upgrade_mode",
        "tls_cipher_suites",
        "tls_min_version",
        "tls_prefer_server_cipher_suites",
    ]);
    let mut file = |key| r.text(key).map(PathBuf::from).unwrap_or_default();
    let (ca_file, cert_file, key_file) = (file("ca_file"), file("cert_file"), file("key_file"));
    TlsSettings {
        http: r.flag("http").unwrap_or(false),
        rpc: r.flag("rpc").unwrap_or(false),
        verify_server_hostname: r.flag("verify_server_hostname").unwrap_or(false),
        verify_https_client: r.flag("verify_https_client").unwrap_or(false),
        ca_file,
        cert_file,
        key_file,
        region: String::new(),
    }
}

fn autopilot(r: &mut Reader<'_>) -> AutopilotOptions {
    r.inert(&[
        "enable_redundancy_zones",
        "disable_upgrade_migration",
        "enable_custom_upgrades",
    ]);
    AutopilotOptions {
        cleanup_dead_servers: r.flag("cleanup_dead_servers"),
        last_contact_threshold: r.duration("last_contact_threshold"),
        max_trailing_logs: r.count("max_trailing_logs"),
        min_quorum: r.count("min_quorum"),
        server_stabilization_time: r.duration("server_stabilization_time"),
    }
}

fn plugin(label: &str, r: &mut Reader<'_>, raw_exec: &mut bool) {
    r.inert(&["args"]);
    if label != "raw_exec" {
        // Other drivers are not simulated; what they are told does not matter here.
        r.inert(&["config"]);
        return;
    }
    r.block("config", |r| {
        *raw_exec = r.flag("enabled").unwrap_or(false);
    });
}

/// Servers to join, of `server_join` and of the older keys beside it.
fn join(r: &mut Reader<'_>) -> Vec<String> {
    let mut all = Vec::new();
    let mut read = |r: &mut Reader<'_>| {
        r.inert(&["retry_interval", "retry_max"]);
        for key in ["retry_join", "start_join"] {
            for address in r.texts(key).unwrap_or_default() {
                if let Some(problem) = discovery(&address) {
                    r.problem(key, &problem);
                }
                all.push(address);
            }
        }
    };
    read(r);
    r.block("server_join", &mut read);
    all
}

/// What is wrong with a text by which servers are to be found in a cloud.
fn discovery(text: &str) -> Option<String> {
    if !text.contains('=') {
        return None;
    }
    match cloud::arguments(text) {
        Ok(arguments) if arguments.get("provider").is_some_and(|one| one == "aws") => None,
        Ok(_) => Some(format!(
            "discovery by `{text}` is not simulated: `provider=aws` is, and addresses"
        )),
        Err(error) => Some(error.to_string()),
    }
}

fn server(r: &mut Reader<'_>) -> (bool, ServerOptions) {
    r.inert(INERT_SERVER);
    let raft_protocol = r.count("raft_protocol").unwrap_or(3);
    if raft_protocol != 3 {
        r.problem("raft_protocol", "expected 3, the only one since Nomad 1.4");
    }
    let raft_multiplier = match r.count("raft_multiplier").unwrap_or(1) {
        0 => 1,
        few @ 1..=10 => u32::try_from(few).unwrap_or(1),
        _ => {
            r.problem("raft_multiplier", "expected 1 to 10");
            1
        }
    };
    let encrypt = r.text("encrypt").and_then(|text| encrypt(&text, r));
    let options = ServerOptions {
        bootstrap_expect: r.count("bootstrap_expect").unwrap_or(0),
        encrypt,
        join: join(r),
        raft_multiplier,
        raft_snapshot_threshold: r.count("raft_snapshot_threshold").unwrap_or(8192).max(16),
        raft_trailing_logs: r.count("raft_trailing_logs").unwrap_or(10240),
        heartbeat_grace: r
            .duration("heartbeat_grace")
            .unwrap_or(Duration::from_secs(10)),
        min_heartbeat_ttl: r
            .duration("min_heartbeat_ttl")
            .unwrap_or(Duration::from_secs(10)),
        max_heartbeats_per_second: r.float("max_heartbeats_per_second").unwrap_or(50.0),
        failover_heartbeat_ttl: r
            .duration("failover_heartbeat_ttl")
            .unwrap_or(Duration::from_secs(300)),
        scheduler: r.block("default_scheduler_config", scheduler),
    };
    (r.flag("enabled").unwrap_or(false), options)
}

const INERT_SERVER: &[&str] = &[
    "authoritative_region",
    "data_dir",
    "num_schedulers",
    "enabled_schedulers",
    "node_gc_threshold",
    "job_gc_interval",
    "job_gc_threshold",
    "eval_gc_threshold",
    "batch_eval_gc_threshold",
    "deployment_gc_threshold",
    "csi_volume_claim_gc_threshold",
    "csi_plugin_gc_threshold",
    "acl_token_gc_threshold",
    "root_key_gc_interval",
    "root_key_gc_threshold",
    "root_key_rotation_threshold",
    "rejoin_after_leave",
    "plan_rejection_tracker",
    "enable_event_broker",
    "event_buffer_size",
    "search",
    "deploy_query_rate_limit",
    "raft_boltdb",
    "raft_snapshot_interval",
    "job_default_priority",
    "job_max_priority",
    "job_max_source_size",
    "job_tracked_versions",
    "oidc_issuer",
    "license_path",
    "license_env",
    "redundancy_zone",
    "upgrade_version",
    "non_voting_server",
    "protocol_version",
    "csi_volume_claim_gc_interval",
];

fn encrypt(text: &str, r: &mut Reader<'_>) -> Option<Vec<u8>> {
    let key = STANDARD
        .decode(text)
        .ok()
        .filter(|key| matches!(key.len(), 16 | 24 | 32));
    if key.is_none() {
        // The key itself is a secret: it is not repeated.
        r.problem("encrypt", "expected 16, 24 or 32 bytes in standard base64");
    }
    key
}

fn scheduler(r: &mut Reader<'_>) -> serde_json::Value {
    let mut config = serde_json::Map::new();
    if let Some(algorithm) = r.text("scheduler_algorithm") {
        if !matches!(algorithm.as_str(), "binpack" | "spread") {
            r.problem("scheduler_algorithm", "expected `binpack` or `spread`");
        }
        config.insert("SchedulerAlgorithm".to_owned(), algorithm.into());
    }
    for (key, name) in [
        (
            "memory_oversubscription_enabled",
            "MemoryOversubscriptionEnabled",
        ),
        ("reject_job_registration", "RejectJobRegistration"),
        ("pause_eval_broker", "PauseEvalBroker"),
    ] {
        if let Some(flag) = r.flag(key) {
            config.insert(name.to_owned(), flag.into());
        }
    }
    let preemption = r.block("preemption_config", |r| {
        let mut config = serde_json::Map::new();
        for (key, name) in [
            ("system_scheduler_enabled", "SystemSchedulerEnabled"),
            ("sysbatch_scheduler_enabled", "SysBatchSchedulerEnabled"),
            ("batch_scheduler_enabled", "BatchSchedulerEnabled"),
            ("service_scheduler_enabled", "ServiceSchedulerEnabled"),
        ] {
            if let Some(flag) = r.flag(key) {
                config.insert(name.to_owned(), flag.into());
            }
        }
        config
    });
    if let Some(preemption) = preemption {
        config.insert("PreemptionConfig".to_owned(), preemption.into());
    }
    config.into()
}

fn client(r: &mut Reader<'_>) -> (bool, ClientOptions) {
    r.inert(&[
        "state_dir",
        "alloc_dir",
        "alloc_mounts_dir",
        "chroot_env",
        "preferred_address_family",
        "network_speed",
        "disk_total_mb",
        "disk_free_mb",
        "reserved",
        "reservable_cores",
        "client_min_port",
        "client_max_port",
        "max_kill_timeout",
        "gc_interval",
        "gc_disk_usage_threshold",
        "gc_inode_usage_threshold",
        "gc_max_allocs",
        "gc_parallel_destroys",
        "no_host_uuid",
        "disable_remote_exec",
        "template",
        "artifact",
        "host_volume",
        "host_network",
        "cni_path",
        "cni_config_dir",
        "bridge_network_name",
        "bridge_network_subnet",
        "bridge_network_hairpin_mode",
        "cgroup_parent",
        "nomad_service_discovery",
        "drain_on_shutdown",
        "users",
    ]);
    let mut servers = r.texts("servers").unwrap_or_default();
    servers.extend(join(r));
    let options = ClientOptions {
        servers,
        node_class: r.text("node_class").unwrap_or_default(),
        node_pool: r.text("node_pool").unwrap_or_else(|| "default".to_owned()),
        meta: r.map("meta").unwrap_or_default(),
        options: r.map("options").unwrap_or_default(),
        network_interface: r.text("network_interface").filter(|name| !name.is_empty()),
        cpu_total_compute: r.count("cpu_total_compute").filter(|mhz| *mhz > 0),
        memory_total_mb: r.count("memory_total_mb").filter(|mib| *mib > 0),
        min_dynamic_port: r.port("min_dynamic_port").unwrap_or(20_000),
        max_dynamic_port: r.port("max_dynamic_port").unwrap_or(32_000),
    };
    if options.min_dynamic_port > options.max_dynamic_port {
        r.problem("min_dynamic_port", "expected at most `max_dynamic_port`");
    }
    (r.flag("enabled").unwrap_or(false), options)
}

/// Blocks whose keys are checked as Nomad does, and that nothing here acts on.
fn inert_blocks(r: &mut Reader<'_>) {
    for (key, keys) in INERT {
        r.block(key, |r| r.inert(keys));
    }
    // Enterprise, or of free form.
    r.inert(&["audit", "sentinel", "keyring"]);
}

const INERT: &[(&str, &[&str])] = &[
    (
        "telemetry",
        &[
            "in_memory_collection_interval",
            "in_memory_retention_period",
            "disable_hostname",
            "use_node_name",
            "collection_interval",
            "publish_allocation_metrics",
            "publish_node_metrics",
            "include_alloc_metadata_in_metrics",
            "prefix_filter",
            "filter_default",
            "disable_dispatched_job_summary_metrics",
            "disable_allocation_hook_metrics",
            "disable_rpc_rate_metrics_labels",
            "disable_quota_utilization_metrics",
            "prometheus_metrics",
            "statsite_address",
            "statsd_address",
            "datadog_address",
            "datadog_tags",
            "circonus_api_token",
            "circonus_api_app",
            "circonus_api_url",
            "circonus_submission_interval",
            "circonus_submission_url",
            "circonus_check_id",
            "circonus_check_force_metric_activation",
            "circonus_check_instance_id",
            "circonus_check_search_tag",
            "circonus_check_display_name",
            "circonus_check_tags",
            "circonus_broker_id",
            "circonus_broker_select_tag",
        ],
    ),
    (
        "consul",
        &[
            "name",
            "address",
            "auth",
            "token",
            "service_auth_method",
            "task_auth_method",
            "grpc_address",
            "grpc_ca_file",
            "server_service_name",
            "server_http_check_name",
            "server_serf_check_name",
            "server_rpc_check_name",
            "server_auto_join",
            "client_service_name",
            "client_http_check_name",
            "client_auto_join",
            "tags",
            "auto_advertise",
            "checks_use_advertise",
            "verify_ssl",
            "ssl",
            "share_ssl",
            "ca_file",
            "cert_file",
            "key_file",
            "timeout",
            "namespace",
            "allow_unauthenticated",
            "service_identity",
            "task_identity",
            "client_failures_before_critical",
            "client_failures_before_warning",
            "server_failures_before_critical",
            "server_failures_before_warning",
        ],
    ),
    (
        "vault",
        &[
            "name",
            "enabled",
            "role",
            "create_from_role",
            "allow_unauthenticated",
            "task_token_ttl",
            "address",
            "addr",
            "ca_file",
            "ca_path",
            "cert_file",
            "key_file",
            "tls_server_name",
            "tls_skip_verify",
            "token",
            "namespace",
            "jwt_auth_backend_path",
            "default_identity",
            "connection_retry_interval",
        ],
    ),
    (
        "ui",
        &[
            "enabled",
            "content_security_policy",
            "consul",
            "vault",
            "label",
        ],
    ),
    (
        "limits",
        &[
            "https_handshake_timeout",
            "http_max_conns_per_client",
            "rpc_handshake_timeout",
            "rpc_max_conns_per_client",
        ],
    ),
    (
        "reporting",
        &[
            "address",
            "export_interval",
            "license",
            "snapshot_retention_time",
        ],
    ),
];

impl Raw {
    /// Fills in the defaults and checks what needs several values.
    pub(super) fn resolve(
        self,
        inert: BTreeSet<String>,
        problems: &mut Vec<String>,
    ) -> Option<AgentConfig> {
        self.check(problems);
        let name = self.name.clone().or_else(host_name);
        if name.is_none() {
            problems.push("`name`: this host has no name: set it".to_owned());
        }
        let addresses = self.addresses(problems);
        let region = self.region.unwrap_or_else(|| "global".to_owned());
        let (bind, advertise) = addresses?;
        Some(AgentConfig {
            name: name?,
            datacenter: self.datacenter.unwrap_or_else(|| "dc1".to_owned()),
            data_dir: PathBuf::from(self.data_dir.unwrap_or_default()),
            log_level: self
                .log_level
                .map_or_else(|| "INFO".to_owned(), |l| l.to_uppercase()),
            bind,
            advertise,
            server: self
                .server
                .filter(|(on, _)| *on)
                .map(|(_, options)| options),
            client: self
                .client
                .filter(|(on, _)| *on)
                .map(|(_, options)| options),
            acl_enabled: self.acl_enabled,
            tls: TlsSettings {
                region: region.clone(),
                ..self.tls
            },
            region,
            autopilot: self.autopilot,
            raw_exec: self.raw_exec,
            inert,
            shown: serde_json::Value::Null,
        })
    }

    fn check(&self, problems: &mut Vec<String>) {
        let mut wrong = |key: &str, problem: &str| problems.push(format!("`{key}`: {problem}"));
        match self.data_dir.as_deref() {
            Some(path) if path.starts_with('/') => {}
            Some(path) => wrong(
                "data_dir",
                &format!("expected an absolute path, found `{path}`"),
            ),
            None => wrong("data_dir", "must be set"),
        }
        if self
            .datacenter
            .as_deref()
            .is_some_and(|dc| dc.contains('*'))
        {
            wrong("datacenter", "may not contain `*`");
        }
        let level = self.log_level.as_deref().unwrap_or("INFO").to_uppercase();
        if !matches!(
            level.as_str(),
            "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "OFF"
        ) {
            wrong(
                "log_level",
                "expected TRACE, DEBUG, INFO, WARN, ERROR or OFF",
            );
        }
        let server = self.server.as_ref().filter(|(on, _)| *on);
        let client = self.client.as_ref().filter(|(on, _)| *on);
        if server.is_none() && client.is_none() {
            wrong("server.enabled", "neither `server` nor `client` is enabled");
        }
        let expects = self
            .server
            .as_ref()
            .is_some_and(|(_, s)| s.bootstrap_expect > 0);
        if server.is_none() && expects {
            wrong("server.bootstrap_expect", "needs `server.enabled = true`");
        }
        if self.tls.http || self.tls.rpc {
            for (key, path) in [
                ("tls.ca_file", &self.tls.ca_file),
                ("tls.cert_file", &self.tls.cert_file),
                ("tls.key_file", &self.tls.key_file),
            ] {
                if path.as_os_str().is_empty() {
                    wrong(key, "must be set where TLS is on");
                }
            }
        }
    }

    fn addresses(&self, problems: &mut Vec<String>) -> Option<(Addresses, Addresses)> {
        let count = problems.len();
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut ip = |key: &str, text: &Option<String>, default: IpAddr| match text {
            None => default,
            Some(text) => address::ip(text).unwrap_or_else(|problem| {
                problems.push(format!("`{key}`: {problem}"));
                default
            }),
        };
        let all = ip("bind_addr", &self.bind_addr, any);
        let bind = Addresses {
            http: (
                ip("addresses.http", &self.addresses.http, all),
                self.ports.http.unwrap_or(4646),
            )
                .into(),
            rpc: (
                ip("addresses.rpc", &self.addresses.rpc, all),
                self.ports.rpc.unwrap_or(4647),
            )
                .into(),
            serf: (
                ip("addresses.serf", &self.addresses.serf, all),
                self.ports.serf.unwrap_or(4648),
            )
                .into(),
        };
        let mut advertise = |key: &str, text: &Option<String>, bound: SocketAddr| match text {
            Some(text) => address::socket(text, bound.port()).unwrap_or_else(|problem| {
                problems.push(format!("`{key}`: {problem}"));
                bound
            }),
            None => default_advertise(bound).unwrap_or_else(|problem| {
                problems.push(format!("`{key}`: {problem}"));
                bound
            }),
        };
        let advertise = Addresses {
            http: advertise("advertise.http", &self.advertise.http, bind.http),
            rpc: advertise("advertise.rpc", &self.advertise.rpc, bind.rpc),
            serf: advertise("advertise.serf", &self.advertise.serf, bind.serf),
        };
        (problems.len() == count).then_some((bind, advertise))
    }
}

/// The bound address, or this machine's private one; never the loopback, as in Nomad.
fn default_advertise(bound: SocketAddr) -> Result<SocketAddr, String> {
    let ip = if bound.ip().is_unspecified() {
        address::private()
            .map(IpAddr::V4)
            .ok_or("no private address found: set it")?
    } else {
        bound.ip()
    };
    if ip.is_loopback() {
        return Err("defaulting to localhost is unsafe: set it".to_owned());
    }
    Ok(SocketAddr::new(ip, bound.port()))
}

fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}
