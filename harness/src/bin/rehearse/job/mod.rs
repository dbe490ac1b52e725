//! `rehearse job`.

mod check;
mod run;
mod status;
mod story;

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use super::failure::Failure;

/// Check job files, run them on a cluster, and follow what becomes of them.
///
/// What `nomad job` does, as far as a rehearsal needs it, where that command is not at hand.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Run(run::Args),
    Status(status::Args),
    Stop(status::StopArgs),
}

/// Runs a subcommand.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Check(args) => check::run(&args, context),
        Command::Run(args) => run::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Stop(args) => status::stop(args, context).await,
    }
}
