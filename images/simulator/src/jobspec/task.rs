//! `task` and what is in it.

use super::policies;
use super::reader::BlockReader;
use super::services;
use crate::client::template;
use crate::drivers::raw_exec;
use crate::types::{
    DispatchPayload, Hook, Lifecycle, Network, Port, Resources, RestartPolicy, Task, Template,
};

/// Known to Nomad, but not honoured here.
const NOT_SIMULATED: &[&str] = &[
    "action",
    "artifact",
    "consul",
    "csi_plugin",
    "device",
    "identity",
    "kind",
    "numa",
    "scaling",
    "schedule",
    "secret",
    "user",
    "vault",
    "volume_mount",
];

/// Reads one `task` block; `restart` is its group's policy.
pub(super) fn read(block: BlockReader<'_>, restart: &RestartPolicy) -> Task {
    let name = block.label();
    let driver = block.string("driver").unwrap_or_default();
    if driver.is_empty() {
        block.problem(format!(
            "missing required attribute `driver` in `task` \"{name}\""
        ));
    }
    if driver == "raw_exec" {
        raw_exec_config(&block);
    }
    block.refuse(NOT_SIMULATED);
    let task = Task {
        config: block.json("config"),
        env: block.string_map("env"),
        services: services::read(&block),
        constraints: policies::constraints(&block),
        affinities: policies::affinities(&block),
        resources: resources(&block),
        restart_policy: policies::restart(&block, restart),
        meta: block.string_map("meta"),
        kill_timeout: block.duration("kill_timeout"),
        kill_signal: block.string("kill_signal").unwrap_or_default(),
        leader: block.bool("leader").unwrap_or(false),
        shutdown_delay: block.duration("shutdown_delay").unwrap_or(0),
        log_config: policies::logs(&block),
        dispatch_payload: dispatch_payload(&block),
        lifecycle: lifecycle(&block),
        templates: templates(&block),
        name,
        driver,
        user: String::new(),
    };
    block.finish();
    task
}

/// Names what is unknown in the driver's own block. (What is missing there is the client's to
/// find, as on Nomad: such a job registers, and its tasks fail.)
fn raw_exec_config(task: &BlockReader<'_>) {
    if let Some(config) = task.block("config") {
        config.ask("command");
        drop(config.strings("args"));
        config.refuse(raw_exec::NOT_SIMULATED);
        config.finish();
    }
}

/// `template` blocks, as far as their functions are simulated.
fn templates(task: &BlockReader<'_>) -> Option<Vec<Template>> {
    let mut all = Vec::new();
    for block in task.blocks("template") {
        block.no_label();
        block.refuse(&[
            "change_script",
            "error_on_missing_key",
            "gid",
            "once",
            "uid",
            "wait",
        ]);
        let default = Template::default();
        let read = Template {
            source_path: block.string("source").unwrap_or_default(),
            dest_path: block.string("destination").unwrap_or_default(),
            embedded_tmpl: block.string("data").unwrap_or_default(),
            change_mode: block.string("change_mode").unwrap_or(default.change_mode),
            change_signal: block.string("change_signal").unwrap_or_default(),
            splay: block.duration("splay").unwrap_or(default.splay),
            perms: block.string("perms").unwrap_or(default.perms),
            left_delim: block.string("left_delimiter").unwrap_or(default.left_delim),
            right_delim: block
                .string("right_delimiter")
                .unwrap_or(default.right_delim),
            envvars: block.bool("env").unwrap_or(false),
        };
        if let Some(what) = template::not_simulated(&read) {
            let at = ["source", "data"].into_iter().find(|name| block.has(name));
            block.not_simulated_at(at.unwrap_or_default(), &what);
        }
        block.finish();
        all.push(read);
    }
    (!all.is_empty()).then_some(all)
}

fn lifecycle(task: &BlockReader<'_>) -> Option<Lifecycle> {
    let block = task.block("lifecycle")?;
    block.no_label();
    let hook = match block.string("hook").as_deref() {
        Some("prestart") => Hook::Prestart,
        Some("poststart") => Hook::Poststart,
        Some("poststop") => Hook::Poststop,
        Some(other) => {
            let text = format!("invalid hook `{other}`, expected prestart, poststart or poststop");
            block.problem_at("hook", text);
            Hook::default()
        }
        None => {
            block.problem("missing required attribute `hook` in `lifecycle`");
            Hook::default()
        }
    };
    let sidecar = block.bool("sidecar").unwrap_or(false);
    block.finish();
    Some(Lifecycle { hook, sidecar })
}

fn dispatch_payload(task: &BlockReader<'_>) -> Option<DispatchPayload> {
    let block = task.block("dispatch_payload")?;
    block.no_label();
    let file = block.string("file").unwrap_or_default();
    block.finish();
    Some(DispatchPayload { file })
}

fn resources(task: &BlockReader<'_>) -> Option<Resources> {
    let block = task.block("resources")?;
    block.no_label();
    block.refuse(&[
        "cores",
        "device",
        "iops",
        "memory_max",
        "network",
        "numa",
        "secrets",
    ]);
    let default = Resources::default();
    let resources = Resources {
        cpu: block.int("cpu").unwrap_or(default.cpu),
        memory_mb: block.int("memory").unwrap_or(default.memory_mb),
        disk_mb: block.int("disk").unwrap_or(default.disk_mb),
        networks: None,
    };
    block.finish();
    Some(resources)
}

/// The `network` block of a group (Nomad allows one).
pub(super) fn networks(group: &BlockReader<'_>) -> Option<Vec<Network>> {
    let block = group.block("network")?;
    block.no_label();
    block.refuse(&["cni", "dns", "hostname", "mbits"]);
    let mode = block.string("mode").unwrap_or_default();
    if !matches!(mode.as_str(), "" | "host") {
        block.not_simulated_at("mode", &format!("network mode `{mode}`"));
    }
    let mut network = Network {
        mode,
        ..Network::default()
    };
    for port in block.blocks("port") {
        let label = port.label();
        port.refuse(&["host_network", "ignore_collision"]);
        let to = port.int("to").unwrap_or(0);
        let fixed = port.int("static").unwrap_or(0);
        let value = u16::try_from(fixed).unwrap_or_else(|_| {
            port.problem_at("static", format!("port {fixed} is outside 1 to 65535"));
            0
        });
        port.finish();
        let entry = Port {
            label,
            value,
            to,
            host_network: "default".to_owned(),
        };
        let list = if value == 0 {
            &mut network.dynamic_ports
        } else {
            &mut network.reserved_ports
        };
        list.get_or_insert_default().push(entry);
    }
    block.finish();
    Some(vec![network])
}
