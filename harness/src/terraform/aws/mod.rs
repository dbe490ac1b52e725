//! A configuration as a Nomad cluster on AWS: machines with their roles, user data, tags and disks, and
//! who may reach whom. Each fact carries the place that says it.

mod adopt;
mod agent_files;
mod branches;
mod cloud;
pub mod cloud_config;
mod fact;
mod firewall;
mod machines;
pub mod parts;
mod permissions;
mod places;
mod processors;
mod script;
mod secrets;
mod shell;
mod text;
mod witness;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

use super::source::Site;
use super::{Basis, Configuration, Remark, Unevaluated, Value};
use crate::spec::{Arch, Role};

pub use self::adopt::{AdoptError, Agents, adopt};
pub use self::agent_files::{AgentFiles, Setting, Unreadable};
pub use self::fact::Fact;
pub use self::firewall::{Direction, Peer, Rule};
pub use self::machines::{Disk, Machine, Metadata, Rollout, UserData};
pub use self::permissions::may_not_describe;
pub use self::places::Places;
pub use self::processors::arch_of;
pub use self::script::WrittenFile;
pub use self::secrets::{Secrets, names_a_secret};
pub use self::witness::Witness;

/// A cluster as a configuration describes it.
#[derive(Debug, Serialize)]
pub struct AwsCluster {
    /// What it was read from.
    pub basis: Basis,
    /// AWS region.
    pub region: Fact<String>,
    /// Machines that run agents, servers first.
    pub machines: Vec<Machine>,
    /// Rules of security groups.
    pub rules: Vec<Rule>,
    /// Whether all rules are known: no group's are unknown in number, and no module is unread.
    pub rules_are_whole: bool,
    /// Security groups: address → place.
    pub groups: BTreeMap<String, Site>,
    /// Names of the root module's outputs.
    pub outputs: Vec<String>,
    /// What could not be evaluated.
    pub unevaluated: Vec<Unevaluated>,
    /// What Terraform would warn about or refuse.
    pub remarks: Vec<Remark>,
    /// Versions of Terraform and providers that are demanded, where they are.
    pub requirements: BTreeMap<String, Fact<String>>,
    /// Values that are not to be shown.
    #[serde(skip)]
    pub secrets: Secrets,
}

impl AwsCluster {
    /// Returns the cluster that a configuration describes. `dir` is its folder: files beside it are
    /// looked at only to tell where a line of user data comes from.
    #[must_use]
    pub fn of(configuration: &Configuration, dir: &Path) -> Self {
        let places = Places::of(configuration, dir);
        let secrets = Secrets::of(configuration);
        let mut machines = machines::machines(configuration, &places, &secrets);
        machines.sort_by(|one, other| (one.role, &one.address).cmp(&(other.role, &other.address)));
        // Machines without a known role come last, not first.
        machines.sort_by_key(|machine| machine.role.is_none());
        let mut unevaluated = configuration.unevaluated.clone();
        unevaluated.extend(machines::unread(configuration));
        Self {
            basis: configuration.basis,
            region: region(configuration),
            machines,
            rules: firewall::rules(configuration),
            rules_are_whole: firewall::is_whole(configuration),
            groups: firewall::groups(configuration),
            outputs: configuration.outputs.keys().cloned().collect(),
            unevaluated,
            remarks: configuration.remarks.clone(),
            requirements: requirements(configuration),
            secrets,
        }
    }

    /// Takes out the machines that are none of Nomad's, as a bastion is, and returns what to say of each.
    pub fn take_out_others(&mut self) -> Vec<String> {
        let (others, ours) = std::mem::take(&mut self.machines)
            .into_iter()
            .partition(Machine::is_anothers);
        self.machines = ours;
        let others: Vec<Machine> = others;
        let said = others
            .iter()
            .map(|machine| format!("`{}` runs no agent of Nomad's: left out", machine.address));
        said.collect()
    }

    /// Returns the machines of a role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Machine> {
        self.machines
            .iter()
            .filter(move |machine| machine.role == Some(role))
    }

    /// Returns the one architecture of all machines, if there is one.
    #[must_use]
    pub fn arch(&self) -> Option<Arch> {
        let mut archs = self.machines.iter().map(|machine| machine.arch);
        let first = archs.next()??;
        archs.all(|arch| arch == Some(first)).then_some(first)
    }

    /// Returns the cluster as text for people.
    #[must_use]
    pub fn to_text(&self, all: bool) -> String {
        text::render(self, all)
    }
}

fn region(configuration: &Configuration) -> Fact<String> {
    let provider = configuration
        .providers
        .iter()
        .find(|provider| provider.name == "aws" && !provider.attributes.contains_key("alias"));
    match provider {
        Some(provider) => {
            let site = provider.sites.get("region").unwrap_or(&provider.site);
            Fact::text(provider.attributes.get("region"), site)
        }
        None => Fact::Absent,
    }
}

fn requirements(configuration: &Configuration) -> BTreeMap<String, Fact<String>> {
    let requirements = &configuration.requirements;
    let terraform = requirements
        .terraform
        .clone()
        .map_or(Fact::Absent, |(value, site)| Fact::Known { value, site });
    let mut all = BTreeMap::from([("terraform".to_owned(), terraform)]);
    for (name, (version, site)) in &requirements.providers {
        let fact = version.clone().map_or(Fact::Absent, |value| Fact::Known {
            value,
            site: site.clone(),
        });
        all.insert(name.clone(), fact);
    }
    all
}

/// Returns what was zipped, if it is text.
pub(super) fn unzipped(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// Returns the addresses in a value that refers to resources: `[aws_security_group.x.id]` → its address.
pub(super) fn addresses(value: Option<&Value>) -> Vec<String> {
    let strip = |expression: &str| {
        let address = expression
            .strip_suffix(".id")
            .or_else(|| expression.strip_suffix(".name"))
            .or_else(|| expression.strip_suffix(".arn"));
        address.unwrap_or(expression).to_owned()
    };
    match value {
        Some(Value::Unknown(unknown)) => vec![strip(&unknown.expression)],
        Some(Value::String(text)) => vec![text.clone()],
        Some(value) => value
            .elements()
            .unwrap_or_default()
            .iter()
            .flat_map(|element| addresses(Some(element)))
            .collect(),
        None => Vec::new(),
    }
}
