//! `agent/host`: the machine under an agent; and `agent/monitor`, as far as it is simulated.

use std::collections::BTreeMap;
use std::fs;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};

use super::call::Call;
use super::context::Context;
use super::reply::{ApiError, Reply};
use crate::acl::Level;

/// What `log_level` may be.
const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error", "off"];

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/agent/host", get(host))
        .route("/v1/agent/monitor", get(monitor))
}

async fn host(call: Call) -> Reply {
    call.demand_agent(Level::Read)?;
    // What cannot be read is told as nothing.
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    call.plain(&json!({
        "OS": text("/proc/version").trim(),
        "Network": networks(),
        "ResolvConf": text("/etc/resolv.conf"),
        "Hosts": text("/etc/hosts"),
        "Environment": environment(std::env::vars()),
        "Disk": { "/": disk() },
    }))
}

fn networks() -> Vec<Value> {
    let entries = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| json!({ "name": name }))
        .collect()
}

/// Nomad's own variables, but for those that hold secrets.
fn environment(all: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let secret = |name: &str| {
        ["TOKEN", "KEY", "SECRET", "LICENSE"]
            .iter()
            .any(|word| name.contains(word))
    };
    all.filter(|(name, _)| name.starts_with("NOMAD_") && !secret(name))
        .collect()
}

fn disk() -> Value {
    const MIB: u64 = 1 << 20;
    let Ok(found) = nix::sys::statvfs::statvfs("/") else {
        return Value::Null;
    };
    let unit = found.fragment_size();
    let total = found.blocks() * unit / MIB;
    let free = found.blocks_available() * unit / MIB;
    json!({ "DiskMB": total, "UsedMB": total - free })
}

/// Only what is wrong with the question is answered.
async fn monitor(call: Call) -> Reply {
    let level = call.parameter("log_level").unwrap_or("info");
    if !LEVELS.contains(&level.to_lowercase().as_str()) {
        return Err(ApiError::bad(format!("Unknown log level: {level}")));
    }
    call.demand_agent(Level::Read)?;
    Err(ApiError::not_simulated("GET /v1/agent/monitor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_in_the_environment_that_is_told() {
        let all = [
            ("NOMAD_ADDR", "a"),
            ("NOMAD_TOKEN", "s"),
            ("HOME", "h"),
            ("NOMAD_CLIENT_KEY", "k"),
        ];
        let all = all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let told: Vec<_> = environment(all).into_keys().collect();
        assert_eq!(told, ["NOMAD_ADDR"]);
    }
}
