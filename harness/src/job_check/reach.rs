//! Whether a cluster on AWS would let a job's ports be reached, and run its tasks at all.
//!
//! Datacenters are those that the clients' configuration names, where that is known of all of them.
//! A group that is not known whole is not judged: what is not opened there may be opened elsewhere.

use std::collections::BTreeSet;

use agent::types::{Job, Port};
use hcl_edit::structure::{Block, Body};

use super::meaning::place;
use super::{About, Finding, Notes, Severity};
use crate::spec::Role;
use crate::terraform::aws::{AwsCluster, Direction, Machine, Peer, Rule};

/// Judges a job's ports and drivers by the machines that run clients.
pub(super) fn judge(body: &Body, job: &Job, aws: &AwsCluster, notes: &mut Notes<'_>) {
    let Some(client) = aws.of_role(Role::Client).next() else {
        notes.tell(
            0,
            Severity::Note,
            About::Port,
            "the configuration has no clients",
        );
        return;
    };
    datacenters(body, job, aws, notes);
    let jobs = body.get_blocks("job");
    let groups: Vec<&Block> = jobs.flat_map(|job| job.body.get_blocks("group")).collect();
    for (group, block) in job.task_groups.iter().zip(&groups) {
        raw_exec(block, client, notes);
        let known = aws.rules_are_whole
            && !client.groups.is_empty()
            && client
                .groups
                .iter()
                .all(|name| aws.groups.contains_key(name));
        if !known {
            let message = "not every rule of the clients' security groups is known: whether ports \
                           are reached was not judged";
            notes.tell(0, Severity::Note, About::Port, message);
            continue;
        }
        for network in group.networks.iter().flatten() {
            for port in network.reserved_ports.iter().flatten() {
                let allowed = who(aws, client, port.value.into());
                tell(
                    block,
                    port,
                    &format!("port {}", port.value),
                    &allowed,
                    notes,
                );
            }
            for port in network.dynamic_ports.iter().flatten() {
                // Nomad chooses one of 20000 to 32000: both ends stand for all.
                let mut allowed = who(aws, client, 20_000);
                let last = who(aws, client, 32_000);
                allowed.retain(|one| last.contains(one));
                tell(block, port, "a port of 20000 to 32000", &allowed, notes);
            }
        }
    }
}

/// A job that may run in none of the clients' datacenters.
fn datacenters(body: &Body, job: &Job, aws: &AwsCluster, notes: &mut Notes<'_>) {
    let there: Option<BTreeSet<String>> = aws.of_role(Role::Client).map(datacenter).collect();
    // What a variable without a value decides is not known either.
    let open = |finding: &Finding| finding.about == About::Variable;
    let (Some(there), Some(wanted)) = (there, job.datacenters.as_deref()) else {
        return;
    };
    let is_there = |wanted: &String| there.iter().any(|name| fits(wanted, name));
    if wanted.is_empty() || wanted.iter().any(is_there) || notes.findings.iter().any(open) {
        return;
    }
    let block = body.get_blocks("job").next();
    let named = |names: Vec<&str>| format!("`{}`", names.join("`, `"));
    let message = format!(
        "no client is in a datacenter of the job's, {}: they are in {}",
        named(wanted.iter().map(String::as_str).collect()),
        named(there.iter().map(String::as_str).collect())
    );
    let at = block.map_or(0, |block| place(block, "datacenters"));
    notes.error(at, About::Datacenter, message);
}

/// The datacenter of a machine's agent; `None` where it is not known.
fn datacenter(machine: &Machine) -> Option<String> {
    let agent = &machine.agent;
    let whole = !agent.is_empty() && agent.edited.is_empty() && agent.unreadable.is_empty();
    match agent.get("datacenter") {
        _ if !whole => None,
        None => Some("dc1".to_owned()),
        Some(said) => { said.value.to_text() }.filter(|name| !name.contains(['$', '<', '`'])),
    }
}

/// Whether a name is one that is wanted; `*` there stands for anything.
fn fits(wanted: &str, name: &str) -> bool {
    let Some((begin, rest)) = wanted.split_once('*') else {
        return wanted == name;
    };
    let after = name.strip_prefix(begin);
    after.is_some_and(|after| {
        (0..=after.len()).any(|at| after.get(at..).is_some_and(|end| fits(rest, end)))
    })
}

/// A task that needs `raw_exec` where the clients' configuration does not turn it on.
fn raw_exec(group: &Block, client: &Machine, notes: &mut Notes<'_>) {
    let enabled = client.agent.flag("plugin.raw_exec.config.enabled");
    if client.agent.is_empty() || enabled == Some(true) {
        return;
    }
    for task in group.body.get_blocks("task") {
        let driver = task.body.get_attribute("driver");
        let text = driver.map(|driver| driver.value.to_string());
        if text.is_some_and(|text| text.trim() == "\"raw_exec\"") {
            let message = "the clients' configuration does not enable `raw_exec`";
            notes.tell(
                place(task, "driver"),
                Severity::Error,
                About::Driver,
                message,
            );
        }
    }
}

/// Who is let to a port of the clients.
fn who(aws: &AwsCluster, client: &Machine, port: i64) -> Vec<String> {
    let opens = |rule: &&Rule| {
        rule.direction == Direction::Ingress
            && client.groups.contains(&rule.group)
            && rule.covers("tcp", port)
    };
    let mut peers: Vec<String> = aws
        .rules
        .iter()
        .filter(opens)
        .map(|rule| match &rule.peer {
            Peer::Cidr(cidr) => cidr.clone(),
            Peer::Group(group) | Peer::Unknown(group) => group.clone(),
        })
        .collect();
    peers.sort();
    peers.dedup();
    peers
}

fn tell(group: &Block, port: &Port, what: &str, allowed: &[String], notes: &mut Notes<'_>) {
    let networks = group.body.get_blocks("network");
    let mut ports = networks.flat_map(|network| network.body.get_blocks("port"));
    let labelled = |block: &&Block| {
        block
            .labels
            .first()
            .is_some_and(|l| l.as_str() == port.label)
    };
    let at = ports
        .find(labelled)
        .map_or(0, |block| place(block, "static"));
    let label = &port.label;
    if allowed.is_empty() {
        let message =
            format!("no rule of the clients' security groups opens `{label}` ({what}/tcp)");
        notes.tell(at, Severity::Warning, About::Port, message);
    } else {
        let message = format!("`{label}` ({what}/tcp) is open to {}", allowed.join(", "));
        notes.tell(at, Severity::Note, About::OpenPort, message);
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_anything() {
        for (wanted, name, expected) in [
            ("dc1", "dc1", true),
            ("dc1", "dc10", false),
            ("*", "dc1", true),
            ("eu-*", "eu-west", true),
            ("eu-*", "us-west", false),
            ("*-west", "eu-west", true),
            ("*-west*1", "eu-west-1", true),
            ("*-west", "eu-west-1", false),
        ] {
            assert_eq!(fits(wanted, name), expected, "{wanted} {name}");
        }
    }
}
