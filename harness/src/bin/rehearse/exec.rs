//! `rehearse exec`.

use std::io::Write as _;
use std::process::ExitCode;

use futures::StreamExt as _;
use nomad_harness::docker::{DockerEngine as _, Output};

use super::Context;
use super::failure::Failure;
use super::words;

/// Run a command in an agent's container. Images made here hold no shell, but the agent's own
/// program: `rehearse exec server-1 -- /usr/local/bin/nomad version`.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster, and the agent.
    #[arg(value_name = words::CLUSTER_AND_SOME_AGENT, required = true)]
    words: Vec<String>,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs the command, and ends with its exit code.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let named = words::sort(&args.words)?;
    let cluster = context.open(&named.cluster).await?;
    let [agent] = named.agents.as_slice() else {
        return Err(Failure::input("`exec` runs on exactly one agent")
            .hint("rehearse exec server-1 -- COMMAND"));
    };
    let agents = cluster.named(std::slice::from_ref(agent))?;
    let docker = context.docker().await?;
    let mut running = docker
        .exec(cluster.container(&agents[0]), &args.command)
        .await?;
    while let Some(piece) = running.output.next().await {
        let outcome = match piece? {
            Output::Out(bytes) => std::io::stdout().write_all(&bytes),
            Output::Err(bytes) => std::io::stderr().write_all(&bytes),
        };
        // Nobody reads any more, as after `| head`: no error, and no code to wait for.
        if outcome.is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let code = docker.exec_code(&running.id).await?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
