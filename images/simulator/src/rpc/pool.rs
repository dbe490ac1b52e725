//! Outgoing RPC: connections are kept and used again, one request at a time on each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::Tls;

/// How long a connection and its TLS handshake may take: servers are on the same network, and
/// a paused one must not hold up those who ask it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Idle connections kept for each address; bursts above it close theirs.
const IDLE_PER_ADDRESS: usize = 4;

/// An RPC did not get its reply; the texts are those that Nomad's API shows.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No connection: nothing was sent.
    #[error("failed to get conn: dial tcp {to}: {problem}")]
    Connect {
        /// Address tried.
        to: SocketAddr,
        /// Why, in Go's words where it has some.
        problem: String,
    },
    /// The connection broke after the request was (perhaps) sent.
    #[error("{problem}")]
    Broken {
        /// Why, in Go's words where it has some.
        problem: String,
    },
}

type Sender = SendRequest<Full<Bytes>>;

/// Outgoing connections; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Connections>);

#[derive(Debug)]
struct Connections {
    tls: Option<Arc<Tls>>,
    idle: Mutex<HashMap<SocketAddr, Vec<Sender>>>,
    #[cfg(test)]
    cuts: super::cut::Cuts,
}

impl Pool {
    /// Makes an empty pool; without `tls` the connections are plain.
    #[must_use]
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self(Arc::new(Connections {
            tls,
            idle: Mutex::default(),
            #[cfg(test)]
            cuts: super::cut::Cuts::default(),
        }))
    }

    /// Sends one request and returns its reply's head, the body still streaming. There is no
    /// time limit but that for connecting: blocking queries take minutes.
    ///
    /// # Errors
    /// [`RpcError::Connect`] where nothing was sent, [`RpcError::Broken`] where it may have been.
    pub async fn call(
        &self,
        to: SocketAddr,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, RpcError> {
        #[cfg(test)]
        self.0.cuts.pass(to).await;
        let reply = self.exchange(to, request).await;
        #[cfg(test)]
        self.0.cuts.pass(to).await;
        reply
    }

    /// What may be lost on the way.
    #[cfg(test)]
    pub(crate) fn cuts(&self) -> &super::cut::Cuts {
        &self.0.cuts
    }

    async fn exchange(
        &self,
        to: SocketAddr,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, RpcError> {
        let mut request = request.map(Full::new);
        if !request.headers().contains_key(header::HOST) {
            let host = HeaderValue::from_str(&to.to_string())
                .expect("an address is made of visible characters");
            request.headers_mut().insert(header::HOST, host);
        }
        while let Some(sender) = self.take(to) {
            // The other end may have closed an idle connection: then the request comes back.
            match self.send(to, sender, request).await? {
                Ok(response) => return Ok(response),
                Err(unsent) => request = unsent,
            }
        }
        let sender = self.connect(to).await?;
        match self.send(to, sender, request).await? {
            Ok(response) => Ok(response),
            Err(_unsent) => Err(RpcError::Broken {
                problem: "EOF".to_owned(),
            }),
        }
    }

    /// Closes idle connections, so that new ones use new certificates.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The inner failure gives back a request that was not sent.
    async fn send(
        &self,
        to: SocketAddr,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
    ) -> Result<Result<Response<Body>, Request<Full<Bytes>>>, RpcError> {
        match sender.try_send_request(request).await {
            Ok(response) => {
                let pool = self.clone();
                // Ready again once the reply's body was read; never, where it was dropped.
                tokio::spawn(async move {
                    if sender.ready().await.is_ok() {
                        pool.keep(to, sender);
                    }
                });
                Ok(Ok(response.map(Body::new)))
            }
            Err(mut failed) => match failed.take_message() {
                Some(unsent) => Ok(Err(unsent)),
                None => Err(RpcError::Broken {
                    problem: describe(&failed.into_error()),
                }),
            },
        }
    }

    fn take(&self, to: SocketAddr) -> Option<Sender> {
        let mut idle = self.lock();
        let senders = idle.get_mut(&to)?;
        while let Some(sender) = senders.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, to: SocketAddr, sender: Sender) {
        let mut idle = self.lock();
        let senders = idle.entry(to).or_default();
        senders.retain(|s| !s.is_closed());
        if senders.len() < IDLE_PER_ADDRESS {
            senders.push(sender);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Vec<Sender>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects in a task of its own: where the caller gives up meanwhile, as Raft does after
    /// one beat, the connection is kept for its next call. Otherwise a busy machine, on which
    /// a handshake takes longer than a beat, would never get one.
    async fn connect(&self, to: SocketAddr) -> Result<Sender, RpcError> {
        let (done, waiting) = oneshot::channel();
        let pool = self.clone();
        tokio::spawn(async move {
            let dialed = tokio::time::timeout(CONNECT_TIMEOUT, pool.dial(to)).await;
            let dialed = dialed.unwrap_or_else(|_elapsed| Err("i/o timeout".to_owned()));
            if let Err(Ok(unclaimed)) = done.send(dialed) {
                pool.keep(to, unclaimed);
            }
        });
        let ended = || Err("the agent ends".to_owned());
        let dialed = waiting.await.unwrap_or_else(|_closed| ended());
        dialed.map_err(|problem| RpcError::Connect { to, problem })
    }

    async fn dial(&self, to: SocketAddr) -> Result<Sender, String> {
        start(self.open(to).await?).await
    }

    /// A new connection that the pool does not keep.
    ///
    /// # Errors
    /// Where there is none within the time that connecting may take.
    pub(super) async fn stream(&self, to: SocketAddr) -> Result<Stream, RpcError> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, self.open(to)).await;
        let opened = opened.unwrap_or_else(|_elapsed| Err("i/o timeout".to_owned()));
        opened.map_err(|problem| RpcError::Connect { to, problem })
    }

    async fn open(&self, to: SocketAddr) -> Result<Stream, String> {
        let tcp = TcpStream::connect(to).await.map_err(|e| in_gos_words(&e))?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let Some(tls) = &self.0.tls else {
            return Ok(TokioIo::new(Box::new(tcp)));
        };
        let name = ServerName::try_from(tls.server_name()).map_err(|e| e.to_string())?;
        let stream = TlsConnector::from(tls.client())
            .connect(name, tcp)
            .await
            .map_err(|e| in_gos_words(&e))?;
        Ok(TokioIo::new(Box::new(stream)))
    }
}

/// Plain or with TLS.
pub(super) trait Duplex:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send
{
}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Duplex for T {}

/// An open connection.
pub(super) type Stream = TokioIo<Box<dyn Duplex>>;

async fn start(io: Stream) -> Result<Sender, String> {
    let (sender, connection) = http1::handshake(io).await.map_err(|e| e.to_string())?;
    tokio::spawn(async move {
        if let Err(problem) = connection.await {
            tracing::trace!(target: "nomad.rpc", %problem, "connection ended");
        }
    });
    Ok(sender)
}

/// Go's words for the usual failures of a connection: scripts look for them.
pub(crate) fn in_gos_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        ErrorKind::ConnectionReset => "read: connection reset by peer".to_owned(),
        ErrorKind::TimedOut => "i/o timeout".to_owned(),
        ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => error.to_string(),
    }
}

fn describe(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() {
        return "EOF".to_owned();
    }
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .map_or_else(|| error.to_string(), in_gos_words)
}
