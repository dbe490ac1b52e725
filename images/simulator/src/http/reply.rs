//! What goes back: JSON with Nomad's headers, or one line of text with an error's status.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::consensus::ConsensusError;

/// Result of a handler.
pub type Reply = Result<Response, ApiError>;

/// Mark in a response's extensions: this server lost the lead before the write was taken, so
/// the request may be passed on to whoever leads now.
#[derive(Clone, Copy, Debug)]
pub struct NotLeader;

/// Mark in a response's extensions: no leader was found in time.
#[derive(Clone, Copy, Debug)]
pub struct NoLeader;

/// An error in Nomad's words: `text/plain`, 500 unless coded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ApiError {
    status: StatusCode,
    text: String,
    not_leader: bool,
    no_leader: bool,
}

impl ApiError {
    /// An error with a status of its own.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            not_leader: false,
            no_leader: false,
        }
    }

    /// 400: a bad parameter or body.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 404.
    pub fn missing(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// 500: everything that Nomad does not code otherwise.
    pub fn server(text: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// 403.
    pub fn denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Permission denied")
    }

    /// 501: Nomad has it, the simulator does not.
    pub fn not_simulated(what: &str) -> Self {
        let text = format!("rehearse-simulator: {what} is not simulated");
        Self::new(StatusCode::NOT_IMPLEMENTED, text)
    }

    /// 500 after the time that requests wait for a leader.
    pub fn no_leader() -> Self {
        Self {
            no_leader: true,
            ..Self::server("No cluster leader")
        }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<ConsensusError> for ApiError {
    fn from(error: ConsensusError) -> Self {
        match error {
            ConsensusError::NotLeader(_) => Self {
                not_leader: true,
                ..Self::server("node is not the leader")
            },
            // Raft's own words, which Nomad passes on; the entry may yet be committed.
            ConsensusError::NoQuorum(_) => Self::server("leadership lost while committing log"),
            ConsensusError::Fatal(text) => Self::server(text),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.text).into_response();
        if self.not_leader {
            response.extensions_mut().insert(NotLeader);
        }
        if self.no_leader {
            response.extensions_mut().insert(NoLeader);
        }
        response
    }
}

/// 200 with JSON, indented for `?pretty`.
pub fn json(value: &Value, pretty: bool) -> Response {
    if !pretty {
        return Json(value).into_response();
    }
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value can be printed");
    text.push('\n');
    let mut response = Response::new(Body::from(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// 200 without a body, as handlers that return nothing answer.
pub fn empty() -> Response {
    StatusCode::OK.into_response()
}
