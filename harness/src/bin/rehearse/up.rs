//! `rehearse up`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use nomad_harness::engine::{EngineKind, EngineRequest};
use nomad_harness::spec::{Arch, ClusterSpec};
use nomad_harness::target::docker::{DockerCluster, Options, bring_up};
use nomad_harness::target::{AgentInfo, EngineInfo, Target as _};
use serde::Serialize;

use super::failure::Failure;
use super::output::{self, Format};
use super::view::View;
use super::words::DEFAULT_CLUSTER;
use super::{Context, env};

/// Time that an emulated cluster gets, in times of a native one's.
const EMULATED_FACTOR: u32 = 5;
/// How long a cluster may take to be ready, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Bring up a secured cluster, and wait until it is ready.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster's name.
    #[arg(default_value = DEFAULT_CLUSTER)]
    name: String,
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
    /// An image with Nomad in it.
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
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
    /// Leave what was made when the cluster does not come up.
    #[arg(long)]
    keep: bool,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Up<'a> {
    name: &'a str,
    engine: &'a EngineInfo,
    ready_after_ms: u128,
    subnet: String,
    agents: &'a [AgentInfo],
    folder: String,
    env: BTreeMap<&'static str, String>,
}

/// Brings the cluster up.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let (spec, request) = read(&args)?;
    // What makes no sense is told before Docker is asked.
    spec.validate()
        .map_err(nomad_harness::target::docker::UpError::Spec)?;
    let docker = context.docker().await?;
    let emulated = Arch::host() != Some(spec.arch);
    let default = if emulated { TIMEOUT * EMULATED_FACTOR } else { TIMEOUT };
    let options = Options {
        timeout: args.timeout.map_or(default, Duration::from_secs),
        keep: args.keep,
        ephemeral: false,
    };
    let view = View::new();
    let cluster = bring_up(
        &spec,
        &request,
        &options,
        &context.environment,
        docker,
        view.progress(),
        interrupted().boxed(),
    )
    .await?;
    drop(view);
    report(&cluster, start.elapsed(), context.format);
    Ok(ExitCode::SUCCESS)
}

fn report(cluster: &DockerCluster, after: Duration, format: Format) {
    let variables = env::variables(cluster, &cluster.agents()[0]);
    if format == Format::Json {
        output::json(&Up {
            name: cluster.name(),
            engine: cluster.engine(),
            ready_after_ms: after.as_millis(),
            subnet: cluster.record().subnet.to_string(),
            agents: cluster.agents(),
            folder: cluster.folder().path().display().to_string(),
            env: variables,
        });
        return;
    }
    let spec = &cluster.record().spec;
    let count = |number: u16, word: &str| match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    };
    let name = cluster.name();
    let argument = match name {
        DEFAULT_CLUSTER => String::new(),
        _ => format!(" {name}"),
    };
    output::text(&format!(
        "cluster `{name}` is ready after {:.1} s: {}, {}, {}\n  \
         eval \"$(rehearse env{argument})\"    # then nomad, curl, Terraform work\n  \
         rehearse status{argument}\n  \
         rehearse down{argument}",
        after.as_secs_f64(),
        count(spec.servers, "server"),
        count(spec.clients, "client"),
        cluster.engine().label(),
    ));
}

/// Reads the command line into what the library takes.
fn read(args: &Args) -> Result<(ClusterSpec, EngineRequest), Failure> {
    let host = || {
        let known = "expected one of amd64, arm64, s390x: rehearse up --arch ARCH";
        Arch::host().ok_or_else(|| {
            Failure::input(format!(
                "this machine's architecture `{}` is not supported ({known})",
                std::env::consts::ARCH
            ))
        })
    };
    let mut binaries = BTreeMap::new();
    for text in &args.nomad_binary {
        let (arch, path) = match text.split_once('=') {
            Some((arch, path)) => (arch.parse::<Arch>().map_err(Failure::input)?, path),
            None => (args.arch.map_or_else(host, Ok)?, text.as_str()),
        };
        binaries.insert(arch, PathBuf::from(path));
    }
    // A single binary of one other architecture says which one is meant.
    let arch = match (args.arch, binaries.len()) {
        (Some(arch), _) => arch,
        (None, 1) => *binaries.keys().next().expect("there is one"),
        (None, _) => host()?,
    };
    let mut spec = ClusterSpec::new(&args.name, arch);
    spec.servers = args.servers;
    spec.clients = args.clients;
    spec.region.clone_from(&args.region);
    spec.datacenter.clone_from(&args.datacenter);
    for text in &args.set {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| {
                Failure::input(format!("`--set {text}` is not understood (expected KEY=VALUE)"))
            })?;
        spec.set.insert(key.to_owned(), value.to_owned());
    }
    let request = EngineRequest {
        kind: args.engine,
        version: args.nomad_version.clone(),
        binaries,
        image: args.image.clone(),
    };
    Ok((spec, request))
}

/// Ends when the user or the system asks the process to end.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let of = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => signals.recv().await,
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = of(SignalKind::interrupt()) => {}
        _ = of(SignalKind::terminate()) => {}
        _ = of(SignalKind::hangup()) => {}
    }
}
