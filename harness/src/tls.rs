//! One certificate authority per cluster and one leaf per agent, in the shape that `nomad tls`
//! gives them (`helper/tlsutil/generate.go`), so that one set of files serves every version:
//! `nomad tls` itself came with 1.4.5 and 1.5.0 only. No I/O.

mod reopen;

use std::net::Ipv4Addr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::spec::{AgentPlan, Role};

/// The authority's certificate.
pub const CA_FILE: &str = "nomad-agent-ca.pem";
/// The authority's key.
pub const CA_KEY_FILE: &str = "nomad-agent-ca-key.pem";

/// Life of the authority (`nomad tls ca create -days`, 1825 by default).
const CA_LIFE: Duration = Duration::days(1825);
/// Life of a leaf (`nomad tls cert create -days`, 365 by default).
const LEAF_LIFE: Duration = Duration::days(365);
/// Certificates are valid this long before they were made: the clock of a virtual machine that
/// runs the containers may lag behind this one's.
const CLOCK_LAG_MAX: Duration = Duration::hours(1);
/// How a P-256 key in SEC 1 begins (RFC 5915): a structure of 119 bytes, version 1, a number of 32 bytes.
const SEC1_HEAD: [u8; 7] = [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the {what}")]
pub struct TlsError {
    what: String,
    #[source]
    source: rcgen::Error,
}

/// Whom a leaf is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafKind {
    /// A server agent: may speak Raft.
    Server,
    /// A client agent.
    Client,
    /// The command line and this harness: no listener, names only.
    Cli,
}

impl LeafKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Cli => "cli",
        }
    }
}

impl From<Role> for LeafKind {
    fn from(role: Role) -> Self {
        match role {
            Role::Server => Self::Server,
            Role::Client => Self::Client,
        }
    }
}

/// Returns the names of a leaf's files, certificate and key, as `nomad tls cert create` has them.
#[must_use]
pub fn leaf_files(region: &str, kind: LeafKind) -> (String, String) {
    let stem = format!("{region}-{}-nomad", kind.as_str());
    (format!("{stem}.pem"), format!("{stem}-key.pem"))
}

/// A certificate and its private key, as PEM files. The key is SEC 1 (`EC PRIVATE KEY`).
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key; a secret.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// A cluster's authority, able to sign leaves.
pub struct Authority {
    pair: Pair,
    region: String,
    issuer: Issuer<'static, KeyPair>,
    now: OffsetDateTime,
}

impl Authority {
    /// Makes a new authority for the agents of `region`; `now` begins its life.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(region: &str, now: OffsetDateTime) -> Result<Self, TlsError> {
        let what = |source| TlsError {
            what: "certificate authority".to_owned(),
            source,
        };
        let key = new_key().map_err(what)?;
        let serial = serial();
        let mut params = CertificateParams::default();
        params.distinguished_name =
            named(&format!("Nomad Agent CA {}", u128::from_be_bytes(serial)));
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params.not_before = now - CLOCK_LAG_MAX;
        params.not_after = now + CA_LIFE;
        let certificate = params.self_signed(&key).map_err(what)?;
        let pair = Pair {
            certificate: certificate.pem(),
            key: sec1_pem(&key),
        };
        Ok(Self {
            pair,
            region: region.to_owned(),
            issuer: Issuer::new(params, key),
            now,
        })
    }

    /// Takes up an authority that was made earlier, here or by `nomad tls ca create`; what it signs
    /// is valid from `now` on.
    ///
    /// # Errors
    /// When the files are no authority of a P-256 key.
    pub fn of_pair(region: &str, pair: Pair, now: OffsetDateTime) -> Result<Self, TlsError> {
        let what = |source| TlsError {
            what: "authority out of its files".to_owned(),
            source,
        };
        let key = key_of_pem(&pair.key).map_err(what)?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate, key).map_err(what)?;
        Ok(Self {
            pair,
            region: region.to_owned(),
            issuer,
            now,
        })
    }

    /// Returns the authority's own files.
    #[must_use]
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Makes an agent's leaf: its role's name in its region (the authority's, unless it is in another),
    /// its own name, the local host, its address.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn agent_leaf(&self, agent: &AgentPlan) -> Result<Pair, TlsError> {
        let addresses = [Ipv4Addr::LOCALHOST, agent.address];
        let region = agent.region.as_deref().unwrap_or(&self.region);
        self.leaf(region, agent.role.into(), agent.name.as_str(), &addresses)
    }

    /// Makes the leaf of command lines, and of this harness.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn cli_leaf(&self) -> Result<Pair, TlsError> {
        self.leaf(&self.region, LeafKind::Cli, "", &[])
    }

    fn leaf(
        &self,
        region: &str,
        kind: LeafKind,
        own: &str,
        addresses: &[Ipv4Addr],
    ) -> Result<Pair, TlsError> {
        let role = kind.as_str();
        let name = format!("{role}.{region}.nomad");
        let what = |source| TlsError {
            what: format!("certificate of `{name}`"),
            source,
        };
        let mut names = vec![name.clone()];
        // `nomad tls` adds the `global` name to every other region's server and client.
        if region != "global" && kind != LeafKind::Cli {
            names.push(format!("{role}.global.nomad"));
        }
        if !own.is_empty() {
            names.extend([own.to_owned(), "localhost".to_owned()]);
        }
        // Agents dial and listen, so that both sides of every connection ask for both.
        let usages = [
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.signed(&name, names, addresses, &usages).map_err(what)
    }

    /// Makes the leaf of a server that is none of Nomad's, by its names.
    ///
    /// # Errors
    /// When the system gives no randomness, or a name is none.
    pub fn server_leaf(&self, names: Vec<String>) -> Result<Pair, TlsError> {
        let name = names.first().cloned().unwrap_or_default();
        let signed = self.signed(&name, names, &[], &[ExtendedKeyUsagePurpose::ServerAuth]);
        signed.map_err(|source| TlsError {
            what: format!("certificate of `{name}`"),
            source,
        })
    }

    fn signed(
        &self,
        name: &str,
        names: Vec<String>,
        addresses: &[Ipv4Addr],
        usages: &[ExtendedKeyUsagePurpose],
    ) -> Result<Pair, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        let san = |address: &Ipv4Addr| SanType::IpAddress((*address).into());
        params.subject_alt_names.extend(addresses.iter().map(san));
        params.distinguished_name = named(name);
        params.serial_number = Some(SerialNumber::from_slice(&serial()));
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        params.not_before = self.now - CLOCK_LAG_MAX;
        params.not_after = self.now + LEAF_LIFE;
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: sec1_pem(&key),
        })
    }
}

/// Returns a fresh ECDSA P-256 key: Nomad's TLS code refuses Ed25519.
fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
}

/// Reads a P-256 key as [`sec1_pem`] and `nomad tls` write it. The library below reads PKCS #8 only,
/// so the numbers go into one of those.
fn key_of_pem(pem: &str) -> Result<KeyPair, rcgen::Error> {
    const HEAD: [u8; 36] = [
        0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30,
        0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
    ];
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body.trim())
        .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    if !pem.contains("BEGIN EC PRIVATE KEY") {
        return KeyPair::try_from(der);
    }
    // SEC 1: head, private number, curve, public point; each of a fixed length for this curve.
    let parts =
        (der.len() == 121 && der.starts_with(&SEC1_HEAD)).then(|| (&der[7..39], &der[51..]));
    let (number, point) = parts.ok_or(rcgen::Error::CouldNotParseKeyPair)?;
    KeyPair::try_from([HEAD.as_slice(), number, point].concat())
}

/// Returns 128 random bits, the highest cleared: the number must be positive.
fn serial() -> [u8; 16] {
    let mut serial: [u8; 16] = rand::random();
    serial[0] &= 0x7f;
    serial
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Writes a P-256 key as `nomad tls` does: SEC 1, PEM label `EC PRIVATE KEY`.
///
/// `rcgen` writes PKCS #8, of which the private number is cut here: for one curve, the structure
/// has a fixed shape (RFC 5915), curve and public point included as OpenSSL and Go want them.
fn sec1_pem(key: &KeyPair) -> String {
    const CURVE: [u8; 12] = [
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    const POINT: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];
    let pkcs8 = key.serialized_der();
    let number = pkcs8
        .windows(SEC1_HEAD.len() - 2)
        .position(|window| window == &SEC1_HEAD[2..])
        .and_then(|at| pkcs8.get(at + 5..at + 37))
        .expect("a P-256 key in PKCS #8 has version 1 and a number of 32 bytes inside");
    let der = [&SEC1_HEAD, number, &CURVE, &POINT, key.public_key_raw()].concat();
    debug_assert_eq!(der.len(), 121, "RFC 5915 for P-256");
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let mut pem = String::from("-----BEGIN EC PRIVATE KEY-----\n");
    for chunk in text.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(chunk).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem.push_str("-----END EC PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{AgentName, Arch};

    #[test]
    fn an_authority_of_earlier_signs_what_its_first_certificate_trusts() {
        let first = authority("eu");
        let again = Authority::of_pair("eu", first.pair().clone(), OffsetDateTime::now_utc());
        let again = again.unwrap();
        let (old, new) = (
            first.cli_leaf().unwrap(),
            again.agent_leaf(&server()).unwrap(),
        );
        let ca = &first.pair().certificate;
        handshake(ca, &new, &old, "server.eu.nomad").unwrap();
        let stranger = authority("eu");
        let mixed = Pair {
            certificate: ca.clone(),
            key: stranger.pair().key.clone(),
        };
        let wrong = Authority::of_pair("eu", mixed, OffsetDateTime::now_utc()).unwrap();
        let leaf = wrong.agent_leaf(&server()).unwrap();
        assert!(handshake(ca, &leaf, &old, "server.eu.nomad").is_err());
        let broken = Pair {
            certificate: ca.clone(),
            key: "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n".to_owned(),
        };
        assert!(Authority::of_pair("eu", broken, OffsetDateTime::now_utc()).is_err());
    }

    fn authority(region: &str) -> Authority {
        Authority::new(region, OffsetDateTime::now_utc()).unwrap()
    }

    pub(super) fn server() -> AgentPlan {
        AgentPlan {
            name: AgentName::new(Role::Server, 1),
            role: Role::Server,
            region: None,
            address: Ipv4Addr::new(10, 84, 3, 11),
            arch: Arch::Amd64,
        }
    }

    /// Shakes hands in memory; `name` is what the dialling side looks for.
    pub(super) fn handshake(
        ca: &str,
        listener: &Pair,
        dialler: &Pair,
        name: &str,
    ) -> Result<(), rustls::Error> {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let chain = |pair: &Pair| {
            vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()]
        };
        let key = |pair: &Pair| PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())?;
        let roots = std::sync::Arc::new(roots);
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            roots.clone(),
            provider.clone(),
        )
        .build()
        .unwrap();
        let server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain(listener), key(listener))?;
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain(dialler), key(dialler))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = rustls::ClientConnection::new(client.into(), name)?;
        let mut server = rustls::ServerConnection::new(server.into())?;
        for _ in 0..4 {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        Ok(())
    }

    #[test]
    fn agents_know_each_other_by_role_and_users_by_address() {
        let authority = authority("global");
        let agent = authority.agent_leaf(&server()).unwrap();
        let cli = authority.cli_leaf().unwrap();
        for name in [
            "server.global.nomad",
            "server-1",
            "localhost",
            "127.0.0.1",
            "10.84.3.11",
        ] {
            handshake(&authority.pair().certificate, &agent, &cli, name).unwrap();
        }
        for name in ["client.global.nomad", "server-2", "10.84.3.12"] {
            handshake(&authority.pair().certificate, &agent, &cli, name).unwrap_err();
        }
    }

    #[test]
    fn another_server_is_known_by_its_names_alone() {
        let authority = authority("global");
        let names = ["ec2.us-east-2.amazonaws.com", "ec2.us-east-1.amazonaws.com"];
        let leaf = authority
            .server_leaf(names.map(str::to_owned).into())
            .unwrap();
        let cli = authority.cli_leaf().unwrap();
        for name in names {
            handshake(&authority.pair().certificate, &leaf, &cli, name).unwrap();
        }
        for name in ["server.global.nomad", "ec2.eu-west-1.amazonaws.com"] {
            handshake(&authority.pair().certificate, &leaf, &cli, name).unwrap_err();
        }
    }

    #[test]
    fn another_clusters_certificates_are_refused() {
        let (ours, theirs) = (authority("global"), authority("global"));
        let agent = ours.agent_leaf(&server()).unwrap();
        let stranger = theirs.cli_leaf().unwrap();
        let name = "server.global.nomad";
        handshake(&ours.pair().certificate, &agent, &stranger, name).unwrap_err();
        handshake(&theirs.pair().certificate, &agent, &stranger, name).unwrap_err();
    }

    #[test]
    fn certificates_have_the_shape_of_nomad_tls() {
        use x509_parser::prelude::{FromDer as _, X509Certificate, parse_x509_pem};
        let authority = authority("eu");
        let (_, pem) = parse_x509_pem(authority.pair().certificate.as_bytes()).unwrap();
        let (_, ca) = X509Certificate::from_der(&pem.contents).unwrap();
        assert!(ca.is_ca());
        assert!(ca.subject().to_string().starts_with("CN=Nomad Agent CA "));
        let usage = ca.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && usage.digital_signature());

        let leaf = authority.agent_leaf(&server()).unwrap();
        assert!(leaf.key.starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
        let (_, pem) = parse_x509_pem(leaf.certificate.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&pem.contents).unwrap();
        assert_eq!(leaf.issuer(), ca.subject());
        let usage = leaf.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_encipherment());
        let extended = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && extended.client_auth);
        let san = leaf.subject_alternative_name().unwrap().unwrap().value;
        let names: Vec<String> = san.general_names.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "DNSName(server.eu.nomad)",
                "DNSName(server.global.nomad)",
                "DNSName(server-1)",
                "DNSName(localhost)",
                "IPAddress(7f:00:00:01)",
                "IPAddress(0a:54:03:0b)",
            ]
        );
    }

    #[test]
    fn one_authority_signs_for_every_region_and_a_region_is_no_other() {
        let authority = authority("east");
        let west = AgentPlan {
            region: Some("west".to_owned()),
            ..server()
        };
        let (ca, west) = (
            &authority.pair().certificate,
            authority.agent_leaf(&west).unwrap(),
        );
        let east = authority.agent_leaf(&server()).unwrap();
        // As a server dials one of another region, and takes it for none of its own.
        handshake(ca, &west, &east, "server.west.nomad").unwrap();
        handshake(ca, &west, &east, "server.east.nomad").unwrap_err();
        handshake(ca, &east, &west, "server.east.nomad").unwrap();
    }

    #[test]
    fn files_are_named_as_nomad_tls_names_them() {
        let names = leaf_files("global", LeafKind::Server);
        assert_eq!(names.0, "global-server-nomad.pem");
        assert_eq!(names.1, "global-server-nomad-key.pem");
        assert_eq!(leaf_files("eu", LeafKind::Cli).0, "eu-cli-nomad.pem");
    }
}
