//! The cluster as text for people.

use std::fmt::Write as _;

use super::machines::makes_machines;
use super::{AwsCluster, Fact, Machine, Peer};
use crate::spec::Role;
use crate::terraform::Unevaluated;
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
    writeln!(
        text,
        "{}, {} in {}{}",
        number(cluster, Role::Server),
        number(cluster, Role::Client),
        cluster.region,
        place(&cluster.region)
    )?;
    let uncounted = uncounted(cluster);
    if !uncounted.is_empty() {
        writeln!(
            text,
            "not counted, as it is not known how many they are: {uncounted}"
        )?;
    }
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

/// How many machines of a role there are, those of groups counted: `3 servers`.
fn number(cluster: &AwsCluster, role: Role) -> String {
    let counts = || cluster.of_role(role).map(|machine| machine.count.known());
    let known: usize = counts().flatten().sum();
    let unknown = counts().filter(Option::is_none).count();
    let text = match known {
        1 => format!("1 {role}"),
        _ => format!("{known} {role}s"),
    };
    match unknown {
        0 => text,
        1 => format!("{text} and a group of {role}s whose number is not known"),
        _ => format!("{text} and {unknown} groups of {role}s whose numbers are not known"),
    }
}

/// What makes machines, and is not among those that are counted.
fn uncounted(cluster: &AwsCluster) -> String {
    let makes = |open: &&Unevaluated| match open.address.strip_suffix("[*]") {
        Some(several) => makes_machines(several),
        // Of a module from elsewhere the module itself, and not each value that it gives to others.
        None => match open.cause.why {
            Why::RemoteModule => open.site == open.cause.site,
            why => why == Why::Kind,
        },
    };
    let mut names: Vec<String> = { cluster.unevaluated.iter() }
        .filter(makes)
        .map(|open| format!("`{}`", open.address))
        .collect();
    names.dedup();
    names.join(", ")
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
        let encrypted = match &disk.encrypted {
            Fact::Known { value: true, .. } => "encrypted",
            Fact::Known { value: false, .. } => "not encrypted",
            Fact::Unknown { .. } => "encryption not known",
            Fact::Absent => "encryption by the account's default",
        };
        format!("{} {} GiB, {encrypted}", disk.device, disk.size_gib)
    });
    let tags: Vec<String> = machine
        .shown_tags
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
    for (path, line, site) in &machine.agent.edited {
        let what =
            format!("`{path}` is edited later by line {line} of the user data: not read off");
        rows.push(("agent", what, site.to_string()));
    }
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
        (None, None) => {
            return data.unknown.first().map_or_else(
                || "none".to_owned(),
                |cause| format!("not known: {}: {}", cause.what, cause.why),
            );
        }
        (Some(_), Some(sha1)) => format!("sha1 {sha1}"),
        (Some(_), None) if data.unknown.is_empty() => "zipped".to_owned(),
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::terraform::{Inputs, read};

    #[test]
    fn the_head_counts_the_machines_of_groups() {
        let head = |number: &str| {
            let scratch = tempfile::tempdir().unwrap();
            let text = format!(
                r#"
provider "aws" {{ region = "us-east-2" }}
variable "number" {{ type = number }}
resource "aws_launch_template" "nomad" {{
  image_id      = "ami-1"
  instance_type = "t3.small"
}}
resource "aws_autoscaling_group" "server" {{
  desired_capacity = {number}
  launch_template {{ id = aws_launch_template.nomad.id }}
}}
resource "aws_instance" "client" {{
  ami           = "ami-1"
  instance_type = "t3.small"
}}
"#
            );
            std::fs::write(scratch.path().join("main.tf"), text).unwrap();
            let inputs = Inputs {
                missing_is_unknown: true,
                ..Inputs::default()
            };
            let configuration = read(scratch.path(), &inputs).unwrap();
            let text = render(&AwsCluster::of(&configuration, Path::new(".")), false);
            let first = text.lines().next().unwrap_or_default();
            first.split(" in us-east-2").next().unwrap().to_owned()
        };
        assert_eq!(head("3"), "3 servers, 1 client");
        let shown = |text: &str| {
            let scratch = tempfile::tempdir().unwrap();
            std::fs::write(scratch.path().join("main.tf"), text).unwrap();
            let configuration = read(scratch.path(), &Inputs::default()).unwrap();
            render(&AwsCluster::of(&configuration, Path::new(".")), false)
        };
        let text = shown(
            "data \"aws_availability_zones\" \"all\" {}\nresource \"aws_instance\" \"server\" {\n  count = length(data.aws_availability_zones.all.names)\n}\n",
        );
        assert!(
            text.contains("not known how many they are: `aws_instance.server[*]`"),
            "{text}"
        );
        let text = shown(
            "module \"far\" {\n  source = \"example/far/aws\"\n}\nresource \"aws_instance\" \"server\" {\n  ami = module.far.image\n}\n",
        );
        assert!(text.starts_with("1 server"), "{text}");
        assert!(
            text.contains("not known how many they are: `module.far`\n"),
            "{text}"
        );
        assert_eq!(
            head("var.number"),
            "0 servers and a group of servers whose number is not known, 1 client"
        );
    }
}
