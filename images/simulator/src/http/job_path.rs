//! Slashes in job IDs: `job/a/b/plan` is about the job `a/b`, as `job/a%2Fb/plan` is.
//!
//! Nomad looks at how a path ends and takes the rest for the ID. So that routes can be matched by
//! their parts, the ID's own slashes are encoded before.

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::map_request;

/// What may follow the ID.
const ENDS: &[&str] = &[
    "/allocations",
    "/actions",
    "/deployment",
    "/deployments",
    "/dispatch",
    "/evaluate",
    "/evaluations",
    "/periodic/force",
    "/plan",
    "/revert",
    "/scale",
    "/services",
    "/stable",
    "/submission",
    "/summary",
    "/versions",
];

/// The same routes, reached by either spelling.
pub fn unambiguous(routes: Router) -> Router {
    Router::new()
        .fallback_service(routes)
        .layer(map_request(encode))
}

async fn encode(mut request: Request) -> Request {
    if let Some(uri) = encoded(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// `None` where there is nothing to encode.
fn encoded(uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix("/v1/job/")?;
    let end = ENDS.iter().find(|end| rest.ends_with(**end)).copied();
    let id = end.and_then(|end| rest.strip_suffix(end)).unwrap_or(rest);
    if !id.contains('/') || id.ends_with('/') {
        return None;
    }
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let path = format!(
        "/v1/job/{}{}{query}",
        id.replace('/', "%2F"),
        end.unwrap_or_default()
    );
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_the_path_is_no_part_of_the_id() {
        let of = |path: &str| {
            let uri: Uri = path.parse().unwrap();
            encoded(&uri).map_or_else(|| path.to_owned(), |uri| uri.to_string())
        };
        for (path, expected) in [
            ("/v1/job/web", "/v1/job/web"),
            ("/v1/job/web/plan?a=b", "/v1/job/web/plan?a=b"),
            ("/v1/job/a/b", "/v1/job/a%2Fb"),
            ("/v1/job/a/b/plan?x=1", "/v1/job/a%2Fb/plan?x=1"),
            (
                "/v1/job/a/dispatch-1/summary",
                "/v1/job/a%2Fdispatch-1/summary",
            ),
            ("/v1/job/a/periodic/force", "/v1/job/a/periodic/force"),
            ("/v1/jobs/a/b", "/v1/jobs/a/b"),
        ] {
            assert_eq!(of(path), expected);
        }
    }
}
