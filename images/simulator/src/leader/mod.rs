//! What only the leader does: evaluations, heartbeats, deployments, autopilot.

mod autopilot;

pub use autopilot::AutopilotConfig;

use crate::http::Context;

/// What only a leader knows.
#[derive(Debug, Default)]
pub struct LeaderState {}

/// Runs the leader's duties whenever this server leads, until the handle is aborted.
pub fn start(ctx: Context) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { drop(ctx) })
}

/// The RPC routes that clients call: `/client/register|heartbeat|allocs|update`.
pub fn rpc_routes(ctx: Context) -> axum::Router {
    axum::Router::new().with_state(ctx)
}
