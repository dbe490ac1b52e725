//! Certificates of this agent, re-readable while it runs.
//!
//! One certificate serves HTTPS and RPC, as in Nomad. What is checked: chains to `ca_file` on
//! both sides of every RPC connection; the name `server.<region>.nomad` of outgoing RPC with
//! `verify_server_hostname`; a client certificate on HTTPS with `verify_https_client`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::plant::{self, Plant};

/// The `tls` block, as far as connections need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// HTTPS instead of HTTP.
    pub http: bool,
    /// Mutual TLS for RPC.
    pub rpc: bool,
    /// Outgoing RPC verifies `server.<region>.nomad`; Raft demands it of callers.
    pub verify_server_hostname: bool,
    /// HTTPS demands a client certificate.
    pub verify_https_client: bool,
    /// PEM file of the authority.
    pub ca_file: PathBuf,
    /// PEM file of this agent's certificate.
    pub cert_file: PathBuf,
    /// PEM file of its key.
    pub key_file: PathBuf,
    /// Region, for the verified name.
    pub region: String,
}

/// The `tls` block cannot be put to use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or unreadable.
    #[error("cannot read `{key}` file `{path}`")]
    Read {
        /// Configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what its key promises.
    #[error("`{key}` file `{path}`: {problem}")]
    Content {
        /// Configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key do not go together, or the authority is unusable.
    #[error("certificate `{path}` cannot be used: {source}")]
    Unusable {
        /// The certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What one reading of the files gave.
#[derive(Debug)]
struct Material {
    rpc: Arc<ServerConfig>,
    https: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// This agent's certificates in use.
#[derive(Debug)]
pub struct Tls {
    settings: TlsSettings,
    current: RwLock<Arc<Material>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Where a file is missing, malformed, or of a kind that Nomad refuses (Ed25519).
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(Material::read(&settings)?));
        Ok(Self { settings, current })
    }

    /// Reads the files again; new connections use them from now on. On an error the old ones
    /// stay in use.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(Material::read(&self.settings)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The settings that it was made of.
    #[must_use]
    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// For incoming RPC: a client certificate is demanded.
    pub(super) fn rpc(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.material().rpc)
    }

    /// For incoming HTTPS.
    pub(super) fn https(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.material().https)
    }

    /// For outgoing RPC.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.material().client)
    }

    /// The name that servers' certificates must carry.
    pub(super) fn server_name(&self) -> String {
        format!("server.{}.nomad", self.settings.region)
    }

    fn material(&self) -> Arc<Material> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Material {
    fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(read_roots(&settings.ca_file)?);
        let chain = read_chain("cert_file", &settings.cert_file)?;
        let key = read_key(&settings.key_file)?;
        let unusable = |source| TlsError::Unusable {
            path: settings.cert_file.clone(),
            source,
        };
        let server = |ask_client: bool| -> Result<Arc<ServerConfig>, TlsError> {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(unusable)?;
            let builder = if ask_client {
                builder.with_client_cert_verifier(client_verifier(settings, &roots, &provider)?)
            } else {
                builder.with_no_client_auth()
            };
            let config = builder
                .with_single_cert(chain.clone(), key.clone_key())
                .map_err(unusable)?;
            Ok(Arc::new(config))
        };
        let verifier = ServerVerifier::new(settings, &roots, &provider)?;
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        Ok(Self {
            rpc: server(true)?,
            https: server(settings.verify_https_client && !not_asked())?,
            client: Arc::new(client),
        })
    }
}

fn client_verifier(
    settings: &TlsSettings,
    roots: &Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider));
    let verifier = if not_asked() {
        // Servers still show theirs, without which Raft would not speak to them.
        verifier.allow_unauthenticated()
    } else {
        verifier
    };
    verifier.build().map_err(|e| bad_ca(&settings.ca_file, &e))
}

fn not_asked() -> bool {
    plant::is(Plant::NoClientCertificate)
}

fn bad_ca(path: &Path, problem: &impl std::fmt::Display) -> TlsError {
    TlsError::Content {
        key: "ca_file",
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        key,
        path: path.to_owned(),
        source,
    })
}

fn read_chain(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read_file(key, path)?;
    let content = |problem: String| TlsError::Content {
        key,
        path: path.to_owned(),
        problem,
    };
    let chain = rustls_pemfile::certs(&mut pem.as_slice())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| content(e.to_string()))?;
    if chain.is_empty() {
        return Err(content("expected a PEM certificate, found none".to_owned()));
    }
    Ok(chain)
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain("ca_file", path)? {
        roots.add(certificate).map_err(|e| bad_ca(path, &e))?;
    }
    Ok(roots)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read_file("key_file", path)?;
    let content = |problem: String| TlsError::Content {
        key: "key_file",
        path: path.to_owned(),
        problem,
    };
    let key = rustls_pemfile::private_key(&mut pem.as_slice())
        .map_err(|e| content(e.to_string()))?
        .ok_or_else(|| content("expected a PEM private key, found none".to_owned()))?;
    let signer =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|e| content(e.to_string()))?;
    // Nomad's TLS code knows RSA and ECDSA only (helper/tlsutil/config.go).
    if signer.algorithm() == rustls::SignatureAlgorithm::ED25519 {
        return Err(content(
            "unsupported signature algorithm Ed25519".to_owned(),
        ));
    }
    Ok(key)
}

/// Verifies servers' chains, and their names only with `verify_server_hostname`.
#[derive(Debug)]
struct ServerVerifier {
    chain: Arc<WebPkiServerVerifier>,
    names: bool,
}

impl ServerVerifier {
    fn new(
        settings: &TlsSettings,
        roots: &Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let chain =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
                .build()
                .map_err(|e| bad_ca(&settings.ca_file, &e))?;
        Ok(Self {
            chain,
            names: settings.verify_server_hostname,
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.chain
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        // The chain is verified before the name, so a wrong name means a good chain.
        match verdict {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
