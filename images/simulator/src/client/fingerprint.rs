//! What a client tells of its machine when it registers.

use std::collections::BTreeMap;
use std::path::Path;

use super::ClientConfig;
use super::identity::Identity;
use crate::clock;
use crate::types::{DriverInfo, Node, NodeEligibility, NodeResources, NodeStatus};

/// MHz of a core where the kernel does not say (virtual machines, s390x).
const ASSUMED_MHZ: i64 = 1000;

/// The registration of this machine.
pub(super) fn node(config: &ClientConfig, identity: &Identity) -> Node {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = i64::try_from(cores).unwrap_or(1);
    let mhz = core_mhz().unwrap_or(ASSUMED_MHZ);
    let cpu_total = config.cpu_total.unwrap_or(cores * mhz);
    let memory_mb = config.memory_mb.or_else(machine_memory_mb).unwrap_or(1024);
    let (disk_total, disk_free) = disk_mb(&config.data_dir);
    let mut attributes: BTreeMap<String, String> = [
        ("cpu.arch", go_arch().to_owned()),
        ("cpu.frequency", mhz.to_string()),
        ("cpu.numcores", cores.to_string()),
        ("cpu.totalcompute", cpu_total.to_string()),
        ("memory.totalbytes", (memory_mb * 1024 * 1024).to_string()),
        ("kernel.name", "linux".to_owned()),
        ("kernel.arch", std::env::consts::ARCH.to_owned()),
        ("kernel.version", kernel_version()),
        ("nomad.advertise.address", config.http_addr.to_string()),
        ("os.signals", signals()),
        ("nomad.version", config.version.clone()),
        ("nomad.revision", "rehearse-simulator".to_owned()),
        ("nomad.service_discovery", "true".to_owned()),
        ("rehearse.simulated", "true".to_owned()),
        ("unique.hostname", host_name()),
        ("unique.network.ip-address", config.ip.to_string()),
        (
            "unique.storage.bytestotal",
            (disk_total * 1024 * 1024).to_string(),
        ),
        (
            "unique.storage.bytesfree",
            (disk_free * 1024 * 1024).to_string(),
        ),
    ]
    .into_iter()
    .map(|(k, v)| (k.to_owned(), v))
    .collect();
    attributes.extend(os_release());
    let mut drivers = BTreeMap::new();
    if let Some(info) = raw_exec(config) {
        attributes.insert("driver.raw_exec".to_owned(), "1".to_owned());
        drivers.insert("raw_exec".to_owned(), info);
    }
    Node {
        id: identity.node_id.clone(),
        secret_id: identity.secret_id.clone(),
        name: config.name.clone(),
        datacenter: config.datacenter.clone(),
        node_class: config.node_class.clone(),
        node_pool: match config.node_pool.as_str() {
            "" => "default".to_owned(),
            pool => pool.to_owned(),
        },
        http_addr: config.http_addr.to_string(),
        tls_enabled: config.tls_enabled,
        attributes,
        meta: config.meta.clone(),
        drivers,
        node_resources: NodeResources {
            cpu_total,
            memory_mb,
            disk_mb: disk_free,
            min_dynamic_port: config.min_dynamic_port,
            max_dynamic_port: config.max_dynamic_port,
            ip: config.ip.to_string(),
        },
        status: NodeStatus::Initializing,
        scheduling_eligibility: NodeEligibility::Eligible,
        ..Node::default()
    }
}

/// raw_exec is off unless its plugin block (or the old option) turns it on, and the allow list
/// names it where there is one.
fn raw_exec(config: &ClientConfig) -> Option<DriverInfo> {
    let list = |keys: [&str; 2]| {
        let found = keys.iter().find_map(|key| config.options.get(*key))?;
        Some(found.split(',').any(|name| name.trim() == "raw_exec"))
    };
    let option = config.options.get("driver.raw_exec.enable");
    let enabled = config.raw_exec || option.is_some_and(|v| v == "1" || v == "true");
    let allowed = list(["driver.allowlist", "driver.whitelist"]).unwrap_or(true);
    let denied = list(["driver.denylist", "driver.blacklist"]).unwrap_or(false);
    (enabled && allowed && !denied).then(|| DriverInfo {
        attributes: BTreeMap::from([("driver.raw_exec".to_owned(), "true".to_owned())]),
        detected: true,
        healthy: true,
        health_description: "Healthy".to_owned(),
        update_time: clock::rfc3339(clock::now()),
    })
}

/// Names of the signals that a task may be sent.
fn signals() -> String {
    let names: Vec<&str> = nix::sys::signal::Signal::iterator()
        .map(|s| s.as_str())
        .collect();
    names.join(",")
}

/// The architecture as Go, and so Nomad, calls it.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_default()
}

fn kernel_version() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    text.map(|t| t.trim().to_owned()).unwrap_or_default()
}

/// Name and version of the distribution; an image from scratch has neither.
fn os_release() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|v| v.trim_matches('"').to_owned())
    };
    BTreeMap::from([
        (
            "os.name".to_owned(),
            value("ID").unwrap_or_else(|| "linux".to_owned()),
        ),
        (
            "os.version".to_owned(),
            value("VERSION_ID").unwrap_or_default(),
        ),
    ])
}

fn core_mhz() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("cpu MHz") && !line.starts_with("cpu MHz dynamic"))?;
    let number = line.split(':').nth(1)?.trim().split('.').next()?;
    number.parse().ok().filter(|mhz| *mhz > 0)
}

fn machine_memory_mb() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

/// Total and free MiB of the file system that holds `dir`.
fn disk_mb(dir: &Path) -> (i64, i64) {
    let Ok(stat) = nix::sys::statvfs::statvfs(dir) else {
        return (0, 0);
    };
    // The types of these differ between platforms.
    let block = i128::from(stat.fragment_size());
    let mib = |blocks: i128| i64::try_from(blocks * block / (1024 * 1024)).unwrap_or(i64::MAX);
    (
        mib(i128::from(stat.blocks())),
        mib(i128::from(stat.blocks_available())),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    fn fingerprint(config: &ClientConfig) -> Node {
        let identity = Identity {
            node_id: "n".to_owned(),
            secret_id: "s".to_owned(),
        };
        node(config, &identity)
    }

    #[test]
    fn configured_sizes_win_over_the_machines() {
        let dir = tempfile::tempdir().expect("a directory");
        let node = fingerprint(&config(dir.path()));
        assert_eq!(node.node_resources.cpu_total, 4000);
        assert_eq!(node.attributes["cpu.totalcompute"], "4000");
        assert_eq!(node.attributes["memory.totalbytes"], "1073741824");
        assert_eq!(node.attributes["kernel.name"], "linux");
        assert!(node.drivers["raw_exec"].healthy);
    }

    #[test]
    fn a_driver_that_is_off_or_not_allowed_is_not_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut off = config(dir.path());
        off.raw_exec = false;
        assert!(fingerprint(&off).drivers.is_empty());
        let mut denied = config(dir.path());
        let options = [("driver.allowlist", "docker,exec")];
        denied.options = options.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert!(fingerprint(&denied).drivers.is_empty());
    }
}
