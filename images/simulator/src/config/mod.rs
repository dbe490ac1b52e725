//! The agent's configuration files: Nomad's own, with Nomad 1.8.3's keys and strictness.
//!
//! A key that Nomad does not know is an error; all of them are reported at once. A key that
//! Nomad knows and the simulator does not act on is accepted and listed in [`AgentConfig::inert`],
//! for one log line at the start.

mod address;
pub mod hcl;
mod keys;
mod reader;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use address::resolve;
use hcl::{Block, Value};
use reader::Findings;
pub use shown::Part;

use crate::rpc::TlsSettings;

/// One address for each of an agent's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP API.
    pub http: SocketAddr,
    /// RPC.
    pub rpc: SocketAddr,
    /// Gossip.
    pub serf: SocketAddr,
}

/// Everything that the files say, with Nomad's defaults.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// `name`, by default the host's.
    pub name: String,
    /// `region`.
    pub region: String,
    /// `datacenter`.
    pub datacenter: String,
    /// `data_dir`, absolute.
    pub data_dir: PathBuf,
    /// `log_level`, in capitals.
    pub log_level: String,
    /// Where the agent listens.
    pub bind: Addresses,
    /// What it tells others.
    pub advertise: Addresses,
    /// The `server` block, where it is enabled.
    pub server: Option<ServerOptions>,
    /// The `client` block, where it is enabled.
    pub client: Option<ClientOptions>,
    /// `acl { enabled }`.
    pub acl_enabled: bool,
    /// The `tls` block.
    pub tls: TlsSettings,
    /// The `autopilot` block.
    pub autopilot: AutopilotOptions,
    /// `plugin "raw_exec" { config { enabled } }`.
    pub raw_exec: bool,
    /// Known keys that are not acted on.
    pub inert: BTreeSet<String>,
    /// What `agent/self` shows of the files, in Nomad's JSON.
    pub shown: serde_json::Value,
}

/// The `server` block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerOptions {
    /// `bootstrap_expect`; 0 never bootstraps.
    pub bootstrap_expect: u64,
    /// `encrypt`, decoded: 16, 24 or 32 bytes.
    pub encrypt: Option<Vec<u8>>,
    /// Servers to join, as written.
    pub join: Vec<String>,
    /// `raft_multiplier`.
    pub raft_multiplier: u32,
    /// `raft_snapshot_threshold`.
    pub raft_snapshot_threshold: u64,
    /// `raft_trailing_logs`.
    pub raft_trailing_logs: u64,
    /// `heartbeat_grace`.
    pub heartbeat_grace: Duration,
    /// `min_heartbeat_ttl`.
    pub min_heartbeat_ttl: Duration,
    /// `max_heartbeats_per_second`.
    pub max_heartbeats_per_second: f64,
    /// `failover_heartbeat_ttl`.
    pub failover_heartbeat_ttl: Duration,
    /// `default_scheduler_config` in the API's JSON.
    pub scheduler: Option<serde_json::Value>,
}

/// The `client` block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientOptions {
    /// Servers, as written: `servers`, then those of `server_join`.
    pub servers: Vec<String>,
    /// `node_class`.
    pub node_class: String,
    /// `node_pool`.
    pub node_pool: String,
    /// `meta`.
    pub meta: BTreeMap<String, String>,
    /// `options`.
    pub options: BTreeMap<String, String>,
    /// `network_interface`.
    pub network_interface: Option<String>,
    /// MHz.
    pub cpu_total_compute: Option<u64>,
    /// MiB.
    pub memory_total_mb: Option<u64>,
    /// `min_dynamic_port`.
    pub min_dynamic_port: u16,
    /// `max_dynamic_port`.
    pub max_dynamic_port: u16,
}

/// The `autopilot` block; what is not set is left to the defaults of autopilot itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are Nomad's keys")]
pub struct AutopilotOptions {
    pub cleanup_dead_servers: Option<bool>,
    pub last_contact_threshold: Option<Duration>,
    pub max_trailing_logs: Option<u64>,
    pub min_quorum: Option<u64>,
    pub server_stabilization_time: Option<Duration>,
}

/// The files cannot be used; every problem is a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(
    /// The lines: file, place, problem.
    pub Vec<String>,
);

/// Reads files and folders (their `*.hcl` and `*.json`, by name); later values win.
///
/// # Errors
/// Everything that is wrong with them, all at once.
pub fn load(paths: &[PathBuf]) -> Result<AgentConfig, ConfigError> {
    let mut problems = Vec::new();
    let mut merged = Block::default();
    for path in paths {
        for file in files(path, &mut problems) {
            if let Some(block) = read(&file, &mut problems) {
                merged.merge(block);
            }
        }
    }
    if paths.is_empty() {
        problems.push("no configuration: give `-config PATH`".to_owned());
    }
    if !problems.is_empty() {
        return Err(ConfigError(problems));
    }
    let mut findings = Findings::default();
    let raw = keys::read(&merged, &mut findings);
    let config = raw.resolve(findings.inert, &mut findings.problems);
    match config {
        Some(config) if findings.problems.is_empty() => Ok(AgentConfig {
            shown: shown::of(&merged),
            ..config
        }),
        _ => Err(ConfigError(findings.problems)),
    }
}

/// The files that a path stands for.
fn files(path: &Path, problems: &mut Vec<String>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(problem) => {
            problems.push(format!("{}: {problem}", path.display()));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| {
            let extension = file.extension().and_then(std::ffi::OsStr::to_str);
            file.is_file() && matches!(extension, Some("hcl" | "json"))
        })
        .collect();
    files.sort();
    files
}

/// Reads and checks one file.
fn read(file: &Path, problems: &mut Vec<String>) -> Option<Block> {
    let name = file.display();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(problem) => {
            problems.push(format!("{name}: {problem}"));
            return None;
        }
    };
    let block = match parse(&text) {
        Ok(block) => block,
        Err(problem) => {
            problems.push(format!("{name}:{problem}"));
            return None;
        }
    };
    let mut findings = Findings::default();
    keys::read(&block, &mut findings);
    let clean = findings.problems.is_empty();
    for problem in findings.problems {
        let colon = if problem.starts_with(|c: char| c.is_ascii_digit()) {
            ":"
        } else {
            ": "
        };
        problems.push(format!("{name}{colon}{problem}"));
    }
    clean.then_some(block)
}

fn parse(text: &str) -> Result<Block, String> {
    if !text.trim_start().starts_with('{') {
        return hcl::parse(text)
            .map_err(|e| format!("{}:{}: {}", e.at.line, e.at.column, e.problem));
    }
    let json = serde_json::from_str(text).map_err(|e| format!(" {e}"))?;
    match hcl::from_json(&json) {
        Value::Block(block) => Ok(block),
        _ => Err(" expected an object".to_owned()),
    }
}

impl ClientOptions {
    /// The address that tasks get: of `network_interface`, or the advertised one.
    ///
    /// # Errors
    /// Where the interface does not exist or has no IPv4 address.
    pub fn task_ip(&self, advertised: SocketAddr) -> Result<Ipv4Addr, ConfigError> {
        let found = match &self.network_interface {
            Some(name) => address::of_interface(name),
            None => match advertised.ip() {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            },
        };
        found.ok_or_else(|| {
            let name = self.network_interface.as_deref().unwrap_or("(default)");
            ConfigError(vec![format!(
                "`client.network_interface`: `{name}` has no IPv4 address"
            )])
        })
    }
}

#[cfg(test)]
mod tests;
