//! What was asked for → each agent's configuration file, for a given Nomad. No I/O.
//!
//! The choices, and what each spares the user (see `docs/architecture.md`):
//! - `raft_protocol = 3` and `autopilot.min_quorum`: autopilot can tell health, and does not
//!   throw a killed server out of Raft after 40 s, so that it can come back as itself.
//! - Addresses instead of names, one per agent, advertised explicitly: Raft keeps peers as
//!   `IP:port`, and without an explicit address Nomad runs the program `ip`.
//! - `client.servers` with addresses: a client whose first registration finds no server waits
//!   15 to 30 s before the second.
//! - In several regions: every server lists every other, its own region's first, so that whoever comes last
//!   makes one gossip pool of all; servers of further regions read access control from the first.
//! - No cloud, Consul or Vault fingerprinters: each waits up to 2 s for somebody who is not there.
//! - Fixed compute and memory per client: otherwise each reports the whole host, and placement
//!   differs from machine to machine.

mod adopted;
mod hcl;
mod judged;
mod keys;
mod told;

use semver::Version;

use crate::spec::{AgentPlan, ClusterSpec, RPC_PORT, Role, SERF_PORT};
pub use adopted::substitutions;
use hcl::{Tree, expression, list, quote};
pub use judged::{KeyFault, KeyFaultKind, fault};
use keys::Key;
pub use told::{Told, told};

/// Folder of the configuration file inside a container; packages of Nomad use the same.
pub const CONFIG_DIR: &str = "/etc/nomad.d";
/// Name of the configuration file.
pub const CONFIG_FILE: &str = "nomad.hcl";
/// Folder of the certificates inside a container.
pub const TLS_DIR: &str = "/etc/nomad.d/tls";
/// Folder of the agent's state inside a container.
pub const DATA_DIR: &str = "/opt/nomad/data";

/// Compute of one client in MHz.
const CLIENT_COMPUTE_MHZ: u32 = 4000;
/// Memory of one client in MiB.
const CLIENT_MEMORY_MB: u32 = 4096;
/// Disk of one client in MiB.
const CLIENT_DISK_MB: u32 = 20_480;
/// Connections that one address may hold open; Nomad's default of 100 is soon used up by blocking
/// queries that all come through the bridge's address.
const HTTP_CONNECTIONS_MAX: u32 = 2000;
/// The oldest and the newest Nomad that the table of keys was read from.
const VERSION_MIN: Version = Version::new(1, 1, 0);

/// Why no configuration can be written.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No Nomad has such a key.
    #[error("unknown agent configuration key `{key}`{}", did_you_mean(key))]
    UnknownKey {
        /// As given.
        key: String,
    },
    /// The version at hand does not read the key, and would refuse to start.
    #[error("agent configuration key `{key}` is {} in Nomad {version}", range(*.first, *.last))]
    NotInVersion {
        /// As given.
        key: String,
        /// The version at hand.
        version: Version,
        /// First version that reads it.
        first: Option<(u64, u64, u64)>,
        /// Last version that reads it.
        last: Option<(u64, u64, u64)>,
    },
    /// The key is a block, not a value.
    #[error("agent configuration key `{key}` is a block (expected one of {known})")]
    Block {
        /// As given.
        key: String,
        /// Some keys in the block.
        known: String,
    },
    /// The key carries what the cluster stands on.
    #[error("agent configuration key `{key}` is chosen by the plan and cannot be set")]
    Reserved {
        /// As given.
        key: String,
    },
    /// Older than what the table of keys was read from.
    #[error("Nomad {version} is too old: expected {VERSION_MIN} or newer")]
    TooOld {
        /// The version at hand.
        version: Version,
    },
}

/// Keys that the plan fixes: with another value the cluster could not come up, or the harness
/// could not reach it.
const RESERVED: &[&str] = &[
    "name",
    "region",
    "datacenter",
    "data_dir",
    "bind_addr",
    "server.enabled",
    "server.bootstrap_expect",
    "server.encrypt",
    "client.enabled",
    "acl.enabled",
];

/// Checks extra settings against what `version` reads, and reports all problems at once.
///
/// # Errors
/// One error per setting that cannot be.
pub fn check_settings(spec: &ClusterSpec, version: &Version) -> Result<(), Vec<ConfigError>> {
    let mut errors: Vec<ConfigError> = Vec::new();
    if *version < VERSION_MIN {
        errors.push(ConfigError::TooOld {
            version: version.clone(),
        });
    }
    errors.extend(
        spec.set
            .keys()
            .filter_map(|key| check_setting(key, version).err()),
    );
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn check_setting(key: &str, version: &Version) -> Result<(), ConfigError> {
    let reserved = ["ports.", "addresses.", "advertise.", "tls."];
    if RESERVED.contains(&key) || reserved.iter().any(|block| key.starts_with(block)) {
        return Err(ConfigError::Reserved {
            key: key.to_owned(),
        });
    }
    if let Some(rest) = key.strip_prefix("plugin.")
        && !rest.split_once('.').is_some_and(|(_, inside)| {
            inside
                .strip_prefix("config.")
                .is_some_and(|k| !k.is_empty())
        })
    {
        return Err(ConfigError::Block {
            key: key.to_owned(),
            known: "`plugin.NAME.config.KEY`".to_owned(),
        });
    }
    if let Some(known) = Key::find(key) {
        return if known.is_known_to(version) {
            Ok(())
        } else {
            Err(ConfigError::NotInVersion {
                key: key.to_owned(),
                version: version.clone(),
                first: known.first,
                last: known.last,
            })
        };
    }
    let inside: Vec<&str> = keys::KEYS
        .iter()
        .filter(|known| known.path.starts_with(&format!("{key}.")) && known.is_known_to(version))
        .map(|known| known.path)
        .take(4)
        .collect();
    if inside.is_empty() {
        Err(ConfigError::UnknownKey {
            key: key.to_owned(),
        })
    } else {
        Err(ConfigError::Block {
            key: key.to_owned(),
            known: format!("`{}`", inside.join("`, `")),
        })
    }
}

/// The secrets that servers' files carry, and no others.
#[derive(Clone, Copy)]
pub struct Secrets<'a> {
    /// Standard base64 of 32 bytes.
    pub gossip_key: &'a str,
    /// A management token of the first region, by which servers of further regions copy its access control
    /// (`nomad/leader.go`, `replicateACLTokens`); not known while the first region comes up.
    pub replication_token: Option<&'a str>,
}

/// Returns the text of one agent's configuration file.
///
/// `plan` is the whole cluster's. The file is a secret (mode 0600).
///
/// # Errors
/// When a setting of the spec is unknown to `version`.
pub fn render(
    spec: &ClusterSpec,
    plan: &[AgentPlan],
    agent: &AgentPlan,
    version: &Version,
    secrets: Secrets<'_>,
) -> Result<String, ConfigError> {
    let agents = spec.adoption.iter().flat_map(|adoption| &adoption.agents);
    let adopted = { agents }.find(|adopted| adopted.name == agent.name);
    let mut file = File {
        tree: Tree::default(),
        version,
    };
    if let Some(adopted) = adopted {
        file.tree = adopted::tree(adopted, spec, plan, agent, version, secrets.gossip_key);
    } else {
        file.agent(spec, agent);
        match agent.role {
            Role::Server => file.server(spec, plan, agent, secrets),
            Role::Client => file.client(plan, agent),
        }
        file.security(spec, agent);
    }
    for (key, value) in &spec.set {
        check_setting(key, version)?;
        // A server has no use for a client's settings and the other way round: both blocks on one
        // agent would be read, and mean nothing.
        let other = match agent.role {
            Role::Server => ["client.", "plugin."].as_slice(),
            Role::Client => ["server.", "autopilot."].as_slice(),
        };
        if !other.iter().any(|block| key.starts_with(block)) {
            file.tree.set(key, expression(value));
        }
    }
    Ok(file.tree.write())
}

/// A file in the making.
struct File<'a> {
    tree: Tree,
    version: &'a Version,
}

impl File<'_> {
    /// Writes a key where the version knows it.
    fn put(&mut self, path: &str, expression: impl Into<String>) {
        let key = Key::find(path).expect("every key that is written stands in the table");
        if key.is_known_to(self.version) {
            self.tree.set(path, expression.into());
        }
    }

    fn text(&mut self, path: &str, value: impl AsRef<str>) {
        self.put(path, quote(value.as_ref()));
    }

    fn flag(&mut self, path: &str, value: bool) {
        self.put(path, value.to_string());
    }

    fn number(&mut self, path: &str, value: u32) {
        self.put(path, value.to_string());
    }

    fn agent(&mut self, spec: &ClusterSpec, agent: &AgentPlan) {
        self.text("name", agent.name.as_str());
        self.text("region", spec.region_of(agent));
        self.text("datacenter", &spec.datacenter);
        self.text("data_dir", DATA_DIR);
        self.text("bind_addr", "0.0.0.0");
        for listener in ["http", "rpc", "serf"] {
            self.text(&format!("advertise.{listener}"), agent.address.to_string());
        }
        self.flag("disable_update_check", true);
        self.number("limits.http_max_conns_per_client", HTTP_CONNECTIONS_MAX);
        self.flag("consul.auto_advertise", false);
        self.flag("consul.server_auto_join", false);
        self.flag("consul.client_auto_join", false);
    }

    fn server(
        &mut self,
        spec: &ClusterSpec,
        plan: &[AgentPlan],
        agent: &AgentPlan,
        secrets: Secrets<'_>,
    ) {
        let others = plan
            .iter()
            .filter(|peer| peer.role == Role::Server && peer.name != agent.name);
        // Addresses are tried one after the other, and those of a region that is not up yet cost time.
        let (near, far): (Vec<_>, Vec<_>) = others.partition(|peer| peer.region == agent.region);
        let peers = near.iter().chain(&far);
        let mut peers = peers
            .map(|peer| format!("{}:{SERF_PORT}", peer.address))
            .peekable();
        self.flag("server.enabled", true);
        self.number("server.bootstrap_expect", spec.servers.into());
        self.number("server.raft_protocol", 3);
        self.text("server.encrypt", secrets.gossip_key);
        if !spec.further_regions.is_empty() {
            self.text("server.authoritative_region", &spec.region);
        }
        if let (Some(token), Some(_)) = (secrets.replication_token, &agent.region) {
            self.text("acl.replication_token", token);
        }
        if peers.peek().is_some() {
            self.put("server.server_join.retry_join", list(peers));
            self.text("server.server_join.retry_interval", "1s");
        }
        self.number("autopilot.min_quorum", spec.servers.into());
    }

    fn client(&mut self, plan: &[AgentPlan], agent: &AgentPlan) {
        let servers = plan
            .iter()
            .filter(|a| a.role == Role::Server && a.region == agent.region)
            .map(|server| format!("{}:{RPC_PORT}", server.address));
        self.flag("client.enabled", true);
        self.put("client.servers", list(servers));
        self.text("client.network_interface", "eth0");
        self.number("client.cpu_total_compute", CLIENT_COMPUTE_MHZ);
        self.number("client.memory_total_mb", CLIENT_MEMORY_MB);
        self.number("client.disk_total_mb", CLIENT_DISK_MB);
        self.number("client.disk_free_mb", CLIENT_DISK_MB);
        self.text("client.options.driver.allowlist", "raw_exec,mock_driver");
        self.text(
            "client.options.fingerprint.denylist",
            "env_aws,env_azure,env_digitalocean,env_gce,consul,vault",
        );
        self.flag("plugin.raw_exec.config.enabled", true);
    }

    fn security(&mut self, spec: &ClusterSpec, agent: &AgentPlan) {
        self.flag("acl.enabled", true);
        self.flag("tls.http", true);
        self.flag("tls.rpc", true);
        self.flag("tls.verify_server_hostname", true);
        self.flag("tls.verify_https_client", true);
        let file = |name: &str| format!("{TLS_DIR}/{name}");
        self.text("tls.ca_file", file(crate::tls::CA_FILE));
        let (certificate, key) = crate::tls::leaf_files(spec.region_of(agent), agent.role.into());
        self.text("tls.cert_file", file(&certificate));
        self.text("tls.key_file", file(&key));
    }
}

fn did_you_mean(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    keys::KEYS
        .iter()
        .find(|known| known.path.rsplit('.').next() == Some(last))
        .map(|known| format!(" (did you mean `{}`?)", known.path))
        .unwrap_or_default()
}

fn range(first: Option<(u64, u64, u64)>, last: Option<(u64, u64, u64)>) -> String {
    match (first, last) {
        (Some((major, minor, patch)), _) => {
            format!("new in {major}.{minor}.{patch} and so unknown")
        }
        (None, Some((major, minor, _))) => format!("gone since {major}.{}: unknown", minor + 1),
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests;
