//! `rehearse ls`.

use std::process::ExitCode;

use nomad_harness::target::docker::list;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};

/// List the clusters of this Docker engine.
#[derive(clap::Args)]
pub struct Args {}

/// Sweeps what killed processes left, and lists the rest.
pub async fn run(_: Args, context: &Context) -> Result<ExitCode, Failure> {
    let docker = context.docker().await?;
    let root = context.root();
    super::sweep::leftovers(docker.as_ref(), &root).await?;
    let clusters = list(docker.as_ref(), &root).await?;
    if context.format == Format::Json {
        output::json(&clusters);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = clusters
        .iter()
        .map(|cluster| {
            vec![
                cluster.name.clone(),
                cluster.health.to_string(),
                cluster.agents.to_string(),
                cluster.engine.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if rows.is_empty() {
        output::text("no clusters");
    } else {
        output::text(&output::table(
            &["Name", "State", "Agents", "Engine"],
            &rows,
        ));
    }
    Ok(ExitCode::SUCCESS)
}
