//! `rehearse completions`.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::failure::Failure;
use super::output;

/// Print a shell's completions: `rehearse completions bash > /etc/bash_completion.d/rehearse`.
#[derive(clap::Args)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the completions.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    let mut command = super::Cli::command();
    clap_complete::generate(args.shell, &mut command, "rehearse", &mut script);
    output::bytes(&script);
    Ok(ExitCode::SUCCESS)
}
