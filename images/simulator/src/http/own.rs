//! `client/*`: what concerns one client. It is served by the client itself; servers, and other
//! clients through them, pass it on.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use bytes::Bytes;

use super::call::{Call, secret};
use super::context::{ClientContext, Context, Forwarded, HOP_HEADER};
use super::gate::{outgoing_to, relayed};
use super::reply::ApiError;
use super::{client_alloc, client_fs};
use crate::acl::Level;
use crate::client::Client;
use crate::leader::MayRequest;
use crate::rpc::ReverseError;

/// Header of the refusal which says that the client has no connection to this server: another
/// may have one.
const NO_PATH_HEADER: &str = "x-rehearse-no-path";

/// Routes of a server: it looks up which client it is and asks that.
pub fn routes() -> Router<Context> {
    Router::new().route("/v1/client/{*rest}", any(pass_on))
}

/// What a client answers, for whoever was let in.
pub fn own_router(client: Arc<Client>) -> Router {
    Router::new()
        .merge(client_fs::routes())
        .merge(client_alloc::routes())
        .method_not_allowed_fallback(super::invalid_method)
        .fallback(super::unknown)
        .with_state(client)
}

/// Which client is meant, and what its asker must be allowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one that has this allocation; one of these capabilities is enough.
    Alloc(String, &'static [&'static str]),
    /// This node, or (empty) the agent that was asked.
    Node(String),
}

impl Target {
    /// Reads path and query; `None` for what is not simulated.
    pub fn of(uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix("/v1/client/")?;
        let parts: Vec<&str> = path.split('/').collect();
        let rights: &[&str] = match parts.as_slice() {
            ["stats"] => return Some(Self::Node(query(uri).remove("node_id").unwrap_or_default())),
            ["fs", "logs", _] => &["read-logs", "read-fs"],
            ["fs", "ls" | "stat" | "cat" | "readat" | "stream", _] => &["read-fs"],
            ["allocation", _, "restart" | "signal"] => &["alloc-lifecycle"],
            ["allocation", _, "stats" | "checks"] => &["read-job"],
            _ => return None,
        };
        let id = if parts[0] == "fs" { parts[2] } else { parts[1] };
        Some(Self::Alloc(id.to_owned(), rights))
    }
}

/// Parameters of a query; the last of a name counts.
pub fn query(uri: &Uri) -> HashMap<String, String> {
    Query::<HashMap<String, String>>::try_from_uri(uri)
        .map(|Query(parameters)| parameters)
        .unwrap_or_default()
}

fn not_simulated(method: &Method, uri: &Uri) -> Response {
    ApiError::not_simulated(&format!("{method} {}", uri.path())).into_response()
}

fn unknown_alloc(id: &str) -> ApiError {
    ApiError::missing(format!("Unknown allocation {id:?}"))
}

async fn pass_on(
    call: Call,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    forwarded: Option<Extension<Forwarded>>,
    body: Bytes,
) -> Response {
    let Some(target) = Target::of(&uri) else {
        return not_simulated(&method, &uri);
    };
    let node_id = match complete(&uri).and_then(|()| node_of(&call, &target)) {
        Ok(node_id) => node_id,
        // Where an answer streams, so does its refusal, without a code of its own.
        Err(error) if error == ApiError::denied() && streams(&uri) => {
            return ApiError::server(error.to_string()).into_response();
        }
        Err(error) => return error.into_response(),
    };
    let request = || outgoing_to(&method, &uri, &headers, &body);
    let failure = match call.ctx.clients.ask(&node_id, request()).await {
        Ok(reply) => return relayed(reply),
        Err(error) => error,
    };
    let passed_on = forwarded.is_some() && headers.contains_key(HOP_HEADER);
    if failure == ReverseError::NoPath && !passed_on {
        for peer in call.ctx.consensus.peers() {
            if peer.address == call.ctx.agent.rpc_addr {
                continue;
            }
            let mut request = request();
            let yes = HeaderValue::from_static("1");
            request.headers_mut().insert(HOP_HEADER, yes);
            match call.ctx.forward.forward(peer.address, request).await {
                Ok(reply) if !reply.headers().contains_key(NO_PATH_HEADER) => {
                    return relayed(reply);
                }
                _ => {}
            }
        }
    }
    if failure != ReverseError::NoPath {
        return ApiError::server(failure.to_string()).into_response();
    }
    let mut response = ApiError::missing(failure.to_string()).into_response();
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(NO_PATH_HEADER, yes);
    response
}

/// Whether files are answered by a stream.
fn streams(uri: &Uri) -> bool {
    let kinds = ["logs/", "stream/", "cat/", "readat/"];
    let of_files = uri.path().strip_prefix("/v1/client/fs/");
    of_files.is_some_and(|rest| kinds.iter().any(|kind| rest.starts_with(kind)))
}

/// What a request for files must say is looked for before the allocation is.
fn complete(uri: &Uri) -> Result<(), ApiError> {
    let Some((verb, alloc)) = uri
        .path()
        .strip_prefix("/v1/client/fs/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return Ok(());
    };
    if alloc.is_empty() {
        return Err(ApiError::bad("must provide a valid alloc id"));
    }
    let given = query(uri);
    let lacks = |name: &str| given.get(name).is_none_or(String::is_empty);
    let text = match verb {
        "logs" if lacks("task") => "must provide task name",
        "logs" if lacks("type") => "must provide log type (stdout/stderr)",
        "stat" | "cat" | "readat" | "stream" if lacks("path") => "must provide a file name",
        _ => return Ok(()),
    };
    Err(ApiError::bad(text))
}

/// The node that is meant, if the asker may.
fn node_of(call: &Call, target: &Target) -> Result<String, ApiError> {
    let state = call.state();
    match target {
        Target::Alloc(id, rights) => {
            let alloc = state.allocs.get(id);
            let namespace = alloc.map_or(&call.namespace, |alloc| &alloc.namespace);
            if !rights.iter().any(|right| call.acl.allows(namespace, right)) {
                return Err(ApiError::denied());
            }
            Ok(alloc.ok_or_else(|| unknown_alloc(id))?.node_id.clone())
        }
        Target::Node(id) => {
            call.demand_node(Level::Read)?;
            if id.is_empty() {
                return Err(ApiError::bad("missing node_id"));
            }
            let node = state.nodes.get(id);
            let node = node.ok_or_else(|| ApiError::missing(format!("Unknown node {id:?}")))?;
            Ok(node.id.clone())
        }
    }
}

/// Where a client agent got such a request: whether it is about itself and allowed, not about
/// itself (`None`), or refused.
pub async fn is_own(
    ctx: &ClientContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Result<(), Response>> {
    let question = match Target::of(uri)? {
        Target::Alloc(id, rights) => MayRequest {
            namespace: Some(ctx.client.allocation(&id)?.namespace),
            capabilities: rights.iter().map(|right| (*right).to_owned()).collect(),
            ..MayRequest::default()
        },
        Target::Node(id) if id.is_empty() || id == ctx.client.node_id() => MayRequest::default(),
        Target::Node(_) => return None,
    };
    if !ctx.acl_enabled {
        return Some(Ok(()));
    }
    let question = MayRequest {
        token: secret(headers),
        ..question
    };
    Some(super::client::may(ctx, &question).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_allocation_and_what_it_takes() {
        let of = |path: &str| Target::of(&path.parse().unwrap());
        let alloc = |id: &str, rights| Some(Target::Alloc(id.to_owned(), rights));
        assert_eq!(of("/v1/client/fs/ls/a1?path=/"), alloc("a1", &["read-fs"]));
        assert_eq!(
            of("/v1/client/fs/logs/a1"),
            alloc("a1", &["read-logs", "read-fs"])
        );
        let restart = of("/v1/client/allocation/a1/restart");
        assert_eq!(restart, alloc("a1", &["alloc-lifecycle"]));
        let stats = of("/v1/client/stats?node_id=n1");
        assert_eq!(stats, Some(Target::Node("n1".to_owned())));
        assert_eq!(of("/v1/client/allocation/a1/exec"), None);
    }
}
