//! How agents talk to each other, and how anyone talks to them: TLS material, one listener for
//! both RPC and HTTP, and the pool of outgoing connections.
//!
//! RPC is HTTP/1.1 with JSON over mutual TLS, not Nomad's yamux and msgpack: nothing outside
//! ever sees it, and its names and checks (who may call what) are Nomad's.

#[cfg(test)]
mod cut;
mod listener;
mod pool;
mod reverse;
mod servers;
mod tls;
#[cfg(test)]
pub(crate) mod trial;

pub use listener::{Kind, Listener, ListenerError};
pub(crate) use pool::in_gos_words;
pub use pool::{Pool, RpcError};
pub use reverse::{Callee, PATH as REVERSE_PATH, Reverse, ReverseError};
pub use servers::ServerClient;
pub use tls::{Tls, TlsError, TlsSettings};

use std::net::SocketAddr;
use std::sync::Arc;

/// Who sent a request: a request extension that the listener adds.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Address of the other end of the connection.
    pub address: SocketAddr,
    /// DNS names and common name of its certificate; empty without a client certificate.
    pub names: Arc<[String]>,
}

impl Caller {
    /// Whether the certificate carries `<role>.<region>.nomad`.
    #[must_use]
    pub fn is(&self, role: &str, region: &str) -> bool {
        let wanted = format!("{role}.{region}.nomad");
        self.names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&wanted))
    }
}

#[cfg(test)]
mod tests;
