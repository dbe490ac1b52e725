//! Nomad's HTTP API as the harness uses it, over mutual TLS.
//!
//! The types are the harness's own and not the simulated agent's: were they shared, a wrong field
//! name would be wrong on both sides and nobody would see it. Any Nomad from 1.1 on must be
//! readable, so every field has a default and unknown ones are ignored.
//!
//! Missing: the event stream, variables (they exist from 1.4 only), namespaces.

mod api;
mod calls;
mod exchange;
mod operator;
mod query;
mod trust;
pub mod types;

pub use api::{Api, ApiConfig, ApiError, Call, Place};
pub use calls::SERVER_HOLD;
pub use exchange::{Answer, Exchange};
pub use query::{Query, Reply};
pub use types::Token;
