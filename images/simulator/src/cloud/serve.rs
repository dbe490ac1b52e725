//! The listeners, and what both services have in common: whose request it is, and the keys that were given out.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri};
use rand::Rng as _;
use tokio::signal::unix::{SignalKind, signal};

use super::sign::Keys;
use super::{
    AUTHORITY_FILE, CERTIFICATE_FILE, Cloud, CloudError, KEY_FILE, MACHINES_FILE, METADATA,
    Machine, ec2, imds,
};
use crate::rpc::{Kind, Listener, Tls, TlsSettings};
use crate::workload::{asked_to_end, say};

/// EC2's port, and the metadata service's.
const EC2_PORT: u16 = 443;
const METADATA_PORT: u16 = 80;

/// Largest request: EC2's filters are a few hundred bytes.
const BODY_MAX: usize = 64 * 1024;

/// A request to either service.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub from: IpAddr,
    /// `GET`, `PUT`, `POST`.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// Returns a request; `None` where a part of it is not well formed.
    #[must_use]
    pub fn new(
        from: IpAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Self> {
        let header = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().ok()?;
            Some((name, value.parse().ok()?))
        };
        Some(Self {
            from,
            method: method.parse().ok()?,
            uri: path.parse().ok()?,
            headers: headers.iter().map(header).collect::<Option<_>>()?,
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// What the text is.
    pub content_type: &'static str,
    /// The text.
    pub text: String,
    /// One more header.
    pub extra: Option<(&'static str, String)>,
    /// Why it was refused, for the log: AWS itself tells the caller less.
    pub log: Option<String>,
}

impl Answer {
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain",
            text: text.into(),
            extra: None,
            log: None,
        }
    }

    pub(super) fn with_log(mut self, log: impl Into<String>) -> Self {
        self.log = Some(log.into());
        self
    }
}

/// Keys of a role, as the metadata service gives them out; they live as long as the responder.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: String,
}

impl Session {
    fn new() -> Self {
        Self {
            id: format!("ASIA{}", random(16).to_uppercase()),
            secret: random(40),
            token: random(120),
        }
    }

    pub(super) fn keys(&self) -> Keys<'_> {
        Keys {
            id: &self.id,
            secret: &self.secret,
            token: Some(&self.token),
        }
    }
}

/// Letters and digits.
fn random(length: usize) -> String {
    let letters = rand::rng().sample_iter(rand::distr::Alphanumeric);
    letters.take(length).map(char::from).collect()
}

/// What answers, whoever listens.
pub struct Responder {
    pub(super) cloud: Cloud,
    /// One of each machine, in their order.
    sessions: Vec<Session>,
    /// The metadata service's tokens that were given out.
    tokens: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Responder");
        shown.field("cloud", &self.cloud).finish_non_exhaustive()
    }
}

impl Responder {
    /// Returns what answers for these machines, with new keys.
    #[must_use]
    pub fn new(cloud: Cloud) -> Self {
        Self {
            sessions: cloud.machines.iter().map(|_| Session::new()).collect(),
            cloud,
            tokens: Mutex::default(),
        }
    }

    /// Answers a request to the metadata service.
    #[must_use]
    pub fn metadata(&self, asked: &Asked) -> Answer {
        let IpAddr::V4(from) = asked.from.to_canonical() else {
            return Answer::text(StatusCode::NOT_FOUND, "");
        };
        match self.at(from) {
            Some((machine, session)) => imds::answer(self, machine, session, asked),
            None => Answer::text(StatusCode::NOT_FOUND, "")
                .with_log(format!("{from} is none of the machines")),
        }
    }

    /// Answers a request to EC2.
    #[must_use]
    pub fn ec2(&self, asked: &Asked) -> Answer {
        ec2::answer(self, asked)
    }

    /// The machine at an address.
    fn at(&self, address: Ipv4Addr) -> Option<(&Machine, &Session)> {
        let mut all = self.cloud.machines.iter().zip(&self.sessions);
        all.find(|(machine, _)| machine.link_local == address || machine.address == address)
    }

    /// The machine whose role has the key.
    pub(super) fn of_key(&self, id: &str) -> Option<(&Machine, &Session)> {
        let mut all = self.cloud.machines.iter().zip(&self.sessions);
        all.find(|(machine, session)| machine.role.is_some() && session.id == id)
    }

    pub(super) fn new_token(&self) -> String {
        let token = random(56);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(token.clone());
        token
    }

    pub(super) fn knows_token(&self, token: &str) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.contains(token)
    }
}

/// Which of the two.
#[derive(Clone, Copy)]
enum Service {
    Metadata,
    Ec2,
}

/// The metadata service's requests, and EC2's.
pub(super) fn routers(responder: &Arc<Responder>) -> [Router; 2] {
    [Service::Metadata, Service::Ec2].map(|service| router(Arc::clone(responder), service))
}

fn router(responder: Arc<Responder>, service: Service) -> Router {
    Router::new().fallback(
        move |ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request<Body>| {
            let responder = Arc::clone(&responder);
            async move {
                let (parts, body) = request.into_parts();
                let Ok(body) = to_bytes(body, BODY_MAX).await else {
                    return reply(&Answer::text(StatusCode::PAYLOAD_TOO_LARGE, ""));
                };
                let asked = Asked {
                    from: from.ip(),
                    method: parts.method,
                    uri: parts.uri,
                    headers: parts.headers,
                    body,
                };
                let answer = match service {
                    Service::Metadata => responder.metadata(&asked),
                    Service::Ec2 => responder.ec2(&asked),
                };
                log(service, &asked, &answer);
                reply(&answer)
            }
        },
    )
}

fn reply(answer: &Answer) -> Response<Body> {
    let mut made = Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type);
    if let Some((name, value)) = &answer.extra {
        made = made.header(*name, value);
    }
    made.body(Body::from(answer.text.clone()))
        .expect("status and headers are well formed")
}

/// One line a request; nothing of what is answered, which may be keys.
fn log(service: Service, asked: &Asked, answer: &Answer) {
    let name = match service {
        Service::Metadata => "metadata",
        Service::Ec2 => "ec2",
    };
    let (status, why) = (answer.status.as_u16(), answer.log.as_deref());
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let (from, method, path) = (asked.from, &asked.method, asked.uri.path());
    say(&format!("{name} {from} {method} {path} {status}{why}"));
}

/// Listens until a signal ends it.
pub(super) fn serve(folder: &Path) -> Result<String, CloudError> {
    let path = folder.join(MACHINES_FILE);
    let text = std::fs::read_to_string(&path).map_err(|source| CloudError::Read {
        path: path.clone(),
        source,
    })?;
    let cloud =
        serde_json::from_str(&text).map_err(|source| CloudError::Machines { path, source })?;
    let tls = Tls::load(TlsSettings {
        http: true,
        ca_file: folder.join(AUTHORITY_FILE),
        cert_file: folder.join(CERTIFICATE_FILE),
        key_file: folder.join(KEY_FILE),
        ..TlsSettings::default()
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CloudError::Runtime)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(CloudError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CloudError::Runtime)?;
        let responder = Arc::new(Responder::new(cloud));
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let metadata = listen(SocketAddr::new(METADATA.into(), METADATA_PORT), None).await?;
        let ec2 = listen(SocketAddr::new(any, EC2_PORT), Some(Arc::new(tls))).await?;
        say("EC2 and the metadata service are answered here");
        let [of_metadata, of_ec2] = routers(&responder);
        tokio::select! {
            () = metadata.serve(of_metadata) => {}
            () = ec2.serve(of_ec2) => {}
            _ = asked_to_end(&mut terminate, &mut interrupt) => {}
        }
        Ok(String::new())
    })
}

async fn listen(address: SocketAddr, tls: Option<Arc<Tls>>) -> Result<Listener, CloudError> {
    let bound = Listener::bind(address, Kind::Http, tls).await;
    bound.map_err(|mut problem| {
        let source = std::mem::replace(&mut problem.source, std::io::ErrorKind::Other.into());
        CloudError::Listen { problem, source }
    })
}
