//! What cluster is asked for on a command line: `up` and `run` read it alike.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nomad_harness::engine::{EngineKind, EngineRequest};
use nomad_harness::scenario::{self, Scenario};
use nomad_harness::spec::{AgentName, Arch, ClusterSpec, DataSize, Role};
use nomad_harness::time_scale::TimeScale;

use super::failure::Failure;

/// The options that say what cluster is wanted.
#[derive(clap::Args)]
pub struct ClusterArgs {
    /// Number of servers, in each region: 1, 3 or 5 [default: 3, or what a scenario needs].
    #[arg(long)]
    servers: Option<u16>,
    /// Number of clients, in each region [default: 3, or what a scenario needs].
    #[arg(long)]
    clients: Option<u16>,
    /// Where the agents' program comes from: auto, simulator, binary, release, image.
    #[arg(long, default_value_t = EngineKind::Auto)]
    engine: EngineKind,
    /// Version of Nomad: of the release to get, or what the binary is expected to be.
    #[arg(long, value_name = "VERSION", value_parser = super::words::nomad_version)]
    nomad_version: Option<semver::Version>,
    /// A Nomad binary, with its architecture where it is another than this machine's.
    #[arg(long, value_name = "[ARCH=]PATH")]
    nomad_binary: Vec<String>,
    /// Where HashiCorp's releases are had: a mirror's address [env: REHEARSE_RELEASES]
    #[arg(long, value_name = "URL")]
    releases: Option<String>,
    /// A copy of HashiCorp's release key, by which releases are verified
    /// [env: REHEARSE_RELEASE_KEY]
    #[arg(long, value_name = "FILE")]
    release_key: Option<PathBuf>,
    /// A licence of Nomad Enterprise, for the servers of a version with `+ent`; it goes into files of
    /// theirs alone [env: NOMAD_LICENSE_PATH]
    #[arg(long, value_name = "FILE")]
    license: Option<PathBuf>,
    /// Make Nomad's timers run N times faster: simulated agents only. Scenarios' times are
    /// Nomad's, and get shorter accordingly.
    #[arg(long, value_name = "N", default_value_t = TimeScale::default())]
    time_scale: TimeScale,
    /// Plant a defect: simulated agents only.
    #[arg(long, value_name = "NAME", hide = true)]
    plant: Option<String>,
    /// What scenarios may upgrade the agents to: a version, or the path of a binary; an image, for
    /// `--engine image`. Simulated agents say that they are of that version, or of the next one.
    #[arg(long, value_name = "VERSION|PATH|IMAGE")]
    upgrade_to: Option<String>,
    /// An image with Nomad in it.
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
    /// An image to put a binary or a release into; without one, an image is made of the file's own
    /// needs.
    #[arg(long, value_name = "REFERENCE")]
    base_image: Option<String>,
    /// Architecture of the agents: amd64, arm64, s390x.
    #[arg(long)]
    arch: Option<Arch>,
    /// Architecture of the servers, where it is another.
    #[arg(long, value_name = "ARCH")]
    server_arch: Option<Arch>,
    /// Architecture of the clients, where it is another.
    #[arg(long, value_name = "ARCH")]
    client_arch: Option<Arch>,
    /// Architecture of a single agent, as `client-2=arm64`.
    #[arg(long, value_name = "AGENT=ARCH")]
    agent_arch: Vec<String>,
    /// Nomad's region. Several, as `east,west`, are federated: each has as many servers and clients, and the
    /// first is the authoritative one [default: global, or what a scenario needs].
    #[arg(
        long,
        default_value = "global",
        hide_default_value = true,
        value_delimiter = ','
    )]
    region: Vec<String>,
    /// Nomad's datacenter.
    #[arg(long, default_value = "dc1")]
    datacenter: String,
    /// Give each agent's data a file system of this size, in memory, so that scenarios can fill it: 64MiB
    /// to 64GiB [default: the engine's disk, or 1GiB where a scenario needs it].
    #[arg(long, value_name = "SIZE")]
    data_size: Option<DataSize>,
    /// How long it may take until the cluster is ready, as `90s` or `5m` [default: 60s, and as many
    /// times more as emulated agents are slower].
    #[arg(long, value_name = "TIME", value_parser = scenario::duration_or_seconds)]
    pub timeout: Option<Duration>,
    /// Extra agent configuration, as `server.raft_multiplier=2`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// How many agents a cluster has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// In each region.
    pub servers: u16,
    /// In each region.
    pub clients: u16,
    /// Regions that a scenario wants; empty for those of the command line.
    pub regions: Vec<String>,
    /// How many times faster its timers run; of simulated agents only.
    pub time_scale: TimeScale,
    /// How large the file systems of its agents' data are, where that is fixed.
    pub data_size: Option<DataSize>,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            servers: 3,
            clients: 3,
            regions: Vec::new(),
            time_scale: TimeScale::default(),
            data_size: None,
        }
    }
}

impl Size {
    pub fn agents(&self) -> u64 {
        let regions = u64::try_from(self.regions.len()).unwrap_or(u64::MAX);
        regions.max(1) * (u64::from(self.servers) + u64::from(self.clients))
    }
}

impl ClusterArgs {
    /// Returns the size of a cluster that is to have at least so many agents: what was said on
    /// the command line stands, whatever a scenario needs.
    pub fn size_for(&self, scenario: &Scenario) -> Size {
        let most = scenario.max_time_scale.unwrap_or(self.time_scale);
        let size = self.size_of(
            scenario.servers,
            scenario.clients,
            self.time_scale.min(most),
        );
        let size = Size {
            data_size: size.data_size.or_else(|| scenario.data_size()),
            ..size
        };
        if scenario.regions.is_empty() || self.region.len() > 1 {
            return size;
        }
        let enough = u16::try_from(scenario.clients).unwrap_or(u16::MAX);
        Size {
            // Every region has them: no more than it takes.
            clients: self.clients.unwrap_or(enough),
            regions: scenario.regions.clone(),
            ..size
        }
    }

    fn size_of(&self, servers: usize, clients: usize, time_scale: TimeScale) -> Size {
        let usual = Size::default();
        let enough = if servers > 3 { 5 } else { usual.servers };
        let clients = u16::try_from(clients).unwrap_or(u16::MAX);
        Size {
            servers: self.servers.unwrap_or(enough),
            clients: self.clients.unwrap_or_else(|| usual.clients.max(clients)),
            regions: usual.regions,
            time_scale,
            data_size: self.data_size,
        }
    }

    /// Returns the time scale that was asked for.
    pub fn time_scale(&self) -> TimeScale {
        self.time_scale
    }

    /// Whether the agents are surely simulated ones.
    pub fn is_simulated(&self) -> bool {
        self.engine == EngineKind::Simulator
    }

    /// Tells what makes no sense, before anything starts.
    pub fn check(&self) -> Result<(), Failure> {
        let (spec, _) = self.read("check")?;
        spec.validate()
            .map_err(nomad_harness::target::docker::UpError::Spec)?;
        Ok(())
    }

    /// Reads the options into what the library takes.
    pub fn read(&self, name: &str) -> Result<(ClusterSpec, EngineRequest), Failure> {
        self.read_of_size(name, &self.size_of(0, 0, self.time_scale))
    }

    /// As [`ClusterArgs::read`], for a cluster of this size.
    pub fn read_of_size(
        &self,
        name: &str,
        size: &Size,
    ) -> Result<(ClusterSpec, EngineRequest), Failure> {
        let mut binaries = BTreeMap::new();
        for text in &self.nomad_binary {
            let (arch, path) = match text.split_once('=') {
                Some((arch, path)) => (arch.parse::<Arch>().map_err(Failure::input)?, path),
                None => (self.arch.map_or_else(host, Ok)?, text.as_str()),
            };
            binaries.insert(arch, PathBuf::from(path));
        }
        // A single binary of one other architecture says which one is meant.
        let arch = match (self.arch, binaries.len()) {
            (Some(arch), _) => arch,
            (None, 1) if self.server_arch.is_none() && self.client_arch.is_none() => {
                *binaries.keys().next().expect("there is one")
            }
            (None, _) => host()?,
        };
        let mut spec = ClusterSpec::new(name, arch);
        spec.servers = size.servers;
        spec.clients = size.clients;
        let regions = match size.regions.as_slice() {
            [] => &self.region,
            wanted => wanted,
        };
        let mut regions = regions.iter().cloned();
        spec.region = regions.next().unwrap_or_default();
        spec.further_regions = regions.collect();
        spec.data_size = size.data_size;
        self.read_archs(&mut spec)?;
        spec.datacenter.clone_from(&self.datacenter);
        for text in &self.set {
            let (key, value) = text
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| {
                    Failure::input(format!(
                        "`--set {text}` is not understood (expected KEY=VALUE)"
                    ))
                })?;
            spec.set.insert(key.to_owned(), value.to_owned());
        }
        let request = EngineRequest {
            kind: self.engine,
            version: self.nomad_version.clone(),
            binaries,
            image: self.image.clone(),
            base_image: self.base_image.clone(),
            releases: self.releases.clone(),
            release_key: self.release_key.clone(),
            license: self.license.clone(),
            time_scale: size.time_scale,
            plant: self.plant.clone(),
            upgrade_to: self.upgrade_to.clone(),
        };
        Ok((spec, request))
    }
}

impl ClusterArgs {
    /// Reads who has another architecture than the rest: roles first, then single agents.
    fn read_archs(&self, spec: &mut ClusterSpec) -> Result<(), Failure> {
        let roles = [
            (Role::Server, self.server_arch),
            (Role::Client, self.client_arch),
        ];
        for (role, arch) in roles {
            if let Some(arch) = arch {
                spec.set_role_arch(role, arch);
            }
        }
        for text in &self.agent_arch {
            let (agent, arch) = text.split_once('=').ok_or_else(|| {
                Failure::input(format!(
                    "`--agent-arch {text}` is not understood (expected AGENT=ARCH, as `client-2=arm64`)"
                ))
            })?;
            let arch = arch.parse().map_err(Failure::input)?;
            spec.agent_archs.insert(AgentName(agent.to_owned()), arch);
        }
        Ok(())
    }
}

fn host() -> Result<Arch, Failure> {
    let known = "expected one of amd64, arm64, s390x: rehearse up --arch ARCH";
    Arch::host().ok_or_else(|| {
        Failure::input(format!(
            "this machine's architecture `{}` is not supported ({known})",
            std::env::consts::ARCH
        ))
    })
}
