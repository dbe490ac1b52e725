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

#[cfg(test)]
mod tests {
    use super::*;

    /// clap_complete writes what is said of a value into fish's double quotes as it is: fish would run a
    /// `$(…)` whenever it loads the completions, and its result could be a token.
    fn assert_harmless(command: &clap::Command) {
        for argument in command.get_arguments() {
            for value in argument.get_possible_values() {
                let help = value.get_help().map(ToString::to_string);
                let help = help.unwrap_or_default();
                assert!(
                    !help.contains(['$', '"', '\\']),
                    "{} of {}: {help}",
                    value.get_name(),
                    command.get_name()
                );
            }
        }
        command.get_subcommands().for_each(assert_harmless);
    }

    #[test]
    fn what_is_said_of_a_value_is_nothing_that_a_shell_would_run() {
        assert_harmless(&crate::Cli::command());
    }
}
