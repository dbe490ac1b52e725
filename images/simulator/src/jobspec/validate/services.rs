//! Services and their checks.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Findings;
use crate::jobspec::duration;
use crate::types::{SECOND, Service, ServiceCheck, TaskGroup};

/// Shortest interval and timeout of a check.
const LEAST: i64 = SECOND;

/// What is wrong with a group's own services.
pub(super) fn of_group(group: &TaskGroup) -> Vec<String> {
    let mut found = Findings::default();
    let in_tasks = group
        .tasks
        .iter()
        .flat_map(|task| task.services.iter().flatten());
    let all: Vec<_> = group.services.iter().flatten().chain(in_tasks).collect();
    for (i, service) in group.services.iter().flatten().enumerate() {
        let title = format!("Service[{i}] {} validation failed", service.name);
        found.titled(&title, errors(service));
        let known = |name: &str| group.tasks.iter().any(|task| task.name == name);
        let checks = service.checks.iter().flatten();
        for check in checks.filter(|check| !check.task_name.is_empty()) {
            found.check(
                !known(&check.task_name),
                format!(
                    "Check {} invalid: refers to non-existent task {}",
                    check.name, check.task_name
                ),
            );
        }
    }
    let twice = duplicates(group);
    found.check(
        !twice.is_empty(),
        format!("Services are not unique: {}", twice.join(", ")),
    );
    let first = all.first().map(|service| &service.provider);
    found.check(
        all.iter().any(|service| Some(&service.provider) != first),
        "Multiple service providers used: task group services must use the same provider",
    );
    found.0
}

/// Services of the same name and port in the same place: they would have one ID.
fn duplicates(group: &TaskGroup) -> Vec<String> {
    let of_group = group.services.iter().flatten().map(|one| ("group", one));
    let of_tasks = group.tasks.iter().flat_map(|task| {
        let services = task.services.iter().flatten();
        services.map(|one| (task.name.as_str(), one))
    });
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for (place, service) in of_group.chain(of_tasks) {
        let port = match service.port_label.as_str() {
            "" => String::new(),
            label => format!(":{label}"),
        };
        let id = format!("{place}->{}{port}", service.name);
        if !seen.insert(id.clone()) {
            twice.insert(id);
        }
    }
    twice.into_iter().collect()
}

/// What is wrong with a task's services.
pub(super) fn of_task(services: Option<&[Service]>) -> Vec<String> {
    let mut found = Findings::default();
    for (i, service) in services.unwrap_or_default().iter().enumerate() {
        let title = format!("service[{i}] {:?} validation failed", service.name);
        found.titled(&title, errors(service));
    }
    found.0
}

fn errors(service: &Service) -> Vec<String> {
    let mut found = Findings::default();
    found.check(
        !is_name(&service.name),
        format!(
            "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or \
             dashes and must be no longer than 63 characters: {:?}",
            service.name
        ),
    );
    let on_update = service.on_update.as_str();
    let words = ["", "require_healthy", "ignore_warnings", "ignore"];
    found.check(
        !words.contains(&on_update),
        format!(
            "Service on_update must be \"require_healthy\", \"ignore_warnings\", or \"ignore\"; \
             not {on_update:?}"
        ),
    );
    let provider = service.provider.as_str();
    found.check(
        !matches!(provider, "consul" | "nomad"),
        format!("Service provider must be \"consul\", or \"nomad\"; not {provider:?}"),
    );
    for check in service.checks.iter().flatten() {
        if service.port_label.is_empty() && check.port_label.is_empty() {
            found.0.push(format!(
                "Check {} invalid: check requires a port but neither check nor service {:?} have a port",
                check.name, service.name
            ));
        } else if let Some(why) = check_error(check) {
            found.0.push(why);
        }
    }
    found.0
}

/// Whether a host could be called so (RFC 1123), whatever stands in the place of its `${...}`.
fn is_name(name: &str) -> bool {
    static VARIABLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\$\{[a-zA-Z0-9_.-]+\}").expect("it compiles"));
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^(?i:[a-z0-9]|[a-z0-9][a-z0-9-]{0,61}[a-z0-9])$").expect("it compiles")
    });
    NAME.is_match(&VARIABLE.replace_all(name, "ENV-VAR"))
}

/// The first thing that is wrong with a check: more Nomad does not tell.
fn check_error(check: &ServiceCheck) -> Option<String> {
    let kind = check.check_type.to_lowercase();
    if !matches!(kind.as_str(), "tcp" | "http") {
        return Some(format!(
            "invalid check type ({kind:?}), must be one of tcp, http"
        ));
    }
    if kind == "http" && check.path.is_empty() {
        return Some("http type must have http path".to_owned());
    }
    if kind == "http" && check.path.contains("://") {
        return Some("http type must have relative http path".to_owned());
    }
    let least = duration::format(LEAST);
    match check.interval {
        0 => {
            let text = "missing required value interval. Interval cannot be less than";
            return Some(format!("{text} {least}"));
        }
        interval if interval < LEAST => {
            let interval = duration::format(interval);
            return Some(format!(
                "interval ({interval}) cannot be lower than {least}"
            ));
        }
        _ => {}
    }
    match check.timeout {
        0 => {
            let text = "missing required value timeout. Timeout cannot be less than";
            return Some(format!("{text} {least}"));
        }
        timeout if timeout < LEAST => {
            let timeout = duration::format(timeout);
            let text = "is lower than required minimum timeout";
            return Some(format!("timeout ({timeout}) {text} {least}"));
        }
        _ => {}
    }
    match check.on_update.as_str() {
        "" | "ignore" | "require_healthy" => {}
        "ignore_warnings" => {
            let text = "on_update may only be set to ignore_warnings for Consul service checks";
            return Some(text.to_owned());
        }
        other => {
            return Some(format!(
                "on_update must be \"require_healthy\", \"ignore_warnings\", or \"ignore\"; got {other:?}"
            ));
        }
    }
    let known = [
        "", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    let method = check.method.as_str();
    let text = format!("method type {method:?} not supported in Nomad http check");
    (kind == "http" && !known.contains(&method)).then_some(text)
}
