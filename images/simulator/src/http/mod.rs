//! Nomad's HTTP API, as far as scenarios use it: one file a family of endpoints.
//!
//! `gate.rs` decides where a request is served, `call.rs` reads what every request carries,
//! `shape.rs` knows how Nomad's objects look in JSON. What is not simulated says so with 501.

mod acl;
mod agent;
mod allocs;
mod call;
mod client;
mod client_alloc;
mod client_fs;
mod compression;
mod context;
mod deployments;
mod drain;
mod evals;
mod events;
mod filter;
mod gate;
mod given_job;
mod gossip;
mod host;
mod job_launch;
mod job_path;
mod job_scale;
mod job_source;
mod job_writes;
mod jobs;
mod keyring;
mod listing;
mod metrics;
mod namespaces;
mod nodes;
mod operator;
mod own;
mod plan;
mod raft;
mod reply;
mod roles;
mod scaling_policies;
mod search;
mod services;
mod shape;
mod snapshot;
mod status;
mod system;
#[cfg(test)]
mod tests;
mod variables;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};

pub use client::client_router;
pub use context::{
    AgentInfo, ClientContext, Context, Forward, ForwardError, Forwarded, HOP_HEADER,
    NOT_LEADER_HEADER, Settings,
};
pub(crate) use gate::gate;
pub(crate) use gossip::force_leave;
pub use gossip::gossip_rpc;
pub use own::own_router;
pub use reply::ApiError;

/// Header which says that no Nomad answered.
const SIMULATED_HEADER: &str = "x-rehearse-simulated";

/// The API of a server, for its HTTP listener and (with [`Forwarded`]) its RPC listener.
pub fn router(ctx: Context) -> Router {
    let gated = Router::new()
        .merge(operator::routes())
        .merge(raft::routes())
        .merge(snapshot::routes())
        .merge(acl::routes())
        .merge(roles::routes())
        .merge(namespaces::routes())
        .merge(nodes::routes())
        .merge(drain::routes())
        .merge(jobs::routes())
        .merge(job_scale::routes())
        .merge(job_source::routes())
        .merge(scaling_policies::routes())
        .merge(job_launch::routes())
        .merge(search::routes())
        .merge(evals::routes())
        .merge(allocs::routes())
        .merge(deployments::routes())
        .merge(system::routes())
        .merge(variables::routes())
        .merge(keyring::routes())
        .merge(services::routes())
        .method_not_allowed_fallback(invalid_method)
        .route_layer(from_fn_with_state(ctx.clone(), gate));
    let local = Router::new()
        .merge(status::routes())
        .merge(agent::routes())
        .merge(host::routes())
        .merge(metrics::routes())
        .merge(gossip::routes())
        .merge(events::routes())
        .merge(jobs::local_routes())
        .merge(own::routes())
        .method_not_allowed_fallback(invalid_method);
    let all = gated
        .merge(raft::transfer_route(ctx.clone()))
        .merge(local)
        .fallback(unknown)
        // The gate has its own limit; axum's is smaller than a large cluster's updates.
        .layer(DefaultBodyLimit::disable())
        .layer(map_response(marked))
        .with_state(ctx);
    compression::where_accepted(job_path::unambiguous(all))
}

/// PUT and POST are the same to Nomad.
fn write<H, T>(handler: H) -> MethodRouter<Context>
where
    H: Handler<T, Context>,
    T: 'static,
{
    post(handler.clone()).put(handler)
}

async fn invalid_method() -> Response {
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Invalid method");
    error.into_response()
}

/// Nomad's families of endpoints, by the word after `/v1/`.
const FAMILIES: &[&str] = &[
    "acl",
    "agent",
    "allocation",
    "allocations",
    "client",
    "deployment",
    "deployments",
    "evaluation",
    "evaluations",
    "event",
    "job",
    "jobs",
    "metrics",
    "namespace",
    "namespaces",
    "node",
    "nodes",
    "operator",
    "plugin",
    "plugins",
    "quota",
    "quota-usage",
    "quota-usages",
    "quotas",
    "recommendation",
    "recommendations",
    "regions",
    "scaling",
    "search",
    "sentinel",
    "service",
    "services",
    "status",
    "system",
    "validate",
    "var",
    "vars",
    "volume",
    "volumes",
];

/// In its families and in `/ui` Nomad may have it; elsewhere there is nothing, and from the root
/// Nomad leads to its web page.
async fn unknown(request: Request) -> Response {
    let path = request.uri().path();
    if path == "/" {
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/ui/")]).into_response();
    }
    if path.starts_with("/v1/operator/raft/") {
        return ApiError::missing("Invalid method").into_response();
    }
    let of_alloc = path.strip_prefix("/v1/allocation/");
    if of_alloc.is_some_and(|rest| rest.contains('/') && !rest.ends_with("/services")) {
        return ApiError::missing("resource not found").into_response();
    }
    let family = path
        .strip_prefix("/v1/")
        .and_then(|rest| rest.split('/').next());
    if path.starts_with("/ui") || family.is_some_and(|family| FAMILIES.contains(&family)) {
        let what = format!("{} {path}", request.method());
        return ApiError::not_simulated(&what).into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}

async fn marked(mut response: Response) -> Response {
    let name = HeaderName::from_static(SIMULATED_HEADER);
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(name, yes);
    response
}
