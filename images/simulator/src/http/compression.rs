//! Answers with gzip, for those who accept it. What streams (events, logs that are followed) goes
//! as it comes.

use std::io::Write as _;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

/// The same routes, with compressed answers.
pub fn where_accepted(routes: Router) -> Router {
    routes.layer(from_fn(compress))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut names = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    names.any(|name| {
        let (name, quality) = name.split_once(';').unwrap_or((name, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0")
    })
}

async fn compress(request: Request, next: Next) -> Response {
    let wanted = accepts_gzip(request.headers());
    let response = next.run(request).await;
    let known = response.body().size_hint().exact().filter(|size| *size > 0);
    if !wanted || known.is_none() || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // A body of known size that breaks off was relayed from a server that is gone.
    let Ok(plain) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(head, Body::empty());
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    let packed = encoder.write_all(&plain).and_then(|()| encoder.finish());
    let Ok(packed) = packed else {
        return Response::from_parts(head, Body::from(plain));
    };
    head.headers.remove(header::CONTENT_LENGTH);
    let gzip = HeaderValue::from_static("gzip");
    head.headers.insert(header::CONTENT_ENCODING, gzip);
    let vary = HeaderValue::from_static("Accept-Encoding");
    head.headers.insert(header::VARY, vary);
    Response::from_parts(head, Body::from(packed))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, accepted: &str) -> Response {
        let stream = async || Body::from_stream(futures::stream::iter([Ok::<_, String>("a")]));
        let routes = Router::new()
            .route("/text", get(async || "hello"))
            .route("/nothing", get(async || ()))
            .route("/stream", get(stream));
        let request = Request::get(path).header(header::ACCEPT_ENCODING, accepted);
        let request = request.body(Body::empty()).unwrap();
        where_accepted(routes).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn answers_are_packed_for_those_who_take_them() {
        let packed = ask("/text", "deflate, gzip;q=0.9").await;
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let bytes = axum::body::to_bytes(packed.into_body(), 1024)
            .await
            .unwrap();
        let mut text = String::new();
        let mut unpacked = flate2::read::GzDecoder::new(&bytes[..]);
        unpacked.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        for (path, accepted) in [
            ("/text", "identity"),
            ("/text", "gzip;q=0"),
            ("/nothing", "gzip"),
            ("/stream", "gzip"),
        ] {
            let plain = ask(path, accepted).await;
            let encoding = plain.headers().get(header::CONTENT_ENCODING);
            assert_eq!(encoding, None, "{path} {accepted}");
        }
    }
}
