//! One plain HTTP request to a task, on a connection of its own: a kept connection would hide
//! that nobody listens any more.
//!
//! The request goes from this machine straight to the allocation's address. With Docker that
//! wants a host that reaches the bridge network, which Linux does; Docker Desktop does not.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// At most this much of an answer is read.
const BODY_LIMIT: usize = 64 * 1024;

/// Why there was no good answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// Nobody listens.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke before the answer was whole.
    #[error("broken: {0}")]
    Broken(String),
    /// Too slow.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Another status than 200.
    #[error("HTTP {status}: {body}")]
    Status {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
}

/// Returns the body of `http://IP:PORT/`.
///
/// # Errors
/// [`GetError`].
pub async fn get(at: (Ipv4Addr, u16), within: Duration) -> Result<String, GetError> {
    tokio::time::timeout(within, request(at))
        .await
        .unwrap_or(Err(GetError::TimedOut(within)))
}

async fn request((ip, port): (Ipv4Addr, u16)) -> Result<String, GetError> {
    let address = SocketAddr::from((ip, port));
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| GetError::Connect(error.to_string()))?;
    let broken = |error: hyper::Error| GetError::Broken(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let request = Request::get("/")
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("a request made of constants and an address is well formed");
    // It takes the sender along: the connection lives as long as that.
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| GetError::Broken(error.to_string()))?
            .to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == 200 {
            Ok(body)
        } else {
            Err(GetError::Status { status, body })
        }
    };
    // The connection must be driven for the exchange to move; its own end is of no interest.
    let (outcome, _closed) = tokio::join!(exchange, connection);
    outcome
}
