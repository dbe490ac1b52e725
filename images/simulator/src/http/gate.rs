//! Where a request is served: here, or by the leader.
//!
//! As Nomad's `rpcHandler.forward`: a stale read is answered by whoever got it, everything else
//! by the leader. Without a leader a request waits for `rpc_hold` and is then refused. A
//! request that was passed on is served or refused, so that two servers which each take the
//! other for the leader do not play ping-pong with it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rand::Rng;
use tokio::time::{Instant, timeout, timeout_at};

use super::call::is_stale;
use super::context::{Context, Forwarded, HOP_HEADER, NOT_LEADER_HEADER};
use super::reply::{ApiError, NotLeader};
use crate::clock;
use crate::plant::{self, Plant};

/// Largest request body that is taken; job files are far smaller.
pub(super) const MAX_BODY: usize = 16 << 20;

/// Nomad looks for a leader again after a random time of up to hold / 16.
const HOLD_STEPS: u32 = 16;

/// What only the leader knows: Nomad takes back the consent to a stale answer (`Operator.ServerHealth`).
const OF_THE_LEADER: &str = "/v1/operator/autopilot/health";

/// What one look at the leadership led to.
enum Attempt {
    /// A reply, good or bad.
    Done(Response),
    /// No leader was found, or the one that was found does not lead any more.
    Again,
}

/// Middleware of every route that needs the leader (or a stale reader's consent).
pub async fn gate(State(ctx): State<Context>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(body) => body,
        Err(error) => return ApiError::bad(error.to_string()).into_response(),
    };
    let may_be_stale = is_stale(&parts.uri) && parts.uri.path() != OF_THE_LEADER;
    let here = may_be_stale || plant::is(Plant::StaleReads);
    if parts.method == Method::GET && here {
        return next.run(rebuilt(&parts, &body)).await;
    }
    let passed_on =
        parts.extensions.get::<Forwarded>().is_some() && parts.headers.contains_key(HOP_HEADER);
    let hold = clock::scaled(ctx.settings.rpc_hold);
    let mut deadline = Instant::now() + hold;
    let mut leadership = ctx.consensus.leadership();
    loop {
        let seen = leadership.borrow_and_update().clone();
        let attempt = if seen.is_self {
            serve(&ctx, &parts, &body, &next, deadline).await
        } else if passed_on {
            return refusal();
        } else if let Some(leader) = seen.leader.filter(|leader| *leader != ctx.agent.rpc_addr) {
            let passed = pass_on(&ctx, leader, &parts, &body);
            if is_read(&parts) {
                // A leader that fell silent does not answer; its successor will.
                let mut watch = ctx.consensus.leadership();
                let moved =
                    watch.wait_for(|now| now.leader != Some(leader) && now.leader.is_some());
                tokio::select! {
                    attempt = passed => attempt,
                    _changed = moved => {
                        deadline = Instant::now() + hold;
                        Attempt::Again
                    }
                }
            } else {
                passed.await
            }
        } else {
            Attempt::Again
        };
        if let Attempt::Done(response) = attempt {
            return response;
        }
        if Instant::now() >= deadline {
            return ApiError::no_leader().into_response();
        }
        let pause = pause(hold).min(deadline - Instant::now());
        drop(timeout(pause, leadership.changed()).await);
    }
}

async fn serve(
    ctx: &Context,
    parts: &Parts,
    body: &Bytes,
    next: &Next,
    deadline: Instant,
) -> Attempt {
    if parts.method == Method::GET {
        // A leader that was cut off waits for a quorum which may never answer.
        let barrier = timeout_at(deadline, ctx.consensus.read_barrier()).await;
        if !matches!(barrier, Ok(Ok(()))) {
            return Attempt::Again;
        }
    }
    let response = next.clone().run(rebuilt(parts, body)).await;
    if response.extensions().get::<NotLeader>().is_some() {
        return Attempt::Again;
    }
    Attempt::Done(response)
}

async fn pass_on(ctx: &Context, leader: SocketAddr, parts: &Parts, body: &Bytes) -> Attempt {
    match ctx
        .forward
        .forward(leader, outgoing(parts, body, true))
        .await
    {
        Ok(reply) if reply.headers().contains_key(NOT_LEADER_HEADER) => Attempt::Again,
        Ok(reply) => Attempt::Done(relayed(reply)),
        // It died over the question, which may be put again where it changes nothing.
        Err(error) if error.to_string() == "EOF" && is_read(parts) => Attempt::Again,
        Err(error) => {
            let text = format!("rpc error: {error}");
            Attempt::Done(ApiError::server(text).into_response())
        }
    }
}

/// Whether a request changes nothing.
fn is_read(parts: &Parts) -> bool {
    parts.method == Method::GET || parts.uri.path() == "/client/allocs"
}

/// The request as it is sent to another agent.
pub(super) fn outgoing(parts: &Parts, body: &Bytes, hop: bool) -> axum::http::Request<Bytes> {
    let mut request = outgoing_to(&parts.method, &parts.uri, &parts.headers, body);
    if hop {
        let yes = HeaderValue::from_static("1");
        request.headers_mut().insert(HOP_HEADER, yes);
    }
    request
}

/// The same, of a request that was taken apart further.
pub(super) fn outgoing_to(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> axum::http::Request<Bytes> {
    let mut request = axum::http::Request::new(body.clone());
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri.clone();
    for name in ["x-nomad-token", "authorization", "content-type", "accept"] {
        if let Some(value) = headers.get(name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    request
}

/// A reply as it is handed on: what concerned only the connection that it came by is dropped.
pub(super) fn relayed(mut reply: Response) -> Response {
    for name in ["connection", "keep-alive", "transfer-encoding", "date"] {
        reply.headers_mut().remove(name);
    }
    reply
}

fn refusal() -> Response {
    let mut response = ApiError::no_leader().into_response();
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(NOT_LEADER_HEADER, yes);
    response
}

fn rebuilt(parts: &Parts, body: &Bytes) -> Request {
    Request::from_parts(parts.clone(), Body::from(body.clone()))
}

fn pause(hold: Duration) -> Duration {
    let step = hold / HOLD_STEPS;
    step.mul_f64(rand::rng().random::<f64>())
        .max(Duration::from_millis(1))
}
