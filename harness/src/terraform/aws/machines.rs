//! Machines: instances, and groups of instances made from a launch template.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha1::Digest as _;

use super::adopt::SHELL;
use super::agent_files::AgentFiles;
use super::fact::Fact;
use super::places::Places;
use super::script::WrittenFile;
use super::{Secrets, addresses, arch_of, branches, parts};
use crate::spec::{Arch, Role, STAND_IN_INSTANCE, Subnet};
use crate::terraform::resource::Resource;
use crate::terraform::source::Site;
use crate::terraform::value::{Cause, Unknown, Value, Why};
use crate::terraform::{Basis, Configuration, Number, Unevaluated};

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
    #[serde(skip)]
    pub tags: BTreeMap<String, String>,
    /// The same as they are shown: without the values of sensitive variables.
    #[serde(rename = "tags")]
    pub shown_tags: BTreeMap<String, String>,
    /// Whether these are all tags.
    #[serde(skip)]
    pub tags_whole: bool,
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
    /// The same without what surely does not run, in as many lines: a script's `if false`.
    #[serde(skip)]
    pub run: Option<String>,
    /// SHA-1 of the text, which a plan of the provider's shows in its place; `None` if parts are unknown,
    /// or if the text is zipped, which no two do alike.
    pub sha1: Option<String>,
    /// Why parts, or all of it, are unknown.
    pub unknown: Vec<Cause>,
    /// Files that it writes, as far as that can be read off.
    pub files: Vec<WrittenFile>,
    /// What was not looked into, as ``a key of `#cloud-config` ``.
    pub unread: Vec<String>,
    /// Where it stands.
    pub site: Site,
}

impl Machine {
    /// Returns its zone; the region's first where it is not known.
    #[must_use]
    pub fn zone(&self, region: &str) -> String {
        let place = self.place.known().filter(|place| place.starts_with(region));
        place.cloned().unwrap_or_else(|| format!("{region}a"))
    }

    /// Whether it surely runs no agent of Nomad's: nothing says a role, nothing of its user data has to do with
    /// Nomad, and all of that is known, or its name is another program's.
    pub(super) fn is_anothers(&self) -> bool {
        let (agent, data) = (&self.agent, &self.user_data);
        let silent = agent.is_empty() && agent.unreadable.is_empty() && agent.edited.is_empty();
        let text = data.run.as_deref().unwrap_or_default();
        let known = data.unknown.is_empty() && (data.text.is_some() || data.sha1.is_none());
        let called = self.address.rsplit('.').next().unwrap_or_default();
        let anothers = is_of_another_program(called) || (known && !text.contains("nomad"));
        self.role.is_none() && silent && anothers
    }

    /// Takes what a first boot left of the agent's configuration, path and text, in the place of what was read
    /// off the user data.
    pub fn booted(&mut self, files: &[(String, String)]) {
        self.agent = AgentFiles::left(files, &self.agent);
        if let Some((role, why)) = enabled(&self.agent) {
            (self.role, self.role_from) = (Some(role), why);
        }
        let named = self.agent.get("name");
        let named = named.and_then(|said| Some((said.value.to_text()?, said.site)));
        // What AWS alone gives is no name yet.
        if let Some((value, site)) = named.filter(|(name, _)| !name.contains(STAND_IN_INSTANCE)) {
            self.name = Fact::Known { value, site };
        }
    }
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

/// Resources that make machines which are not read here.
const UNREAD: &[&str] = &[
    "aws_ec2_fleet",
    "aws_lightsail_instance",
    "aws_spot_fleet_request",
];

/// Whether a resource, by its address without keys, makes machines.
pub(super) fn makes_machines(address: &str) -> bool {
    let mut parts = address.rsplit('.').skip(1);
    let kind = parts.next().unwrap_or_default();
    let kinds = [
        "aws_instance",
        "aws_spot_instance_request",
        "aws_autoscaling_group",
    ];
    parts.next() != Some("data") && (kinds.contains(&kind) || UNREAD.contains(&kind))
}

/// Returns what makes machines, and is not read.
pub(super) fn unread(configuration: &Configuration) -> Vec<Unevaluated> {
    let resources = configuration.resources.iter();
    let unread = resources
        .filter(|resource| !resource.id.data && UNREAD.contains(&resource.id.kind.as_str()));
    unread
        .map(|resource| Unevaluated {
            address: resource.address.clone(),
            cause: Cause {
                why: Why::Kind,
                what: resource.id.kind.clone(),
                site: resource.site.clone(),
            },
            site: resource.site.clone(),
        })
        .collect()
}

/// Returns every machine of the configuration.
pub(super) fn machines(
    configuration: &Configuration,
    places: &Places,
    secrets: &Secrets,
) -> Vec<Machine> {
    let defaults = default_tags(configuration);
    let mut machines = Vec::new();
    let resources = configuration.resources.iter();
    for resource in resources.filter(|resource| !resource.id.data) {
        match resource.id.kind.as_str() {
            "aws_instance" | "aws_spot_instance_request" | "aws_autoscaling_group" => {
                let world = (configuration, places, secrets);
                machines.push(machine(world, resource, &defaults));
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

/// What says something about a machine: its own block, and the launch template that it is made of.
struct Said<'a> {
    /// The nearest first.
    blocks: Vec<&'a Resource>,
    /// A template that is none of the configuration's resources: how it is named, and where.
    elsewhere: Option<(String, Site)>,
}

impl<'a> Said<'a> {
    /// An instance says for itself what it says; a group says nothing of its machines but what the
    /// template does.
    fn of(resource: &'a Resource, grouped: bool, configuration: &'a Configuration) -> Self {
        let mut said = Self {
            blocks: Vec::from_iter((!grouped).then_some(resource)),
            elsewhere: None,
        };
        let paths = [
            "launch_template[0].id",
            "launch_template[0].name",
            "mixed_instances_policy[0].launch_template[0].launch_template_specification[0].launch_template_id",
            "mixed_instances_policy[0].launch_template[0].launch_template_specification[0].launch_template_name",
            "launch_configuration",
            // Where not even the number of such blocks is known.
            "launch_template",
        ];
        let named = |path: &&str| {
            let text = resource.field(path).map(|named| addresses(Some(named)));
            Some((text?.into_iter().next()?, resource.site_of(path)))
        };
        let named: Vec<(String, Site)> = paths.iter().filter_map(named).collect();
        let found = named.iter().find_map(|(address, _)| {
            let mut all = configuration.resources.iter();
            all.find(|one| !one.id.data && one.address == *address)
        });
        match found {
            Some(template) => said.blocks.push(template),
            None => said.elsewhere = named.into_iter().next(),
        }
        said
    }

    /// The nearest block that says something by one of these paths.
    fn by<'p>(&self, paths: &[&'p str]) -> Option<(&'a Resource, &'p str)> {
        let says =
            |block: &Resource, path: &str| !matches!(block.field(path), None | Some(Value::Null));
        let mut all = self.blocks.iter();
        all.find_map(|block| Some((*block, *paths.iter().find(|path| says(block, path))?)))
    }

    fn fact<T>(&self, paths: &[&str], convert: impl Fn(&Value) -> Option<T>) -> Fact<T> {
        match (self.by(paths), &self.elsewhere) {
            (Some((block, path)), _) => {
                Fact::read(block.field(path), &block.site_of(path), convert)
            }
            (None, Some((expression, site))) => Fact::Unknown {
                expression: expression.clone(),
                site: site.clone(),
            },
            (None, None) => Fact::Absent,
        }
    }

    fn text(&self, paths: &[&str]) -> Fact<String> {
        self.fact(paths, Value::to_text)
    }

    /// Security groups: those of the nearest block that names any.
    fn groups(&self) -> Vec<String> {
        let named = |block: &&Resource| {
            let of = |path: &str| addresses(block.field(path));
            let mut groups = of("vpc_security_group_ids");
            if groups.is_empty() {
                groups = of("security_groups");
            }
            groups.extend(of("network_interfaces[0].security_groups"));
            Some(groups).filter(|groups| !groups.is_empty())
        };
        let elsewhere = || {
            self.elsewhere
                .iter()
                .map(|(expression, _)| format!("<{expression}>"))
        };
        let mut blocks = self.blocks.iter();
        blocks
            .find_map(named)
            .unwrap_or_else(|| elsewhere().collect())
    }

    /// Disks of all blocks: the nearest that says something of a device is right.
    fn disks(&self) -> Vec<Disk> {
        let mut all: Vec<Disk> = Vec::new();
        for block in &self.blocks {
            let nearer = all.len();
            for disk in disks(block) {
                let same = |known: &Disk| {
                    // Which device is the image's root, only the image knows; these two are it as a rule.
                    let root = ["/dev/xvda", "/dev/sda1"].contains(&disk.device.as_str());
                    known.device == disk.device || (known.device == "root" && root)
                };
                if !all[..nearer].iter().any(same) {
                    all.push(disk);
                }
            }
        }
        if let Some((expression, site)) = &self.elsewhere {
            let device = format!("<{expression}>");
            all.push(Disk {
                size_gib: Fact::Unknown {
                    expression: device.clone(),
                    site: site.clone(),
                },
                encrypted: Fact::Unknown {
                    expression: device.clone(),
                    site: site.clone(),
                },
                device,
                site: site.clone(),
            });
        }
        all
    }
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

/// `resource` says how many there are, and is what they are called after.
fn machine(
    (configuration, places, secrets): (&Configuration, &Places, &Secrets),
    resource: &Resource,
    defaults: &BTreeMap<String, String>,
) -> Machine {
    let grouped = resource.id.kind == "aws_autoscaling_group";
    let said = Said::of(resource, grouped, configuration);
    let user_data = user_data(&said, &resource.site);
    let agent = user_data
        .text
        .as_deref()
        .map(|text| AgentFiles::read(&user_data.files, text, &user_data.site, places))
        .unwrap_or_default();
    let (tags, tags_whole) = all_tags(resource, grouped, &said, defaults);
    let tags_site = resource.site_of(if grouped { "tag" } else { "tags" });
    let shown_tags = secrets.shown(&tags);
    let (role, role_from) = role(&agent, &tags, &shown_tags, resource);
    let instance_type = said.text(&["instance_type"]);
    let placed = if grouped {
        "vpc_zone_identifier"
    } else {
        "subnet_id"
    };
    let own = |path: &str| Fact::text(resource.field(path), &resource.site_of(path));
    let in_template = || {
        said.text(&[
            "placement[0].availability_zone",
            "network_interfaces[0].subnet_id",
        ])
    };
    let place = [own("availability_zone"), own(placed)]
        .into_iter()
        .find(|place| *place != Fact::Absent)
        .unwrap_or_else(in_template);
    let whole = |path: &str| said.fact(&[path], as_whole);
    Machine {
        address: resource.address.clone(),
        name: name(&tags, &agent, &tags_site, secrets),
        count: count(resource, grouped),
        role,
        role_from,
        arch: instance_type.known().and_then(|kind| arch_of(kind)),
        image: said.text(&["ami", "image_id"]),
        place,
        networks: networks(configuration, resource.field(placed)),
        instance_type,
        shown_tags,
        tags,
        tags_whole,
        tags_site,
        groups: said.groups(),
        metadata: Metadata {
            tokens: said.text(&["metadata_options[0].http_tokens"]),
            hops: whole("metadata_options[0].http_put_response_hop_limit"),
            endpoint: said.text(&["metadata_options[0].http_endpoint"]),
        },
        disks: said.disks(),
        // A launch template has a block where an instance has an attribute.
        profile: said.text(&[
            "iam_instance_profile[0].name",
            "iam_instance_profile[0].arn",
            "iam_instance_profile",
        ]),
        rollout: rollout(resource, &said, grouped),
        user_data,
        agent,
        site: resource.site.clone(),
    }
}

fn as_whole(value: &Value) -> Option<usize> {
    value.as_number().and_then(Number::as_usize)
}

fn whole(resource: &Resource, path: &str) -> Fact<usize> {
    Fact::read(resource.field(path), &resource.site_of(path), as_whole)
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

/// All tags of a machine, and whether these are all. A group's machines have none of the provider's own.
fn all_tags(
    resource: &Resource,
    grouped: bool,
    said: &Said<'_>,
    defaults: &BTreeMap<String, String>,
) -> (BTreeMap<String, String>, bool) {
    let is_open = |value: Option<&Value>| matches!(value, Some(Value::Unknown(_)));
    let mut whole = said.elsewhere.is_none();
    let mut all = BTreeMap::new();
    for block in &said.blocks {
        let specifications = block.field("tag_specifications");
        whole &= !is_open(specifications);
        for specification in specifications.and_then(Value::elements).unwrap_or_default() {
            let kind = specification.attribute("resource_type");
            if kind.and_then(Value::as_str) == Some("instance") {
                let given = specification.attribute("tags");
                whole &= !is_open(given);
                all.extend(tags(given));
            }
        }
    }
    if grouped {
        whole &= !is_open(resource.field("tag"));
        all.extend(group_tags(resource));
    } else {
        whole &= !is_open(resource.field("tags")) && !is_open(resource.field("tags_all"));
        all.extend(defaults.clone());
        all.extend(tags(resource.field("tags")));
    }
    (all, whole)
}

/// Tags that an autoscaling group gives its machines: `tag` blocks that propagate.
fn group_tags(group: &Resource) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
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

/// The agent's own name, or else the tag `Name`. One that holds a secret is not known to anybody here.
fn name(
    tags: &BTreeMap<String, String>,
    agent: &AgentFiles,
    site: &Site,
    secrets: &Secrets,
) -> Fact<String> {
    let said = agent.get("name").and_then(|setting| {
        let value = setting.value.to_text()?;
        Some((value, setting.site))
    });
    let by_shell = |(value, _): &&(String, Site)| SHELL.is_match(value);
    let own = said
        .as_ref()
        .filter(|said| !by_shell(said))
        .map(|(value, site)| Fact::Known {
            value: value.clone(),
            site: site.clone(),
        });
    // The machine's shell puts it in.
    let open = said
        .as_ref()
        .filter(by_shell)
        .map(|(value, site)| Fact::Unknown {
            expression: value.clone(),
            site: site.clone(),
        });
    let tagged = || {
        tags.get("Name").map(|name| Fact::Known {
            value: name.clone(),
            site: site.clone(),
        })
    };
    match own.or_else(tagged).or(open).unwrap_or(Fact::Absent) {
        Fact::Known { value, site } if secrets.are_in(&value) => Fact::Unknown {
            expression: "sensitive value".to_owned(),
            site,
        },
        name => name,
    }
}

fn role(
    agent: &AgentFiles,
    tags: &BTreeMap<String, String>,
    shown: &BTreeMap<String, String>,
    group: &Resource,
) -> (Option<Role>, String) {
    if let Some((role, why)) = enabled(agent) {
        return (Some(role), why);
    }
    let tagged = tags
        .iter()
        .filter(|(name, _)| *name != "Name")
        .find_map(|(name, value)| {
            let why = format!("tag `{name}` is `{}`", shown[name]);
            Some((role_in(value)?, why))
        });
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
        Some((role_in(name)?, format!("tag `Name` is `{}`", shown["Name"])))
    };
    match tagged.or_else(named).or_else(name_tag) {
        Some((role, why)) => (Some(role), why),
        None => (
            None,
            "neither its configuration nor its tags nor its name tell".to_owned(),
        ),
    }
}

/// The role that the agent's own configuration enables.
fn enabled(agent: &AgentFiles) -> Option<(Role, String)> {
    let role = agent.role()?;
    let file = agent.file_of(&format!("{role}.enabled"))?;
    Some((role, format!("`{role}` is enabled in {file}")))
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

fn rollout(resource: &Resource, said: &Said<'_>, grouped: bool) -> Rollout {
    if grouped {
        return if resource.field("instance_refresh").is_some() {
            Rollout::Refreshed
        } else {
            Rollout::NewOnly
        };
    }
    let ignored = |names: &[&str]| {
        let mut all = resource.lifecycle.ignore_changes.iter();
        all.any(|name| name == "all" || names.contains(&name.as_str()))
    };
    let own = said
        .by(USER_DATA)
        .is_none_or(|(block, _)| std::ptr::eq(block, resource));
    if !own {
        // A version that the template's change raises makes the instance anew.
        let version = resource.field("launch_template[0].version");
        let follows = matches!(version, Some(Value::Unknown(_)));
        return match follows && !ignored(&["launch_template"]) {
            true => Rollout::ReplacedAtOnce,
            false => Rollout::Ignored,
        };
    }
    let replaced = resource
        .field("user_data_replace_on_change")
        .and_then(Value::as_bool)
        == Some(true);
    match (ignored(USER_DATA), replaced) {
        (true, _) => Rollout::Ignored,
        (false, true) => Rollout::ReplacedAtOnce,
        (false, false) => Rollout::InPlace,
    }
}

/// Attributes that hold user data. Providers fill in the one that is not configured: with null in a
/// state, as known after apply in a plan.
const USER_DATA: &[&str] = &["user_data", "user_data_base64"];

fn user_data(said: &Said<'_>, machine: &Site) -> UserData {
    let (value, site) = match (said.by(USER_DATA), &said.elsewhere) {
        (Some((block, first)), _) => {
            let is_text = |name: &&&str| matches!(block.field(name), Some(Value::String(_)));
            let name = USER_DATA.iter().find(is_text).unwrap_or(&first);
            (block.field(name).cloned(), block.site_of(name))
        }
        (None, Some((named, site))) => {
            let unknown = Unknown::of(Why::Elsewhere, named.clone(), site.clone());
            (Some(Value::Unknown(unknown)), site.clone())
        }
        (None, None) => {
            let block = said.blocks.first();
            (None, block.map_or(machine, |block| &block.site).clone())
        }
    };
    let mut unknown = Vec::new();
    let mut zipped = false;
    let text = match value {
        Some(Value::String(text)) => {
            let text = Text::of(&text);
            zipped = text.zipped;
            Some(text.text)
        }
        Some(Value::Unknown(reason)) => {
            unknown = reason.causes;
            reason.partial.map(|text| Text::of(&text).text)
        }
        _ => None,
    };
    // A provider before 6.0 plans and stores this in place of the text.
    let digest_only = text
        .as_deref()
        .is_some_and(|text| text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit()));
    let known = text.as_deref().filter(|_| unknown.is_empty() && !zipped);
    let sha1 = known.map(|text| match digest_only {
        true => text.to_owned(),
        false => sha1(text),
    });
    let text = text.filter(|_| !digest_only);
    let run = text.as_deref().map(branches::taken);
    let (files, unread) = run.as_deref().map(parts::read).unwrap_or_default();
    UserData {
        text,
        run,
        sha1,
        unknown,
        files,
        unread,
        site,
    }
}

pub(super) fn sha1(text: &str) -> String {
    let digest = sha1::Sha1::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// User data as cloud-init gets it.
struct Text {
    text: String,
    /// Whether it came zipped: cloud-init unpacks it.
    zipped: bool,
}

impl Text {
    /// Launch templates take user data in base64, and so does `user_data_base64`.
    fn of(given: &str) -> Self {
        let plain = given.starts_with('#') || given.contains(char::is_whitespace);
        let bytes = STANDARD.decode(given).ok().filter(|_| !plain);
        let zipped = bytes
            .as_deref()
            .is_some_and(|bytes| bytes.starts_with(&[0x1f, 0x8b]));
        let text = bytes.and_then(|bytes| match zipped {
            true => super::unzipped(&bytes),
            false => String::from_utf8(bytes).ok(),
        });
        Self {
            text: text.unwrap_or_else(|| given.to_owned()),
            zipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::aws::AwsCluster;
    use crate::terraform::{Inputs, read};

    fn cluster(text: &str) -> AwsCluster {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("main.tf"), text).unwrap();
        let configuration = read(scratch.path(), &Inputs::default()).unwrap();
        AwsCluster::of(&configuration, scratch.path())
    }

    const TEMPLATED: &str = r##"
resource "aws_launch_template" "nomad" {
  image_id               = "ami-1"
  instance_type          = "t4g.small"
  user_data              = base64encode("#!/bin/sh\n")
  vpc_security_group_ids = ["sg-1"]
  metadata_options {
    http_tokens   = "required"
    http_endpoint = "enabled"
  }
  iam_instance_profile {
    name = "nomad"
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = 10
    }
  }
  block_device_mappings {
    device_name = "/dev/sdb"
    ebs {
      volume_size = 20
    }
  }
  tag_specifications {
    resource_type = "instance"
    tags          = { join = "yes", Name = "template" }
  }
}
resource "aws_instance" "server" {
  launch_template {
    id      = aws_launch_template.nomad.id
    version = aws_launch_template.nomad.latest_version
  }
  instance_type = "t3.small"
  metadata_options {
    http_tokens = "optional"
  }
  root_block_device {
    volume_size = 30
  }
  tags = { Name = "server-1" }
}
resource "aws_instance" "client" {
  user_data = "#!/bin/bash\n"
  launch_template {
    id = aws_launch_template.nomad.id
  }
}
"##;

    #[test]
    fn what_a_sensitive_variable_holds_is_not_shown_in_tags() {
        let cluster = cluster(
            r#"
variable "token" {
  default   = { deep = ["s3cr3t", "x"] }
  sensitive = true
}
variable "open" { default = "open" }
resource "aws_instance" "server" {
  tags = { Name = "server-1", a = var.token.deep[0], b = "is-${var.token.deep[0]}", c = var.token.deep[1], d = "xyz", e = var.open }
}
"#,
        );
        let server = &cluster.machines[0];
        assert_eq!(server.tags["b"], "is-s3cr3t", "the tag itself is as it is");
        let json = serde_json::to_value(server).unwrap();
        let hidden = "(sensitive value)";
        let shown = serde_json::json!({
            "Name": "server-1", "a": hidden, "b": hidden, "c": hidden, "d": "xyz", "e": "open"
        });
        assert_eq!(json["tags"], shown);
        assert!(!cluster.to_text(false).contains("s3cr3t"));
    }

    #[test]
    fn a_name_that_holds_a_sensitive_value_is_shown_nowhere() {
        let cluster = cluster(
            r#"
variable "suffix" {
  default   = "s3cr3t"
  sensitive = true
}
resource "aws_instance" "a" {
  tags = { Name = "server-${var.suffix}" }
}
"#,
        );
        let machine = &cluster.machines[0];
        assert_eq!(machine.role, Some(Role::Server));
        assert_eq!(machine.name.to_string(), "<sensitive value>");
        let json = serde_json::to_string(&cluster).unwrap();
        assert!(!json.contains("s3cr3t"), "{json}");
        assert!(!cluster.to_text(true).contains("s3cr3t"));
    }

    #[test]
    fn an_instance_is_what_its_template_says_where_it_says_nothing_itself() {
        let cluster = cluster(TEMPLATED);
        let [server, client] = cluster.machines.as_slice() else {
            panic!("{:?}", cluster.machines);
        };
        let known = |fact: &Fact<String>| fact.known().cloned().unwrap();
        assert_eq!(known(&server.image), "ami-1");
        assert_eq!(known(&server.instance_type), "t3.small");
        assert_eq!(known(&server.metadata.tokens), "optional");
        assert_eq!(known(&server.metadata.endpoint), "enabled");
        assert_eq!(known(&server.profile), "nomad");
        assert_eq!(server.user_data.text.as_deref(), Some("#!/bin/sh\n"));
        assert_eq!(server.groups, ["sg-1"]);
        let disks: Vec<&str> = { server.disks.iter() }
            .map(|disk| disk.device.as_str())
            .collect();
        assert_eq!(disks, ["root", "/dev/sdb"]);
        assert_eq!(
            (server.tags["join"].as_str(), server.tags["Name"].as_str()),
            ("yes", "server-1")
        );
        assert_eq!(server.rollout, Rollout::ReplacedAtOnce);
        assert_eq!(client.user_data.text.as_deref(), Some("#!/bin/bash\n"));
        assert_eq!(client.rollout, Rollout::InPlace);
        assert_eq!(known(&client.instance_type), "t4g.small");
    }

    #[test]
    fn user_data_is_unpacked_and_what_is_known_of_it_is_kept() {
        let cluster = cluster(
            r##"
resource "aws_lb" "front" {}
locals {
  script = "#!/bin/sh\necho ${aws_lb.front.dns_name} ${jsonencode({ a = [aws_lb.front.arn, "<"] })}\n"
}
resource "aws_launch_template" "server" {
  user_data = base64encode(join("\n", ["# first", local.script]))
}
resource "aws_instance" "server" {
  launch_template {
    id = aws_launch_template.server.id
  }
}
resource "aws_instance" "client" {
  user_data_base64 = base64gzip("#!/bin/sh\necho zipped\n")
  tags             = { digest = sha1(base64gzip("a")) }
}
resource "aws_instance" "other" {
  user_data_base64 = base64gzip(aws_lb.front.id)
}
"##,
        );
        let [server, client, other] = cluster.machines.as_slice() else {
            panic!("{:?}", cluster.machines);
        };
        let said = |machine: &Machine| machine.user_data.text.clone();
        assert_eq!(
            said(server).as_deref(),
            Some(
                "# first\n#!/bin/sh\necho <aws_lb.front.dns_name> {\"a\":[\"<aws_lb.front.arn>\",\"<\"]}\n"
            )
        );
        let causes = server.user_data.unknown.iter().map(|cause| &cause.what);
        let causes: Vec<&String> = causes.collect();
        assert_eq!(causes, ["aws_lb.front.arn", "aws_lb.front.dns_name"]);
        assert_eq!(server.user_data.sha1, None);
        assert_eq!(said(client).as_deref(), Some("#!/bin/sh\necho zipped\n"));
        // What depends on the archive's bytes is not guessed.
        assert_eq!(
            (&client.user_data.sha1, client.user_data.unknown.len()),
            (&None, 0)
        );
        assert!(client.tags["digest"].contains('<'), "{:?}", client.tags);
        assert_eq!(said(other), None);
        assert_eq!(other.user_data.unknown[0].what, "aws_lb.front.id");
    }

    #[test]
    fn a_template_from_elsewhere_is_not_known_and_not_absent() {
        let cluster = cluster(
            r#"
data "aws_launch_template" "nomad" {
  name = "nomad"
}
resource "aws_autoscaling_group" "server" {
  desired_capacity = 3
  launch_template {
    id = data.aws_launch_template.nomad.id
  }
}
resource "aws_spot_fleet_request" "client" {
  target_capacity = 3
}
"#,
        );
        let [server] = cluster.machines.as_slice() else {
            panic!("{:?}", cluster.machines);
        };
        let unknown = |fact: &Fact<String>| matches!(fact, Fact::Unknown { .. });
        let facts = [
            &server.image,
            &server.instance_type,
            &server.metadata.tokens,
            &server.profile,
        ];
        assert!(facts.into_iter().all(unknown), "{server:?}");
        assert!(matches!(server.disks[0].encrypted, Fact::Unknown { .. }));
        assert!(!server.tags_whole);
        assert_eq!(
            server.user_data.unknown[0].what,
            "data.aws_launch_template.nomad"
        );
        assert!(
            cluster
                .unevaluated
                .iter()
                .any(|open| open.cause.why == Why::Kind
                    && open.address == "aws_spot_fleet_request.client")
        );
        let text = cluster.to_text(false);
        assert!(
            text.contains("not known how many they are: `aws_spot_fleet_request.client`"),
            "{text}"
        );
    }

    #[test]
    fn a_name_that_the_machines_shell_puts_in_is_not_known() {
        let named = |tags: &str| {
            let text = format!(
                "resource \"aws_instance\" \"server\" {{\n  user_data = <<-X\n    #!/bin/sh\n    cat > /etc/nomad.d/nomad.hcl <<EOF\n    name = \"$(hostname)\"\n    EOF\n  X\n  tags = {tags}\n}}\n"
            );
            cluster(&text).machines.remove(0).name
        };
        assert_eq!(named("{ Name = \"a\" }").known().unwrap(), "a");
        assert!(
            matches!(named("{}"), Fact::Unknown { expression, .. } if expression == "$(hostname)")
        );
    }

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
