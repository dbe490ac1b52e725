//! `system/*`: garbage collection, and summaries.

use axum::Router;

use super::call::Call;
use super::context::Context;
use super::reply::{self, Reply};
use super::write;
use crate::leader::{Age, garbage};

pub fn routes() -> Router<Context> {
    Router::new()
        .route("/v1/system/gc", write(collect))
        .route("/v1/system/reconcile/summaries", write(reconcile))
}

/// Forgets everything that is over, however young.
async fn collect(call: Call) -> Reply {
    call.demand_management()?;
    if let Some(command) = garbage(&call.state(), Age::Any) {
        call.propose(command).await?;
    }
    Ok(reply::empty())
}

/// Summaries are counted whenever somebody asks, so they are always right.
async fn reconcile(call: Call) -> Reply {
    call.demand_management()?;
    Ok(reply::empty())
}
