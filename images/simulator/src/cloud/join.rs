//! Asks AWS for the servers' addresses, as go-discover's `aws` does (`provider/aws/aws_discover.go`): the region
//! of the text or of the identity document, keys of the text, of the environment or of the machine's role, one
//! `DescribeInstances` with the tag and `running`. The simulated agent's.
//!
//! Unlike it: no shared file of credentials, no ECS, no addresses but private ones of IPv4.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::sign::{self, Keys};
use super::{MARK, METADATA};
use crate::clock;

/// How long a look-up may take: one that is answered takes some milliseconds.
const WITHIN: Duration = Duration::from_secs(5);
/// How long a token for the metadata service is asked for, in seconds, as AWS's SDK does.
const TOKEN_LIFE: &str = "21600";
/// Where programs find the authorities to trust, unless `SSL_CERT_DIR` says so.
const TRUST: &str = "/etc/ssl/certs";

/// A join text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {problem} (expected `provider=aws tag_key=KEY tag_value=VALUE`)")]
pub struct ArgumentsError {
    text: String,
    problem: String,
}

/// Reads a join text in go-discover's form (`config.go`): `KEY=VALUE` with spaces between, either in double
/// quotes where it has spaces or `=` in it.
///
/// # Errors
/// [`ArgumentsError`].
pub fn arguments(text: &str) -> Result<BTreeMap<String, String>, ArgumentsError> {
    let failed = |problem: String| ArgumentsError {
        text: text.to_owned(),
        problem,
    };
    let mut found = BTreeMap::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = word(rest).map_err(failed)?;
        if key.is_empty() {
            return Err(failed(
                "a value with `=` in it belongs into quotes".to_owned(),
            ));
        }
        let after = after.trim_start().strip_prefix('=');
        let after = after.ok_or_else(|| failed(format!("`{key}` has no `=`")))?;
        let (value, after) = word(after.trim_start()).map_err(failed)?;
        if value.is_empty() {
            return Err(failed(format!("`{key}` has no value")));
        }
        if found.insert(key.clone(), value).is_some() {
            return Err(failed(format!("`{key}` is there twice")));
        }
        rest = after.trim_start();
    }
    Ok(found)
}

/// Splits a word off, plain or in quotes.
fn word(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '=']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut word = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((word, &quoted[at + 1..])),
            '\\' => word.extend(letters.next().map(|(_, escaped)| escaped)),
            plain => word.push(plain),
        }
    }
    Err("a quote is not closed".to_owned())
}

/// Why a look-up gave nothing: go-discover's own words.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The text cannot be read.
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    /// The text is another cloud's.
    #[error("discover: unknown provider {0}")]
    Provider(String),
    /// The region is neither told nor known.
    #[error("{MARK}GetInstanceIdentityDocument failed: {0}")]
    Document(String),
    /// EC2 cannot be asked, or refuses.
    #[error("{MARK}DescribeInstancesInput failed: {0}")]
    Describe(String),
}

/// Where AWS is found.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The metadata service.
    metadata: SocketAddr,
    /// EC2, where it is not found by its name.
    ec2: Option<SocketAddr>,
    /// Folder of the authorities to trust.
    trust: PathBuf,
}

impl Default for Discovery {
    fn default() -> Self {
        let trust = std::env::var_os("SSL_CERT_DIR").map(PathBuf::from);
        Self {
            metadata: SocketAddr::new(METADATA.into(), 80),
            ec2: None,
            trust: trust.unwrap_or_else(|| PathBuf::from(TRUST)),
        }
    }
}

/// What the metadata service says of the machine.
#[derive(Deserialize)]
struct Document {
    region: String,
}

/// Keys, whosever they are.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

impl Discovery {
    /// Where AWS is, for tests.
    #[cfg(test)]
    pub(super) fn at(metadata: SocketAddr, ec2: SocketAddr, trust: PathBuf) -> Self {
        Self {
            metadata,
            ec2: Some(ec2),
            trust,
        }
    }

    /// Returns the private addresses of the machines that a join text means; none is no error.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn addresses(&self, text: &str) -> Result<Vec<Ipv4Addr>, JoinError> {
        let arguments = arguments(text)?;
        let argument = |name: &str| arguments.get(name).map(String::as_str).unwrap_or_default();
        if argument("provider") != "aws" {
            return Err(JoinError::Provider(argument("provider").to_owned()));
        }
        let region = match argument("region") {
            "" => within(self.region()).await.map_err(JoinError::Document)?,
            told => told.to_owned(),
        };
        let filter = format!("tag:{}", argument("tag_key"));
        let asked = [
            ("Action", "DescribeInstances"),
            ("Filter.1.Name", filter.as_str()),
            ("Filter.1.Value.1", argument("tag_value")),
            ("Filter.2.Name", "instance-state-name"),
            ("Filter.2.Value.1", "running"),
            ("Version", "2016-11-15"),
        ]
        .map(|(name, value)| format!("{}={}", sign::escaped(name), sign::escaped(value)));
        let describe = async {
            let keys = self.keys(argument("access_key_id"), argument("secret_access_key"));
            let keys = keys.await?;
            self.describe(&region, &keys, asked.join("&")).await
        };
        within(describe).await.map_err(JoinError::Describe)
    }

    async fn region(&self) -> Result<String, String> {
        let path = "/latest/dynamic/instance-identity/document";
        let text = self.ask_metadata(path).await?;
        let document: Document = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(document.region)
    }

    async fn keys(&self, id: &str, secret: &str) -> Result<Found, String> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let own = (!id.is_empty() && !secret.is_empty()).then(|| Found {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            token: None,
        });
        let environment = || {
            Some(Found {
                access_key_id: set("AWS_ACCESS_KEY_ID")?,
                secret_access_key: set("AWS_SECRET_ACCESS_KEY")?,
                token: set("AWS_SESSION_TOKEN"),
            })
        };
        if let Some(found) = own.or_else(environment) {
            return Ok(found);
        }
        let none =
            |why: String| format!("NoCredentialProviders: no valid providers in chain: {why}");
        let path = "/latest/meta-data/iam/security-credentials/";
        let roles = self.ask_metadata(path).await.map_err(none)?;
        let role = roles.lines().next().unwrap_or_default();
        let text = self.ask_metadata(&format!("{path}{role}")).await;
        serde_json::from_str(&text.map_err(none)?).map_err(|error| none(error.to_string()))
    }

    /// Asks the metadata service for a text, by version 2.
    async fn ask_metadata(&self, path: &str) -> Result<String, String> {
        let ask = async |method: Method, path: &str, header: (&str, &str)| {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", METADATA.to_string())
                .header(header.0, header.1)
                .body(Full::default())
                .map_err(told)?;
            let stream = TcpStream::connect(self.metadata).await.map_err(told)?;
            match send(stream, request).await? {
                (StatusCode::OK, text) => Ok(text),
                (status, _) => Err(format!("EC2MetadataError: {path}: status {status}")),
            }
        };
        let life = ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE);
        let token = ask(Method::PUT, "/latest/api/token", life).await?;
        ask(Method::GET, path, ("x-aws-ec2-metadata-token", &token)).await
    }

    async fn describe(
        &self,
        region: &str,
        keys: &Found,
        body: String,
    ) -> Result<Vec<Ipv4Addr>, String> {
        let host = format!("ec2.{region}.amazonaws.com");
        let content = "application/x-www-form-urlencoded; charset=utf-8".to_owned();
        let own = [("content-type", content)];
        let signed = sign::headers(
            &sign::Request {
                method: "POST",
                host: &host,
                path: "/",
                query: "",
                headers: &own,
                body: body.as_bytes(),
            },
            &Keys {
                id: &keys.access_key_id,
                secret: &keys.secret_access_key,
                token: keys.token.as_deref(),
            },
            region,
            "ec2",
            &now(),
        );
        let mut request = Request::builder().method(Method::POST).uri("/");
        request = request.header("host", &host);
        for (name, value) in own.iter().chain(&signed) {
            request = request.header(*name, value);
        }
        let request = request.body(Full::from(body)).map_err(told)?;
        let stream = match self.ec2 {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect((host.as_str(), 443)).await,
        };
        let name = ServerName::try_from(host.clone()).map_err(told)?;
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let stream = connector.connect(name, stream.map_err(told)?);
        let (status, text) = send(stream.await.map_err(told)?, request).await?;
        read(status, &text)
    }

    /// Trusts every authority in the folder, as Go's programs do.
    fn tls(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        for entry in std::fs::read_dir(&self.trust)
            .into_iter()
            .flatten()
            .flatten()
        {
            let pem = std::fs::read(entry.path()).unwrap_or_default();
            let mut pem = pem.as_slice();
            roots.add_parsable_certificates(rustls_pemfile::certs(&mut pem).flatten());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(told)?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn within<T>(asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let answered = tokio::time::timeout(WITHIN, asking).await;
    answered.unwrap_or_else(|_elapsed| Err(format!("nothing within {WITHIN:?}")))
}

/// As `20150830T123600Z`.
fn now() -> String {
    let text = clock::rfc3339(clock::now());
    let digits = text[..19].replace(['-', ':'], "");
    format!("{digits}Z")
}

/// Sends a request and returns the answer's status and text.
async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, String), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(told)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(told)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(told)?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok((status, text))
    };
    let driven = async {
        // How it ends is told by the answer.
        drop(connection.await);
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        () = driven => unreachable!("it waits for ever"),
    }
}

/// Reads EC2's answer: addresses, or why there are none.
fn read(status: StatusCode, xml: &str) -> Result<Vec<Ipv4Addr>, String> {
    let document = roxmltree::Document::parse(xml)
        .map_err(|error| format!("SerializationError: status {status}: {error}"))?;
    let named = |name: &'static str| {
        let nodes = document.descendants();
        nodes.filter(move |node| node.tag_name().name() == name)
    };
    if status != StatusCode::OK {
        let first = |name| named(name).find_map(|node| node.text());
        let (code, message) = (first("Code"), first("Message"));
        let unknown = "UnknownError";
        return Err(format!(
            "{}: {}\n\tstatus code: {}",
            code.unwrap_or(unknown),
            message.unwrap_or_default(),
            status.as_u16()
        ));
    }
    let instances = named("instancesSet").flat_map(|set| set.children());
    let address = |item: roxmltree::Node<'_, '_>| {
        let mut fields = item.children();
        let field = fields.find(|field| field.tag_name().name() == "privateIpAddress")?;
        field.text()?.trim().parse().ok()
    };
    Ok(instances.filter_map(address).collect())
}
