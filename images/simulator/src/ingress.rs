//! `ingress`: a small reverse proxy that the sample job of that name runs on every node.
//!
//! It asks the agent beside it for the addresses of one service (Nomad's own service discovery,
//! from 1.3 on), by a query that returns when they change, and hands each request on to the next
//! of them. It speaks to the API as every program does: the variables `NOMAD_ADDR`, `NOMAD_CACERT`,
//! `NOMAD_CLIENT_CERT`, `NOMAD_CLIENT_KEY`, `NOMAD_TOKEN`, `NOMAD_NAMESPACE`, so TLS and ACLs may
//! be on. Missing: HTTPS towards its own callers, upgraded connections, bodies above 1 MiB.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock;
use crate::rpc::{Pool, RpcError, Tls, TlsSettings};
use crate::workload::{asked_to_end, listen, say};

/// How long the agent may hold a query for the service's instances.
const WAIT: &str = "60s";

/// After a query that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Largest body that is handed on, either way: this is a sample.
const BODY_MAX: usize = 1024 * 1024;

/// What belongs to one connection, and is not handed on.
const HOP_BY_HOP: &[header::HeaderName] = &[
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::HOST,
];

const USAGE: &str = "usage: ingress -service NAME [-port N]

A reverse proxy on 0.0.0.0, port -port or $NOMAD_PORT_http, for the instances of a service that is
registered with Nomad. The agent is asked at $NOMAD_ADDR, with $NOMAD_CACERT, $NOMAD_CLIENT_CERT,
$NOMAD_CLIENT_KEY, $NOMAD_TOKEN.";

/// Where the API is, and how to speak to it.
struct Api {
    pool: Pool,
    address: SocketAddr,
    path: String,
    token: String,
}

/// The instances that are known, and whose turn it is.
#[derive(Default)]
struct Instances {
    known: RwLock<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

/// One instance as the API has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Registered {
    address: String,
    port: u16,
}

/// Runs the proxy; `args` come after the word `ingress`.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let prepared = parse(args, &|name| std::env::var(name).ok());
    let (api, service, port) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => {
            say(&format!("error: {problem}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(api, service, port)),
        Err(error) => {
            say(&format!("error: no runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(
    args: &[String],
    var: &dyn Fn(&str) -> Option<String>,
) -> Result<(Api, String, u16), String> {
    let mut service = None;
    let mut port = var("NOMAD_PORT_http");
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().cloned();
        let value = value.ok_or_else(|| format!("`{arg}` needs a value"))?;
        match arg.trim_start_matches('-') {
            "service" => service = Some(value),
            "port" => port = Some(value),
            _ => return Err(format!("unknown argument `{arg}`")),
        }
    }
    let service = service.ok_or("no service: expected -service")?;
    let port = port.ok_or("no port: expected -port or NOMAD_PORT_http")?;
    let port = port
        .parse()
        .map_err(|_| format!("`{port}` is not a port"))?;
    Ok((api(&service, var)?, service, port))
}

fn api(service: &str, var: &dyn Fn(&str) -> Option<String>) -> Result<Api, String> {
    let given = var("NOMAD_ADDR").unwrap_or_else(|| "http://127.0.0.1:4646".to_owned());
    let (secure, rest) = match (
        given.strip_prefix("https://"),
        given.strip_prefix("http://"),
    ) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(format!("NOMAD_ADDR `{given}` is no http or https address")),
    };
    let address = rest.trim_end_matches('/');
    let address = address
        .parse()
        .map_err(|_| format!("NOMAD_ADDR `{given}`: expected an IP address and a port"))?;
    let file = |name: &str| {
        let path = var(name).map(PathBuf::from);
        path.ok_or_else(|| format!("NOMAD_ADDR is https, and {name} is not set"))
    };
    let tls = if secure {
        // The agent beside a task shows a client's certificate: its authority is what counts.
        let settings = TlsSettings {
            ca_file: file("NOMAD_CACERT")?,
            cert_file: file("NOMAD_CLIENT_CERT")?,
            key_file: file("NOMAD_CLIENT_KEY")?,
            region: var("NOMAD_REGION").unwrap_or_else(|| "global".to_owned()),
            ..TlsSettings::default()
        };
        let tls = Tls::load(settings).map_err(|e| e.to_string())?;
        Some(Arc::new(tls))
    } else {
        None
    };
    let namespace = var("NOMAD_NAMESPACE").unwrap_or_else(|| "default".to_owned());
    Ok(Api {
        pool: Pool::new(tls),
        address,
        path: format!("/v1/service/{service}?namespace={namespace}&wait={WAIT}"),
        token: var("NOMAD_TOKEN").unwrap_or_default(),
    })
}

impl Api {
    /// The service's instances once they differ from those of `index`, and the index they have.
    async fn instances(&self, index: u64) -> Result<(Vec<SocketAddr>, u64), String> {
        let request = Request::get(format!("{}&index={index}", self.path))
            .header("X-Nomad-Token", &self.token)
            .body(Bytes::new())
            .map_err(|e| e.to_string())?;
        let reply = self.pool.call(self.address, request).await;
        let reply = reply.map_err(|e| e.to_string())?;
        let (status, index) = (reply.status(), index_of(reply.headers()));
        let body = to_bytes(reply.into_body(), BODY_MAX).await;
        let body = body.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!(
                "{status}: {}",
                String::from_utf8_lossy(&body).trim()
            ));
        }
        let found: Vec<Registered> = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        let addresses = found.iter().filter_map(|one| {
            let ip = one.address.parse().ok()?;
            Some(SocketAddr::new(ip, one.port))
        });
        Ok((addresses.collect(), index))
    }
}

fn index_of(headers: &HeaderMap) -> u64 {
    let index = headers.get("X-Nomad-Index");
    let index = index.and_then(|value| value.to_str().ok()?.parse().ok());
    index.unwrap_or(0)
}

impl Instances {
    fn set(&self, found: Vec<SocketAddr>) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// All of them, beginning with the one whose turn it is.
    fn in_turn(&self) -> Vec<SocketAddr> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = known.clone();
        if !all.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % all.len();
            all.rotate_left(turn);
        }
        all
    }
}

/// Follows the service's instances until the end of the program. What was known last is kept
/// while the API does not answer: the instances may well be there.
async fn follow(api: Api, service: String, instances: Arc<Instances>) {
    let mut index = 0;
    let mut trouble = String::new();
    loop {
        match api.instances(index).await {
            Ok((found, next)) => {
                // An index that went back is no index to wait for.
                index = if next < index { 0 } else { next };
                trouble.clear();
                say(&format!(
                    "`{service}` has {} instances: {found:?}",
                    found.len()
                ));
                instances.set(found);
            }
            Err(problem) => {
                if problem != trouble {
                    say(&format!("error: cannot ask for `{service}`: {problem}"));
                    trouble = problem;
                }
                clock::sleep(RETRY).await;
            }
        }
    }
}

async fn serve(api: Api, service: String, port: u16) -> ExitCode {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut term), Ok(mut int)) = signals else {
        say("error: cannot listen for signals");
        return ExitCode::FAILURE;
    };
    let Some(listener) = listen(port).await else {
        return ExitCode::FAILURE;
    };
    say(&format!(
        "ingress for `{service}` started, listening on port {port}"
    ));
    let instances = Arc::new(Instances::default());
    let following = tokio::spawn(follow(api, service, Arc::clone(&instances)));
    let proxy = Proxy {
        instances,
        pool: Pool::new(None),
    };
    let router = axum::Router::new()
        .fallback(hand_on)
        .with_state(Arc::new(proxy));
    let end = async move {
        let which = asked_to_end(&mut term, &mut int).await;
        say(&format!("ingress stopped by {which}"));
    };
    let served = axum::serve(listener, router).with_graceful_shutdown(end);
    let result = served.await;
    following.abort();
    result.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

struct Proxy {
    instances: Arc<Instances>,
    pool: Pool,
}

/// Hands a request on to the instance whose turn it is; to the next where nothing was sent yet.
async fn hand_on(State(proxy): State<Arc<Proxy>>, request: Request<Body>) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB\n").into_response();
    };
    HOP_BY_HOP
        .iter()
        .for_each(|name| drop(head.headers.remove(name)));
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    for instance in proxy.instances.in_turn() {
        let mut request = Request::new(body.clone());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = path.parse().unwrap_or_default();
        *request.headers_mut() = head.headers.clone();
        match proxy.pool.call(instance, request).await {
            Ok(mut response) => {
                HOP_BY_HOP
                    .iter()
                    .for_each(|name| drop(response.headers_mut().remove(name)));
                return response;
            }
            Err(RpcError::Connect { .. }) => {}
            Err(error @ RpcError::Broken { .. }) => {
                return (StatusCode::BAD_GATEWAY, format!("{instance}: {error}\n")).into_response();
            }
        }
    }
    (StatusCode::SERVICE_UNAVAILABLE, "no instance answers\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)], args: &str) -> Result<(Api, String, u16), String> {
        let args: Vec<_> = args.split_whitespace().map(str::to_owned).collect();
        let find = |name: &str| {
            let found = vars.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        parse(&args, &find)
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let https = ("NOMAD_ADDR", "https://127.0.0.1:4646");
        for (vars, args, named) in [
            (&[][..], "-port 1", "-service"),
            (&[], "-service a", "NOMAD_PORT_http"),
            (&[], "-service a -port x", "`x`"),
            (&[], "-service", "needs a value"),
            (&[https], "-service a -port 1", "NOMAD_CACERT"),
            (
                &[("NOMAD_ADDR", "nomad:4646")],
                "-service a -port 1",
                "`nomad:4646`",
            ),
        ] {
            let problem = with(vars, args).err().expect("it is refused");
            assert!(problem.contains(named), "{problem}");
        }
    }

    #[test]
    fn instances_take_turns() {
        let instances = Instances::default();
        assert!(instances.in_turn().is_empty());
        let all: Vec<SocketAddr> = ["10.0.0.1:1", "10.0.0.2:1"]
            .map(|text| text.parse().expect("an address"))
            .to_vec();
        instances.set(all.clone());
        let first: Vec<_> = (0..4).map(|_| instances.in_turn()[0]).collect();
        assert_eq!(first, [all[0], all[1], all[0], all[1]]);
    }

    /// Serves one canned reply to each connection.
    async fn upstream(reply: &'static str) -> SocketAddr {
        let router = axum::Router::new()
            .fallback(async move |request: Request<Body>| format!("{reply} {}", request.uri()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn answer(proxy: &Arc<Proxy>, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = hand_on(State(Arc::clone(proxy)), request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), BODY_MAX)
            .await
            .expect("a body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_request_goes_to_an_instance_that_answers() {
        let proxy = Arc::new(Proxy {
            instances: Arc::default(),
            pool: Pool::new(None),
        });
        let (status, _) = answer(&proxy, "/").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let dead = gone.local_addr().expect("it is bound");
        drop(gone);
        proxy.instances.set(vec![dead, upstream("one").await]);
        for _ in 0..2 {
            let (status, body) = answer(&proxy, "/a?b=c").await;
            assert_eq!((status, body.as_str()), (StatusCode::OK, "one /a?b=c"));
        }
    }
}
