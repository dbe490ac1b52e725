//! A request and its answer as they are on the wire: for checks of the API itself, where status,
//! headers and the very words count.

use std::collections::BTreeMap;

use serde_json::Value;

use super::api::Call;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// `GET`, `PUT`, ...
    pub method: &'static str,
    /// Path and query, as `/v1/jobs?prefix=web`.
    pub path: String,
    /// Headers besides the token.
    pub headers: Vec<(String, String)>,
    /// The body as it is sent.
    pub body: Option<Vec<u8>>,
}

impl Exchange {
    /// Asks for `/v1/PATH` (the path is given without `/v1/`).
    #[must_use]
    pub fn new(method: &'static str, path: &str) -> Self {
        Self::at_root(method, &format!("/v1/{path}"))
    }

    /// Asks for a path that does not begin with `/v1`.
    #[must_use]
    pub fn at_root(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a body in JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        let text = body.to_string();
        self.header("Content-Type", "application/json").raw(text)
    }

    /// Adds a body as it is.
    #[must_use]
    pub fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns which call it is, for errors.
    #[must_use]
    pub(super) fn call(&self, addr: &str) -> Call {
        Call {
            method: self.method,
            path: self.path.clone(),
            addr: addr.to_owned(),
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The call that it answers.
    pub call: Call,
    /// HTTP status.
    pub status: u16,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header's text; the name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
