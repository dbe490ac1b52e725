//! What cluster is asked for on a command line: `up` and `run` read it alike.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nomad_harness::engine::{EngineKind, EngineRequest};
use nomad_harness::spec::{Arch, ClusterSpec};

use super::failure::Failure;

/// Time that an emulated cluster gets, in times of a native one's.
const EMULATED_FACTOR: u32 = 5;
/// How long a cluster may take to be ready, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The options that say what cluster is wanted.
#[derive(clap::Args)]
pub struct ClusterArgs {
    /// Number of servers: 1, 3 or 5.
    #[arg(long, default_value_t = 3)]
    servers: u16,
    /// Number of clients.
    #[arg(long, default_value_t = 3)]
    clients: u16,
    /// Where the agents' program comes from: auto, simulator, binary, release, image.
    #[arg(long, default_value_t = EngineKind::Auto)]
    engine: EngineKind,
    /// Version of Nomad: of the release to get, or what the binary is expected to be.
    #[arg(long, value_name = "VERSION")]
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
    /// Nomad's region.
    #[arg(long, default_value = "global")]
    region: String,
    /// Nomad's datacenter.
    #[arg(long, default_value = "dc1")]
    datacenter: String,
    /// How long it may take until the cluster is ready, in seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Extra agent configuration, as `server.raft_multiplier=2`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ClusterArgs {
    /// Returns how long the cluster may take to be ready.
    pub fn timeout(&self, spec: &ClusterSpec) -> Duration {
        let emulated = Arch::host() != Some(spec.arch);
        let default = if emulated {
            TIMEOUT * EMULATED_FACTOR
        } else {
            TIMEOUT
        };
        self.timeout.map_or(default, Duration::from_secs)
    }

    /// Reads the options into what the library takes.
    pub fn read(&self, name: &str) -> Result<(ClusterSpec, EngineRequest), Failure> {
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
            (None, 1) => *binaries.keys().next().expect("there is one"),
            (None, _) => host()?,
        };
        let mut spec = ClusterSpec::new(name, arch);
        spec.servers = self.servers;
        spec.clients = self.clients;
        spec.region.clone_from(&self.region);
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
        };
        Ok((spec, request))
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
