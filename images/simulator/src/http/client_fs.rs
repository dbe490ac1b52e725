//! `client/fs/*` on the client that has the allocation.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::own::query;
use super::reply::{self, ApiError, Reply};
use crate::client::Client;
use crate::client::files::{self, FileError, Logs, Origin, Source, Streamed};

type Own = State<Arc<Client>>;

pub fn routes() -> Router<Arc<Client>> {
    Router::new()
        .route("/v1/client/fs/ls/{alloc}", get(ls))
        .route("/v1/client/fs/stat/{alloc}", get(stat))
        .route("/v1/client/fs/cat/{alloc}", get(cat))
        .route("/v1/client/fs/readat/{alloc}", get(readat))
        .route("/v1/client/fs/stream/{alloc}", get(stream))
        .route("/v1/client/fs/logs/{alloc}", get(logs))
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NoLogs { .. } => Self::missing(error.to_string()),
            _ => Self::server(error.to_string()),
        }
    }
}

/// One request for a file.
struct Asked {
    root: PathBuf,
    parameters: HashMap<String, String>,
}

impl Asked {
    fn new(client: &Client, alloc: &str, uri: &Uri) -> Result<Self, ApiError> {
        if client.allocation(alloc).is_none() {
            return Err(ApiError::missing(format!("Unknown allocation {alloc:?}")));
        }
        Ok(Self {
            root: client.alloc_dir(alloc),
            parameters: query(uri),
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.parameters.get(name).map(String::as_str);
        text.filter(|text| !text.is_empty())
    }

    fn path(&self) -> Result<&str, ApiError> {
        self.text("path")
            .ok_or_else(|| ApiError::bad("must provide a file name"))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| ApiError::bad(format!("error parsing {name}: {text:?} is no number")))
        };
        self.text(name).map(parse).transpose()
    }

    fn truth(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.text(name) {
            None => Ok(default),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(text) => Err(ApiError::bad(format!(
                "failed to parse {name} field to boolean: strconv.ParseBool: parsing {text:?}: invalid syntax"
            ))),
        }
    }

    fn origin(&self) -> Result<Origin, ApiError> {
        match self.text("origin") {
            None | Some("start") => Ok(Origin::Start),
            Some("end") => Ok(Origin::End),
            Some(_) => Err(ApiError::bad("origin must be start or end")),
        }
    }

    fn file(&self) -> Result<Source, ApiError> {
        let path = self.path()?;
        Ok(Source::File(
            files::open(&self.root, path)?,
            path.to_owned(),
        ))
    }
}

async fn ls(State(client): Own, Path(alloc): Path<String>, uri: Uri) -> Reply {
    let asked = Asked::new(&client, &alloc, &uri)?;
    let found = files::list(&asked.root, asked.text("path").unwrap_or("/"))?;
    Ok(reply::json(
        &json!(found),
        asked.parameters.contains_key("pretty"),
    ))
}

async fn stat(State(client): Own, Path(alloc): Path<String>, uri: Uri) -> Reply {
    let asked = Asked::new(&client, &alloc, &uri)?;
    let found = files::stat(&asked.root, asked.path()?)?;
    Ok(reply::json(
        &json!(found),
        asked.parameters.contains_key("pretty"),
    ))
}

async fn cat(State(client): Own, Path(alloc): Path<String>, uri: Uri) -> Reply {
    let asked = Asked::new(&client, &alloc, &uri)?;
    let streamed = files::follow(asked.file()?, 0, Origin::Start, false, None)?;
    Ok(bytes(files::plain(streamed)))
}

async fn readat(State(client): Own, Path(alloc): Path<String>, uri: Uri) -> Reply {
    let asked = Asked::new(&client, &alloc, &uri)?;
    let source = asked.file()?;
    let offset = asked.number("offset")?;
    let offset = offset.ok_or_else(|| ApiError::bad("error parsing offset: it is missing"))?;
    // As in Nomad, no limit and a limit of 0 are the same.
    let limit = asked.number("limit")?.filter(|limit| *limit > 0);
    let streamed = files::follow(source, offset, Origin::Start, false, limit)?;
    Ok(bytes(files::plain(streamed)))
}

async fn stream(State(client): Own, Path(alloc): Path<String>, uri: Uri) -> Reply {
    let asked = Asked::new(&client, &alloc, &uri)?;
    let offset = asked.number("offset")?.unwrap_or(0);
    let on = asked.truth("follow", true)?;
    let streamed = files::follow(asked.file()?, offset, asked.origin()?, on, None)?;
    Ok(bytes(files::framed(streamed)))
}

async fn logs(State(client): Own, Path(alloc): Path<String>, uri: Uri) -> Reply {
    let asked = Asked::new(&client, &alloc, &uri)?;
    let task = asked.text("task");
    let task = task.ok_or_else(|| ApiError::bad("must provide task name"))?;
    let on = asked.truth("follow", false)?;
    let is_plain = asked.truth("plain", false)?;
    let kind = asked
        .text("type")
        .filter(|kind| matches!(*kind, "stdout" | "stderr"));
    let kind = kind.ok_or_else(|| ApiError::bad("must provide log type (stdout/stderr)"))?;
    let offset = asked.number("offset")?.unwrap_or(0);
    let origin = asked.origin()?;
    let view = client.allocation(&alloc).unwrap_or_default();
    let Some(state) = view.tasks.get(task) else {
        return Err(ApiError::bad(format!("unknown task name {task:?}")));
    };
    if state.started_at.is_empty() {
        let text = format!("task {task:?} not started yet. No logs available");
        return Err(ApiError::missing(text));
    }
    let source = Source::Logs(Logs {
        dir: asked.root.join("alloc/logs"),
        task: task.to_owned(),
        kind: kind.to_owned(),
    });
    let streamed: Streamed = files::follow(source, offset, origin, on, None)?;
    Ok(bytes(if is_plain {
        files::plain(streamed)
    } else {
        files::framed(streamed)
    }))
}

/// 200 with a body that streams.
fn bytes(body: Body) -> Response {
    let mut response = Response::new(body);
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
