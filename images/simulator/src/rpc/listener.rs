//! Incoming connections, HTTP and RPC alike: accept, TLS, then one router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Caller, Tls};
use crate::clock;

/// Nomad's `limits { https_handshake_timeout, rpc_handshake_timeout }`.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// First byte of a TLS record that opens a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// What Go's HTTPS server says to a plain-HTTP request.
const PLAIN_ON_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// Which of the agent's two services a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The HTTP API: TLS with `tls.http`.
    Http,
    /// RPC: mutual TLS with `tls.rpc`.
    Rpc,
}

impl Kind {
    fn log_name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Rpc => "nomad.rpc",
        }
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}` for {kind:?}")]
pub struct ListenerError {
    /// The address.
    pub address: SocketAddr,
    /// The service.
    pub kind: Kind,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

/// A bound socket that does not answer yet.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    kind: Kind,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds `address`. `tls` is used as far as its settings say so for this `kind`.
    ///
    /// # Errors
    /// Where the address is taken or not this machine's.
    pub async fn bind(
        address: SocketAddr,
        kind: Kind,
        tls: Option<Arc<Tls>>,
    ) -> Result<Self, ListenerError> {
        let failed = |source| ListenerError {
            address,
            kind,
            source,
        };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let tls = tls.filter(|tls| match kind {
            Kind::Http => tls.settings().http,
            Kind::Rpc => tls.settings().rpc,
        });
        Ok(Self { tcp, kind, tls })
    }

    /// The bound address, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers with `router` until the task is aborted, which closes the connections too.
    /// Every request carries a [`Caller`] and a [`ConnectInfo`].
    pub async fn serve(self, router: Router) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                Some(_ended) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (kind, tls, router) = (self.kind, self.tls.clone(), router.clone());
                    connections.spawn(connection(stream, address, kind, tls, router));
                }
                Err(problem) => {
                    // Out of file descriptors, mostly: others may be closed meanwhile.
                    tracing::error!(target: "agent", listener = self.kind.log_name(), %problem, "accept failed");
                    clock::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    address: SocketAddr,
    kind: Kind,
    tls: Option<Arc<Tls>>,
    router: Router,
) {
    // Without it small replies would wait for the other end's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(tls) = tls else {
        serve_one(stream, address, Arc::from([]), router).await;
        return;
    };
    let mut first = [0_u8; 1];
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {}
        Ok(Ok(1)) => {
            if kind == Kind::Http && stream.write_all(PLAIN_ON_TLS).await.is_ok() {
                drop(stream.shutdown().await);
            }
            return;
        }
        _ => return,
    }
    let config = match kind {
        Kind::Http => tls.https(),
        Kind::Rpc => tls.rpc(),
    };
    let handshake = TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => {
            let names = peer_names(stream.get_ref().1);
            serve_one(stream, address, names, router).await;
        }
        // Somebody who looked whether the port is open.
        Ok(Err(problem)) if problem.kind() == std::io::ErrorKind::UnexpectedEof => {}
        Ok(Err(problem)) => {
            let listener = kind.log_name();
            tracing::warn!(target: "agent", listener, from = %address, %problem, "failed TLS handshake");
        }
        Err(_elapsed) => {}
    }
}

async fn serve_one<S>(stream: S, address: SocketAddr, names: Arc<[String]>, router: Router)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let caller = Caller { address, names };
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(caller.address));
        request.extensions_mut().insert(caller.clone());
        hyper::service::Service::call(&inner, request)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(problem) = served {
        tracing::trace!(target: "http", from = %address, %problem, "connection ended");
    }
}

/// DNS names and common name of the client's certificate: Nomad looks at both.
fn peer_names(session: &rustls::ServerConnection) -> Arc<[String]> {
    let Some(leaf) = session.peer_certificates().and_then(<[_]>::first) else {
        return Arc::from([]);
    };
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return Arc::from([]);
    };
    let mut names: Vec<String> = certificate
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok().map(str::to_owned))
        .collect();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        names.extend(
            alternatives
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                }),
        );
    }
    names.into()
}
