//! One request as handlers see it: parameters, rights, and the state that it reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use rand::Rng;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::context::Context;
use super::reply::{self, ApiError, Reply};
use crate::acl::{Acl, Level};
use crate::clock;
use crate::plant::{self, Plant};
use crate::state::{Applied, Command, State};

/// Nomad's longest, and default, wait of a blocking query.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// What Go takes for a truth value, and nothing at all.
const BOOLEANS: &[&str] = &[
    "", "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False",
];

/// Whether a parameter with this text is switched off.
fn is_no(text: &str) -> bool {
    matches!(text, "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// One request.
pub struct Call {
    /// The server's parts.
    pub ctx: Context,
    /// What its sender may do.
    pub acl: Acl,
    /// `namespace`, `default` where absent, `*` for all.
    pub namespace: String,
    /// `prefix`.
    pub prefix: String,
    parameters: HashMap<String, String>,
    index: u64,
    wait: Duration,
    stale: bool,
}

impl FromRequestParts<Context> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, ApiError> {
        let parameters = parameters(&parts.uri)?;
        let text = |name: &str| parameters.get(name).cloned();
        let stale = parameters.get("stale").map_or("false", String::as_str);
        if !BOOLEANS.contains(&stale) {
            let text = "Expect `true` or `false` for `stale` query string parameter";
            return Err(ApiError::bad(text));
        }
        let region = text("region").unwrap_or_default();
        if !region.is_empty() && region != ctx.agent.region {
            return Err(ApiError::server("No path to region"));
        }
        let index = match text("index") {
            Some(index) => index.parse().map_err(|_| match parts.uri.path() {
                "/v1/event/stream" => ApiError::bad(format!("Unable to parse index: {index:?}")),
                _ => ApiError::bad("Invalid index"),
            })?,
            None => 0,
        };
        let wait = match text("wait") {
            Some(wait) => parse_wait(&wait)?.min(MAX_WAIT),
            None => MAX_WAIT,
        };
        Ok(Self {
            acl: rights(ctx, &parts.headers)?,
            ctx: ctx.clone(),
            namespace: text("namespace")
                .filter(|namespace| !namespace.is_empty())
                .unwrap_or_else(|| "default".to_owned()),
            prefix: text("prefix").unwrap_or_default(),
            stale: is_stale(&parts.uri),
            index,
            wait,
            parameters,
        })
    }
}

impl Call {
    /// A parameter's text, empty where it has no value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Whether a parameter is given and not `false`.
    pub fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| !is_no(value))
    }

    /// A truth value in Go's spelling; absent and empty are false.
    pub fn truth(&self, name: &str) -> Result<bool, ApiError> {
        let text = self.parameter(name).unwrap_or_default();
        if BOOLEANS.contains(&text) {
            return Ok(!text.is_empty() && !is_no(text));
        }
        let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
        let text = format!("Failed to parse value of {name:?} ({text}) as a bool: {why}");
        Err(ApiError::server(text))
    }

    /// The state as applied here, now.
    pub fn state(&self) -> Arc<State> {
        self.ctx.consensus.snapshot()
    }

    /// Whether an object of this namespace belongs into a list: asked for, and readable.
    pub fn lists(&self, namespace: &str, capability: &str) -> bool {
        let asked = self.namespace == "*" || self.namespace == namespace;
        asked && self.acl.allows(namespace, capability)
    }

    /// Waits, if the request blocks, until `index_of` exceeds the index that it knows or its
    /// time is over; hands back the state and that index.
    pub async fn block(&self, index_of: impl Fn(&State) -> u64) -> (Arc<State>, u64) {
        let sixteenth = self.wait.as_secs_f64() / 16.0;
        let jitter = Duration::from_secs_f64(sixteenth * rand::rng().random::<f64>());
        let deadline = Instant::now() + self.wait + jitter;
        let mut applied = self.ctx.consensus.applied();
        let restores = self.state().restores;
        loop {
            applied.borrow_and_update();
            let state = self.state();
            let index = index_of(&state);
            // What is waited for may never come after a restore: as in Nomad, look again.
            let replaced = state.restores != restores;
            let answers = index > self.index || plant::is(Plant::WaitIgnored);
            if self.index == 0 || answers || replaced {
                return (state, index);
            }
            match tokio::time::timeout_at(deadline, applied.changed()).await {
                Ok(Ok(())) => {}
                // The time is over, or the server ends.
                Ok(Err(_)) | Err(_) => return (state, index),
            }
        }
    }

    /// A reply without index headers.
    pub fn plain(&self, value: &Value) -> Reply {
        Ok(reply::json(value, self.flag("pretty")))
    }

    /// A reply to a query at an index.
    pub fn query(&self, index: u64, value: &Value) -> Reply {
        let mut response = self.plain(value)?;
        self.stamp(&mut response, index);
        Ok(response)
    }

    /// A query for something that does not exist: index headers are set on 404s too.
    pub fn not_found(&self, index: u64, text: &str) -> Reply {
        let mut response = axum::response::IntoResponse::into_response(ApiError::missing(text));
        self.stamp(&mut response, index);
        Ok(response)
    }

    /// A reply to a write at an index.
    pub fn written(&self, index: u64, value: &Value) -> Reply {
        let mut response = self.plain(value)?;
        set(&mut response, "x-nomad-index", index);
        Ok(response)
    }

    /// A reply to a write that has nothing to tell, at an index.
    pub fn nothing_written(&self, index: u64) -> Response {
        let mut response = reply::empty();
        set(&mut response, "x-nomad-index", index);
        response
    }

    /// Commits a command; a refusal by the state machine is a 500 with its text.
    pub async fn propose(&self, command: Command) -> Result<Applied, ApiError> {
        if plant::is(Plant::LostWrite) && is_lost(&self.state(), &command) {
            let (index, refused) = (self.state().index, None);
            return Ok(Applied { index, refused });
        }
        let applied = self.ctx.consensus.propose(command).await?;
        match applied.refused {
            Some(text) => Err(ApiError::server(text)),
            None => Ok(applied),
        }
    }

    /// Refuses whoever lists a namespace without being allowed to; of all of them (`*`) each
    /// sees those that it may.
    pub fn demand_listing(&self, capability: &str) -> Result<(), ApiError> {
        granted(self.namespace == "*" || self.acl.allows(&self.namespace, capability))
    }

    /// Refuses whoever lacks a capability in a namespace.
    pub fn demand(&self, namespace: &str, capability: &str) -> Result<(), ApiError> {
        granted(self.acl.allows(namespace, capability))
    }

    /// Refuses new jobs while the scheduler's configuration does, but for management.
    pub fn demand_registration(&self) -> Result<(), ApiError> {
        let config = crate::leader::scheduler_config(&self.ctx);
        if config["RejectJobRegistration"] != true || self.acl.is_management() {
            return Ok(());
        }
        let text =
            "Job registration, dispatch, and scale are disabled by the scheduler configuration";
        Err(ApiError::new(StatusCode::FORBIDDEN, text))
    }

    /// Refuses whoever may not read or change nodes.
    pub fn demand_node(&self, level: Level) -> Result<(), ApiError> {
        granted(self.acl.node(level))
    }

    /// Refuses whoever may not read or change agents.
    pub fn demand_agent(&self, level: Level) -> Result<(), ApiError> {
        granted(self.acl.agent(level))
    }

    /// Refuses whoever may not read or use the operator's endpoints.
    pub fn demand_operator(&self, level: Level) -> Result<(), ApiError> {
        granted(self.acl.operator(level))
    }

    /// Refuses whoever has no management token.
    pub fn demand_management(&self) -> Result<(), ApiError> {
        granted(self.acl.is_management())
    }

    fn stamp(&self, response: &mut Response, index: u64) {
        let leadership = self.ctx.consensus.leadership();
        let known = leadership.borrow().leader.is_some() || plant::is(Plant::StaleReads);
        set(response, "x-nomad-index", index);
        set(response, "x-nomad-knownleader", known);
        set(response, "x-nomad-lastcontact", self.last_contact_ms());
    }

    /// How old a stale answer may be: 0 from the leader.
    fn last_contact_ms(&self) -> u64 {
        let leads = self.ctx.consensus.leadership().borrow().is_self;
        if leads || !self.stale {
            return 0;
        }
        let own = self.ctx.agent.rpc_addr;
        let mut peers = self.ctx.consensus.peers().into_iter();
        peers
            .find(|peer| peer.address == own)
            .and_then(|peer| peer.last_contact_ms)
            .unwrap_or(0)
    }
}

/// Whether [`Plant::LostWrite`] loses a command.
fn is_lost(state: &State, command: &Command) -> bool {
    let Command::JobRegister { job, .. } = command else {
        return false;
    };
    let stored = state.job(&job.namespace, &job.id);
    stored.is_some_and(|stored| stored.version >= 2)
}

/// A request's body as JSON; nothing is needed where `T` has defaults and the body is empty.
pub fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, ApiError> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| ApiError::bad(error.to_string()))
}

/// Whether a query is content with what this server knows. `stale=false` is honoured.
pub fn is_stale(uri: &Uri) -> bool {
    parameters(uri)
        .is_ok_and(|parameters| parameters.get("stale").is_some_and(|value| !is_no(value)))
}

fn parameters(uri: &Uri) -> Result<HashMap<String, String>, ApiError> {
    let parsed = Query::<HashMap<String, String>>::try_from_uri(uri);
    match parsed {
        Ok(Query(parameters)) => Ok(parameters),
        Err(error) => Err(ApiError::bad(error.to_string())),
    }
}

fn parse_wait(text: &str) -> Result<Duration, ApiError> {
    let nanos = crate::jobspec::duration::parse(text)
        .ok()
        .and_then(|nanos| u64::try_from(nanos).ok());
    let nanos = nanos.ok_or_else(|| ApiError::bad("Invalid wait time"))?;
    Ok(Duration::from_nanos(nanos))
}

fn rights(ctx: &Context, headers: &HeaderMap) -> Result<Acl, ApiError> {
    if !ctx.settings.acl_enabled || plant::is(Plant::AclOpen) {
        return Ok(Acl::disabled());
    }
    let state = ctx.consensus.snapshot();
    Acl::of(&state, &secret(headers), clock::now()).map_err(|_| ApiError::denied())
}

/// `X-Nomad-Token`, or `Authorization: Bearer`.
pub(super) fn secret(headers: &HeaderMap) -> String {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || text(header::AUTHORIZATION)?.strip_prefix("Bearer ");
    let own = text(HeaderName::from_static("x-nomad-token"));
    own.or_else(bearer).unwrap_or_default().trim().to_owned()
}

fn granted(allowed: bool) -> Result<(), ApiError> {
    if allowed {
        Ok(())
    } else {
        Err(ApiError::denied())
    }
}

fn set(response: &mut Response, name: &'static str, value: impl ToString) {
    let value = HeaderValue::from_str(&value.to_string());
    let value = value.expect("a number or a truth value is a legal header");
    response
        .headers_mut()
        .insert(HeaderName::from_static(name), value);
}
