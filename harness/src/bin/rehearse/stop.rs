//! `rehearse stop`.

use std::process::ExitCode;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::words;

/// Stop a cluster, or some of its agents. `start` brings them back with addresses and data.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster, and its agents (all unless they are named).
    #[arg(value_name = words::CLUSTER_AND_AGENTS)]
    words: Vec<String>,
}

/// Stops the agents.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let named = words::sort(&args.words)?;
    let cluster = context.open(&named.cluster).await?;
    let agents = cluster.named(&named.agents)?;
    cluster.stop_agents(&agents).await?;
    match context.format {
        Format::Json => output::json(&serde_json::json!({ "stopped": agents })),
        Format::Text => output::text(&format!(
            "stopped {} of cluster `{}`",
            list(&agents),
            named.cluster
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes names as a list.
pub fn list(agents: &[nomad_harness::spec::AgentName]) -> String {
    let names: Vec<String> = agents.iter().map(|agent| format!("`{agent}`")).collect();
    names.join(", ")
}
