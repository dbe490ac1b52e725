//! Nomad's HTTP API as the harness uses it. `api.rs` is the only file that names `reqwest`.

/// A client of one agent's HTTP API.
#[derive(Clone, Debug)]
pub struct Api;
