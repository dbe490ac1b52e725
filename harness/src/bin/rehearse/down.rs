//! `rehearse down`.

use std::process::ExitCode;

use nomad_harness::target::docker::tear_down;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::view::View;
use super::words;

/// Remove a cluster whole: containers, network, volumes, keys and tokens.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster.
    #[arg(default_value = words::default_cluster())]
    name: String,
}

/// Removes the cluster, however much of it is left.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let docker = context.docker().await?;
    let view = View::new();
    let swept = tear_down(
        &args.name,
        docker.as_ref(),
        &context.root(),
        view.progress(),
    )
    .await?;
    drop(view);
    match context.format {
        Format::Json => output::json(&swept),
        Format::Text => output::text(&format!("cluster `{}` is gone", args.name)),
    }
    Ok(ExitCode::SUCCESS)
}
