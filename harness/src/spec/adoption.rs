//! Agents that are taken over from another cluster's configuration: data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AgentName, Role, Subnet};

/// The address that the stand-in of the metadata service names at a first boot that is rehearsed: of the
/// range for documentation.
pub const STAND_IN_ADDRESS: &str = "192.0.2.10";
/// The instance's id that it names.
pub const STAND_IN_INSTANCE: &str = "i-00000000000000000";
/// What is in every text of a stand-in's that is no address and no id: of secrets and downloads.
pub const STAND_IN: &str = "stand-in";

/// Agents of another configuration: theirs in all but what is declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adoption {
    /// Where they are read from.
    pub source: String,
    /// A network of theirs, whose addresses are taken if they are free here.
    pub prefer: Option<Subnet>,
    /// The agents, servers first.
    pub agents: Vec<Adopted>,
    /// How the agents' configuration was found: executed, or read off, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reading: Vec<String>,
    /// The agents' ports that security groups close there, as `clients to servers: 4648/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed_there: Vec<String>,
    /// The same for every port, agent by agent: what is closed here, too. Empty where nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// How agents that ask AWS for the servers (`provider=aws`) find them here; nothing where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudJoin>,
    /// Nomad's version, where the configuration tells it; once the agents are there, only if another one runs
    /// here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Substitution>,
}

/// How agents that ask a cloud for the servers find them here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloudJoin {
    /// As there: AWS is answered for here.
    Answered(Cloud),
    /// By the servers' addresses, and why.
    Replaced(String),
}

impl CloudJoin {
    /// Says it in a line.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Answered(cloud) => format!(
                "`provider=aws` is used as it stands: EC2 ({}) and the metadata service are answered by \
                 rehearse's responder, by the machines' tags, roles and tokens",
                cloud.asked.iter().cloned().collect::<Vec<_>>().join(", ")
            ),
            Self::Replaced(why) => {
                format!("the servers' addresses take the place of `provider=aws`: {why}")
            }
        }
    }
}

/// What is known of AWS: what it would answer those who look for servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    /// The machines' region.
    pub region: String,
    /// The regions that are asked, the machines' own among them.
    pub asked: BTreeSet<String>,
    /// The agents' machines.
    pub machines: Vec<CloudMachine>,
    /// What is not known of them, and so taken to be as it should.
    pub unsure: Vec<String>,
}

impl Cloud {
    /// Returns EC2's names that are asked.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        let host = |region: &String| format!("ec2.{region}.amazonaws.com");
        self.asked.iter().map(host)
    }
}

/// A machine as EC2 has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudMachine {
    /// The agent on it.
    pub agent: AgentName,
    /// Its type.
    pub instance_type: String,
    /// Its image.
    pub image: String,
    /// Its zone.
    pub zone: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether its metadata service answers.
    pub metadata: bool,
    /// Whether that wants tokens.
    pub tokens: bool,
    /// Its role; nothing where it has none.
    pub role: Option<String>,
    /// Whether the role may call `ec2:DescribeInstances`.
    pub may_describe: bool,
}

impl Adoption {
    /// Returns what answers for AWS; nothing where nobody asks, or addresses take its place.
    #[must_use]
    pub fn answered(&self) -> Option<&Cloud> {
        match &self.cloud {
            Some(CloudJoin::Answered(cloud)) => Some(cloud),
            _ => None,
        }
    }

    /// Says in a line in what the agents are not as there.
    #[must_use]
    pub fn note(&self) -> String {
        let keys: BTreeSet<&str> = { self.agents.iter() }
            .flat_map(|agent| &agent.substitutions)
            .map(|change| change.key.as_str())
            .collect();
        let cloud = self
            .cloud
            .as_ref()
            .map(|cloud| format!("; {}", cloud.text()));
        let version = self.version.as_ref().and_then(|version| {
            let (theirs, ours) = version.theirs.as_ref().zip(version.ours.as_ref())?;
            Some(format!("; Nomad {theirs} there, {ours} here"))
        });
        format!(
            "agents as in {}, but for {} keys that are declared (cluster.json){}{}",
            self.source,
            keys.len(),
            version.unwrap_or_default(),
            cloud.unwrap_or_default()
        )
    }

    /// Takes it that this version runs here: where it is theirs, there is nothing to declare.
    pub fn runs(&mut self, version: &semver::Version) {
        let plain = |version: &semver::Version| {
            let mut plain = version.clone();
            plain.build = semver::BuildMetadata::EMPTY;
            plain
        };
        let theirs = self
            .version
            .as_ref()
            .and_then(|said| said.theirs.as_ref()?.parse().ok());
        if theirs.is_none_or(|theirs| plain(&theirs) == plain(version)) {
            self.version = None;
        }
        if let Some(said) = &mut self.version {
            said.ours = Some(version.to_string());
        }
    }

    /// Returns what an agent does not let in; nothing where all is open to it.
    pub fn filters_of(&self, agent: &AgentName) -> impl Iterator<Item = &Filter> {
        self.filters.iter().filter(move |one| one.to == *agent)
    }
}

/// What one agent does not let in from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Whom the packets are for.
    pub to: AgentName,
    /// Whose they are.
    pub from: AgentName,
    /// The ports of `to` that are closed.
    pub closed: Vec<Ports>,
}

/// Ports in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// What runs over them.
    pub transport: Transport,
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// Whether a port is one of them.
    #[must_use]
    pub fn has(&self, transport: Transport, port: u16) -> bool {
        self.transport == transport && (self.first..=self.last).contains(&port)
    }
}

/// What runs over a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Its name, as security groups have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An agent of another configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adopted {
    /// Its name there.
    pub name: AgentName,
    /// Its role.
    pub role: Role,
    /// Its configuration, key by key. Not written down: it may hold secrets.
    #[serde(skip)]
    pub settings: Vec<AdoptedSetting>,
    /// What is other here than there.
    pub substitutions: Vec<Substitution>,
}

/// A key of an adopted agent's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct AdoptedSetting {
    /// Its dotted path, as `plugin.raw_exec.config.enabled`.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// The file and line that says it.
    pub place: String,
}

/// A key that an adopted agent has otherwise here than there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitution {
    /// Its dotted path.
    pub key: String,
    /// What it is there; nothing where it is not set.
    pub theirs: Option<String>,
    /// What it is here; nothing where it is left out.
    pub ours: Option<String>,
    /// Why.
    pub why: String,
    /// The file and line that says it there.
    pub place: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_how_a_cloud_is_met() {
        let change = |key: &str| Substitution {
            key: key.to_owned(),
            theirs: None,
            ours: None,
            why: String::new(),
            place: None,
        };
        let agent = |name: &str| Adopted {
            name: AgentName(name.to_owned()),
            role: Role::Server,
            settings: Vec::new(),
            substitutions: vec![change("data_dir"), change("server.encrypt")],
        };
        let mut adoption = Adoption {
            source: "terraform".to_owned(),
            prefer: None,
            reading: Vec::new(),
            agents: vec![agent("server-1"), agent("server-2")],
            closed_there: Vec::new(),
            filters: Vec::new(),
            cloud: None,
            version: None,
        };
        let plain = "agents as in terraform, but for 2 keys that are declared (cluster.json)";
        assert_eq!(adoption.note(), plain);
        adoption.cloud = Some(CloudJoin::Answered(Cloud {
            region: "us-east-2".to_owned(),
            asked: ["us-east-2".to_owned()].into(),
            machines: Vec::new(),
            unsure: Vec::new(),
        }));
        let answered = "; `provider=aws` is used as it stands: EC2 (us-east-2) and the metadata service are \
                        answered by rehearse's responder";
        assert!(adoption.note().starts_with(&format!("{plain}{answered}")));
        adoption.cloud = Some(CloudJoin::Replaced("this Nomad lacks it".to_owned()));
        let replaced =
            "; the servers' addresses take the place of `provider=aws`: this Nomad lacks it";
        assert_eq!(adoption.note(), format!("{plain}{replaced}"));
    }

    #[test]
    fn another_version_than_theirs_is_declared() {
        let mut adoption = Adoption {
            source: "terraform".to_owned(),
            prefer: None,
            reading: Vec::new(),
            agents: Vec::new(),
            closed_there: Vec::new(),
            filters: Vec::new(),
            cloud: None,
            version: None,
        };
        let said = Substitution {
            key: "Nomad's version".to_owned(),
            theirs: Some("1.8.3".to_owned()),
            ours: None,
            why: String::new(),
            place: None,
        };
        let mut note = |version: &str, said: Option<&Substitution>| {
            adoption.version = said.cloned();
            adoption.runs(&version.parse().unwrap());
            adoption.note()
        };
        let told = note("1.11.3", Some(&said));
        assert!(told.ends_with("; Nomad 1.8.3 there, 1.11.3 here"), "{told}");
        for (version, said) in [
            ("1.8.3", Some(&said)),
            ("1.8.3+ent", Some(&said)),
            ("1.11.3", None),
        ] {
            assert!(!note(version, said).contains("Nomad"), "{version}");
        }
    }
}
