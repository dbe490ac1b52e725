//! The client of one agent's HTTP API: connection, certificates, token, errors. The only file
//! that names `reqwest`; the typed calls are in `calls.rs`.
//!
//! Certificates are always verified: the authority given is the only one believed, and the
//! server's certificate must carry the host of the address.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::exchange::{Answer, Exchange};
use super::query::{Query, Reply};
use super::trust::{tls_config, trusting_nobody};
use super::types::Token;

/// How long a call may take unless its [`Query`] says: Nomad itself holds a call for 5 s while
/// there is no leader (`RPCHoldTimeout`), and answers within that or right after.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer an untyped blocking query is waited for: none of ours asks for more.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(40);
/// How long to wait for a connection: agents are near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What is needed to talk to one agent.
#[derive(Clone)]
pub struct ApiConfig {
    /// `https://127.0.0.1:PORT`; with `http://` the certificates are not used.
    pub addr: String,
    /// The authority that signed the agent's certificate, PEM.
    pub ca_pem: String,
    /// The certificate shown to the agent, PEM; empty to show none.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
    /// The token sent along, if any yet.
    pub token: Option<Token>,
}

impl fmt::Debug for ApiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiConfig")
            .field("addr", &self.addr)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// Where an agent is whose address may change while its name in certificates stays. Clones mean the
/// same place.
#[derive(Clone, Debug)]
pub struct Place(Arc<Mutex<SocketAddr>>);

impl Place {
    /// Names a place.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    /// Returns the address as it is now.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it: connections that are made from now on go there.
    pub fn move_to(&self, address: SocketAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

impl reqwest::dns::Resolve for Place {
    /// Whatever the name, it is here.
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses: reqwest::dns::Addrs = Box::new(std::iter::once(self.address()));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Which call it was: for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `GET`, `PUT`, ...
    pub method: &'static str,
    /// `/v1/status/leader`.
    pub path: String,
    /// The agent asked.
    pub addr: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} {}` at {}", self.method, self.path, self.addr)
    }
}

/// A call that did not succeed, or a client that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address is none.
    #[error("`{addr}` is not an address of an HTTP API, expected `https://HOST:PORT`")]
    BadAddress {
        /// What was given.
        addr: String,
    },
    /// A certificate or a key is none.
    #[error("the {what} for {addr} cannot be used: {reason}")]
    BadPem {
        /// `authority`, `certificate` or `private key`.
        what: &'static str,
        /// The agent.
        addr: String,
        /// What is wrong.
        reason: String,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No connection: nobody listens, or the handshake failed.
    #[error("{call}: cannot connect: {reason}")]
    Unreachable {
        /// The call.
        call: Call,
        /// The innermost cause.
        reason: String,
    },
    /// The connection broke before the reply was whole: the agent may have acted or not.
    #[error("{call}: connection broke: {reason}")]
    Broken {
        /// The call.
        call: Call,
        /// The innermost cause.
        reason: String,
    },
    /// No reply in time: the agent may have acted or not.
    #[error("{call}: no reply within {after:?}")]
    TimedOut {
        /// The call.
        call: Call,
        /// How long it was waited for.
        after: Duration,
    },
    /// The agent said no.
    #[error("{call}: HTTP {status}: {body}")]
    Status {
        /// The call.
        call: Call,
        /// HTTP status.
        status: u16,
        /// The agent's words, plain text.
        body: String,
    },
    /// The reply is not what Nomad's API promises.
    #[error("{call}: unexpected reply: {reason}; got `{body}`")]
    Decode {
        /// The call.
        call: Call,
        /// What was expected.
        reason: String,
        /// The start of what came.
        body: String,
    },
}

/// What a server says when the fault is a missing leader or a broken path to it, and not the
/// request (`nomad/structs/errors.go`, `hashicorp/raft`, `net`). A bare `rpc error:` is not in
/// the list: Nomad puts it before every error that another server gave, final ones too.
const PASSING_TROUBLES: [&str; 17] = [
    "No cluster leader",
    "Not ready to serve consistent reads",
    "failed to get conn",
    "rpc error: EOF",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "broken pipe",
    "no route to host",
    "leadership lost",
    "node is not the leader",
    "leadership transfer in progress",
    "raft is already shutdown",
    "session shutdown",
    "stream closed",
    "lead thread didn't get connection",
    // A leader whose disk is full gives way to another.
    "no space left on device",
];

impl ApiError {
    /// Whether the same call may succeed a moment later: no leader yet, a broken connection, a
    /// server that just went. True says nothing of whether a write was applied.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::BadAddress { .. } | Self::BadPem { .. } | Self::Client(_) => false,
            Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Status { status: 429, .. } => true,
            Self::Status { status, body, .. } => {
                *status >= 500
                    && (body.trim() == "EOF"
                        || PASSING_TROUBLES.iter().any(|words| body.contains(words)))
            }
            Self::Decode { .. } => false,
        }
    }

    /// Whether the call surely changed nothing, because it never reached the agent's handler.
    #[must_use]
    pub fn surely_not_applied(&self) -> bool {
        match self {
            Self::BadAddress { .. }
            | Self::BadPem { .. }
            | Self::Client(_)
            | Self::Unreachable { .. } => true,
            // Held and given back: it was never handed to a leader.
            Self::Status { status, body, .. } => {
                (400..500).contains(status) || body.trim().ends_with("No cluster leader")
            }
            Self::Broken { .. } | Self::TimedOut { .. } | Self::Decode { .. } => false,
        }
    }

    /// Returns the HTTP status, if the agent answered at all.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the cluster does not know the token: 403, and 400 by the snapshot's calls
    /// (`nomad/operator_endpoint.go`: `ErrTokenNotFound`).
    #[must_use]
    pub fn is_unknown_token(&self) -> bool {
        let words = self.body().unwrap_or_default();
        match self.status() {
            Some(403) => true,
            Some(400) => words.contains("ACL token not found"),
            _ => false,
        }
    }

    /// Returns the agent's words, if it answered.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match self {
            Self::Status { body, .. } | Self::Decode { body, .. } => Some(body),
            _ => None,
        }
    }
}

/// A client of one agent's HTTP API. Clones share connections.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    addr: Arc<str>,
    /// The only authority believed, PEM.
    ca_pem: Arc<str>,
    token: Option<Token>,
    /// Where it is, if its address is a name of certificates only.
    place: Option<Place>,
    /// What every call of this handle asks besides its own query.
    pub(super) defaults: Query,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("addr", &self.addr)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// Makes a client. Connects nowhere yet.
    ///
    /// # Errors
    /// `BadAddress`, `BadPem`, `Client`.
    pub fn new(config: ApiConfig) -> Result<Self, ApiError> {
        Self::made(config, None)
    }

    /// Makes a client of an agent that is at a place; the host of its address (which must be a name)
    /// is what its certificate must carry, and no more.
    ///
    /// # Errors
    /// `BadAddress`, `BadPem`, `Client`.
    pub fn at(config: ApiConfig, place: Place) -> Result<Self, ApiError> {
        Self::made(config, Some(place))
    }

    fn made(config: ApiConfig, place: Option<Place>) -> Result<Self, ApiError> {
        let addr = config.addr.trim_end_matches('/').to_owned();
        if !addr.starts_with("https://") && !addr.starts_with("http://") {
            return Err(ApiError::BadAddress { addr });
        }
        let shown = Some((config.cert_pem.as_str(), config.key_pem.as_str()));
        Ok(Self {
            http: client(&addr, &config.ca_pem, shown, place.as_ref())?,
            addr: addr.into(),
            ca_pem: config.ca_pem.into(),
            token: config.token,
            place,
            defaults: Query::default(),
        })
    }

    /// Returns the same client, which shows another certificate (with its key), or none. Not its
    /// connections: those were made with the old one.
    ///
    /// # Errors
    /// `BadPem`, `Client`.
    pub fn showing(&self, certificate: Option<(&str, &str)>) -> Result<Self, ApiError> {
        Ok(Self {
            http: client(&self.addr, &self.ca_pem, certificate, self.place.as_ref())?,
            ..self.clone()
        })
    }

    /// Returns the certificate (DER) that the agent shows; of a connection that is there already,
    /// the one that it was made with.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn certificate_served(&self) -> Result<Vec<u8>, ApiError> {
        let asked = Exchange::new("GET", "status/leader?stale");
        let (call, after) = (asked.call(&self.addr), self.patience(&asked.path));
        let sort = |error: reqwest::Error| sort_failure(&call, after, &error);
        let response = self.request(&asked, after)?.send().await.map_err(sort)?;
        let shown = response.extensions().get::<reqwest::tls::TlsInfo>();
        let shown = shown.and_then(reqwest::tls::TlsInfo::peer_certificate);
        shown.map(<[u8]>::to_vec).ok_or_else(|| ApiError::Decode {
            call: call.clone(),
            reason: "a certificate was expected".to_owned(),
            body: "none".to_owned(),
        })
    }

    /// Returns the same client with this token.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self {
            token: Some(token),
            ..self.clone()
        }
    }

    /// Returns the same client without a token.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    /// Returns the same client, whose reads the asked server answers from its own state.
    #[must_use]
    pub fn stale(&self) -> Self {
        let mut api = self.clone();
        api.defaults.stale = true;
        api
    }

    /// Returns the same client, whose calls give up after this long.
    #[must_use]
    pub fn timeout(&self, after: Duration) -> Self {
        let mut api = self.clone();
        api.defaults.timeout = Some(after);
        api
    }

    /// Returns the same client, whose calls the asked agent hands on to another region.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        let mut api = self.clone();
        api.defaults.region = Some(region.to_owned());
        api
    }

    /// Returns the agent's address.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Returns where it is reached, if that is another address than the one among the agents.
    #[must_use]
    pub fn place(&self) -> Option<SocketAddr> {
        self.place.as_ref().map(Place::address)
    }

    /// Returns the token sent along.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Reads `/v1/PATH` (the path is given without `/v1/`). Nulls count as absent.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
    ) -> Result<Reply<T>, ApiError> {
        let (call, reply) = self.send(Method::GET, path, query, None, &[]).await?;
        decode(&call, reply, Nulls::Absent)
    }

    /// Reads `/v1/PATH` as it is, nulls and all.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn get_value(&self, path: &str, query: &Query) -> Result<Reply<Value>, ApiError> {
        let (call, reply) = self.send(Method::GET, path, query, None, &[]).await?;
        decode(&call, reply, Nulls::Kept)
    }

    /// Reads `/v1/PATH`, where one error status carries an ordinary body too (autopilot's 429).
    pub(super) async fn get_or<T: DeserializeOwned>(
        &self,
        path: &str,
        accepted: u16,
    ) -> Result<Reply<T>, ApiError> {
        let (call, reply) = self
            .send(Method::GET, path, &Query::default(), None, &[accepted])
            .await?;
        decode(&call, reply, Nulls::Absent)
    }

    /// Writes to `/v1/PATH`. An empty reply reads as `null`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        body: &Value,
    ) -> Result<Reply<T>, ApiError> {
        let (call, reply) = self.send(Method::PUT, path, query, Some(body), &[]).await?;
        decode(&call, reply, Nulls::Absent)
    }

    /// Posts to `/v1/PATH` and returns the reply as it is, nulls and all.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn post_value(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let (call, reply) = self
            .send(Method::POST, path, &Query::default(), Some(body), &[])
            .await?;
        decode(&call, reply, Nulls::Kept).map(|reply| reply.value)
    }

    /// Deletes `/v1/PATH`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
    ) -> Result<Reply<T>, ApiError> {
        let (call, reply) = self.send(Method::DELETE, path, query, None, &[]).await?;
        decode(&call, reply, Nulls::Absent)
    }

    /// Sends a request as it is, with this handle's token and time, and returns whatever comes
    /// back: every status is an answer.
    ///
    /// # Errors
    /// [`ApiError`], where there was no whole answer.
    pub async fn exchange(&self, asked: &Exchange) -> Result<Answer, ApiError> {
        let (call, after) = (asked.call(&self.addr), self.patience(&asked.path));
        let sort = |error: reqwest::Error| sort_failure(&call, after, &error);
        let response = self.request(asked, after)?.send().await.map_err(sort)?;
        let (status, headers) = (response.status().as_u16(), header_texts(response.headers()));
        let body = response.bytes().await.map_err(sort)?.to_vec();
        Ok(Answer {
            call,
            status,
            headers,
            body,
        })
    }

    /// As [`Api::exchange`] with an answer that never ends: reads until `enough` says so of what
    /// came so far, and hangs up.
    ///
    /// # Errors
    /// [`ApiError`]; `TimedOut` where it was never enough.
    pub async fn exchange_until(
        &self,
        asked: &Exchange,
        enough: impl Fn(&[u8]) -> bool + Send,
    ) -> Result<Answer, ApiError> {
        let (call, after) = (asked.call(&self.addr), self.patience(&asked.path));
        let sort = |error: reqwest::Error| sort_failure(&call, after, &error);
        let mut response = self.request(asked, after)?.send().await.map_err(sort)?;
        let (status, headers) = (response.status().as_u16(), header_texts(response.headers()));
        let mut body = Vec::new();
        while !enough(&body) {
            match response.chunk().await.map_err(sort)? {
                Some(piece) => body.extend_from_slice(&piece),
                None => break,
            }
        }
        Ok(Answer {
            call,
            status,
            headers,
            body,
        })
    }

    /// How long such a call may take: a blocking query as long as it asks for, and some more.
    fn patience(&self, path: &str) -> Duration {
        let blocks = path.contains("index=");
        let wait = if blocks {
            BLOCKING_PATIENCE
        } else {
            Duration::ZERO
        };
        self.defaults.timeout.unwrap_or(CALL_TIMEOUT) + wait
    }

    fn request(
        &self,
        asked: &Exchange,
        after: Duration,
    ) -> Result<reqwest::RequestBuilder, ApiError> {
        let method = Method::from_bytes(asked.method.as_bytes())
            .map_err(|error| ApiError::Client(Box::new(error)))?;
        let url = format!("{}{}", self.addr, asked.path);
        let mut request = self.http.request(method, url).timeout(after);
        if let Some(token) = &self.token {
            request = request.header("X-Nomad-Token", token.secret());
        }
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        Ok(match &asked.body {
            Some(body) => request.body(body.clone()),
            None => request,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        body: Option<&Value>,
        accepted: &[u16],
    ) -> Result<(Call, Reply<Vec<u8>>), ApiError> {
        let call = Call {
            method: method_name(&method),
            path: format!("/v1/{path}"),
            addr: self.addr.to_string(),
        };
        let mut asked = query.clone();
        asked.stale |= self.defaults.stale;
        asked.region = asked.region.or_else(|| self.defaults.region.clone());
        let timeout = query.timeout.or(self.defaults.timeout).unwrap_or_else(|| {
            // A blocking query may take its wait and a sixteenth more.
            let wait = query.blocking.map_or(Duration::ZERO, |(_, wait)| wait);
            CALL_TIMEOUT + wait + wait / 16
        });
        let mut request = self
            .http
            .request(method, format!("{}{}", self.addr, call.path))
            .query(&asked.pairs())
            .timeout(timeout);
        if let Some(token) = &self.token {
            request = request.header("X-Nomad-Token", token.secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let sort = |error: reqwest::Error| sort_failure(&call, timeout, &error);
        let response = request.send().await.map_err(sort)?;
        let status = response.status().as_u16();
        let headers = Headers::read(response.headers());
        let bytes = response.bytes().await.map_err(sort)?.to_vec();
        if !(200..300).contains(&status) && !accepted.contains(&status) {
            let body = String::from_utf8_lossy(&bytes).trim().to_owned();
            return Err(ApiError::Status { call, status, body });
        }
        Ok((call, headers.reply(status, bytes)))
    }
}

/// The headers that Nomad puts on reads.
struct Headers {
    index: Option<u64>,
    known_leader: Option<bool>,
    last_contact: Option<Duration>,
}

impl Headers {
    fn read(headers: &reqwest::header::HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            index: text("x-nomad-index").and_then(|value| value.parse().ok()),
            known_leader: text("x-nomad-knownleader").map(|value| value == "true"),
            last_contact: text("x-nomad-lastcontact")
                .and_then(|value| value.parse().ok())
                .map(Duration::from_millis),
        }
    }

    fn reply(self, status: u16, value: Vec<u8>) -> Reply<Vec<u8>> {
        Reply {
            value,
            index: self.index,
            known_leader: self.known_leader,
            last_contact: self.last_contact,
            status,
        }
    }
}

fn header_texts(headers: &reqwest::header::HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &reqwest::header::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "GET",
    }
}

fn sort_failure(call: &Call, after: Duration, error: &reqwest::Error) -> ApiError {
    let call = call.clone();
    let reason = innermost(error);
    if error.is_connect() {
        ApiError::Unreachable { call, reason }
    } else if error.is_timeout() {
        ApiError::TimedOut { call, after }
    } else {
        ApiError::Broken { call, reason }
    }
}

/// Returns the last cause's words: the outer ones repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// What becomes of `null`s inside a reply. Go encodes an empty list as `null`.
#[derive(Clone, Copy, PartialEq)]
enum Nulls {
    Kept,
    Absent,
}

fn decode<T: DeserializeOwned>(
    call: &Call,
    reply: Reply<Vec<u8>>,
    nulls: Nulls,
) -> Result<Reply<T>, ApiError> {
    let wrong = |error: &serde_json::Error, bytes: &[u8]| ApiError::Decode {
        call: call.clone(),
        reason: error.to_string(),
        body: String::from_utf8_lossy(bytes).chars().take(200).collect(),
    };
    let bytes = &reply.value;
    let mut value: Value = if bytes.iter().all(u8::is_ascii_whitespace) {
        Value::Null
    } else {
        serde_json::from_slice(bytes).map_err(|error| wrong(&error, bytes))?
    };
    if nulls == Nulls::Absent {
        drop_nulls(&mut value);
    }
    let value = serde_json::from_value(value).map_err(|error| wrong(&error, bytes))?;
    Ok(reply.map(|_| value))
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Makes the client underneath; `shown` is the certificate that it shows, with its key.
fn client(
    addr: &str,
    ca_pem: &str,
    shown: Option<(&str, &str)>,
    place: Option<&Place>,
) -> Result<reqwest::Client, ApiError> {
    let (cert_pem, key_pem) = shown.unwrap_or_default();
    let tls = if addr.starts_with("https://") {
        tls_config(&ApiConfig {
            addr: addr.to_owned(),
            ca_pem: ca_pem.to_owned(),
            cert_pem: cert_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            token: None,
        })?
    } else {
        // Without this the builder looks for a process-wide TLS provider that is not there.
        trusting_nobody()?
    };
    let builder = match place {
        Some(place) => reqwest::Client::builder().dns_resolver(Arc::new(place.clone())),
        None => reqwest::Client::builder(),
    };
    builder
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .use_preconfigured_tls(tls)
        .tls_info(true)
        .build()
        .map_err(|error| ApiError::Client(Box::new(error)))
}

#[cfg(test)]
mod tests;
