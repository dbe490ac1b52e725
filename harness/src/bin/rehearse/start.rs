//! `rehearse start`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use nomad_harness::scenario::duration_or_seconds;
use nomad_harness::target::Target as _;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};
use super::view::View;
use super::words;

/// How long a cluster of this machine's architecture may take to be ready, unless it is said.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Start a stopped cluster, or some of its agents: same addresses, same data.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster, and its agents (all unless they are named).
    #[arg(value_name = words::CLUSTER_AND_AGENTS)]
    words: Vec<String>,
    /// How long a whole cluster may take until it is ready, as `90s` or `5m` [default: 120s, and as
    /// many times more as emulated agents are slower].
    #[arg(long, value_name = "TIME", value_parser = duration_or_seconds)]
    timeout: Option<Duration>,
}

/// Starts the agents; a whole cluster is waited for until it is ready.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let named = words::sort(&args.words)?;
    let cluster = context.open(&named.cluster).await?;
    let agents = cluster.named(&named.agents)?;
    let silent = cluster.start_agents(&agents).await?;
    if named.agents.is_empty() {
        let view = View::new();
        let by_itself = || cluster.engine_info().slowness.allowed(TIMEOUT);
        let timeout = args.timeout.unwrap_or_else(by_itself);
        cluster.wait_ready(timeout, view.progress()).await?;
    }
    match context.format {
        Format::Json => output::json(&serde_json::json!({
            "started": agents,
            "no_answer_yet": silent,
            "after_ms": start.elapsed().as_millis(),
        })),
        Format::Text => {
            output::text(&format!(
                "started {} of cluster `{}` in {:.1} s",
                super::stop::list(&agents),
                named.cluster,
                start.elapsed().as_secs_f64()
            ));
            for agent in &silent {
                output::text(&format!(
                    "  {} runs and does not answer yet: rehearse logs {} {agent}",
                    cluster.called(agent),
                    named.cluster
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
