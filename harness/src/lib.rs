//! Rehearse a secured HashiCorp Nomad cluster on local Docker before it meets AWS.
//!
//! The arrows between modules are drawn in `docs/architecture.md` and kept by `tests/layers.rs`.

pub mod agent_config;
pub mod docker;
pub mod engine;
pub mod environment;
pub mod lint;
pub mod nomad;
pub mod owner;
pub mod pki;
pub mod poll;
pub mod progress;
pub mod spec;
pub mod target;
pub mod terraform;
pub mod tls;
