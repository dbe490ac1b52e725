//! What cluster is asked for: data, and the check that it makes sense. No I/O.

mod adoption;
mod data_size;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

pub use self::adoption::{
    Adopted, AdoptedSetting, Adoption, Cloud, CloudJoin, CloudMachine, Filter, Ports, STAND_IN,
    STAND_IN_ADDRESS, STAND_IN_INSTANCE, Substitution, Transport,
};
pub use self::data_size::{DataSize, DataSizeError};

/// What an agent does. A *node* in Nomad's words is a client's registration, never a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Votes in Raft, schedules.
    Server,
    /// Runs tasks.
    Client,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// `server-1`, `client-3`: the agent's name, its host name and its container's suffix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentName(pub String);

impl AgentName {
    /// Returns the name of the `number`-th (from 1) agent of a role.
    #[must_use]
    pub fn new(role: Role, number: u16) -> Self {
        Self(format!("{role}-{number}"))
    }

    /// Returns the name of the `number`-th (from 1) agent of a role in a further region:
    /// `west-server-1`.
    #[must_use]
    pub fn in_region(region: &str, role: Role, number: u16) -> Self {
        Self(format!("{region}-{role}-{number}"))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A processor architecture, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
    /// IBM Z.
    S390x,
}

impl Arch {
    /// Returns this machine's architecture, `None` where it is none of ours.
    #[must_use]
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            "s390x" => Some(Self::S390x),
            _ => None,
        }
    }

    /// Returns Docker's platform, as `linux/s390x`.
    #[must_use]
    pub fn platform(self) -> String {
        format!("linux/{self}")
    }
}

impl std::str::FromStr for Arch {
    type Err = ArchError;

    /// Reads Docker's word, the kernel's or Rust's.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "amd64" | "x86_64" => Ok(Self::Amd64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            "s390x" => Ok(Self::S390x),
            _ => Err(ArchError {
                text: text.to_owned(),
            }),
        }
    }
}

/// A word for none of our architectures.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown architecture `{text}` (expected `amd64`, `arm64` or `s390x`)")]
pub struct ArchError {
    text: String,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::S390x => "s390x",
        })
    }
}

/// Port of the HTTP API (`nomad/config.go`: 4646).
pub const HTTP_PORT: u16 = 4646;
/// Port of RPC and Raft (4647).
pub const RPC_PORT: u16 = 4647;
/// Port of gossip, TCP and UDP, servers only (4648).
pub const SERF_PORT: u16 = 4648;

/// Longest name of a cluster: with `rehearse-` and `-server-1` it stays a legal host name label.
const NAME_LEN_MAX: usize = 32;
/// Most clients that a plan holds: their addresses must fit a /24 beside the servers'.
pub const CLIENTS_MAX: u16 = 200;
/// Host part of `server-1`'s address; `.1` is the bridge itself.
const SERVER_HOST_FIRST: u32 = 11;
/// Host part of the address of what answers for AWS.
const RESPONDER_HOST: u32 = 5;
/// Host part of `client-1`'s address.
const CLIENT_HOST_FIRST: u32 = 21;
/// Host part of the address of the first server outside the first region: after all clients.
const FURTHER_SERVER_HOST_FIRST: u32 = 221;
/// Most servers of a region.
const SERVERS_MAX: u16 = 5;
/// Most regions beside the first: their servers must fit the /24.
const FURTHER_REGIONS_MAX: usize = 5;
/// Longest name of a further region: its agents' containers carry it, and must stay legal host name
/// labels.
const FURTHER_REGION_LEN_MAX: usize = 12;

/// What cluster is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Name: lower-case letters, digits and dashes; at most 32 characters.
    pub name: String,
    /// Number of servers in each region: 1, 3 or 5.
    pub servers: u16,
    /// Number of clients in each region.
    pub clients: u16,
    /// Nomad region, `global` by default; the authoritative one where there are further ones.
    pub region: String,
    /// Regions that are federated with the first; each has as many servers and clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_regions: Vec<String>,
    /// Nomad datacenter, `dc1` by default.
    pub datacenter: String,
    /// Architecture of the agents that [`agent_archs`](Self::agent_archs) does not name.
    pub arch: Arch,
    /// Architectures of single agents: a cluster may mix them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agent_archs: BTreeMap<AgentName, Arch>,
    /// Extra agent configuration, `KEY` → `VALUE`, key as a dotted path (`server.raft_multiplier`).
    pub set: BTreeMap<String, String>,
    /// How large the file system of each agent's data is; it is one in memory then. As large as the
    /// engine's disk, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_size: Option<DataSize>,
    /// The agents of another configuration, which are to stand here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
}

impl ClusterSpec {
    /// Returns the default cluster: three servers, three clients, region `global`, datacenter
    /// `dc1`.
    #[must_use]
    pub fn new(name: impl Into<String>, arch: Arch) -> Self {
        Self {
            name: name.into(),
            servers: 3,
            clients: 3,
            region: "global".to_owned(),
            further_regions: Vec::new(),
            datacenter: "dc1".to_owned(),
            arch,
            agent_archs: BTreeMap::new(),
            set: BTreeMap::new(),
            data_size: None,
            adoption: None,
        }
    }

    /// Gives all agents of a role an architecture; set their number first.
    pub fn set_role_arch(&mut self, role: Role, arch: Arch) {
        let names = self.names(role).collect::<Vec<_>>();
        self.agent_archs
            .extend(names.into_iter().map(|name| (name, arch)));
    }

    /// Returns all regions, the first one (which is authoritative) first.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        let first = self.region.as_str();
        self.regions_of_agents()
            .map(move |region| region.unwrap_or(first))
    }

    /// Returns all regions as their agents carry them: the first one as `None`.
    pub fn regions_of_agents(&self) -> impl Iterator<Item = Option<&str>> {
        let further = self.further_regions.iter();
        std::iter::once(None).chain(further.map(|region| Some(region.as_str())))
    }

    /// Returns an agent's region.
    #[must_use]
    pub fn region_of<'a>(&'a self, agent: &'a AgentPlan) -> &'a str {
        agent.region.as_deref().unwrap_or(&self.region)
    }

    /// Returns the names of a role's agents.
    fn names(&self, role: Role) -> impl Iterator<Item = AgentName> {
        let count = match role {
            Role::Server => self.servers,
            Role::Client => self.clients,
        };
        let further = self.further_regions.iter().flat_map(move |region| {
            (1..=count).map(move |number| AgentName::in_region(region, role, number))
        });
        let first = (1..=count).map(move |number| self.name_of(role, number));
        first.chain(further)
    }

    /// Returns the name of a role's `number`-th agent of the first region, from 1.
    fn name_of(&self, role: Role, number: u16) -> AgentName {
        let adopted = self.adoption.iter().flat_map(|one| &one.agents);
        let mut of_role = adopted.filter(|agent| agent.role == role);
        match of_role.nth(usize::from(number.saturating_sub(1))) {
            Some(agent) => agent.name.clone(),
            None => AgentName::new(role, number),
        }
    }

    /// Returns an agent's architecture.
    #[must_use]
    pub fn arch_of(&self, agent: &AgentName) -> Arch {
        self.agent_archs.get(agent).copied().unwrap_or(self.arch)
    }

    /// Returns the architectures of all agents.
    #[must_use]
    pub fn archs(&self) -> BTreeSet<Arch> {
        let mut archs = self.archs_of(Role::Server);
        archs.append(&mut self.archs_of(Role::Client));
        archs
    }

    /// Returns the architectures of a role's agents.
    #[must_use]
    pub fn archs_of(&self, role: Role) -> BTreeSet<Arch> {
        self.names(role).map(|name| self.arch_of(&name)).collect()
    }

    /// Checks that such a cluster can be, and reports all that is wrong with it at once.
    ///
    /// # Errors
    /// Every problem found, in the order of the fields.
    pub fn validate(&self) -> Result<(), SpecError> {
        let mut problems = Vec::new();
        self.check_name(&mut problems);
        self.check_counts(&mut problems);
        self.check_places(&mut problems);
        self.check_archs(&mut problems);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(SpecError { problems })
        }
    }

    fn check_name(&self, problems: &mut Vec<SpecProblem>) {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=NAME_LEN_MAX).contains(&self.name.len());
        let edges = self.name.starts_with('-') || self.name.ends_with('-');
        if !fits || edges || !self.name.chars().all(legal) {
            problems.push(SpecProblem::Name {
                name: self.name.clone(),
            });
        }
    }

    fn check_counts(&self, problems: &mut Vec<SpecProblem>) {
        if !matches!(self.servers, 1 | 3 | 5) {
            problems.push(SpecProblem::Servers {
                servers: self.servers,
            });
        }
        let regions = u16::try_from(self.regions().count()).unwrap_or(u16::MAX);
        let clients = self.clients.saturating_mul(regions);
        if clients > CLIENTS_MAX {
            problems.push(SpecProblem::Clients { clients });
        }
    }

    fn check_archs(&self, problems: &mut Vec<SpecProblem>) {
        let known: BTreeSet<AgentName> = self
            .names(Role::Server)
            .chain(self.names(Role::Client))
            .collect();
        for agent in self.agent_archs.keys().filter(|name| !known.contains(name)) {
            problems.push(SpecProblem::NoSuchAgent {
                agent: agent.clone(),
                servers: self.servers,
                clients: self.clients,
            });
        }
    }

    fn check_places(&self, problems: &mut Vec<SpecProblem>) {
        // The region is a label of the certificates' DNS names (`server.<region>.nomad`).
        let label = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let edges = self.region.starts_with('-') || self.region.ends_with('-');
        if edges || !(1..=63).contains(&self.region.len()) || !self.region.chars().all(label) {
            problems.push(SpecProblem::Region {
                region: self.region.clone(),
            });
        }
        self.check_further_regions(problems);
        // Nomad itself refuses `*` from 1.5.0 on; the rest keeps it printable everywhere.
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=128).contains(&self.datacenter.len()) || !self.datacenter.chars().all(word) {
            problems.push(SpecProblem::Datacenter {
                datacenter: self.datacenter.clone(),
            });
        }
    }

    fn check_further_regions(&self, problems: &mut Vec<SpecProblem>) {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        for (index, region) in self.further_regions.iter().enumerate() {
            let fits = (1..=FURTHER_REGION_LEN_MAX).contains(&region.len());
            let edges = region.starts_with('-') || region.ends_with('-');
            let twice = self.regions().take(index + 1).any(|one| one == region);
            if !fits || edges || twice || !region.chars().all(legal) {
                problems.push(SpecProblem::FurtherRegion {
                    region: region.clone(),
                });
            }
        }
        if self.further_regions.len() > FURTHER_REGIONS_MAX || self.adoption.is_some() {
            let most = match self.adoption {
                Some(_) => 0,
                None => FURTHER_REGIONS_MAX,
            };
            let regions = self.further_regions.len();
            if regions > most {
                problems.push(SpecProblem::Regions { regions, most });
            }
        }
    }

    /// Returns every agent, servers first, with its address in `subnet`.
    ///
    /// # Panics
    /// When the spec was not [validated](Self::validate) or the subnet is smaller than a /24.
    #[must_use]
    pub fn plan(&self, subnet: Subnet) -> Vec<AgentPlan> {
        assert!(
            self.clients <= CLIENTS_MAX && subnet.prefix <= 24,
            "a plan is made of a valid spec and a /24"
        );
        let hosts_of = |role: Role, index: u32| match (role, index) {
            (Role::Server, 0) => SERVER_HOST_FIRST,
            (Role::Server, _) => FURTHER_SERVER_HOST_FIRST + (index - 1) * u32::from(SERVERS_MAX),
            (Role::Client, _) => CLIENT_HOST_FIRST + index * u32::from(self.clients),
        };
        let mut plan = Vec::new();
        for (role, count) in [(Role::Server, self.servers), (Role::Client, self.clients)] {
            for (index, further) in (0..).zip(self.regions_of_agents()) {
                plan.extend((1..=count).map(|number| {
                    let name = further.map_or_else(
                        || self.name_of(role, number),
                        |region| AgentName::in_region(region, role, number),
                    );
                    AgentPlan {
                        arch: self.arch_of(&name),
                        name,
                        role,
                        region: further.map(str::to_owned),
                        address: subnet.host(hosts_of(role, index) + u32::from(number) - 1),
                    }
                }));
            }
        }
        plan
    }
}

/// A network of IPv4 addresses, as `10.84.3.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Subnet {
    address: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// Returns the network of `prefix` bits that `address` lies in; `None` for more than 32 bits.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        if prefix > 32 {
            return None;
        }
        Some(Self {
            address: Ipv4Addr::from(u32::from(address) & Self::mask(prefix)),
            prefix,
        })
    }

    fn mask(prefix: u8) -> u32 {
        u32::MAX
            .checked_shl(32 - u32::from(prefix))
            .unwrap_or_default()
    }

    /// Returns the `number`-th address.
    #[must_use]
    pub fn host(self, number: u32) -> Ipv4Addr {
        debug_assert_eq!(number & Self::mask(self.prefix), 0, "the host is inside");
        Ipv4Addr::from(u32::from(self.address) | number)
    }

    /// Returns the first address, which the bridge gets.
    #[must_use]
    pub fn gateway(self) -> Ipv4Addr {
        self.host(1)
    }

    /// Returns the address of what answers the agents in AWS's place.
    #[must_use]
    pub fn responder(self) -> Ipv4Addr {
        self.host(RESPONDER_HOST)
    }

    /// Returns whether the two share any address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let mask = Self::mask(self.prefix.min(other.prefix));
        u32::from(self.address) & mask == u32::from(other.address) & mask
    }

    /// Returns the number of bits that all its addresses share.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl std::str::FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            Self::new(address.parse().ok()?, prefix.parse().ok()?)
        };
        parse().ok_or_else(|| SubnetError {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Text which is no IPv4 network.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no IPv4 network (expected ADDRESS/BITS, as 10.84.3.0/24)")]
pub struct SubnetError {
    text: String,
}

/// All that is wrong with a [`ClusterSpec`].
#[derive(Debug, PartialEq, Eq)]
pub struct SpecError {
    /// At least one.
    pub problems: Vec<SpecProblem>,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SpecError {}

impl SpecError {
    /// Returns what to type instead, where there is one best thing.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.problems.iter().find_map(SpecProblem::hint)
    }
}

/// One thing wrong with a [`ClusterSpec`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblem {
    /// The name is no host name label, or too long.
    #[error(
        "cluster name `{name}` is not allowed: expected 1 to {NAME_LEN_MAX} of a-z, 0-9 and `-`, \
         not at the ends"
    )]
    Name {
        /// As given.
        name: String,
    },
    /// Servers vote, so only odd numbers make sense.
    #[error("{servers} servers cannot be: expected 1, 3 or 5{}", why_not(*servers))]
    Servers {
        /// As given.
        servers: u16,
    },
    /// More clients than addresses.
    #[error("{clients} clients are too many: expected at most {CLIENTS_MAX}")]
    Clients {
        /// As given.
        clients: u16,
    },
    /// An architecture was given to an agent that there is not.
    #[error(
        "there is no agent `{agent}` to have an architecture (this cluster has {servers} servers \
         and {clients} clients)"
    )]
    NoSuchAgent {
        /// As given.
        agent: AgentName,
        /// Number of servers.
        servers: u16,
        /// Number of clients.
        clients: u16,
    },
    /// The region is no DNS label.
    #[error(
        "region `{region}` is not allowed: expected 1 to 63 letters, digits and `-` \
         (certificates carry it as a DNS label)"
    )]
    Region {
        /// As given.
        region: String,
    },
    /// A further region has a name that its agents could not carry, or that another region has.
    #[error(
        "further region `{region}` is not allowed: expected 1 to {FURTHER_REGION_LEN_MAX} of a-z, 0-9 and \
         `-`, not at the ends, and no region twice (its agents' names begin with it)"
    )]
    FurtherRegion {
        /// As given.
        region: String,
    },
    /// More regions than there can be.
    #[error("{regions} regions beside the first are too many: expected at most {most}")]
    Regions {
        /// As given.
        regions: usize,
        /// The most; none where the agents are another configuration's.
        most: usize,
    },
    /// The datacenter has characters that Nomad refuses.
    #[error(
        "datacenter `{datacenter}` is not allowed: expected 1 to 128 letters, digits, `-`, `_` \
         and `.`"
    )]
    Datacenter {
        /// As given.
        datacenter: String,
    },
}

impl SpecProblem {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Servers { servers } => {
                let odd = if *servers < 2 {
                    1
                } else if *servers < 5 {
                    3
                } else {
                    5
                };
                Some(format!("rehearse up --servers {odd}"))
            }
            _ => None,
        }
    }
}

/// Tells why a number of servers is refused.
fn why_not(servers: u16) -> &'static str {
    match servers {
        0 => " (without a server there is no cluster)",
        n if n % 2 == 0 => " (an even number tolerates no more failures than one server fewer)",
        _ => " (more voters slow every write down)",
    }
}

/// An agent of the plan: everything about it is known before anything starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentPlan {
    /// Its name.
    pub name: AgentName,
    /// Its role.
    pub role: Role,
    /// Its region, where that is not the cluster's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its address in the cluster's network.
    pub address: Ipv4Addr,
    /// Its architecture.
    pub arch: Arch,
}

impl AgentPlan {
    /// Returns its second address, where there is a metadata service for it: one of the network that the
    /// service's own address (169.254.169.254) is in, so that no route is needed.
    #[must_use]
    pub fn link_local(&self) -> Ipv4Addr {
        let [.., host] = self.address.octets();
        Ipv4Addr::new(169, 254, 10, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let mut spec = ClusterSpec::new("Demo_1", Arch::Amd64);
        spec.servers = 4;
        spec.clients = 201;
        spec.region = "eu.west".to_owned();
        spec.datacenter = "dc*".to_owned();
        let error = spec.validate().unwrap_err();
        insta::assert_snapshot!(error, @r"
        cluster name `Demo_1` is not allowed: expected 1 to 32 of a-z, 0-9 and `-`, not at the ends
        4 servers cannot be: expected 1, 3 or 5 (an even number tolerates no more failures than one server fewer)
        201 clients are too many: expected at most 200
        region `eu.west` is not allowed: expected 1 to 63 letters, digits and `-` (certificates carry it as a DNS label)
        datacenter `dc*` is not allowed: expected 1 to 128 letters, digits, `-`, `_` and `.`
        ");
        assert_eq!(error.hint().unwrap(), "rehearse up --servers 3");
    }

    #[test]
    fn a_cluster_mixes_architectures() {
        let mut spec = ClusterSpec::new("demo", Arch::Amd64);
        spec.set_role_arch(Role::Server, Arch::S390x);
        let two = AgentName::new(Role::Client, 2);
        spec.agent_archs.insert(two.clone(), Arch::Arm64);
        assert_eq!(spec.validate(), Ok(()));
        assert_eq!(spec.archs().len(), 3);
        assert_eq!(spec.archs_of(Role::Server), BTreeSet::from([Arch::S390x]));
        let plan = spec.plan(subnet("10.84.3.0/24"));
        let archs: Vec<Arch> = plan.iter().map(|agent| agent.arch).collect();
        let servers = [Arch::S390x; 3];
        let clients = [Arch::Amd64, Arch::Arm64, Arch::Amd64];
        assert_eq!(archs, [servers, clients].concat());
        spec.clients = 1;
        let error = spec.validate().unwrap_err();
        assert_eq!(
            error.problems,
            [SpecProblem::NoSuchAgent {
                agent: two,
                servers: 3,
                clients: 1
            }]
        );
    }

    #[test]
    fn only_one_three_or_five_servers_pass() {
        for servers in 0..9 {
            let mut spec = ClusterSpec::new("demo", Arch::Amd64);
            spec.servers = servers;
            assert_eq!(
                spec.validate().is_ok(),
                [1, 3, 5].contains(&servers),
                "{servers} servers"
            );
        }
    }

    #[test]
    fn a_plan_gives_every_agent_its_own_address() {
        let mut spec = ClusterSpec::new("demo", Arch::Amd64);
        spec.servers = 5;
        spec.clients = CLIENTS_MAX;
        let network = subnet("10.84.3.0/24");
        let plan = spec.plan(network);
        let addresses: std::collections::BTreeSet<_> = plan.iter().map(|a| a.address).collect();
        assert_eq!(addresses.len(), 205);
        assert!(!addresses.contains(&network.gateway()));
        assert!(!addresses.contains(&Ipv4Addr::new(10, 84, 3, 255)));
        assert!(
            addresses
                .iter()
                .all(|a| network.overlaps(Subnet::new(*a, 32).unwrap()))
        );
        assert_eq!(plan[0].name.as_str(), "server-1");
        assert_eq!(plan[5].name.as_str(), "client-1");
    }

    #[test]
    fn every_region_has_agents_and_addresses_of_its_own() {
        let mut spec = ClusterSpec::new("demo", Arch::Amd64);
        spec.region = "east".to_owned();
        spec.further_regions = vec!["west".to_owned(), "north".to_owned()];
        (spec.servers, spec.clients) = (5, 60);
        assert_eq!(spec.validate(), Ok(()));
        let plan = spec.plan(subnet("10.84.3.0/24"));
        let addresses: BTreeSet<_> = plan.iter().map(|agent| agent.address).collect();
        let names: BTreeSet<_> = plan.iter().map(|agent| &agent.name).collect();
        assert_eq!((addresses.len(), names.len()), (195, 195));
        assert_eq!(plan[5].name.as_str(), "west-server-1");
        assert_eq!(plan[5].region.as_deref(), Some("west"));
        assert_eq!(plan[5].address, Ipv4Addr::new(10, 84, 3, 221));
        assert!(plan[..15].iter().all(|agent| agent.role == Role::Server));
        assert_eq!(
            (plan[0].region.as_deref(), spec.region_of(&plan[0])),
            (None, "east")
        );
        assert_eq!(spec.names(Role::Client).count(), 180);

        spec.clients = 100;
        let wrong = ["West", "east", "a-region-too-long", "x"];
        spec.further_regions = wrong.map(str::to_owned).to_vec();
        let told = spec.validate().unwrap_err().to_string();
        assert!(
            told.starts_with("500 clients are too many: expected at most 200\n"),
            "{told}"
        );
        for region in &wrong[..3] {
            assert!(
                told.contains(&format!("further region `{region}` is not allowed")),
                "{told}"
            );
        }
        assert_eq!(told.lines().count(), 4, "{told}");
    }

    #[test]
    fn networks_overlap_whichever_is_the_larger() {
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.84.3.0/24")));
        assert!(subnet("10.84.3.0/24").overlaps(subnet("10.0.0.0/8")));
        assert!(!subnet("10.84.3.0/24").overlaps(subnet("10.84.4.0/24")));
        assert!(subnet("0.0.0.0/0").overlaps(subnet("192.168.1.0/24")));
        assert!("10.0.0.0/33".parse::<Subnet>().is_err());
        assert!("10.0.0/8".parse::<Subnet>().is_err());
        assert_eq!(subnet("10.84.3.9/24").to_string(), "10.84.3.0/24");
    }
}
