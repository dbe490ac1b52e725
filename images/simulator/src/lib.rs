//! The program inside rehearsal containers: a simulated Nomad agent with real Raft, gossip,
//! TLS and processes; the workload that sample jobs run; and in-container network tools.
//!
//! The folders read like Nomad's own parts. State changes in one place only, by applying log
//! entries (`state`); `scheduler` and `deployments` are pure functions over a snapshot.

pub mod acl;
mod agent;
pub mod client;
pub mod client_agent;
pub mod clock;
pub mod cloud;
mod command_line;
pub mod config;
pub mod consensus;
pub mod deployments;
pub mod drivers;
pub mod events;
pub mod gossip;
pub mod grants;
pub mod hcl_text;
#[cfg(all(test, target_os = "linux"))]
mod history;
pub mod http;
pub mod ingress;
pub mod job_diff;
pub mod jobspec;
pub mod leader;
mod logging;
pub mod periodic;
pub mod plant;
pub mod raft;
pub mod rpc;
pub mod scheduler;
pub mod selftest;
pub mod server;
#[cfg(test)]
mod solo;
mod spelling;
pub mod state;
pub mod tools;
pub mod types;
mod version;
pub mod workload;

pub use agent::TIME_SCALE;
pub use spelling::nearest;
pub use version::ANNOUNCED;

/// Version of Nomad whose behaviour and API are followed.
pub const FOLLOWS: &str = "1.8.3";

/// Returns a text without the byte order mark that some editors put before it: no language here has one, and
/// Nomad passes over it.
#[must_use]
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What runs a part of the program.
type Part = fn(&[String]) -> std::process::ExitCode;

/// The parts of this program that the harness's command has, too, by the first argument that
/// selects them.
const PARTS: &[(&str, Part)] = &[
    ("agent", command_line::run_agent),
    ("workload", workload::run),
    ("ingress", ingress::run),
    ("net", tools::net),
    ("data", tools::data),
    ("df", tools::df),
    ("after", tools::after),
    ("cloud", cloud::run),
    ("selftest", selftest::main),
    ("grants", |_| grants::main()),
];

/// Whether a first argument selects a part of this program, rather than one of the harness's
/// commands.
#[must_use]
pub fn is_part(word: &str) -> bool {
    PARTS.iter().any(|(name, _)| *name == word)
}

/// Runs the part of the program that `args` (without the program's name) selects.
#[must_use]
pub fn main(args: &[String]) -> std::process::ExitCode {
    let (part, rest) = match args.split_first() {
        Some((part, rest)) => (part.as_str(), rest),
        None => ("", args),
    };
    if let Some((_, run)) = PARTS.iter().find(|(name, _)| *name == part) {
        return run(rest);
    }
    if part == "config" {
        return command_line::run_config(rest);
    }
    let parts: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
    let problem = format!("unknown part `{part}`");
    command_line::usage(&problem, &format!("Parts: {}, config\n", parts.join(", ")))
}
