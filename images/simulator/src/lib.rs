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
mod command_line;
pub mod config;
pub mod consensus;
pub mod deployments;
pub mod drivers;
pub mod events;
pub mod gossip;
pub mod grants;
pub mod http;
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
pub mod state;
pub mod tools;
pub mod types;
pub mod workload;

/// Version of Nomad whose behaviour and API are followed.
pub const FOLLOWS: &str = "1.8.3";

/// First arguments that select a part of this program, rather than the harness's command.
pub const SUBCOMMANDS: &[&str] = &[
    "agent", "workload", "net", "df", "after", "selftest", "grants",
];

/// Runs the part of the program that `args` (without the program's name) selects.
#[must_use]
pub fn main(args: &[String]) -> std::process::ExitCode {
    let (part, rest) = match args.split_first() {
        Some((part, rest)) => (part.as_str(), rest),
        None => ("", args),
    };
    match part {
        "net" => tools::net(rest),
        "df" => tools::df(rest),
        "after" => tools::after(rest),
        "agent" => command_line::run_agent(rest),
        "grants" => grants::main(),
        "selftest" => selftest::main(rest),
        "workload" => workload::run(rest),
        "config" => command_line::run_config(rest),
        other => {
            let parts = SUBCOMMANDS.join(", ");
            let problem = format!("unknown part `{other}`");
            command_line::usage(&problem, &format!("Parts: {parts}, config\n"))
        }
    }
}
