//! Machines: instances, and groups of instances made from a launch template.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha1::Digest as _;

use super::agent_files::AgentFiles;
use super::fact::Fact;
use super::places::Places;
use super::script::WrittenFile;
use super::{addresses, arch_of, parts};
use crate::spec::{Arch, Role, Subnet};
use crate::terraform::resource::Resource;
use crate::terraform::source::Site;
use crate::terraform::value::{Cause, Value};
use crate::terraform::{Basis, Configuration, Number};

/// A machine that runs an agent, or several alike made by one group.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Address in the configuration.
    pub address: String,
    /// Name: the tag `Name`, or the agent's own.
    pub name: Fact<String>,
    /// How many there are.
    pub count: Fact<usize>,
    /// What its agent is.
    pub role: Option<Role>,
    /// How the role is known.
    pub role_from: String,
    /// Instance type.
    pub instance_type: Fact<String>,
    /// Architecture of that type.
    pub arch: Option<Arch>,
    /// Image.
    pub image: Fact<String>,
    /// Availability zone, or the subnet that decides it.
    pub place: Fact<String>,
    /// Networks of the subnets it may be in; empty where any of them is not known.
    #[serde(skip)]
    pub networks: Vec<Subnet>,
    /// Tags, the provider's default ones included; a value may be `<expression>`.
    pub tags: BTreeMap<String, String>,
    /// Where the tags stand.
    pub tags_site: Site,
    /// Security groups, by address.
    pub groups: Vec<String>,
    /// Options of the instance metadata service.
    pub metadata: Metadata,
    /// Disks.
    pub disks: Vec<Disk>,
    /// Instance profile.
    pub profile: Fact<String>,
    /// User data.
    pub user_data: UserData,
    /// The agent's configuration in the user data.
    pub agent: AgentFiles,
    /// What a change of user data does.
    pub rollout: Rollout,
    /// Where its block begins.
    pub site: Site,
}

/// Options of the instance metadata service.
#[derive(Debug, Serialize)]
pub struct Metadata {
    /// `required` or `optional`.
    pub tokens: Fact<String>,
    /// Hops that an answer may take.
    pub hops: Fact<usize>,
    /// `enabled` or `disabled`.
    pub endpoint: Fact<String>,
}

/// A disk.
#[derive(Debug, Serialize)]
pub struct Disk {
    /// `root` or its device name.
    pub device: String,
    /// Size.
    pub size_gib: Fact<usize>,
    /// Whether it is encrypted.
    pub encrypted: Fact<bool>,
    /// Where it stands.
    pub site: Site,
}

/// User data.
#[derive(Debug, Serialize)]
pub struct UserData {
    /// The text, with `<expression>` for what is not known; `None` where there is none.
    pub text: Option<String>,
    /// SHA-1 of the text, which a plan of the provider's shows in its place; `None` if parts are unknown.
    pub sha1: Option<String>,
    /// Why parts are unknown.
    pub unknown: Vec<Cause>,
    /// Files that it writes, as far as that can be read off.
    pub files: Vec<WrittenFile>,
    /// What was not looked into, as ``a key of `#cloud-config` ``.
    pub unread: Vec<String>,
    /// Where it stands.
    pub site: Site,
}

/// What a change of user data does to running machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rollout {
    /// Nothing: the change is ignored until a machine is replaced on purpose.
    Ignored,
    /// All are stopped, changed and started, and do not run it again.
    InPlace,
    /// All are replaced at once.
    ReplacedAtOnce,
    /// The group replaces them a few at a time.
    Refreshed,
    /// The group uses it for new machines only.
    NewOnly,
    /// Not told: plans and states leave out what is ignored.
    Untold,
}

/// Returns every machine of the configuration.
pub(super) fn machines(configuration: &Configuration, places: &Places) -> Vec<Machine> {
    let defaults = default_tags(configuration);
    let mut machines = Vec::new();
    for resource in configuration
        .resources
        .iter()
        .filter(|resource| !resource.id.data)
    {
        match resource.id.kind.as_str() {
            "aws_instance" | "aws_spot_instance_request" => machines.push(instance(
                configuration,
                resource,
                resource,
                &defaults,
                places,
            )),
            "aws_autoscaling_group" => {
                if let Some(template) = template_of(resource, configuration) {
                    machines.push(instance(
                        configuration,
                        resource,
                        template,
                        &defaults,
                        places,
                    ));
                }
            }
            _ => {}
        }
    }
    if configuration.basis != Basis::Files {
        for machine in &mut machines {
            machine.rollout = Rollout::Untold;
        }
    }
    machines
}

fn default_tags(configuration: &Configuration) -> BTreeMap<String, String> {
    let provider = configuration
        .providers
        .iter()
        .find(|provider| provider.name == "aws" && !provider.attributes.contains_key("alias"));
    let block = provider.and_then(|provider| {
        provider
            .attributes
            .get("default_tags")?
            .elements()?
            .first()?
            .attribute("tags")
    });
    tags(block)
}

fn tags(value: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        value
            .to_text()
            .unwrap_or_else(|| value.to_json().as_str().unwrap_or_default().to_owned())
    };
    value
        .and_then(Value::attributes)
        .map(|tags| {
            tags.iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect()
        })
        .unwrap_or_default()
}

/// The launch template or configuration of an autoscaling group.
fn template_of<'a>(group: &Resource, configuration: &'a Configuration) -> Option<&'a Resource> {
    let named = group
        .field("launch_template[0].id")
        .or_else(|| group.field("launch_template[0].name"))
        .or_else(|| group.field("mixed_instances_policy[0].launch_template[0].launch_template_specification[0].launch_template_id"))
        .or_else(|| group.field("launch_configuration"));
    let address = addresses(named).into_iter().next()?;
    configuration
        .resources
        .iter()
        .find(|resource| resource.address == address)
}

/// Returns the networks of subnets, if all of them are known.
fn networks(configuration: &Configuration, subnets: Option<&Value>) -> Vec<Subnet> {
    let network = |address: &String| {
        let all = &configuration.resources;
        let subnet = all.iter().find(|one| one.address == *address)?;
        subnet
            .field("cidr_block")
            .and_then(Value::to_text)?
            .parse()
            .ok()
    };
    let known: Option<Vec<Subnet>> = addresses(subnets).iter().map(network).collect();
    known.unwrap_or_default()
}

/// `group` says how many and under which tags, `template` what they are; the same for a lone instance.
fn instance(
    configuration: &Configuration,
    group: &Resource,
    template: &Resource,
    defaults: &BTreeMap<String, String>,
    places: &Places,
) -> Machine {
    let grouped = group.address != template.address;
    let fact = |path: &str| Fact::text(template.field(path), &template.site_of(path));
    let user_data = user_data(template);
    let agent = user_data
        .text
        .as_deref()
        .map(|text| AgentFiles::read(&user_data.files, text, &user_data.site, places))
        .unwrap_or_default();
    let mut all_tags = defaults.clone();
    all_tags.extend(tags(template.field("tags")));
    if grouped {
        all_tags.extend(group_tags(group, template));
    }
    let tags_site = if grouped {
        group.site_of("tag")
    } else {
        template.site_of("tags")
    };
    let (role, role_from) = role(&agent, &all_tags, group);
    let instance_type = fact("instance_type");
    let mut groups = addresses(template.field("vpc_security_group_ids"));
    groups.extend(addresses(template.field("security_groups")));
    groups.extend(addresses(
        template.field("network_interfaces[0].security_groups"),
    ));
    let place = if grouped {
        "vpc_zone_identifier"
    } else {
        "subnet_id"
    };
    let placed = if grouped { group } else { template };
    let zone = fact("availability_zone");
    Machine {
        address: group.address.clone(),
        name: name(&all_tags, &agent, &tags_site),
        count: count(group, grouped),
        role,
        role_from,
        arch: instance_type.known().and_then(|kind| arch_of(kind)),
        image: if template.field("ami").is_some() {
            fact("ami")
        } else {
            fact("image_id")
        },
        place: if zone == Fact::Absent {
            Fact::read(placed.field(place), &placed.site_of(place), Value::to_text)
        } else {
            zone
        },
        networks: networks(configuration, placed.field(place)),
        instance_type,
        tags: all_tags,
        tags_site,
        groups,
        metadata: Metadata {
            tokens: fact("metadata_options[0].http_tokens"),
            hops: whole(template, "metadata_options[0].http_put_response_hop_limit"),
            endpoint: fact("metadata_options[0].http_endpoint"),
        },
        disks: disks(template),
        profile: profile(template),
        rollout: rollout(group, template, grouped),
        user_data,
        agent,
        site: group.site.clone(),
    }
}

fn whole(resource: &Resource, path: &str) -> Fact<usize> {
    Fact::read(resource.field(path), &resource.site_of(path), |value| {
        value.as_number().and_then(Number::as_usize)
    })
}

fn count(group: &Resource, grouped: bool) -> Fact<usize> {
    if !grouped {
        return Fact::Known {
            value: 1,
            site: group.site.clone(),
        };
    }
    let desired = whole(group, "desired_capacity");
    if desired == Fact::Absent {
        whole(group, "min_size")
    } else {
        desired
    }
}

/// Tags that an autoscaling group gives its machines: `tag` blocks that propagate, and the template's
/// tags for instances.
fn group_tags(group: &Resource, template: &Resource) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for specification in template
        .field("tag_specifications")
        .and_then(Value::elements)
        .unwrap_or_default()
    {
        if specification
            .attribute("resource_type")
            .and_then(Value::as_str)
            == Some("instance")
        {
            all.extend(tags(specification.attribute("tags")));
        }
    }
    for tag in group
        .field("tag")
        .and_then(Value::elements)
        .unwrap_or_default()
    {
        if tag
            .attribute("propagate_at_launch")
            .and_then(Value::as_bool)
            == Some(true)
        {
            let (key, value) = (
                tag.attribute("key").and_then(Value::to_text),
                tag.attribute("value"),
            );
            if let (Some(key), Some(value)) = (key, value) {
                all.insert(
                    key,
                    value
                        .to_text()
                        .unwrap_or_else(|| value.to_json().to_string()),
                );
            }
        }
    }
    all
}

fn name(tags: &BTreeMap<String, String>, agent: &AgentFiles, site: &Site) -> Fact<String> {
    let own = agent.get("name").and_then(|setting| {
        Some(Fact::Known {
            value: setting.value.to_text()?,
            site: setting.site,
        })
    });
    let tagged = || {
        tags.get("Name").map(|name| Fact::Known {
            value: name.clone(),
            site: site.clone(),
        })
    };
    own.or_else(tagged).unwrap_or(Fact::Absent)
}

fn role(
    agent: &AgentFiles,
    tags: &BTreeMap<String, String>,
    group: &Resource,
) -> (Option<Role>, String) {
    if let Some(role) = agent.role() {
        return (
            Some(role),
            format!("`{role}` is enabled in {}", agent.paths().join(", ")),
        );
    }
    let tagged = tags
        .iter()
        .filter(|(name, _)| *name != "Name")
        .find_map(|(name, value)| Some((role_in(value)?, format!("tag `{name}` is `{value}`"))));
    let called = &group.id.name;
    if tagged.is_none() && is_of_another_program(called) {
        let why = format!("the resource is called `{called}`, which is no agent of Nomad");
        return (None, why);
    }
    let named = || {
        let why = format!("the resource is called `{called}`");
        Some((role_in(called)?, why))
    };
    // Last, as it may hold the names of other things, too.
    let name_tag = || {
        let name = tags.get("Name")?;
        Some((role_in(name)?, format!("tag `Name` is `{name}`")))
    };
    match tagged.or_else(named).or_else(name_tag) {
        Some((role, why)) => (Some(role), why),
        None => (
            None,
            "neither its configuration nor its tags nor its name tell".to_owned(),
        ),
    }
}

/// The role that a name tells.
fn role_in(text: &str) -> Option<Role> {
    if is_of_another_program(text) {
        return None;
    }
    let text = text.to_lowercase();
    match (text.contains("server"), text.contains("client")) {
        (true, false) => Some(Role::Server),
        (false, true) => Some(Role::Client),
        _ => None,
    }
}

/// Whether a name is of a cluster that often stands beside Nomad's, and has servers of its own.
fn is_of_another_program(text: &str) -> bool {
    let text = text.to_lowercase();
    let others = ["consul", "vault", "boundary"];
    others.iter().any(|other| text.contains(other)) && !text.contains("nomad")
}

fn disks(template: &Resource) -> Vec<Disk> {
    let mut disks = Vec::new();
    for (block, inner) in [
        ("root_block_device", ""),
        ("ebs_block_device", ""),
        ("block_device_mappings", ".ebs[0]"),
    ] {
        let count = template
            .field(block)
            .and_then(Value::elements)
            .map_or(0, <[Value]>::len);
        for index in 0..count {
            let path = format!("{block}[{index}]{inner}");
            let device = template
                .field(&format!("{block}[{index}].device_name"))
                .and_then(Value::to_text);
            let encrypted = format!("{path}.encrypted");
            disks.push(Disk {
                device: device.unwrap_or_else(|| "root".to_owned()),
                size_gib: whole(template, &format!("{path}.volume_size")),
                encrypted: Fact::read(
                    template.field(&encrypted),
                    &template.site_of(&encrypted),
                    Value::as_bool,
                ),
                site: template.site_of(&path),
            });
        }
    }
    disks
}

fn profile(template: &Resource) -> Fact<String> {
    let path = "iam_instance_profile";
    let site = template.site_of(path);
    match template.field(path) {
        // A launch template has a block where an instance has an attribute.
        Some(Value::Tuple(blocks)) => Fact::text(
            blocks
                .first()
                .and_then(|block| block.attribute("name").or_else(|| block.attribute("arn"))),
            &site,
        ),
        value => Fact::text(value, &site),
    }
}

fn rollout(group: &Resource, template: &Resource, grouped: bool) -> Rollout {
    if grouped {
        return if group.field("instance_refresh").is_some() {
            Rollout::Refreshed
        } else {
            Rollout::NewOnly
        };
    }
    let ignored = template
        .lifecycle
        .ignore_changes
        .iter()
        .any(|name| ["all", "user_data", "user_data_base64"].contains(&name.as_str()));
    let replaced = template
        .field("user_data_replace_on_change")
        .and_then(Value::as_bool)
        == Some(true);
    match (ignored, replaced) {
        (true, _) => Rollout::Ignored,
        (false, true) => Rollout::ReplacedAtOnce,
        (false, false) => Rollout::InPlace,
    }
}

fn user_data(template: &Resource) -> UserData {
    let name = if template.field("user_data_base64").is_some() {
        "user_data_base64"
    } else {
        "user_data"
    };
    let site = template.site_of(name);
    let mut unknown = Vec::new();
    let text = match template.field(name) {
        Some(Value::String(text)) => Some(decoded(text)),
        Some(Value::Unknown(reason)) => {
            unknown.clone_from(&reason.causes);
            reason.partial.clone()
        }
        _ => None,
    };
    // A provider before 6.0 plans and stores this in place of the text.
    let digest_only = text
        .as_deref()
        .is_some_and(|text| text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit()));
    let sha1 = text.as_ref().filter(|_| unknown.is_empty()).map(|text| {
        if digest_only {
            return text.clone();
        }
        sha1::Sha1::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    });
    let text = text.filter(|_| !digest_only);
    let (files, unread) = text.as_deref().map(parts::read).unwrap_or_default();
    UserData {
        text,
        sha1,
        unknown,
        files,
        unread,
        site,
    }
}

/// Launch templates take user data in base64, and so does `user_data_base64`.
fn decoded(text: &str) -> String {
    let plain = text.starts_with('#') || text.contains(char::is_whitespace);
    let decoded = (!plain)
        .then(|| {
            let bytes = STANDARD.decode(text).ok()?;
            // cloud-init unpacks what is zipped.
            match bytes.starts_with(&[0x1f, 0x8b]) {
                true => super::unzipped(&bytes),
                false => String::from_utf8(bytes).ok(),
            }
        })
        .flatten();
    decoded.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_other_programs_are_none_of_nomads() {
        for (text, role) in [
            ("server", Some(Role::Server)),
            ("nomad_clients", Some(Role::Client)),
            ("Nomad-Consul-Server", Some(Role::Server)),
            ("consul_server", None),
            ("vault-client", None),
            ("server_of_clients", None),
            ("bastion", None),
        ] {
            assert_eq!(role_in(text), role, "{text}");
        }
    }
}
