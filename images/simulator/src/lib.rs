//! The program inside rehearsal containers: a simulated Nomad agent with real Raft, gossip,
//! TLS and processes; the workload that sample jobs run; and in-container network tools.
//!
//! The folders read like Nomad's own parts. State changes in one place only, by applying log
//! entries (`state`); `scheduler` and `deployments` are pure functions over a snapshot.

pub mod clock;
pub mod state;
pub mod types;
