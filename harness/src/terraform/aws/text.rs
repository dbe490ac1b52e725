//! The cluster as text for people.

use std::fmt::Write as _;

use super::{AwsCluster, Fact, Machine, Peer};
use crate::terraform::value::Why;

/// Renders the cluster. With `all`, attributes that AWS chooses are listed one by one, too.
pub(super) fn render(cluster: &AwsCluster, all: bool) -> String {
    let mut text = String::new();
    machines(cluster, &mut text).expect("writing to memory does not fail");
    firewall(cluster, &mut text).expect("writing to memory does not fail");
    open_ends(cluster, all, &mut text).expect("writing to memory does not fail");
    text
}

fn machines(cluster: &AwsCluster, text: &mut String) -> std::fmt::Result {
    let (servers, clients) = (
        cluster.of_role(crate::spec::Role::Server).count(),
        cluster.of_role(crate::spec::Role::Client).count(),
    );
    writeln!(
        text,
        "{servers} servers, {clients} clients in {}{}",
        cluster.region,
        place(&cluster.region)
    )?;
    for machine in &cluster.machines {
        writeln!(text)?;
        let role = machine
            .role
            .map_or_else(|| "role not known".to_owned(), |role| role.to_string());
        let count = machine
            .count
            .known()
            .filter(|count| **count != 1)
            .map_or_else(String::new, |count| format!(", {count} of them"));
        writeln!(
            text,
            "{} ({role}{count}) {}  {}",
            machine.name, machine.address, machine.site
        )?;
        for (name, value, site) in facts(machine) {
            writeln!(text, "  {name:<12} {value}  {site}")?;
        }
    }
    Ok(())
}

fn facts(machine: &Machine) -> Vec<(&'static str, String, String)> {
    let fact = |fact: &Fact<String>| (fact.to_string(), place(fact));
    let arch = machine.arch.map_or_else(
        || "architecture not known".to_owned(),
        |arch| arch.to_string(),
    );
    let (kind, kind_site) = fact(&machine.instance_type);
    let (image, image_site) = fact(&machine.image);
    let (spot, spot_site) = fact(&machine.place);
    let (tokens, tokens_site) = fact(&machine.metadata.tokens);
    let disks = machine.disks.iter().map(|disk| {
        let encrypted = match disk.encrypted.known() {
            Some(true) => "encrypted",
            Some(false) => "not encrypted",
            None => "encryption by the account's default",
        };
        format!("{} {} GiB, {encrypted}", disk.device, disk.size_gib)
    });
    let tags: Vec<String> = machine
        .tags
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut rows = vec![
        ("type", format!("{kind} ({arch})"), kind_site),
        ("image", image, image_site),
        ("place", spot, spot_site),
        (
            "metadata",
            format!("tokens {tokens}, {} hops", machine.metadata.hops),
            tokens_site,
        ),
        (
            "disks",
            disks.collect::<Vec<_>>().join("; "),
            machine
                .disks
                .first()
                .map_or_else(String::new, |disk| disk.site.to_string()),
        ),
        ("tags", tags.join(" "), machine.tags_site.to_string()),
        ("groups", machine.groups.join(" "), String::new()),
        (
            "user data",
            user_data(machine),
            machine.user_data.site.to_string(),
        ),
        ("role from", machine.role_from.clone(), String::new()),
    ];
    for (join, site) in machine.agent.joins() {
        rows.push(("joins", join, site.to_string()));
    }
    rows
}

fn user_data(machine: &Machine) -> String {
    let data = &machine.user_data;
    let size = data.text.as_ref().map_or(0, String::len);
    let state = match (&data.text, &data.sha1) {
        (None, Some(sha1)) => return format!("sha1 {sha1}; the text is not told there"),
        (None, None) => return "none, or not known".to_owned(),
        (Some(_), Some(sha1)) => format!("sha1 {sha1}"),
        (Some(_), None) => format!("{} parts not known", data.unknown.len()),
    };
    let files: Vec<&str> = data.files.iter().map(|file| file.path.as_str()).collect();
    let mut more = String::new();
    if !files.is_empty() {
        more.push_str(&format!("; writes {}", files.join(", ")));
    }
    if !data.unread.is_empty() {
        more.push_str(&format!("; not looked into: {}", data.unread.join(", ")));
    }
    format!("{size} bytes, {state}{more}")
}

fn place<T>(fact: &Fact<T>) -> String {
    fact.site()
        .map_or_else(String::new, |site| format!("  {site}"))
}

fn firewall(cluster: &AwsCluster, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\nwho may reach whom")?;
    for rule in &cluster.rules {
        let ports = match rule.ports() {
            None => "all ports".to_owned(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let peer = match &rule.peer {
            Peer::Cidr(cidr) => cidr.clone(),
            Peer::Group(group) => group.clone(),
            Peer::Unknown(what) => format!("<{what}>"),
        };
        let arrow = if rule.direction == super::Direction::Ingress {
            "from"
        } else {
            "to"
        };
        let protocol = if rule.protocol == "-1" {
            "all"
        } else {
            &rule.protocol
        };
        writeln!(
            text,
            "  {:<40} {arrow:<4} {peer:<40} {protocol} {ports}  {}",
            rule.group, rule.site
        )?;
    }
    Ok(())
}

fn open_ends(cluster: &AwsCluster, all: bool, text: &mut String) -> std::fmt::Result {
    let (later, rest): (Vec<_>, Vec<_>) = cluster
        .unevaluated
        .iter()
        .partition(|open| open.cause.why == Why::AfterApply);
    writeln!(
        text,
        "\nnot evaluated: {} ({} more are known after apply)",
        rest.len(),
        later.len()
    )?;
    for open in rest.iter().chain(later.iter().filter(|_| all)) {
        writeln!(
            text,
            "  {}: {}: {}  {}",
            open.address, open.cause.why, open.cause.what, open.cause.site
        )?;
    }
    for remark in &cluster.remarks {
        writeln!(text, "warning: {}  {}", remark.message, remark.site)?;
    }
    Ok(())
}
