//! The program's command line, in the form that Nomad's own takes: `agent -config PATH`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::{agent, config, logging};

const AGENT_HELP: &str = "\
Usage: nomad agent [options]

  Starts a simulated Nomad agent and runs until an interrupt is received.

  -config=<path>    File or folder of configuration files; may be given several times,
                    later ones win.
  -h, -help         This text.
";

const CONFIG_HELP: &str = "Usage: nomad config validate <path> [<path> ...]\n";

/// Wrong command line.
const USAGE: u8 = 2;

/// `agent ...`.
pub(crate) fn run_agent(args: &[String]) -> ExitCode {
    let mut paths = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        match name {
            "-config" | "--config" => match value.or_else(|| args.next().cloned()) {
                Some(path) => paths.push(PathBuf::from(path)),
                None => return usage("`-config` needs a path", AGENT_HELP),
            },
            "-h" | "-help" | "--help" => {
                logging::print(AGENT_HELP);
                return ExitCode::SUCCESS;
            }
            _ => return usage(&format!("unknown argument `{arg}`"), AGENT_HELP),
        }
    }
    if paths.is_empty() {
        return usage("expected `-config PATH`", AGENT_HELP);
    }
    agent::run(&paths)
}

/// `config validate PATH ...`: needs neither network nor privileges.
pub(crate) fn run_config(args: &[String]) -> ExitCode {
    match args.split_first() {
        Some((word, paths)) if word == "validate" && !paths.is_empty() => {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            match config::load(&paths) {
                Ok(_) => {
                    logging::print("Configuration is valid!");
                    ExitCode::SUCCESS
                }
                Err(problem) => {
                    logging::print(&problem.to_string());
                    ExitCode::FAILURE
                }
            }
        }
        _ => usage("expected `validate PATH`", CONFIG_HELP),
    }
}

/// Says what is wrong and how it should be.
pub(crate) fn usage(problem: &str, help: &str) -> ExitCode {
    logging::print(&format!("error: {problem}\n\n{help}"));
    ExitCode::from(USAGE)
}
