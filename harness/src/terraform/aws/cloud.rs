//! What AWS would answer the agents that look for servers there (`provider=aws`): the machines with their tags
//! and roles, and who may ask. Where that is not known, or the texts ask for what there is none of here, the
//! reason is told and addresses take the cloud's place.

use std::collections::{BTreeMap, BTreeSet};

use super::permissions::{self, Permission};
use super::{AwsCluster, Fact, Machine};
use crate::spec::{AgentName, Cloud, CloudJoin, CloudMachine};
use crate::terraform::Configuration;

/// Arguments of go-discover's `aws` whose effect is not had here, and why.
const BEYOND: &[(&str, &str)] = &[
    (
        "access_key_id",
        "they carry keys of their own, and secrets stay where they are",
    ),
    (
        "secret_access_key",
        "they carry keys of their own, and secrets stay where they are",
    ),
    ("endpoint", "they name an endpoint of their own"),
    ("service", "they ask ECS, which is not answered here"),
];

/// Returns how the agents find their servers here; `None` where none of them asks a cloud.
pub(super) fn cloud_join(configuration: &Configuration, cluster: &AwsCluster) -> Option<CloudJoin> {
    let texts: BTreeSet<String> = cluster.machines.iter().flat_map(texts).collect();
    if texts.is_empty() {
        return None;
    }
    Some(match answered(configuration, cluster, &texts) {
        Ok(cloud) => CloudJoin::Answered(cloud),
        Err(why) => CloudJoin::Replaced(why),
    })
}

/// The texts of keys by which a machine's agent asks a cloud; what is not known of them is in `<` and `>`.
fn texts(machine: &Machine) -> Vec<String> {
    let text =
        |one: &serde_json::Value| one.as_str().map_or_else(|| one.to_string(), str::to_owned);
    let mut found = Vec::new();
    for setting in machine.agent.settings() {
        let texts: Vec<String> = match setting.value.to_json() {
            serde_json::Value::Array(all) => all.iter().map(text).collect(),
            one => vec![text(&one)],
        };
        let joins = setting.key.ends_with("_join") || setting.key == "client.servers";
        if joins && texts.iter().any(|text| text.contains("provider=")) {
            found.extend(texts);
        }
    }
    found
}

fn answered(
    configuration: &Configuration,
    cluster: &AwsCluster,
    texts: &BTreeSet<String>,
) -> Result<Cloud, String> {
    let mut asked = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for text in texts {
        let arguments = readable(text)?;
        asked.extend(arguments.get("region").cloned());
        keys.extend(arguments.get("tag_key").cloned());
    }
    let region = match (&cluster.region, asked.first()) {
        (Fact::Known { value, .. }, _) => value.clone(),
        // The provider's own may come from the environment; the texts name it then, as a rule.
        (_, Some(named)) => named.clone(),
        _ => return Err("the region is not known before it is applied".to_owned()),
    };
    asked.insert(region.clone());
    if let Some(odd) = asked.iter().find(|region| !is_region(region)) {
        return Err(format!(
            "`{odd}` is no region whose EC2 has a name under amazonaws.com"
        ));
    }
    let mut unsure = BTreeSet::new();
    let mut machines = Vec::new();
    for machine in &cluster.machines {
        let unknown = |key: &&String| match machine.tags.get(*key) {
            Some(tag) => tag.contains('<'),
            None => !machine.tags_whole,
        };
        if let Some(key) = keys.iter().find(unknown) {
            let address = &machine.address;
            return Err(format!(
                "tag `{key}` of `{address}` is not known before it is applied"
            ));
        }
        machines.push(described(configuration, machine, &region, &mut unsure));
    }
    Ok(Cloud {
        region,
        asked,
        machines,
        unsure: unsure.into_iter().collect(),
    })
}

/// Names of regions are put into host names.
fn is_region(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(legal) && !text.starts_with("cn-")
}

/// Reads a join text that can be met here.
fn readable(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.contains(['<', '$', '`']) {
        return Err("what they ask is not known before the machine's start".to_owned());
    }
    if !text.contains('=') {
        return Err("they name addresses, too".to_owned());
    }
    let arguments = agent::cloud::arguments(text).map_err(|error| error.to_string())?;
    let said = |name: &str| arguments.get(name).map(String::as_str).unwrap_or_default();
    if said("provider") != "aws" {
        return Err(format!(
            "they ask `{}`, and AWS alone is answered for here",
            said("provider")
        ));
    }
    if let Some((_, why)) = BEYOND
        .iter()
        .find(|(name, _)| arguments.contains_key(*name))
    {
        return Err((*why).to_owned());
    }
    if !["", "private_v4"].contains(&said("addr_type")) {
        return Err("they ask for public addresses, which there are none of here".to_owned());
    }
    Ok(arguments)
}

fn described(
    configuration: &Configuration,
    machine: &Machine,
    region: &str,
    unsure: &mut BTreeSet<String>,
) -> CloudMachine {
    let granted = permissions::granted(configuration, machine);
    let may_describe = match granted.as_ref().map(|granted| &granted.may_describe) {
        Some(Permission::Allowed) => true,
        Some(Permission::Unknown(why)) => {
            unsure.insert(format!(
                "whether roles may call ec2:DescribeInstances: {why}"
            ));
            true
        }
        Some(Permission::Refused) | None => false,
    };
    let known =
        |fact: &Fact<String>, made: &str| fact.known().map_or(made, String::as_str).to_owned();
    CloudMachine {
        agent: AgentName(known(&machine.name, "")),
        instance_type: known(&machine.instance_type, "t3.small"),
        image: known(&machine.image, "ami-00000000000000000"),
        zone: machine.zone(region),
        tags: { machine.tags.iter() }
            .filter(|(_, value)| !value.contains('<'))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        metadata: machine
            .metadata
            .endpoint
            .known()
            .is_none_or(|said| said != "disabled"),
        tokens: machine
            .metadata
            .tokens
            .known()
            .is_some_and(|said| said == "required"),
        role: granted.map(|granted| granted.role),
        may_describe,
    }
}
