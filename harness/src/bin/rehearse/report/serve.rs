//! A folder of reports for browsers on this machine: files only, nothing above the folder, nobody
//! from elsewhere.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::output;
use crate::up;

/// Serves until the user ends it.
pub async fn serve(dir: &Path, page: &Path, port: u16) -> Result<(), Failure> {
    let root = dir.canonicalize().map_err(Failure::environment)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| {
            Failure::environment(format!("cannot serve on port {port}: {error}"))
                .hint("rehearse report serve --port 0")
        })?;
    let port = listener.local_addr().map_err(Failure::environment)?.port();
    let name = page.file_name().unwrap_or_default().to_string_lossy();
    output::text(&format!("http://127.0.0.1:{port}/{name}"));
    tokio::select! {
        () = accept(listener, root) => {}
        () = up::interrupted() => {}
    }
    Ok(())
}

async fn accept(listener: TcpListener, root: PathBuf) {
    while let Ok((stream, _)) = listener.accept().await {
        let root = root.clone();
        let service = service_fn(move |request| {
            let answer = answer(&root, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A browser that goes away in the middle is no trouble of ours.
        tokio::spawn(async move { connection.await.is_ok() });
    }
}

fn answer(root: &Path, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only");
    }
    let Some(path) = file_of(root, request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, "there is no such report");
    };
    match std::fs::read(&path) {
        Ok(bytes) => response(StatusCode::OK, kind_of(&path), bytes),
        Err(_) => plain(StatusCode::NOT_FOUND, "there is no such report"),
    }
}

/// Returns the file that an address means; `None` where it is none of the folder's own.
fn file_of(root: &Path, address: &str) -> Option<PathBuf> {
    let name = address.trim_start_matches('/');
    let name = if name.is_empty() { "index.html" } else { name };
    // Whatever the name says, and wherever links lead: only what lies below counts.
    let path = root.join(name).canonicalize().ok()?;
    (path.starts_with(root) && path.is_file()).then_some(path)
}

fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        _ => "text/plain; charset=utf-8",
    }
}

fn plain(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", words.into())
}

fn response(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("x-content-type-options", "nosniff")
        .header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'",
        )
        .body(Full::new(Bytes::from(body)));
    response.expect("its parts are constants")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_above_the_folder_is_served() {
        let above = tempfile::tempdir().expect("a folder of our own");
        let root = above.path().join("reports");
        std::fs::create_dir(&root).expect("it can be made");
        std::fs::write(above.path().join("secret"), "").expect("it can be written");
        std::fs::write(root.join("index.html"), "").expect("it can be written");
        std::os::unix::fs::symlink(above.path().join("secret"), root.join("link"))
            .expect("a link can be made");
        let root = root.canonicalize().expect("it is there");
        assert!(file_of(&root, "/").is_some());
        assert!(file_of(&root, "/index.html").is_some());
        for wrong in [
            "/../secret",
            "/link",
            "//etc/passwd",
            "/none",
            "/%2e%2e/secret",
        ] {
            assert_eq!(file_of(&root, wrong), None, "{wrong}");
        }
    }
}
