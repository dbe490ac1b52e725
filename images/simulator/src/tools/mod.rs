//! Tools in containers that hold nothing else: no shell, no `ip`, no `df`.

mod after;
mod data;
mod df;
mod net;

use std::process::ExitCode;

/// Programs that are looked up by name in containers and are played by this one: images made
/// here link these names to it.
pub const PLAYED: &[&str] = &["df"];

/// Returns the process's arguments; when it was called by the name of a program that it plays,
/// that name goes first. (An emulator hands the path over as the name, which serves as well.)
#[must_use]
pub fn arguments() -> Vec<String> {
    let mut args = std::env::args();
    let called = args.next().unwrap_or_default();
    let name = called.rsplit('/').next().unwrap_or_default();
    let played = PLAYED.iter().find(|known| **known == name);
    played
        .map(|name| (*name).to_owned())
        .into_iter()
        .chain(args)
        .collect()
}

/// Runs `net`: cuts this network namespace off from addresses, heals it, tells its state.
#[must_use]
pub fn net(args: &[String]) -> ExitCode {
    report(net::run(args))
}

/// Runs `after`: waits for addresses, then becomes another command.
#[must_use]
pub fn after(args: &[String]) -> ExitCode {
    report(after::run(args).map(|never| match never {}))
}

/// Runs `data`: does to an agent's data what a fault does.
#[must_use]
pub fn data(args: &[String]) -> ExitCode {
    report(data::run(args))
}

/// Runs `df -kP PATH...`: Nomad reads a client's disk from it.
#[must_use]
pub fn df(args: &[String]) -> ExitCode {
    report(df::run(args))
}

/// Prints what a tool found, or why it did not.
pub(crate) fn report(outcome: Result<String, impl std::error::Error>) -> ExitCode {
    use std::io::Write as _;
    match outcome {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            // Nobody is left to tell when standard error is closed, too.
            drop(writeln!(std::io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}
