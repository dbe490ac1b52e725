//! Finding the engine: `DOCKER_HOST`, else the context that the docker CLI uses, else the usual
//! sockets. What is missing: `ssh://` and TCP with TLS, since nothing of that was ever tried.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::live::Docker;
use super::{DockerError, Trouble};
use crate::environment::Environment;

/// The oldest API that does what is needed: the platform of a container is honoured from here
/// on (Docker Engine 20.10).
const API_MIN: (u32, u32) = (1, 41);
/// How long an engine may take to answer its first request.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long any other request may take, in seconds: those that work on containers take seconds even on a busy
/// machine, and an engine that is stuck is to be told before somebody loses patience.
const ANSWER_MAX_SECS: u64 = 120;

/// Who named an engine's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `DOCKER_HOST`.
    Variable,
    /// The context of the docker CLI.
    Context,
    /// Nobody: it is one of the usual sockets.
    Usual,
}

/// Where an engine is to be.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    url: String,
    /// Whether certificates go with it.
    tls: bool,
    origin: Origin,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers.
    #[error("cannot reach a Docker engine at `{address}`: {reason}")]
    Unreachable {
        /// What was tried.
        address: String,
        /// What the system said.
        reason: String,
        /// Who named the address.
        origin: Origin,
    },
    /// The socket belongs to others.
    #[error("no permission to talk to the Docker engine at `{address}`")]
    Permission {
        /// What was tried.
        address: String,
    },
    /// The address is of a kind that is not supported.
    #[error("Docker address `{address}` is not supported: expected unix:// or tcp:// without TLS")]
    Scheme {
        /// What was given.
        address: String,
    },
    /// The engine is too old.
    #[error(
        "the Docker engine at `{address}` speaks API {found}, expected {}.{} or newer \
         (Docker Engine 20.10)", API_MIN.0, API_MIN.1
    )]
    TooOld {
        /// What was tried.
        address: String,
        /// What the engine speaks.
        found: String,
    },
    /// The docker CLI's configuration cannot be read.
    #[error("the docker command's configuration {} cannot be read: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The docker CLI's configuration names a context that is not there or not readable.
    #[error("docker context `{name}` cannot be read: {reason}")]
    Context {
        /// The context.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

impl ConnectError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreachable {
                origin: Origin::Variable,
                ..
            } => "unset DOCKER_HOST    # or set it to where the engine is",
            Self::Unreachable {
                origin: Origin::Context,
                ..
            } => "docker context use default    # or start that context's engine",
            Self::Unreachable { .. } if cfg!(target_os = "linux") => {
                "sudo systemctl start docker    # or set DOCKER_HOST"
            }
            Self::Unreachable { .. } => "start Docker Desktop, or set DOCKER_HOST",
            Self::Permission { .. } => {
                "sudo usermod -aG docker $USER    # then log in anew, or: newgrp docker"
            }
            Self::Scheme { .. } => "export DOCKER_HOST=unix:///var/run/docker.sock",
            Self::TooOld { .. } => "docker version    # then upgrade the engine",
            Self::Config { .. } => {
                "export DOCKER_HOST=unix:///var/run/docker.sock    # or mend the file"
            }
            Self::Context { .. } => "docker context use default",
        };
        Some(hint.to_owned())
    }
}

/// What Podman calls itself among the parts of its version.
const PODMAN: &str = "Podman Engine";

/// Connects to the engine that the docker CLI would use, and agrees on an API version.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(environment: &Environment) -> Result<Docker, ConnectError> {
    let Address { url, tls, origin } = address(environment)?;
    let local = url.starts_with("unix://");
    let tcp = ["tcp://", "http://"].iter().any(|s| url.starts_with(s));
    // Certificates are for TCP: the docker CLI passes them over for a socket, too.
    if !local && (!tcp || tls || environment.docker_tls) {
        return Err(ConnectError::Scheme { address: url });
    }
    let address = url;
    let failed = |error: bollard::errors::Error| {
        let error = super::live::wrap("reach", "engine", error);
        unreachable(&address, origin, &error)
    };
    let client = if let Some(path) = address.strip_prefix("unix://") {
        bollard::Docker::connect_with_unix(path, ANSWER_MAX_SECS, bollard::API_DEFAULT_VERSION)
    } else {
        bollard::Docker::connect_with_http(&address, ANSWER_MAX_SECS, bollard::API_DEFAULT_VERSION)
    }
    .map_err(failed)?;
    let client = tokio::time::timeout(FIRST_ANSWER_MAX, client.negotiate_version())
        .await
        .map_err(|_| ConnectError::Unreachable {
            address: address.clone(),
            reason: format!("no answer within {FIRST_ANSWER_MAX:?}"),
            origin,
        })?
        .map_err(failed)?;
    let agreed = client.client_version();
    let found = (
        u32::try_from(agreed.major_version).unwrap_or(0),
        u32::try_from(agreed.minor_version).unwrap_or(0),
    );
    if found < API_MIN {
        return Err(ConnectError::TooOld {
            address,
            found: format!("{}.{}", found.0, found.1),
        });
    }
    let podman = is_podman(&client).await;
    Ok(Docker::new(client, local, podman))
}

/// Returns whether the engine says that it is Podman; one that does not say is none.
async fn is_podman(client: &bollard::Docker) -> bool {
    let parts = client.version().await.ok().and_then(|said| said.components);
    let mut parts = parts.unwrap_or_default().into_iter();
    parts.any(|part| part.name == PODMAN)
}

fn unreachable(address: &str, origin: Origin, error: &DockerError) -> ConnectError {
    match error.trouble {
        Trouble::Permission => ConnectError::Permission {
            address: address.to_owned(),
        },
        _ => ConnectError::Unreachable {
            address: address.to_owned(),
            reason: match error.source.to_string() {
                nothing if nothing.trim().is_empty() => format!("{:?}", error.source),
                said => said,
            },
            origin,
        },
    }
}

/// Returns the engine's address.
fn address(environment: &Environment) -> Result<Address, ConnectError> {
    if let Some(host) = &environment.docker_host {
        return Ok(Address {
            url: host.clone(),
            tls: false,
            origin: Origin::Variable,
        });
    }
    if let Some(address) = context(environment)? {
        return Ok(address);
    }
    let home = environment.home.as_deref();
    let candidates = [
        Some(PathBuf::from("/var/run/docker.sock")),
        // Rootless engines, then Docker Desktop's.
        environment
            .runtime_dir
            .as_ref()
            .map(|dir| dir.join("docker.sock")),
        home.map(|home| home.join(".docker/run/docker.sock")),
        home.map(|home| home.join(".docker/desktop/docker.sock")),
        environment
            .runtime_dir
            .as_ref()
            .map(|dir| dir.join("podman/podman.sock")),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ];
    let found = candidates.into_iter().flatten().find(|path| path.exists());
    let path = found.unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"));
    Ok(Address {
        url: format!("unix://{}", path.display()),
        tls: false,
        origin: Origin::Usual,
    })
}

/// Returns the address of the docker CLI's current context, `None` for the default one.
fn context(environment: &Environment) -> Result<Option<Address>, ConnectError> {
    let Some(folder) = &environment.docker_config else {
        return Ok(None);
    };
    let name = match &environment.docker_context {
        Some(name) => Some(name.clone()),
        None => configured(&folder.join("config.json"))?,
    };
    match name {
        Some(name) if name != "default" && !name.is_empty() => {
            context_address(folder, &name).map(Some)
        }
        _ => Ok(None),
    }
}

/// Returns the context that the docker CLI's configuration names, if there is one.
fn configured(path: &Path) -> Result<Option<String>, ConnectError> {
    let failed = |reason: String| ConnectError::Config {
        path: path.to_owned(),
        reason,
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let config: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let name = config.get("currentContext").and_then(|name| name.as_str());
    Ok(name.map(str::to_owned))
}

/// The CLI keeps a context under the SHA-256 of its name.
fn digest_of(name: &str) -> String {
    let digest = Sha256::digest(name);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn context_address(folder: &Path, name: &str) -> Result<Address, ConnectError> {
    let failed = |reason: String| ConnectError::Context {
        name: name.to_owned(),
        reason,
    };
    let digest = digest_of(name);
    let contexts = folder.join("contexts");
    let path = contexts.join("meta").join(&digest).join("meta.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| failed(format!("{}: {error}", path.display())))?;
    let meta: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let host = meta.pointer("/Endpoints/docker/Host");
    let host = host.and_then(serde_json::Value::as_str);
    let host = host.ok_or_else(|| failed("it has no `Endpoints.docker.Host`".to_owned()))?;
    Ok(Address {
        url: host.to_owned(),
        // Where it keeps the certificates.
        tls: contexts.join("tls").join(&digest).join("docker").exists(),
        origin: Origin::Context,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::docker::{ContainerPlan, DockerEngine as _, VolumePlan};

    #[test]
    fn the_host_of_the_environment_beats_the_context() {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = Environment {
            docker_config: Some(folder.path().to_owned()),
            docker_context: Some("colima".to_owned()),
            docker_host: Some("unix:///tmp/x.sock".to_owned()),
            ..Environment::default()
        };
        assert_eq!(address(&environment).unwrap().url, "unix:///tmp/x.sock");
        environment.docker_host = None;
        let error = address(&environment).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("docker context `colima` cannot be read"),
            "{error}"
        );
        let digest = "f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16";
        let meta = folder.path().join("contexts/meta").join(digest);
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///c.sock"}}}"#,
        )
        .unwrap();
        let found = address(&environment).unwrap();
        assert_eq!((found.url.as_str(), found.tls), ("unix:///c.sock", false));
        environment.docker_context = None;
        std::fs::write(
            folder.path().join("config.json"),
            r#"{"currentContext":"colima"}"#,
        )
        .unwrap();
        let found = address(&environment).unwrap();
        assert_eq!(
            (found.url.as_str(), found.origin),
            ("unix:///c.sock", Origin::Context)
        );
        // Certificates that go with it.
        let tls = folder.path().join("contexts/tls").join(digest);
        std::fs::create_dir_all(tls.join("docker")).unwrap();
        assert!(address(&environment).unwrap().tls);
    }

    #[tokio::test]
    async fn an_address_with_certificates_is_refused_and_not_spoken_to_in_clear() {
        let folder = tempfile::tempdir().unwrap();
        let digest = digest_of("far");
        let contexts = folder.path().join("contexts");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let meta = json!({ "Name": "far", "Endpoints": { "docker": { "Host": url } } });
        std::fs::create_dir_all(contexts.join("meta").join(&digest)).unwrap();
        std::fs::create_dir_all(contexts.join("tls").join(&digest).join("docker")).unwrap();
        let file = contexts.join("meta").join(&digest).join("meta.json");
        std::fs::write(file, meta.to_string()).unwrap();
        let environment = Environment {
            docker_config: Some(folder.path().to_owned()),
            docker_context: Some("far".to_owned()),
            ..Environment::default()
        };
        let error = connect(&environment).await.err().unwrap();
        assert!(matches!(error, ConnectError::Scheme { .. }), "{error}");
    }

    #[test]
    fn a_damaged_configuration_is_told_and_no_other_engine_taken() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment {
            docker_config: Some(folder.path().to_owned()),
            ..Environment::default()
        };
        assert_eq!(address(&environment).unwrap().origin, Origin::Usual);
        std::fs::write(folder.path().join("config.json"), "{bad").unwrap();
        let error = address(&environment).unwrap_err();
        assert!(matches!(error, ConnectError::Config { .. }), "{error}");
        assert!(error.to_string().contains("config.json"), "{error}");
    }

    #[tokio::test]
    async fn an_absent_engine_is_told_with_its_address() {
        let environment = Environment {
            docker_host: Some("unix:///nonexistent/docker.sock".to_owned()),
            ..Environment::default()
        };
        let error = connect(&environment).await.err().unwrap();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("unix:///nonexistent/docker.sock")
        );
        assert!(error.hint().unwrap().contains("unset DOCKER_HOST"));
    }

    /// Answers one request with a version, as an engine of that age would.
    async fn engine_of(api: &'static str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            assert!(read > 0);
            let body = format!(r#"{{"Version":"x","ApiVersion":"{api}"}}"#);
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
        });
        format!("tcp://{address}")
    }

    #[tokio::test]
    async fn an_engine_that_is_too_old_is_refused() {
        for (api, good) in [("1.40", false), ("1.41", true), ("1.99", true)] {
            let environment = Environment {
                docker_host: Some(engine_of(api).await),
                ..Environment::default()
            };
            let outcome = connect(&environment).await;
            match outcome {
                Ok(_) => assert!(good, "{api}"),
                Err(ConnectError::TooOld { found, .. }) => {
                    assert!(!good, "{api}");
                    assert_eq!(found, api);
                }
                Err(other) => panic!("{api}: {other}"),
            }
        }
    }

    /// Answers as Podman 4.3 does; returns its address, and what volumes it was asked to make.
    async fn podman() -> (String, Arc<Mutex<Vec<String>>>) {
        let made = Arc::new(Mutex::new(Vec::new()));
        let noted = made.clone();
        let answer = move |uri: axum::http::Uri, body: String| async move {
            let path = uri.path();
            let value = if path.ends_with("/version") {
                json!({ "ApiVersion": "1.41", "Version": "4.3.1",
                    "Components": [{ "Name": "Podman Engine", "Version": "4.3.1" }] })
            } else if path.ends_with("/info") {
                json!({ "ID": uuid::Uuid::new_v4().to_string(), "Name": "vm", "ServerVersion": "4.3.1",
                    "DockerRootDir": "/var/lib/containers/storage" })
            } else if path.ends_with("/volumes/create") {
                noted.lock().unwrap().push(body);
                json!({ "Name": "data", "Driver": "local", "Mountpoint": "", "Labels": {},
                    "Options": {}, "Scope": "local" })
            } else {
                json!({ "Id": "c1", "Warnings": [] })
            };
            axum::Json(value)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, made)
    }

    #[tokio::test]
    async fn podman_is_one_engine_however_often_it_is_asked_and_gets_its_volumes_made_first() {
        let (address, made) = podman().await;
        let environment = Environment {
            docker_host: Some(address),
            ..Environment::default()
        };
        let engine = connect(&environment).await.unwrap();
        let facts = engine.facts().await.unwrap();
        assert_eq!(facts.id, "podman vm /var/lib/containers/storage");
        assert_eq!(facts, engine.facts().await.unwrap());
        assert_eq!(facts.version, "4.3.1 (Podman)");

        let volume = VolumePlan {
            name: "data".to_owned(),
            path: "/data".to_owned(),
            labels: [("rehearse.run".to_owned(), "r1".to_owned())].into(),
            size: Some(64 << 20),
        };
        let mut plan = ContainerPlan::alone(
            "one".to_owned(),
            "image".to_owned(),
            "linux/amd64".to_owned(),
            vec!["/program".to_owned()],
        );
        plan.volumes = vec![volume];
        engine.create_container(&plan).await.unwrap();
        let asked: serde_json::Value = serde_json::from_str(&made.lock().unwrap()[0]).unwrap();
        assert_eq!(asked["Name"], "data");
        assert_eq!(asked["Labels"]["rehearse.run"], "r1");
        assert_eq!(asked["DriverOpts"]["type"], "tmpfs");
        assert_eq!(asked["DriverOpts"]["o"], "size=67108864");
    }
}
