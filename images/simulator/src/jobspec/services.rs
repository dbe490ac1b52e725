//! `service` and its `check` blocks.

use std::collections::BTreeMap;

use super::reader::BlockReader;
use crate::types::{Service, ServiceCheck};

/// Known to Nomad, but not honoured here.
const NOT_SIMULATED: &[&str] = &[
    "address",
    "address_mode",
    "canary_meta",
    "canary_tags",
    "check_restart",
    "cluster",
    "connect",
    "enable_tag_override",
    "identity",
    "kind",
    "meta",
    "tagged_addresses",
    "weights",
];

/// The same of a check. The later ones are Consul's.
const CHECK_NOT_SIMULATED: &[&str] = &[
    "address_mode",
    "check_restart",
    "args",
    "command",
    "expose",
    "failures_before_critical",
    "failures_before_warning",
    "grpc_service",
    "grpc_use_tls",
    "initial_status",
    "notes",
    "success_before_passing",
    "tls_server_name",
    "tls_skip_verify",
];

/// `service` blocks of a group or task.
pub(super) fn read(parent: &BlockReader<'_>) -> Option<Vec<Service>> {
    let mut all = Vec::new();
    for block in parent.blocks("service") {
        block.no_label();
        block.refuse(NOT_SIMULATED);
        let provider = block.string("provider").unwrap_or_default();
        if !matches!(provider.as_str(), "" | "nomad" | "consul") {
            block.problem_at("provider", format!("unknown service provider `{provider}`"));
        }
        let checks = checks(&block);
        if checks.is_some() && provider != "nomad" {
            block.not_simulated_at("check", "a check of a service whose provider is not Nomad");
        }
        all.push(Service {
            name: block.string("name").unwrap_or_default(),
            task_name: block.string("task").unwrap_or_default(),
            port_label: block.string("port").unwrap_or_default(),
            provider,
            tags: block.strings("tags"),
            on_update: block.string("on_update").unwrap_or_default(),
            checks,
        });
        block.finish();
    }
    (!all.is_empty()).then_some(all)
}

fn checks(service: &BlockReader<'_>) -> Option<Vec<ServiceCheck>> {
    let mut all = Vec::new();
    for block in service.blocks("check") {
        block.no_label();
        block.refuse(CHECK_NOT_SIMULATED);
        let protocol = block.string("protocol").unwrap_or_default();
        if !matches!(protocol.as_str(), "" | "http") {
            block.not_simulated_at("protocol", &format!("check protocol `{protocol}`"));
        }
        all.push(ServiceCheck {
            name: block.string("name").unwrap_or_default(),
            check_type: block.string("type").unwrap_or_default(),
            path: block.string("path").unwrap_or_default(),
            protocol,
            method: block.string("method").unwrap_or_default(),
            header: headers(&block),
            body: block.string("body").unwrap_or_default(),
            port_label: block.string("port").unwrap_or_default(),
            task_name: block.string("task").unwrap_or_default(),
            interval: block.duration("interval").unwrap_or(0),
            timeout: block.duration("timeout").unwrap_or(0),
            on_update: block.string("on_update").unwrap_or_default(),
        });
        block.finish();
    }
    (!all.is_empty()).then_some(all)
}

/// `header { Accept = ["text/plain"] }`.
fn headers(check: &BlockReader<'_>) -> Option<BTreeMap<String, Vec<String>>> {
    let given = check.json("header")?;
    let mut headers = BTreeMap::new();
    for (name, values) in given {
        match serde_json::from_value(values) {
            Ok(values) => drop(headers.insert(name, values)),
            Err(_) => check.problem(format!("`header`: `{name}` must be a list of strings")),
        }
    }
    Some(headers)
}
