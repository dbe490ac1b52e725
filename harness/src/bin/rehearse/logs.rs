//! `rehearse logs`.

use std::process::ExitCode;

use futures::StreamExt as _;
use nomad_harness::docker::DockerEngine as _;

use super::Context;
use super::failure::Failure;
use super::output;
use super::words;

/// Print agents' logs.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster, and its agents (all unless they are named).
    #[arg(value_name = words::CLUSTER_AND_AGENTS)]
    words: Vec<String>,
    /// Go on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines of each.
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
}

/// Prints the logs; with several agents, each line begins with its agent.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let named = words::sort(&args.words)?;
    let cluster = context.open(&named.cluster).await?;
    let agents = cluster.named(&named.agents)?;
    let several = agents.len() > 1;
    let width = agents
        .iter()
        .map(|agent| agent.as_str().len())
        .max()
        .unwrap_or(0);
    let docker = context.docker().await?;
    let streams = agents.iter().map(|agent| {
        let log = docker.logs(cluster.container(agent), args.tail, args.follow);
        let head = if several {
            format!("{agent:<width$} | ", agent = agent.as_str())
        } else {
            String::new()
        };
        log.map(move |piece| (head.clone(), piece)).boxed()
    });
    let mut all = if args.follow {
        futures::stream::select_all(streams).boxed()
    } else {
        futures::stream::iter(streams).flatten().boxed()
    };
    while let Some((head, piece)) = all.next().await {
        let piece = piece?;
        let text = String::from_utf8_lossy(piece.bytes());
        let lines: String = text
            .split_inclusive('\n')
            .map(|line| format!("{head}{line}"))
            .collect();
        if !output::bytes(lines.as_bytes()) {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}
