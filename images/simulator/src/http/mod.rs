//! Nomad's HTTP API, as far as scenarios use it: one file a family of endpoints.

mod context;

pub use context::{
    AgentInfo, ClientContext, Context, Forward, ForwardError, Forwarded, HOP_HEADER,
    NOT_LEADER_HEADER, Settings,
};

/// The API of a server, for its HTTP listener and (with [`Forwarded`]) its RPC listener.
pub fn router(ctx: Context) -> axum::Router {
    axum::Router::new().with_state(ctx)
}

/// The API of a client agent.
pub fn client_router(ctx: ClientContext) -> axum::Router {
    axum::Router::new().with_state(ctx)
}
