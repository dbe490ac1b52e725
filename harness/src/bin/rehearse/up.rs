//! `rehearse up`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use nomad_harness::target::docker::{DockerCluster, Options, bring_up};
use nomad_harness::target::{AgentInfo, EngineInfo, Target as _};
use serde::Serialize;

use super::cluster_args::ClusterArgs;
use super::failure::Failure;
use super::output::{self, Format};
use super::view::View;
use super::words::DEFAULT_CLUSTER;
use super::{Context, env};

/// Bring up a secured cluster, and wait until it is ready.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster's name.
    #[arg(default_value = DEFAULT_CLUSTER)]
    name: String,
    #[command(flatten)]
    cluster: ClusterArgs,
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
    let (spec, request) = args.cluster.read(&args.name)?;
    // What makes no sense is told before Docker is asked.
    spec.validate()
        .map_err(nomad_harness::target::docker::UpError::Spec)?;
    let docker = context.docker().await?;
    let options = Options {
        timeout: args.cluster.timeout(&spec),
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
