//! The connection: one of the few files that name `reqwest`.

use std::sync::Arc;
use std::time::Duration;

use agent::cloud::sign::{self, Keys, Request};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::macros::format_description;

use super::Service;
use super::credentials::Credentials;
use super::error::AwsError;
use crate::environment::AwsEnvironment;

/// How long a call may take; EC2's take a second or two.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer at most: thousands of instances.
const LARGEST: usize = 32 << 20;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

/// Connections to AWS, and to what stands for it.
pub(super) struct Wire {
    http: reqwest::Client,
    /// For the instance metadata service, which is near or not there: no proxy, short patience.
    near: reqwest::Client,
}

impl Wire {
    pub(super) fn new(environment: &AwsEnvironment) -> Result<Self, AwsError> {
        let wrong = |reason: String| AwsError::Client { reason };
        let mut roots = rustls::RootCertStore::empty();
        match &environment.ca_bundle {
            Some(path) => {
                let unreadable = |error: String| wrong(format!("`{}`: {error}", path.display()));
                let certificates = CertificateDer::pem_file_iter(path)
                    .map_err(|error| unreadable(error.to_string()))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                    roots
                        .add(certificate)
                        .map_err(|error| unreadable(error.to_string()))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = || {
            reqwest::Client::builder()
                .http1_only()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .user_agent(concat!("rehearse/", env!("CARGO_PKG_VERSION")))
                .use_preconfigured_tls(tls.clone())
        };
        let built = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| wrong(error.to_string()))
        };
        Ok(Self {
            http: built(builder().timeout(CALL_TIMEOUT))?,
            near: built(builder().no_proxy().timeout(Duration::from_secs(1)))?,
        })
    }

    /// Signs and sends a request; why there was no whole answer is told in words.
    pub(super) async fn post(
        &self,
        endpoint: &str,
        service: Service,
        region: &str,
        credentials: &Credentials,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Result<Answer, String> {
        let url: reqwest::Url = format!("{endpoint}/")
            .parse()
            .map_err(|error| format!("`{endpoint}` is no address: {error}"))?;
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(format!("`{endpoint}` has no host")),
        };
        let request = Request {
            method: "POST",
            host: &host,
            path: url.path(),
            query: "",
            headers,
            body: body.as_bytes(),
        };
        let keys = Keys {
            id: &credentials.access_key_id,
            secret: &credentials.secret_access_key,
            token: credentials.session_token.as_deref(),
        };
        let long = format_description!("[year][month][day]T[hour][minute][second]Z");
        let now = time::OffsetDateTime::now_utc().format(&long);
        let now = now.expect("a time of this era");
        let signed = sign::headers(&request, &keys, region, service.word(), &now);
        let mut builder = self.http.post(url.clone()).body(body.to_owned());
        for (name, value) in headers.iter().map(|(name, value)| (*name, value)) {
            builder = builder.header(name, value);
        }
        for (name, value) in &signed {
            builder = builder.header(*name, value);
        }
        answer(builder).await
    }

    /// Asks the instance metadata service.
    pub(super) async fn metadata(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, String> {
        let mut builder = match method {
            "PUT" => self.near.put(url),
            _ => self.near.get(url),
        };
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        answer(builder).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(|error| innermost(&error))?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| innermost(&error))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > LARGEST {
            return Err(format!("the answer is longer than {} MiB", LARGEST >> 20));
        }
    }
    Ok(Answer {
        status,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// The last cause's words: the outer ones repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
