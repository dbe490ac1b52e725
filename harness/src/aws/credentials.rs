//! Whose keys sign: the first that is found of environment, shared files, instance metadata, in the
//! order of AWS's own tools.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::wire::Wire;
use crate::environment::AwsEnvironment;

/// How long before their end keys are read again.
const MARGIN: time::Duration = time::Duration::minutes(2);
const METADATA: &str = "http://169.254.169.254";

/// Keys, and where they are from. Never printed.
#[derive(Clone, Default)]
pub struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
    pub(super) ends: Option<OffsetDateTime>,
    /// Where they are from, for people.
    pub(super) source: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn ends_soon(&self) -> bool {
        let now = OffsetDateTime::now_utc();
        self.ends.is_some_and(|ends| ends - now < MARGIN)
    }
}

/// There are no keys.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Nowhere.
    #[error("no AWS credentials: {}", .tried.join("; "))]
    None {
        /// Where they were looked for, and what was there.
        tried: Vec<String>,
    },
    /// A profile was asked for that is not there.
    #[error("there is no AWS profile `{profile}` in {files}")]
    NoProfile {
        /// Its name.
        profile: String,
        /// The files.
        files: String,
    },
    /// A profile gets its keys in a way that is not read here.
    #[error("the AWS profile `{profile}` gets its keys by `{by}`, which is not read here")]
    NotRead {
        /// Its name.
        profile: String,
        /// The setting.
        by: String,
    },
    /// Only half of a pair is there.
    #[error("half of the AWS credentials is missing: {missing}")]
    Half {
        /// What.
        missing: String,
    },
    /// The program that a profile names did not give any.
    #[error("`credential_process` of the AWS profile `{profile}` gave no credentials: {reason}")]
    Process {
        /// The profile.
        profile: String,
        /// Why.
        reason: String,
    },
}

impl CredentialsError {
    /// Returns what to type against it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::None { .. } | Self::Half { .. } => {
                "export AWS_PROFILE=NAME    # or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_owned()
            }
            Self::NoProfile { .. } => "aws configure list-profiles".to_owned(),
            Self::NotRead { profile, .. } => format!(
                "eval \"$(aws configure export-credentials --profile {profile} --format env)\""
            ),
            Self::Process { .. } => return None,
        })
    }
}

/// Finds the keys.
pub(super) async fn find(
    environment: &AwsEnvironment,
    wire: &Wire,
) -> Result<Credentials, CredentialsError> {
    let mut tried = Vec::new();
    if let Some(found) = of_environment(environment)? {
        return Ok(found);
    }
    tried.push("AWS_ACCESS_KEY_ID is not set".to_owned());
    match of_files(environment).await? {
        Ok(found) => return Ok(found),
        Err(why) => tried.push(why),
    }
    if environment.metadata_disabled {
        tried.push("AWS_EC2_METADATA_DISABLED is set".to_owned());
    } else {
        match of_metadata(environment, wire).await {
            Ok(found) => return Ok(found),
            Err(why) => tried.push(format!("no instance metadata ({why})")),
        }
    }
    Err(CredentialsError::None { tried })
}

fn of_environment(environment: &AwsEnvironment) -> Result<Option<Credentials>, CredentialsError> {
    match (&environment.access_key_id, &environment.secret_access_key) {
        (Some(id), Some(secret)) => Ok(Some(Credentials {
            access_key_id: id.clone(),
            secret_access_key: secret.clone(),
            session_token: environment.session_token.clone(),
            ends: None,
            source: "the environment".to_owned(),
        })),
        (Some(_), None) => Err(CredentialsError::Half {
            missing: "AWS_SECRET_ACCESS_KEY is not set".to_owned(),
        }),
        _ => Ok(None),
    }
}

type Profile = BTreeMap<String, String>;

/// Reads a file of sections; `name` says which section a heading is.
fn sections(text: &str) -> BTreeMap<String, Profile> {
    let mut found: BTreeMap<String, Profile> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(heading) = trimmed.strip_prefix('[') {
            let heading = heading.split(']').next().unwrap_or_default().trim();
            let name = match heading.split_once(char::is_whitespace) {
                Some(("profile", name)) => name.trim(),
                Some(_) => "",
                None => heading,
            };
            current = Some(name.trim_matches('"').to_owned()).filter(|name| !name.is_empty());
            continue;
        }
        // An indented line belongs to the setting above it: none that matters here.
        let nested = line.starts_with(char::is_whitespace);
        if let (Some(section), Some((key, value)), false) = (&current, line.split_once('='), nested)
        {
            let value = value.split(" #").next().unwrap_or_default().trim();
            let section = found.entry(section.clone()).or_default();
            section.insert(key.trim().to_lowercase(), value.to_owned());
        }
    }
    found
}

/// Looks in the shared files; the inner error says why there is nothing for anybody there.
async fn of_files(
    environment: &AwsEnvironment,
) -> Result<Result<Credentials, String>, CredentialsError> {
    let name = environment.profile.as_deref().unwrap_or("default");
    let mut settings = Profile::new();
    let mut there = false;
    let files = [&environment.config_file, &environment.credentials_file];
    let shown: Vec<String> = files
        .iter()
        .filter_map(|file| file.as_ref().map(|path| format!("`{}`", path.display())))
        .collect();
    let shown = shown.join(" and ");
    for path in files.into_iter().flatten() {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(section) = sections(&text).remove(name) {
            there = true;
            settings.extend(section);
        }
    }
    if !there {
        if environment.profile.is_some() {
            let profile = name.to_owned();
            return Err(CredentialsError::NoProfile {
                profile,
                files: shown,
            });
        }
        return Ok(Err(format!("no profile `{name}` in {shown}")));
    }
    let of = |key: &str| settings.get(key).cloned();
    match (of("aws_access_key_id"), of("aws_secret_access_key")) {
        (Some(access_key_id), Some(secret_access_key)) => {
            return Ok(Ok(Credentials {
                access_key_id,
                secret_access_key,
                session_token: of("aws_session_token"),
                ends: None,
                source: format!("profile `{name}`"),
            }));
        }
        (Some(_), None) => {
            let missing = format!("profile `{name}` has no `aws_secret_access_key`");
            return Err(CredentialsError::Half { missing });
        }
        _ => {}
    }
    if let Some(command) = of("credential_process") {
        return of_process(name, &command).await.map(Ok);
    }
    let indirect = [
        "role_arn",
        "sso_session",
        "sso_account_id",
        "credential_source",
    ];
    if let Some(by) = indirect.into_iter().find(|key| settings.contains_key(*key)) {
        return Err(CredentialsError::NotRead {
            profile: name.to_owned(),
            by: by.to_owned(),
        });
    }
    Ok(Err(format!("profile `{name}` has no keys")))
}

/// What a program, and the instance metadata service, give.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
}

impl Given {
    fn of(text: &str, source: String) -> Result<Credentials, String> {
        let given: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let ends = given.expiration.as_deref();
        Ok(Credentials {
            access_key_id: given.access_key_id,
            secret_access_key: given.secret_access_key,
            session_token: given.token,
            ends: ends.and_then(|ends| OffsetDateTime::parse(ends, &Rfc3339).ok()),
            source,
        })
    }
}

async fn of_process(profile: &str, command: &str) -> Result<Credentials, CredentialsError> {
    let wrong = |reason: String| CredentialsError::Process {
        profile: profile.to_owned(),
        reason,
    };
    let output = tokio::process::Command::new("/bin/sh")
        .args(["-c", command])
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| wrong(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or_default();
        return Err(wrong(format!("{}: {said}", output.status)));
    }
    let source = format!("`credential_process` of profile `{profile}`");
    Given::of(&String::from_utf8_lossy(&output.stdout), source).map_err(wrong)
}

/// Asks the instance metadata service, version 2.
async fn of_metadata(environment: &AwsEnvironment, wire: &Wire) -> Result<Credentials, String> {
    let base = environment.metadata_endpoint.as_deref().unwrap_or(METADATA);
    let base = base.trim_end_matches('/');
    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
    let url = format!("{base}/latest/api/token");
    let token = wire.metadata("PUT", &url, &ttl).await?;
    if token.status != 200 {
        return Err(format!("HTTP {}", token.status));
    }
    let list = format!("{base}/latest/meta-data/iam/security-credentials/");
    let shown = [("x-aws-ec2-metadata-token", token.text.as_str())];
    let role = wire.metadata("GET", &list, &shown).await?;
    if role.status != 200 {
        return Err("the machine has no role".to_owned());
    }
    let role = role
        .text
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let keys = wire
        .metadata("GET", &format!("{list}{role}"), &shown)
        .await?;
    Given::of(&keys.text, format!("the machine's role `{role}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn environment(credentials: &str, config: &str) -> (tempfile::TempDir, AwsEnvironment) {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| -> Option<PathBuf> {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let environment = AwsEnvironment {
            credentials_file: file("credentials", credentials),
            config_file: file("config", config),
            metadata_disabled: true,
            ..AwsEnvironment::default()
        };
        (folder, environment)
    }

    async fn found(environment: &AwsEnvironment) -> Result<Credentials, CredentialsError> {
        find(environment, &Wire::new(environment).unwrap()).await
    }

    const FILES: &str = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=S # not T\n\n[half]\naws_access_key_id = A\n[told]\naws_access_key_id=B\naws_secret_access_key=T\naws_session_token = K\n";

    #[tokio::test]
    async fn the_environment_comes_before_the_files_and_a_profile_is_what_is_asked_for() {
        let (_folder, mut environment) = environment(FILES, "");
        let keys = found(&environment).await.unwrap();
        assert_eq!(
            (keys.access_key_id.as_str(), keys.secret_access_key.as_str()),
            ("A", "S")
        );
        environment.profile = Some("told".to_owned());
        assert_eq!(
            found(&environment).await.unwrap().session_token.as_deref(),
            Some("K")
        );
        environment.access_key_id = Some("E".to_owned());
        let half = found(&environment).await.unwrap_err().to_string();
        assert!(half.contains("AWS_SECRET_ACCESS_KEY is not set"), "{half}");
        environment.secret_access_key = Some("hush".to_owned());
        let keys = found(&environment).await.unwrap();
        assert_eq!(keys.source, "the environment");
        assert!(!format!("{keys:?}{environment:?}").contains("hush"));
    }

    #[tokio::test]
    async fn what_is_missing_is_told_with_what_to_do() {
        let (_folder, mut environment) = environment(
            FILES,
            "[profile sso]\nsso_session = work\n[profile bare]\nregion = x\n",
        );
        for (profile, expected, hint) in [
            (
                "half",
                "profile `half` has no `aws_secret_access_key`",
                "AWS_PROFILE",
            ),
            ("none", "there is no AWS profile `none`", "list-profiles"),
            (
                "sso",
                "by `sso_session`",
                "export-credentials --profile sso",
            ),
            ("bare", "profile `bare` has no keys", "AWS_PROFILE"),
        ] {
            environment.profile = Some(profile.to_owned());
            let error = found(&environment).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
        environment.profile = None;
        environment.credentials_file = None;
        environment.config_file = None;
        let error = found(&environment).await.unwrap_err().to_string();
        assert!(
            error.contains("AWS_ACCESS_KEY_ID is not set; no profile `default`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_program_that_a_profile_names_gives_keys_or_is_told_of() {
        let text = "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"Q\",\"SessionToken\":\"R\",\"Expiration\":\"2001-01-01T00:00:00Z\"}'\n[profile bad]\ncredential_process = echo sorry >&2; exit 3\n";
        let (_folder, mut environment) = environment("", text);
        let keys = found(&environment).await.unwrap();
        assert_eq!(keys.session_token.as_deref(), Some("R"));
        assert!(keys.ends_soon());
        environment.profile = Some("bad".to_owned());
        let error = found(&environment).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3: sorry"), "{error}");
    }

    #[tokio::test]
    async fn a_machines_role_gives_keys_by_the_second_version_of_the_metadata_service() {
        use axum::http::{HeaderMap, StatusCode, Uri};
        let answer = |method: axum::http::Method, uri: Uri, headers: HeaderMap| async move {
            let shown = headers
                .get("x-aws-ec2-metadata-token")
                .map(|value| value.as_bytes().to_vec());
            let list = "/latest/meta-data/iam/security-credentials/";
            match (method.as_str(), uri.path(), shown.as_deref()) {
                ("PUT", "/latest/api/token", None) => (StatusCode::OK, "t0ken".to_owned()),
                ("GET", path, Some(b"t0ken")) if path == list => (StatusCode::OK, "nomad\n".to_owned()),
                ("GET", path, Some(b"t0ken")) if path == format!("{list}nomad") => (
                    StatusCode::OK,
                    r#"{"Code":"Success","AccessKeyId":"M","SecretAccessKey":"N","Token":"O","Expiration":"2199-01-01T00:00:00Z"}"#.to_owned(),
                ),
                _ => (StatusCode::UNAUTHORIZED, String::new()),
            }
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let environment = AwsEnvironment {
            metadata_endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            ..AwsEnvironment::default()
        };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let keys = found(&environment).await.unwrap();
        assert_eq!(keys.source, "the machine's role `nomad`");
        assert_eq!(keys.session_token.as_deref(), Some("O"));
        assert!(!keys.ends_soon());
    }
}
