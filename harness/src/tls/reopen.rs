//! An authority from its files, so that more leaves can be signed after a cluster came up.

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Authority, Pair, TlsError, named};

/// A P-256 key in PKCS #8 up to its private number, and from there to its public point (RFC 5208,
/// RFC 5915).
const HEAD: [u8; 36] = [
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02,
    0x01, 0x01, 0x04, 0x20,
];
const POINT: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];

impl Authority {
    /// Opens the authority that [`Authority::new`] made for `region`; leaves begin their life at
    /// `now`.
    ///
    /// # Errors
    /// When the files are not those of such an authority.
    pub fn reopen(region: &str, pair: Pair, now: OffsetDateTime) -> Result<Self, TlsError> {
        let what = |source| TlsError {
            what: "certificate authority from its files".to_owned(),
            source,
        };
        let key = key(&pair.key).ok_or(rcgen::Error::CouldNotParseKeyPair);
        let key = key.map_err(what)?;
        let name = common_name(&pair.certificate).ok_or(rcgen::Error::CouldNotParseCertificate);
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&name.map_err(what)?);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        Ok(Self {
            pair,
            region: region.to_owned(),
            issuer: Issuer::new(params, key),
            now,
        })
    }
}

fn common_name(pem: &str) -> Option<String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let mut names = certificate.subject().iter_common_name();
    names.next()?.as_str().ok().map(str::to_owned)
}

/// Reads a key as `sec1_pem` wrote it: number and point stand at fixed places.
fn key(pem: &str) -> Option<KeyPair> {
    let der = PrivateSec1KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    let sec1 = der.secret_sec1_der();
    let (number, point) = (sec1.get(7..39)?, sec1.get(56..121)?);
    let pkcs8 = [&HEAD, number, &POINT, point].concat();
    let der = PrivatePkcs8KeyDer::from(pkcs8);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::{handshake, server};

    #[test]
    fn leaves_of_a_reopened_authority_are_believed_as_those_before() {
        let now = OffsetDateTime::now_utc();
        let first = Authority::new("global", now).unwrap();
        let again = Authority::reopen("global", first.pair().clone(), now).unwrap();
        let (old, new) = (
            first.cli_leaf().unwrap(),
            again.agent_leaf(&server()).unwrap(),
        );
        let ca = &first.pair().certificate;
        handshake(ca, &new, &old, "server.global.nomad").unwrap();
        // What an authority of the same name signs is not believed.
        let foreign = Authority::new("global", now).unwrap().cli_leaf().unwrap();
        handshake(ca, &new, &foreign, "server.global.nomad").unwrap_err();
        let past = now - time::Duration::days(366);
        let expired = Authority::reopen("global", first.pair().clone(), past).unwrap();
        let expired = expired.cli_leaf().unwrap();
        handshake(ca, &new, &expired, "server.global.nomad").unwrap_err();
    }

    #[test]
    fn other_files_are_refused() {
        let now = OffsetDateTime::now_utc();
        let pair = Authority::new("global", now).unwrap().pair().clone();
        let broken = Pair {
            key: "no key".to_owned(),
            ..pair.clone()
        };
        assert!(Authority::reopen("global", broken, now).is_err());
        let broken = Pair {
            certificate: String::new(),
            ..pair
        };
        assert!(Authority::reopen("global", broken, now).is_err());
    }
}
