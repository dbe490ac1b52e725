//! Files from a release server: small ones whole, large ones resumed where a broken transfer
//! stopped. It and `nomad/api.rs` are the only files that name `reqwest`.
//!
//! Certificates are judged by the machine's own roots (`SSL_CERT_FILE` included), since mirrors
//! often have a certificate of the house. Proxies come from the usual variables, but never for
//! this machine itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};
use tokio::io::AsyncWriteExt as _;

/// How often a broken transfer is taken up again within one call, each time only if it had
/// brought something.
const RESUMPTIONS: u32 = 20;

/// Largest file that is taken: the zips are 30 to 170 MB.
const LARGEST: u64 = 2 << 30;

/// A file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The server has no such file.
    #[error("`{url}` does not exist there (404)")]
    NotFound {
        /// The address.
        url: String,
    },
    /// The server answered something else.
    #[error("`{url}` answered {status}, expected 200")]
    Status {
        /// The address.
        url: String,
        /// What it answered.
        status: StatusCode,
    },
    /// No answer at all.
    #[error("`{url}` cannot be reached")]
    Unreachable {
        /// The address.
        url: String,
        /// What the network says.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("`{url}` sent nothing for {}, after {}", seconds(.after), amount(*.received, *.total))]
    Stalled {
        /// The address.
        url: String,
        /// Bytes that are here, from earlier transfers too.
        received: u64,
        /// Bytes of the whole file, where the server said.
        total: Option<u64>,
        /// How long nothing came.
        after: Duration,
    },
    /// The connection ended before the file did.
    #[error("the transfer of `{url}` broke off after {}", amount(*.received, *.total))]
    Broken {
        /// The address.
        url: String,
        /// Bytes that are here, from earlier transfers too.
        received: u64,
        /// Bytes of the whole file, where the server said.
        total: Option<u64>,
        /// What the network says.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// More than such a file ever is.
    #[error("`{url}` is larger than {limit} bytes, which no such file is")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// It cannot be written.
    #[error("cannot write `{}`", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No certificate authority is known on this machine.
    #[error("`{url}` cannot be trusted: this machine has no root certificates")]
    NoRoots {
        /// The address.
        url: String,
    },
    /// The client itself cannot be made.
    #[error("cannot set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A client of release servers.
#[derive(Debug)]
pub(super) struct Fetcher {
    /// Through the machine's proxy, where it has one.
    proxied: Client,
    /// For servers on this machine.
    direct: Client,
    stall: Duration,
    rootless: bool,
}

/// Told after every piece: bytes that are here, bytes of the whole.
pub(super) type Report<'a> = &'a (dyn Fn(u64, Option<u64>) + Sync);

impl Fetcher {
    /// Makes a client that gives up connecting after `connect`, and on silence after `stall`.
    pub(super) fn new(connect: Duration, stall: Duration) -> Result<Self, DownloadError> {
        let mut roots = rustls::RootCertStore::empty();
        let (known, _) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| DownloadError::Tls(Box::new(source)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = || {
            Client::builder()
                .use_preconfigured_tls(tls.clone())
                .connect_timeout(connect)
                .user_agent(concat!("rehearse/", env!("CARGO_PKG_VERSION")))
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .build()
                .map_err(|source| DownloadError::Tls(Box::new(source)))
        };
        Ok(Self {
            proxied: build(client())?,
            direct: build(client().no_proxy())?,
            stall,
            rootless: known == 0,
        })
    }

    /// Returns a small file whole.
    pub(super) async fn small(&self, url: &str, limit: usize) -> Result<Vec<u8>, DownloadError> {
        let mut response = self.get(url, None).await?;
        check_status(url, &response)?;
        let mut body = Vec::new();
        while let Some(piece) = self
            .piece(url, &mut response, body.len() as u64, None)
            .await?
        {
            body.extend_from_slice(&piece);
            if body.len() > limit {
                return Err(DownloadError::TooLarge {
                    url: shown(url),
                    limit: limit as u64,
                });
            }
        }
        Ok(body)
    }

    /// Asks for the head of an address only: whether somebody answers there at all.
    pub(super) async fn reachable(&self, url: &str) -> Result<StatusCode, DownloadError> {
        self.check_roots(url)?;
        let sent = tokio::time::timeout(self.stall, self.client(url).head(url).send()).await;
        match sent {
            Ok(Ok(response)) => Ok(response.status()),
            Ok(Err(source)) => Err(unreachable(url, source)),
            Err(_) => Err(self.stalled(url, 0, None)),
        }
    }

    /// Brings a file to `part`, which may hold its beginning already.
    pub(super) async fn to_file(
        &self,
        url: &str,
        part: &Path,
        report: Report<'_>,
    ) -> Result<(), DownloadError> {
        for _ in 0..RESUMPTIONS {
            let before = length(part).await?;
            match self.transfer(url, part, before, report).await {
                Err(DownloadError::Broken { received, .. }) if received > before => {
                    tracing::info!(%url, received, "transfer broke off, taking it up again");
                }
                outcome => return outcome,
            }
        }
        let before = length(part).await?;
        self.transfer(url, part, before, report).await
    }

    /// One request for what is missing after `before` bytes.
    async fn transfer(
        &self,
        url: &str,
        part: &Path,
        before: u64,
        report: Report<'_>,
    ) -> Result<(), DownloadError> {
        let mut response = self.get(url, (before > 0).then_some(before)).await?;
        let (at, total) = match placed(&response, before) {
            Placed::Whole => return Ok(()),
            Placed::At(at, total) => (at, total),
            Placed::Elsewhere => {
                // The part is no beginning of this file.
                remove(part).await?;
                response = self.get(url, None).await?;
                (0, response.content_length())
            }
        };
        check_status(url, &response)?;
        let disk = |source| DownloadError::Disk {
            path: part.to_owned(),
            source,
        };
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(at > 0)
            .write(true)
            .truncate(at == 0)
            .open(part)
            .await
            .map_err(disk)?;
        let mut received = at;
        report(received, total);
        let outcome = loop {
            match self.piece(url, &mut response, received, total).await {
                Ok(Some(piece)) => {
                    file.write_all(&piece).await.map_err(disk)?;
                    received += piece.len() as u64;
                    report(received, total);
                    if received > LARGEST {
                        break Err(DownloadError::TooLarge {
                            url: shown(url),
                            limit: LARGEST,
                        });
                    }
                }
                Ok(None) if total.is_some_and(|total| received < total) => {
                    break Err(DownloadError::Broken {
                        url: shown(url),
                        received,
                        total,
                        source: None,
                    });
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // What came is kept whatever the outcome: the next transfer begins behind it.
        file.flush().await.map_err(disk)?;
        outcome
    }

    async fn get(&self, url: &str, from: Option<u64>) -> Result<Response, DownloadError> {
        self.check_roots(url)?;
        let mut request = self.client(url).get(url);
        if let Some(from) = from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        match tokio::time::timeout(self.stall, request.send()).await {
            Ok(sent) => sent.map_err(|source| unreachable(url, source)),
            Err(_) => Err(self.stalled(url, from.unwrap_or(0), None)),
        }
    }

    async fn piece(
        &self,
        url: &str,
        response: &mut Response,
        received: u64,
        total: Option<u64>,
    ) -> Result<Option<bytes::Bytes>, DownloadError> {
        match tokio::time::timeout(self.stall, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(source)) => Err(DownloadError::Broken {
                url: shown(url),
                received,
                total,
                source: Some(source.without_url()),
            }),
            Err(_) => Err(self.stalled(url, received, total)),
        }
    }

    fn stalled(&self, url: &str, received: u64, total: Option<u64>) -> DownloadError {
        DownloadError::Stalled {
            url: shown(url),
            received,
            total,
            after: self.stall,
        }
    }

    fn client(&self, url: &str) -> &Client {
        let here = ["http://127.", "http://[::1]", "http://localhost"];
        match here.iter().any(|start| url.starts_with(start)) {
            true => &self.direct,
            false => &self.proxied,
        }
    }

    fn check_roots(&self, url: &str) -> Result<(), DownloadError> {
        if self.rootless && url.starts_with("https:") {
            return Err(DownloadError::NoRoots { url: shown(url) });
        }
        Ok(())
    }
}

/// Where the body of an answer belongs in the file.
enum Placed {
    /// Nowhere: the file is here already.
    Whole,
    /// At this offset, of a file of this size.
    At(u64, Option<u64>),
    /// Not behind what is here.
    Elsewhere,
}

fn placed(response: &Response, before: u64) -> Placed {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(content_range);
    match (response.status(), range) {
        (StatusCode::PARTIAL_CONTENT, Some((Some(start), total))) if start == before => {
            Placed::At(before, total)
        }
        (StatusCode::RANGE_NOT_SATISFIABLE, Some((None, Some(total)))) if total == before => {
            Placed::Whole
        }
        (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => Placed::Elsewhere,
        _ => Placed::At(0, response.content_length()),
    }
}

/// Reads `bytes 100-199/200` and `bytes */200`: where it starts, and the whole.
fn content_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = match range.split_once('-') {
        Some((start, _)) => Some(start.parse().ok()?),
        None => None,
    };
    Some((start, total.parse().ok()))
}

fn check_status(url: &str, response: &Response) -> Result<(), DownloadError> {
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(()),
        StatusCode::NOT_FOUND => Err(DownloadError::NotFound { url: shown(url) }),
        status => Err(DownloadError::Status {
            url: shown(url),
            status,
        }),
    }
}

fn unreachable(url: &str, source: reqwest::Error) -> DownloadError {
    DownloadError::Unreachable {
        url: shown(url),
        source: source.without_url(),
    }
}

/// Returns an address as it may be printed: without a mirror's user and password.
#[must_use]
pub fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host_ends = rest.find('/').unwrap_or(rest.len());
            let host_starts = rest[..host_ends].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[host_starts..])
        }
        None => url.to_owned(),
    }
}

fn amount(received: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{received} of {total} bytes"),
        None => format!("{received} bytes"),
    }
}

fn seconds(duration: &Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

async fn length(part: &Path) -> Result<u64, DownloadError> {
    match tokio::fs::metadata(part).await {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(DownloadError::Disk {
            path: part.to_owned(),
            source,
        }),
    }
}

async fn remove(part: &Path) -> Result<(), DownloadError> {
    match tokio::fs::remove_file(part).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DownloadError::Disk {
            path: part.to_owned(),
            source: error,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrors_password_is_never_shown() {
        assert_eq!(
            shown("https://me:secret@mirror.example/hc/nomad"),
            "https://mirror.example/hc/nomad"
        );
        assert_eq!(
            shown("https://mirror.example/a@b"),
            "https://mirror.example/a@b"
        );
    }

    #[test]
    fn ranges_are_read_as_servers_write_them() {
        assert_eq!(
            content_range("bytes 100-199/200"),
            Some((Some(100), Some(200)))
        );
        assert_eq!(content_range("bytes 100-199/*"), Some((Some(100), None)));
        assert_eq!(content_range("bytes */200"), Some((None, Some(200))));
        assert_eq!(content_range("items 1-2/3"), None);
    }
}
