//! Whom a client of the API believes, and what it shows of itself.
//!
//! Certificates are always verified: the authority given is the only one believed.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::api::{ApiConfig, ApiError};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn tls_config(config: &ApiConfig) -> Result<rustls::ClientConfig, ApiError> {
    let bad = |what, reason: String| ApiError::BadPem {
        what,
        addr: config.addr.clone(),
        reason,
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(&config.ca_pem).map_err(|why| bad("authority", why))? {
        roots
            .add(certificate)
            .map_err(|error| bad("authority", error.to_string()))?;
    }
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| ApiError::Client(Box::new(error)))?
        .with_root_certificates(roots);
    if config.cert_pem.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates(&config.cert_pem).map_err(|why| bad("certificate", why))?;
    let key = PrivateKeyDer::from_pem_slice(config.key_pem.as_bytes())
        .map_err(|error| bad("private key", error.to_string()))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| bad("certificate", error.to_string()))
}

pub(super) fn trusting_nobody() -> Result<rustls::ClientConfig, ApiError> {
    Ok(rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| ApiError::Client(Box::new(error)))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    Ok(found)
}
