//! What a folder of certificates holds, and whether agents would accept it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{GOSSIP_FILE, folder_of};
use crate::tls::{CA_FILE, CA_KEY_FILE, LeafKind, leaf_files};

/// A leaf with less life than this is worth a word.
const SOON_DAYS: i64 = 30;

/// What was found in a folder.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The certificates that could be read.
    pub certificates: Vec<Certificate>,
    /// What is wrong; nothing, if agents would accept all of it.
    pub findings: Vec<Finding>,
}

/// A certificate, as far as Nomad looks at it.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// Its file.
    pub file: PathBuf,
    /// Subject.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Names and addresses that it is valid for.
    pub names: Vec<String>,
    /// First moment of its validity, RFC 3339.
    pub not_before: String,
    /// Last moment of its validity, RFC 3339.
    pub not_after: String,
    /// Whether it may sign others.
    pub authority: bool,
    /// Algorithm of its key.
    pub algorithm: String,
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether agents would refuse; otherwise it is a warning.
    pub fatal: bool,
    /// The file.
    pub file: PathBuf,
    /// What is wrong.
    pub message: String,
}

impl Report {
    /// Whether agents would accept everything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| !finding.fatal)
    }

    fn fatal(&mut self, file: &Path, message: impl Into<String>) {
        self.findings.push(Finding {
            fatal: true,
            file: file.to_owned(),
            message: message.into(),
        });
    }

    fn warn(&mut self, file: &Path, message: impl Into<String>) {
        self.findings.push(Finding {
            fatal: false,
            file: file.to_owned(),
            message: message.into(),
        });
    }
}

/// Reads a folder and checks it as agents of `region` would at `now`: chains, names, usages, keys,
/// lives, modes, the gossip key. Everything that is wrong is told at once.
#[must_use]
pub fn inspect(dir: &Path, region: &str, now: OffsetDateTime) -> Report {
    let mut report = Report::default();
    let ca_file = dir.join("ca").join(CA_FILE);
    let authority = read_certificate(&ca_file, &mut report);
    if let Some(der) = &authority {
        authority_findings(&ca_file, der, now, &mut report);
    }
    // The key may be kept elsewhere on purpose: only leaves that are made later need it.
    check_mode(&dir.join("ca").join(CA_KEY_FILE), &mut report);
    for kind in [LeafKind::Server, LeafKind::Client, LeafKind::Cli] {
        let (certificate, key) = leaf_files(region, kind);
        let folder = dir.join(folder_of(kind));
        let (certificate, key) = (folder.join(certificate), folder.join(key));
        check_mode(&key, &mut report);
        let leaf = read_certificate(&certificate, &mut report);
        let key_der = read_key(&key, &mut report);
        if let Some(leaf) = &leaf {
            life(&certificate, leaf, now, &mut report);
            if let Some(key_der) = key_der {
                check_key(&certificate, leaf, key_der, &mut report);
            }
            if let Some(authority) = &authority {
                chain(
                    &certificate,
                    leaf,
                    authority,
                    kind,
                    region,
                    now,
                    &mut report,
                );
            }
        }
    }
    gossip(&dir.join(GOSSIP_FILE), &mut report);
    report
}

fn read_certificate(file: &Path, report: &mut Report) -> Option<CertificateDer<'static>> {
    let der = match CertificateDer::from_pem_file(file) {
        Ok(der) => der,
        Err(_) if !file.exists() => {
            report.fatal(file, "is missing");
            return None;
        }
        Err(error) => {
            report.fatal(file, format!("is no certificate in PEM form: {error}"));
            return None;
        }
    };
    match X509Certificate::from_der(&der) {
        Ok((_, parsed)) => report.certificates.push(describe(file, &parsed)),
        Err(error) => {
            report.fatal(file, format!("is no certificate: {error}"));
            return None;
        }
    }
    Some(der)
}

fn describe(file: &Path, parsed: &X509Certificate<'_>) -> Certificate {
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names
        .map(|names| names.value.general_names.iter().map(name).collect())
        .unwrap_or_default();
    let moment = |time: x509_parser::time::ASN1Time| {
        time.to_datetime()
            .format(&Rfc3339)
            .unwrap_or_else(|_| time.to_string())
    };
    Certificate {
        file: file.to_owned(),
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names,
        not_before: moment(parsed.validity().not_before),
        not_after: moment(parsed.validity().not_after),
        authority: parsed.is_ca(),
        algorithm: algorithm(parsed),
    }
}

fn name(name: &x509_parser::prelude::GeneralName<'_>) -> String {
    use x509_parser::prelude::GeneralName;
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress([a, b, c, d]) => std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string(),
        GeneralName::IPAddress(bytes) => match <[u8; 16]>::try_from(*bytes) {
            Ok(bytes) => std::net::Ipv6Addr::from(bytes).to_string(),
            Err(_) => name.to_string(),
        },
        other => other.to_string(),
    }
}

/// Object identifiers of the key algorithms (RFC 5480, 8017, 8410).
fn algorithm(parsed: &X509Certificate<'_>) -> String {
    match parsed
        .public_key()
        .algorithm
        .algorithm
        .to_id_string()
        .as_str()
    {
        "1.2.840.10045.2.1" => "ECDSA".to_owned(),
        "1.2.840.113549.1.1.1" => "RSA".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        other => other.to_owned(),
    }
}

fn authority_findings(
    file: &Path,
    der: &CertificateDer<'_>,
    now: OffsetDateTime,
    report: &mut Report,
) {
    if let Ok((_, parsed)) = X509Certificate::from_der(der)
        && !parsed.is_ca()
    {
        report.fatal(file, "may not sign: it is not marked as an authority");
    }
    life(file, der, now, report);
}

fn life(file: &Path, der: &CertificateDer<'_>, now: OffsetDateTime, report: &mut Report) {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        return;
    };
    if algorithm(&parsed) == "Ed25519" {
        // Nomad's `tlsutil` knows RSA and ECDSA only.
        report.fatal(file, "has an Ed25519 key, which Nomad refuses");
    }
    let validity = parsed.validity();
    let (begins, ends) = (
        validity.not_before.to_datetime(),
        validity.not_after.to_datetime(),
    );
    let left = (ends - now).whole_days();
    if now < begins {
        report.fatal(file, format!("is valid only from {begins} on"));
    } else if now > ends {
        report.fatal(
            file,
            format!("expired {} days ago", (now - ends).whole_days()),
        );
    } else if left < SOON_DAYS {
        report.warn(file, format!("expires in {left} days"));
    }
}

fn read_key(file: &Path, report: &mut Report) -> Option<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_file(file) {
        Ok(key) => Some(key),
        Err(_) if !file.exists() => {
            report.fatal(file, "is missing");
            None
        }
        Err(error) => {
            report.fatal(file, format!("is no private key in PEM form: {error}"));
            None
        }
    }
}

fn check_mode(file: &Path, report: &mut Report) {
    if let Ok(metadata) = std::fs::metadata(file) {
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            report.fatal(
                file,
                format!("can be read by others (mode {mode:04o}): chmod 600 it"),
            );
        }
    }
}

fn check_key(
    file: &Path,
    leaf: &CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    report: &mut Report,
) {
    let provider = rustls::crypto::ring::default_provider();
    if let Err(error) = CertifiedKey::from_der(vec![leaf.clone()], key, &provider) {
        report.fatal(file, format!("does not go with its key: {error}"));
    }
}

/// Verifies as both sides of a connection would: agents dial and listen.
fn chain(
    file: &Path,
    leaf: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
    kind: LeafKind,
    region: &str,
    now: OffsetDateTime,
    report: &mut Report,
) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    if let Err(error) = roots.add(authority.clone().into_owned()) {
        report.fatal(file, format!("its authority cannot be trusted: {error}"));
        return;
    }
    let roots = Arc::new(roots);
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        u64::try_from(now.unix_timestamp()).unwrap_or(0),
    ));
    let client =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build();
    match client {
        Ok(verifier) => {
            if let Err(error) = verifier.verify_client_cert(leaf, &[], at) {
                report.fatal(file, format!("is refused by who is dialled: {error}"));
            }
        }
        Err(error) => report.fatal(file, error.to_string()),
    }
    let role = match kind {
        LeafKind::Server => "server",
        LeafKind::Client => "client",
        LeafKind::Cli => "cli",
    };
    let wanted = format!("{role}.{region}.nomad");
    let server = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
    if let (Ok(verifier), Ok(name)) = (server, ServerName::try_from(wanted.clone()))
        && let Err(error) = verifier.verify_server_cert(leaf, &[], &name, &[], at)
    {
        report.fatal(file, format!("is refused by who dials `{wanted}`: {error}"));
    }
}

fn gossip(file: &Path, report: &mut Report) {
    check_mode(file, report);
    let Ok(text) = std::fs::read_to_string(file) else {
        report.fatal(file, "is missing");
        return;
    };
    match STANDARD.decode(text.trim()) {
        Ok(key) if [16, 24, 32].contains(&key.len()) => {}
        Ok(key) => report.fatal(
            file,
            format!("holds a key of {} bytes; 16, 24 or 32 are", key.len()),
        ),
        Err(error) => report.fatal(file, format!("is no standard base64: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::create;
    use time::Duration;

    fn made(region: &str) -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("pki");
        create(&dir, region, OffsetDateTime::now_utc()).unwrap();
        (scratch, dir)
    }

    fn findings(dir: &Path, region: &str, now: OffsetDateTime) -> Vec<String> {
        let report = inspect(dir, region, now);
        report
            .findings
            .iter()
            .map(|finding| {
                format!(
                    "{}: {}",
                    finding.file.file_name().unwrap().to_string_lossy(),
                    finding.message
                )
            })
            .collect()
    }

    #[test]
    fn what_was_made_is_sound() {
        for region in ["global", "eu-1"] {
            let (_scratch, dir) = made(region);
            assert_eq!(
                findings(&dir, region, OffsetDateTime::now_utc()),
                Vec::<String>::new()
            );
        }
        let (_scratch, dir) = made("global");
        let report = inspect(&dir, "global", OffsetDateTime::now_utc());
        assert_eq!(report.certificates.len(), 4);
        assert!(
            report.certificates[1]
                .names
                .contains(&"server.global.nomad".to_owned())
        );
    }

    #[test]
    fn another_authority_is_noticed_on_both_sides() {
        let ((_one, dir), (_two, other)) = (made("global"), made("global"));
        std::fs::copy(
            other.join("ca/nomad-agent-ca.pem"),
            dir.join("ca/nomad-agent-ca.pem"),
        )
        .unwrap();
        let found = findings(&dir, "global", OffsetDateTime::now_utc());
        assert_eq!(
            found
                .iter()
                .filter(|text| text.contains("is refused by"))
                .count(),
            6,
            "{found:?}"
        );
    }

    #[test]
    fn a_key_of_another_certificate_is_noticed() {
        let ((_one, dir), (_two, other)) = (made("global"), made("global"));
        std::fs::copy(
            other.join("servers/global-server-nomad-key.pem"),
            dir.join("servers/global-server-nomad-key.pem"),
        )
        .unwrap();
        let found = findings(&dir, "global", OffsetDateTime::now_utc());
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("does not go with its key"), "{found:?}");
    }

    #[test]
    fn the_end_of_a_life_is_told_before_and_after() {
        let (_scratch, dir) = made("global");
        let soon = findings(
            &dir,
            "global",
            OffsetDateTime::now_utc() + Duration::days(350),
        );
        assert_eq!(
            soon.iter()
                .filter(|text| text.contains("expires in 14 days"))
                .count(),
            3,
            "{soon:?}"
        );
        let late = findings(
            &dir,
            "global",
            OffsetDateTime::now_utc() + Duration::days(400),
        );
        assert!(
            late.iter()
                .any(|text| text.contains("expired 34 days ago")
                    || text.contains("expired 35 days ago")),
            "{late:?}"
        );
    }

    #[test]
    fn other_faults_are_told_all_at_once() {
        let (_scratch, dir) = made("global");
        std::fs::remove_file(dir.join("cli/global-cli-nomad.pem")).unwrap();
        std::fs::write(dir.join("gossip.key"), "short\n").unwrap();
        let key = dir.join("clients/global-client-nomad-key.pem");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let found = findings(&dir, "global", OffsetDateTime::now_utc());
        assert_eq!(found.len(), 3, "{found:?}");
        // The wrong region is a wrong name for every file.
        assert!(findings(&dir, "us", OffsetDateTime::now_utc()).len() >= 6);
    }
}
