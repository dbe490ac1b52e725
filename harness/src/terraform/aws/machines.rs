//! Machines: instances, and groups of instances made from a launch template.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha1::Digest as _;

use super::agent_files::AgentFiles;
use super::fact::Fact;
use super::places::Places;
use super::script::{WrittenFile, written_files};
use super::{addresses, arch_of};
use crate::spec::{Arch, Role};
use crate::terraform::resource::Resource;
use crate::terraform::source::Site;
use crate::terraform::value::{Cause, Value};
use crate::terraform::{Configuration, Number};

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
    /// What was not looked into, as `#cloud-config`.
    pub unread: Option<String>,
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
            "aws_instance" | "aws_spot_instance_request" => {
                machines.push(instance(resource, resource, &defaults, places))
            }
            "aws_autoscaling_group" => {
                if let Some(template) = template_of(resource, configuration) {
                    machines.push(instance(resource, template, &defaults, places));
                }
            }
            _ => {}
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

/// `group` says how many and under which tags, `template` what they are; the same for a lone instance.
fn instance(
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
    let of = |text: &str| match (
        text.to_lowercase().contains("server"),
        text.to_lowercase().contains("client"),
    ) {
        (true, false) => Some(Role::Server),
        (false, true) => Some(Role::Client),
        _ => None,
    };
    let tagged = tags
        .iter()
        .filter(|(name, _)| *name != "Name")
        .find_map(|(name, value)| Some((of(value)?, format!("tag `{name}` is `{value}`"))));
    let named = || {
        Some((
            of(&group.id.name)?,
            format!("the resource is called `{}`", group.id.name),
        ))
    };
    match tagged.or_else(named) {
        Some((role, why)) => (Some(role), why),
        None => (
            None,
            "neither its configuration nor its tags nor its name tell".to_owned(),
        ),
    }
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
    let sha1 = text.as_ref().filter(|_| unknown.is_empty()).map(|text| {
        sha1::Sha1::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    });
    let script = text.as_deref().unwrap_or_default();
    let unread = ["#cloud-config", "Content-Type: multipart"]
        .iter()
        .find(|start| script.trim_start().starts_with(**start))
        .map(|start| (*start).to_owned());
    let files = if unread.is_some() {
        Vec::new()
    } else {
        written_files(script)
    };
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
            STANDARD
                .decode(text)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
        })
        .flatten();
    decoded.unwrap_or_else(|| text.to_owned())
}
