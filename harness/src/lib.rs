//! Rehearse a secured HashiCorp Nomad cluster on local Docker before it meets AWS.
//!
//! The arrows between modules are drawn in `docs/architecture.md` and kept by `tests/layers.rs`.

pub mod agent_config;
pub mod aws;
pub mod boot;
pub mod causes;
pub mod cluster;
pub mod conformance;
#[cfg(feature = "testcontainers")]
pub mod dev_agent;
pub mod directory;
pub mod docker;
pub mod doctor;
pub mod emulation;
pub mod engine;
pub mod environment;
pub mod fault;
pub mod grammar;
pub mod job_check;
pub mod lint;
pub mod matrix;
pub mod measure;
pub mod nomad;
pub mod owner;
pub mod parity;
pub mod pick;
pub mod pki;
pub mod poll;
pub mod probe;
pub mod progress;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod settings;
pub mod slowness;
pub mod soak;
pub mod spec;
pub mod spent;
pub mod step;
pub mod target;
pub mod terraform;
pub mod time_scale;
pub mod timeline;
pub mod tls;
pub mod workload;

#[cfg(test)]
mod fake;

pub use cluster::{Agent, Cluster, ClusterBuilder};
