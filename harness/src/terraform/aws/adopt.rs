//! The agents of a configuration, to be stood up on another target: names, roles and every key of their
//! own configuration, with the place that says it.
//!
//! Where the user data was executed, its agent's configuration is what that left; what only AWS could give it
//! is not known. Where it was not, it is read off: a value that the shell puts in is not known. What is not
//! known is refused, unless it is a secret or an address, which are replaced anyway.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::cloud::cloud_join;
use super::{AwsCluster, Machine, Setting};
use crate::spec::{
    Adopted, AdoptedSetting, Adoption, AgentName, Filter, HTTP_PORT, RPC_PORT, Role, SERF_PORT,
    STAND_IN, Subnet,
};
use crate::terraform::Configuration;
use crate::terraform::source::Site;
use crate::terraform::value::Value;

/// Why agents cannot be stood up elsewhere: everything at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.join("\nerror: "))]
pub struct AdoptError {
    /// What is in the way.
    pub problems: Vec<String>,
}

/// Agents, and what they have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Agents {
    /// The agents.
    pub adoption: Adoption,
    /// Nomad's region.
    pub region: String,
    /// Nomad's datacenter.
    pub datacenter: String,
}

/// What only the shell of the machine knows: `$NAME`, `${NAME}`, `$(command)`.
pub(super) static SHELL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$[A-Za-z_({]|`").expect("a valid pattern"));

/// Keys whose values are replaced wherever the agents stand.
const REPLACED: &[&str] = &[
    "server.encrypt",
    "tls.ca_file",
    "tls.cert_file",
    "tls.key_file",
    "data_dir",
];

/// Returns the agents of a configuration. `source` is how reports call it.
///
/// # Errors
///
/// Where an agent's configuration is not wholly known, or such that nobody could watch the agents:
/// without TLS or ACLs, or on other ports.
pub fn adopt(
    configuration: &Configuration,
    cluster: &AwsCluster,
    source: &Path,
) -> Result<Agents, AdoptError> {
    let mut problems = Vec::new();
    let mut agents: Vec<Adopted> = Vec::new();
    for machine in &cluster.machines {
        match agent(machine) {
            Ok(agent) => agents.push(agent),
            Err(wrong) => problems.extend(wrong),
        }
    }
    agents.sort_by_key(|agent| agent.role);
    if problems.is_empty() && !agents.iter().any(|agent| agent.role == Role::Server) {
        problems.push(format!("`{}` has no server", source.display()));
    }
    let names: BTreeSet<&AgentName> = agents.iter().map(|agent| &agent.name).collect();
    if names.len() < agents.len() {
        problems.push("two agents have one name".to_owned());
    }
    let region = common(&agents, "region", "global", &mut problems);
    let datacenter = common(&agents, "datacenter", "dc1", &mut problems);
    if !problems.is_empty() {
        return Err(AdoptError { problems });
    }
    let adoption = Adoption {
        source: source.display().to_string(),
        prefer: network(configuration),
        reading: Vec::new(),
        agents,
        closed_there: cluster.closed(),
        filters: filters(cluster),
        cloud: cloud_join(configuration, cluster),
        version: None,
    };
    Ok(Agents {
        adoption,
        region,
        datacenter,
    })
}

/// What each machine does not let in from each other one, where all rules are known.
fn filters(cluster: &AwsCluster) -> Vec<Filter> {
    let all = || cluster.machines.iter();
    let pairs = all().flat_map(|to| all().map(move |from| (from, to)));
    let pairs = pairs.filter(|(from, to)| !std::ptr::eq(*from, *to));
    let name = |machine: &Machine| AgentName(machine.name.known().cloned().unwrap_or_default());
    let filter = |(from, to)| {
        let closed = cluster.closed_ports(from, to)?;
        (!closed.is_empty()).then(|| Filter {
            to: name(to),
            from: name(from),
            closed,
        })
    };
    pairs.filter_map(filter).collect()
}

fn agent(machine: &Machine) -> Result<Adopted, Vec<String>> {
    let address = &machine.address;
    let at = |site: &dyn std::fmt::Display, what: String| format!("{site}: `{address}`: {what}");
    let unread = unread(machine).into_iter();
    let mut wrong: Vec<String> = unread.map(|(site, what)| at(site, what)).collect();
    if machine.agent.is_empty() {
        if wrong.is_empty() {
            wrong.push(at(&machine.user_data.site, why_none(machine)));
        }
        return Err(wrong);
    }
    if machine.count.known() != Some(&1) {
        wrong.push(at(
            &machine.site,
            format!(
                "it stands for {} machines, which have no names yet",
                machine.count
            ),
        ));
    }
    let name = machine.name.known().cloned().unwrap_or_default();
    if !names_a_container(&name) {
        wrong.push(at(
            &machine.site,
            format!(
                "`{}` is no name for a container: a-z, 0-9 and `-` are",
                machine.name
            ),
        ));
    }
    let Some(role) = machine.role else {
        wrong.push(at(
            &machine.site,
            "neither server nor client is enabled".to_owned(),
        ));
        return Err(wrong);
    };
    let mut settings = Vec::new();
    for setting in machine.agent.settings() {
        let replaced = REPLACED.contains(&setting.key.as_str()) || setting.key.ends_with("_join");
        let text = setting.value.to_json().to_string();
        if !is_known(machine, &setting, &text) && !replaced {
            wrong.push(at(
                &setting.site,
                format!(
                    "`{}` is not known before the machine's start: {text}",
                    setting.key
                ),
            ));
        }
        settings.push(AdoptedSetting {
            value: setting.value.to_json(),
            place: setting.site.to_string(),
            key: setting.key,
        });
    }
    wrong.extend(
        unwatchable(machine)
            .into_iter()
            .map(|(site, what)| at(&site, what)),
    );
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Adopted {
        name: AgentName(name),
        role,
        settings,
        substitutions: Vec::new(),
    })
}

/// Whether the value of a key is known before the machine's first start.
fn is_known(machine: &Machine, setting: &Setting, text: &str) -> bool {
    let by_machine = match machine.agent.executed {
        true => text.contains(STAND_IN),
        false => SHELL.is_match(text),
    };
    setting.value.unknown("").is_none() && !by_machine
}

/// Files of the agent's that are not read off, and why.
fn unread(machine: &Machine) -> Vec<(&Site, String)> {
    let broken = machine.agent.unreadable.iter();
    let broken = broken.map(|file| {
        let said = format!("`{}` does not parse: {}", file.path, file.reason);
        (&file.site, said)
    });
    let edited = machine.agent.edited.iter().map(|(path, line, site)| {
        let what = "of the user data: not read off";
        (
            site,
            format!("`{path}` is edited later by line {line} {what}"),
        )
    });
    broken.chain(edited).collect()
}

/// Why no configuration of an agent's was found.
fn why_none(machine: &Machine) -> String {
    let data = &machine.user_data;
    let unknown = data.unknown.first().map(|cause| {
        format!(
            "{}: {}; give it by `--assume ADDRESS=VALUE`",
            cause.what, cause.why
        )
    });
    match (&data.text, unknown) {
        (None, Some(unknown)) => format!("its user data is not known: {unknown}"),
        (Some(_), Some(unknown)) => format!(
            "what is known of its user data writes no configuration of an agent's; not known is {unknown}"
        ),
        (None, None) if data.sha1.is_some() => "its user data is told as a sha1 only".to_owned(),
        (None, None) => "it has no user data".to_owned(),
        (Some(_), None) => {
            "its user data writes no configuration of an agent's that can be read off".to_owned()
        }
    }
}

/// Whether an agent's container can have the name: it is a host name on the cluster's network too.
fn names_a_container(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.len() <= 32
        && name.chars().all(legal)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// What keeps anybody from watching the agent: it is of one role, and reached by HTTPS on its usual port, with
/// a token.
fn unwatchable(machine: &Machine) -> Vec<(String, String)> {
    let agent = &machine.agent;
    let site = |key: &str| {
        let said = agent.get(key).map(|setting| setting.site);
        said.or_else(|| agent.site())
            .unwrap_or_else(|| machine.site.clone())
            .to_string()
    };
    let mut found = Vec::new();
    if ["server.enabled", "client.enabled"].map(|key| agent.flag(key)) == [Some(true); 2] {
        let what = format!(
            "it is server and client at once, by {}; here an agent is one of them",
            agent.paths().join(", ")
        );
        found.push((site("client.enabled"), what));
    }
    for key in ["tls.http", "tls.rpc", "acl.enabled"] {
        if agent.flag(key) != Some(true) {
            found.push((
                site(key),
                format!("`{key}` is not on; here agents are watched by TLS and a token only"),
            ));
        }
    }
    for (key, port) in [
        ("ports.http", HTTP_PORT),
        ("ports.rpc", RPC_PORT),
        ("ports.serf", SERF_PORT),
    ] {
        let set = agent.get(key).and_then(|setting| setting.value.to_text());
        if let Some(other) = set.filter(|set| *set != port.to_string()) {
            found.push((
                site(key),
                format!("`{key}` is {other}; here agents are reached by {port}"),
            ));
        }
    }
    found
}

/// A value that all agents have alike.
fn common(agents: &[Adopted], key: &str, default: &str, problems: &mut Vec<String>) -> String {
    let of = |agent: &Adopted| {
        let setting = agent
            .settings
            .iter()
            .rev()
            .find(|setting| setting.key == key);
        setting
            .and_then(|setting| setting.value.as_str())
            .unwrap_or(default)
            .to_owned()
    };
    let values: BTreeSet<String> = agents.iter().map(of).collect();
    if values.len() > 1 {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        problems.push(format!(
            "the agents have several values of `{key}`: {}",
            values.join(", ")
        ));
    }
    values
        .into_iter()
        .next()
        .unwrap_or_else(|| default.to_owned())
}

/// The first 256 addresses of the first subnet, or of the network, that is known.
fn network(configuration: &Configuration) -> Option<Subnet> {
    let of = |kind: &str| {
        let mut resources = configuration.resources.iter();
        resources.find_map(|resource| {
            let own = !resource.id.data && resource.id.kind == kind;
            let text = resource
                .field("cidr_block")
                .filter(|_| own)
                .and_then(Value::to_text)?;
            let subnet: Subnet = text.parse().ok()?;
            Subnet::new(subnet.host(0), 24).filter(|_| subnet.prefix() <= 24)
        })
    };
    of("aws_subnet").or_else(|| of("aws_vpc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CloudJoin;
    use crate::terraform::{Inputs, read};

    fn agents(edit: impl Fn(&str, String) -> String) -> Result<Agents, AdoptError> {
        let scratch = tempfile::tempdir().unwrap();
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
        for folder in ["", "templates"] {
            std::fs::create_dir_all(scratch.path().join(folder)).unwrap();
            for entry in std::fs::read_dir(ours.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    let text = edit(&name, std::fs::read_to_string(&path).unwrap());
                    std::fs::write(scratch.path().join(folder).join(name), text).unwrap();
                }
            }
        }
        let vars = vec![(
            "operator_cidrs".to_owned(),
            "[\"198.51.100.7/32\"]".to_owned(),
        )];
        let inputs = Inputs {
            vars,
            ..Inputs::default()
        };
        let configuration = read(scratch.path(), &inputs).unwrap();
        let mut cluster = AwsCluster::of(&configuration, scratch.path());
        let left_out = cluster.take_out_others();
        let mut agents = adopt(&configuration, &cluster, Path::new("terraform"))?;
        agents.adoption.reading = left_out;
        Ok(agents)
    }

    #[test]
    fn machines_that_are_none_of_nomads_are_left_out_and_told() {
        let with = |more: &str| {
            agents(|name, text| match name {
                "machines.tf" => format!("{text}\n{more}"),
                _ => text,
            })
        };
        let machine = |name: &str, more: &str| {
            format!(
                "resource \"aws_instance\" \"{name}\" {{\n  ami = \"ami-1\"\n  instance_type = \"t3.micro\"\n{more}}}\n"
            )
        };
        for (name, more) in [
            ("bastion", ""),
            (
                "jump",
                "  user_data = \"#!/bin/sh\\napt-get install -y jq\\n\"\n",
            ),
            (
                "consul_server",
                "  user_data = aws_instance.bastion.private_ip\n",
            ),
        ] {
            let bastion = match name {
                "consul_server" => machine("bastion", ""),
                _ => String::new(),
            };
            let taken = with(&(machine(name, more) + &bastion)).unwrap();
            assert_eq!(taken.adoption.agents.len(), 6, "{name}");
            let said = format!("`aws_instance.{name}` runs no agent of Nomad's: left out");
            assert!(
                taken.adoption.reading.contains(&said),
                "{:?}",
                taken.adoption.reading
            );
        }
        // One that starts Nomad, or whose user data nobody knows, may be an agent.
        for more in [
            "  user_data = \"#!/bin/sh\\nsystemctl start nomad\\n\"\n",
            "  user_data = data.aws_ami.x.id\n",
        ] {
            let refused = with(&machine("node", more)).unwrap_err();
            assert!(
                refused.problems[0].contains("aws_instance.node"),
                "{refused}"
            );
        }
    }

    #[test]
    fn our_own_agents_are_taken_with_every_key_and_its_place() {
        let agents = agents(|_, text| text).unwrap();
        assert_eq!(
            agents.adoption.closed_there,
            [
                "servers to servers: 4646/tcp",
                "servers to clients: 4646/tcp, 4647/tcp, 4648/tcp, 4648/udp",
                "clients to servers: 4646/tcp, 4648/tcp, 4648/udp",
                "clients to clients: 4646/tcp, 4647/tcp, 4648/tcp, 4648/udp",
            ]
        );
        let between = |from: &str, to: &str| -> Vec<(&str, u16, u16)> {
            let mut all = agents.adoption.filters.iter();
            let found = all.find(|one| one.from.as_str() == from && one.to.as_str() == to);
            let closed = found.map(|filter| filter.closed.as_slice());
            let plain = |one: &crate::spec::Ports| (one.transport.name(), one.first, one.last);
            closed.unwrap_or_default().iter().map(plain).collect()
        };
        assert_eq!(
            between("server-1", "server-3"),
            [
                ("tcp", 1, 4646),
                ("tcp", 4649, 65535),
                ("udp", 1, 4647),
                ("udp", 4649, 65535)
            ]
        );
        assert_eq!(
            between("client-2", "server-1"),
            [("tcp", 1, 4646), ("tcp", 4648, 65535), ("udp", 1, 65535)]
        );
        assert_eq!(
            between("server-1", "client-2"),
            [("tcp", 1, 65535), ("udp", 1, 65535)]
        );
        assert!(between("server-1", "server-1").is_empty());
        let names: Vec<&str> = agents
            .adoption
            .agents
            .iter()
            .map(|agent| agent.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "server-1", "server-2", "server-3", "client-1", "client-2", "client-3"
            ]
        );
        assert_eq!(
            (agents.region.as_str(), agents.datacenter.as_str()),
            ("global", "dc1")
        );
        assert_eq!(agents.adoption.prefer.unwrap().to_string(), "10.20.0.0/24");
        let server = &agents.adoption.agents[0];
        let setting = |key: &str| server.settings.iter().find(|one| one.key == key).unwrap();
        assert_eq!(setting("server.raft_protocol").value, serde_json::json!(3));
        assert!(
            setting("server.raft_protocol")
                .place
                .contains("server.hcl.tpl:")
        );
        let client = &agents.adoption.agents[3];
        assert!(
            client
                .settings
                .iter()
                .any(|one| one.key == "plugin.raw_exec.config.enabled")
        );
    }

    fn answered(edit: impl Fn(&str, String) -> String) -> Result<crate::spec::Cloud, String> {
        match agents(edit).unwrap().adoption.cloud.unwrap() {
            CloudJoin::Answered(cloud) => Ok(cloud),
            CloudJoin::Replaced(why) => Err(why),
        }
    }

    #[test]
    fn what_aws_would_answer_is_known() {
        let cloud = answered(|_, text| text).unwrap();
        let region = cloud.region.clone();
        assert_eq!(
            cloud.hosts().collect::<Vec<_>>(),
            [format!("ec2.{region}.amazonaws.com")]
        );
        assert_eq!(cloud.unsure, [""; 0]);
        let tagged = |one: &&crate::spec::CloudMachine| one.tags.contains_key("rehearse-join");
        let found: Vec<&str> = { cloud.machines.iter() }
            .filter(tagged)
            .map(|one| one.agent.as_str())
            .collect();
        assert_eq!(found, ["server-1", "server-2", "server-3"]);
        for machine in &cloud.machines {
            assert!(
                machine.may_describe && machine.tokens && machine.metadata,
                "{machine:?}"
            );
            assert!(
                machine.role.is_some() && machine.zone.starts_with(&region),
                "{machine:?}"
            );
        }
        // The faults: no permission, no role, another tag.
        let denied = answered(|name, text| match name {
            "iam.tf" => text.replace("ec2:DescribeInstances", "ec2:DescribeTags"),
            _ => text,
        });
        assert!(denied.unwrap().machines.iter().all(|one| !one.may_describe));
        let bare = answered(|name, text| match name {
            "machines.tf" => {
                let kept = text
                    .lines()
                    .filter(|line| !line.contains("iam_instance_profile"));
                kept.collect::<Vec<_>>().join("\n")
            }
            _ => text,
        });
        assert!(bare.unwrap().machines.iter().all(|one| one.role.is_none()));
    }

    #[test]
    fn a_text_that_cannot_be_met_is_replaced_and_the_reason_told() {
        for (more, why) in [
            ("addr_type=public_v4", "public addresses"),
            ("access_key_id=AKIDEXAMPLE", "keys of their own"),
            ("service=ecs", "they ask ECS"),
            ("tag_value=x", "`tag_value` is there twice"),
        ] {
            let told = answered(|name, text| match name {
                "locals.tf" => text.replace("\"provider=aws ", &format!("\"provider=aws {more} ")),
                _ => text,
            });
            let told = told.unwrap_err();
            assert!(told.contains(why), "{more}: {told}");
        }
        let other = answered(|name, text| match name {
            "locals.tf" => text.replace("provider=aws", "provider=gce"),
            _ => text,
        });
        assert!(other.unwrap_err().contains("they ask `gce`"));
    }

    #[test]
    fn everything_that_is_in_the_way_is_told_with_its_place() {
        let error = agents(|name, text| match name {
            "server.hcl.tpl" => text.replace("  rpc                    = true\n", ""),
            "client.hcl.tpl" => text.replace(
                "disable_update_check = true",
                "log_level = \"$LEVEL\"\nports {\n  http = 5646\n}",
            ),
            _ => text,
        })
        .unwrap_err();
        assert_eq!(error.problems.len(), 9, "{:#?}", error.problems);
        let told = error.to_string();
        for part in [
            "server.hcl.tpl:",
            "`tls.rpc` is not on",
            "`log_level` is not known",
            "`ports.http` is 5646",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
