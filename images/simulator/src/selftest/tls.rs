//! TLS 1.3 over this machine's loopback, both ends in this process.
//!
//! The certificate and its key are for this test only and secret from nobody; nothing else
//! accepts them. They are valid from 2020 to 2120, for clocks that are off.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Found, on_runtime, same};

/// Both ends' configuration.
pub(super) struct Ends {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl Ends {
    /// Reads the certificate and makes both ends of it. Without session tickets: every
    /// handshake is a full one.
    pub(super) fn new() -> Result<Self, String> {
        let failed = |error: &dyn std::error::Error| format!("configuration: {error}");
        let certificate = CertificateDer::from_pem_slice(include_bytes!("certificate.pem"))
            .map_err(|error| failed(&error))?;
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("key.pem"))
            .map_err(|error| failed(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(certificate.clone())
            .map_err(|error| failed(&error))?;
        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| failed(&error))?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(|error| failed(&error))?;
        server.send_tls13_tickets = 0;
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        })
    }

    /// Connects both ends, sends `message` there and back, and returns what came back.
    pub(super) async fn echo(&self, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let length = message.len();
        let serve = async {
            let (stream, _) = listener.accept().await?;
            // Else a handshake's last part waits 40 ms for the other end's acknowledgement.
            stream.set_nodelay(true)?;
            let mut stream = self.acceptor.accept(stream).await?;
            let mut heard = vec![0; length];
            stream.read_exact(&mut heard).await?;
            stream.write_all(&heard).await?;
            stream.flush().await
        };
        let ask = async {
            let name = ServerName::try_from("selftest").expect("a name of letters");
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut stream = self.connector.connect(name, stream).await?;
            stream.write_all(message).await?;
            stream.flush().await?;
            let mut heard = vec![0; length];
            stream.read_exact(&mut heard).await?;
            Ok(heard)
        };
        let ((), heard) = tokio::try_join!(serve, ask)?;
        Ok(heard)
    }
}

/// A message comes back as it was sent.
pub(super) fn echo() -> Found {
    let message: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let ends = Ends::new()?;
    let heard = on_runtime(async { ends.echo(&message).await.map_err(|error| error.to_string()) })?;
    same("bytes", &message.len(), &heard.len())?;
    if heard != message {
        return Err("the message came back changed".to_owned());
    }
    Ok(format!("TLS 1.3, {} bytes and back", message.len()))
}
