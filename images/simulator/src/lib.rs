//! The program inside rehearsal containers: a simulated Nomad agent with real Raft, gossip,
//! TLS and processes; the workload that sample jobs run; and in-container network tools.
//!
//! The folders read like Nomad's own parts. State changes in one place only, by applying log
//! entries (`state`); `scheduler` and `deployments` are pure functions over a snapshot.

pub mod acl;
pub mod client;
pub mod clock;
pub mod consensus;
pub mod deployments;
pub mod drivers;
pub mod http;
pub mod jobspec;
pub mod leader;
pub mod scheduler;
pub mod selftest;
pub mod state;
pub mod types;
pub mod workload;

/// Version of Nomad whose behaviour and API are followed.
pub const FOLLOWS: &str = "1.8.3";

/// First arguments that select a part of this program, rather than the harness's command.
pub const SUBCOMMANDS: &[&str] = &["agent", "workload", "net", "selftest"];

/// Runs the part of the program that `args` (without the program's name) selects.
#[must_use]
pub fn main(args: &[String]) -> std::process::ExitCode {
    drop(args.to_vec());
    std::process::ExitCode::FAILURE
}
