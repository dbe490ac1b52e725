//! Laws of the API, put to a server alone through its router.

mod access;
mod endpoints;
mod events;
mod launching;
mod lists;
mod operator;
mod routes;
mod serving;
mod variables;

use serde_json::{Value, json};

use crate::solo::{Server, service};

/// A server with the job `web`, and what its registration answered.
async fn with_job() -> (Server, Value) {
    let server = Server::leading();
    let reply = server.put("/v1/jobs", &json!({ "Job": service(1) })).await;
    (server, reply.json())
}
