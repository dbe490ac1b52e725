//! Rehearse a secured HashiCorp Nomad cluster on local Docker before it meets AWS.
//!
//! The arrows between modules are drawn in `docs/architecture.md` and kept by `tests/layers.rs`.

pub mod nomad;
pub mod spec;
pub mod target;
pub mod terraform;
