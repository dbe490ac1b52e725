//! The process's surroundings, read once and in one place: everything else takes them as a value,
//! so that tests need not change the process's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What the process was started with, as far as it matters.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// Folder of all clusters' state: `$XDG_STATE_HOME/rehearse`, `~/.local/state/rehearse`.
    pub state_root: PathBuf,
    /// Folder of what can be got again: `$XDG_CACHE_HOME/rehearse`, `~/.cache/rehearse`.
    pub cache_root: PathBuf,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// `$PATH`.
    pub path: Option<OsString>,
    /// `$REHEARSE_AGENT`: the program for containers, in place of this one.
    pub agent: Option<PathBuf>,
    /// Whether this process is `rehearse`, which serves in containers, too, whatever its file is called.
    pub is_program: bool,
    /// `$DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `$DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// Whether `$DOCKER_TLS_VERIFY` is set.
    pub docker_tls: bool,
    /// `$DOCKER_CONFIG`, `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `$NOMAD_LICENSE_PATH`: file of a licence of Nomad Enterprise.
    pub license_path: Option<PathBuf>,
    /// `$GITHUB_ACTIONS`: whether this is a job there.
    pub github_actions: bool,
    /// What AWS's own tools read.
    pub aws: AwsEnvironment,
}

/// What AWS's own tools read of the process's surroundings.
#[derive(Clone, Default)]
pub struct AwsEnvironment {
    /// `$AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<String>,
    /// `$AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Option<String>,
    /// `$AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
    /// `$AWS_PROFILE`.
    pub profile: Option<String>,
    /// `$AWS_REGION`, `$AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `$AWS_SHARED_CREDENTIALS_FILE`, `~/.aws/credentials`.
    pub credentials_file: Option<PathBuf>,
    /// `$AWS_CONFIG_FILE`, `~/.aws/config`.
    pub config_file: Option<PathBuf>,
    /// `$AWS_ENDPOINT_URL`: where all of AWS is, in place of AWS itself.
    pub endpoint: Option<String>,
    /// `$AWS_ENDPOINT_URL_EC2`, `_SSM`, `_STS`: the same for one service.
    pub endpoints: BTreeMap<String, String>,
    /// `$AWS_CA_BUNDLE`: authorities to believe in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// `$AWS_MAX_ATTEMPTS`: how often a call is tried.
    pub max_attempts: Option<u32>,
    /// `$AWS_EC2_METADATA_DISABLED`.
    pub metadata_disabled: bool,
    /// `$AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub metadata_endpoint: Option<String>,
}

impl fmt::Debug for AwsEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsEnvironment")
            .field("profile", &self.profile)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl AwsEnvironment {
    /// Reads it: `text` gives a variable that is set to something.
    fn read(text: impl Fn(&str) -> Option<String>, home: Option<&std::path::Path>) -> Self {
        let file = |key: &str, name: &str| {
            text(key)
                .map(PathBuf::from)
                .or_else(|| home.map(|home| home.join(".aws").join(name)))
        };
        let yes = |key: &str| text(key).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let ignored = yes("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        let of = |service: &str| {
            let url = text(&format!("AWS_ENDPOINT_URL_{}", service.to_uppercase()))?;
            Some((service.to_owned(), url)).filter(|_| !ignored)
        };
        Self {
            access_key_id: text("AWS_ACCESS_KEY_ID"),
            secret_access_key: text("AWS_SECRET_ACCESS_KEY"),
            session_token: text("AWS_SESSION_TOKEN"),
            profile: text("AWS_PROFILE").or_else(|| text("AWS_DEFAULT_PROFILE")),
            region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            credentials_file: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            config_file: file("AWS_CONFIG_FILE", "config"),
            endpoint: text("AWS_ENDPOINT_URL").filter(|_| !ignored),
            endpoints: ["ec2", "ssm", "sts"].into_iter().filter_map(of).collect(),
            ca_bundle: text("AWS_CA_BUNDLE").map(PathBuf::from),
            max_attempts: text("AWS_MAX_ATTEMPTS").and_then(|text| text.parse().ok()),
            metadata_disabled: yes("AWS_EC2_METADATA_DISABLED"),
            metadata_endpoint: text("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        }
    }
}

impl Environment {
    /// Reads the process's own.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |key: &str| std::env::var(key).ok().filter(|value| !value.is_empty());
        let path = |key: &str| {
            std::env::var_os(key)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = path("HOME").or_else(std::env::home_dir);
        // The XDG specification: relative paths in these variables are to be ignored.
        let xdg = |key: &str, otherwise: &str| {
            path(key)
                .filter(|path| path.is_absolute())
                .or_else(|| home.as_ref().map(|home| home.join(otherwise)))
                .unwrap_or_else(std::env::temp_dir)
                .join("rehearse")
        };
        Self {
            state_root: xdg("XDG_STATE_HOME", ".local/state"),
            cache_root: xdg("XDG_CACHE_HOME", ".cache"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            path: std::env::var_os("PATH"),
            agent: path("REHEARSE_AGENT"),
            is_program: false,
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_tls: text("DOCKER_TLS_VERIFY").is_some(),
            github_actions: text("GITHUB_ACTIONS").is_some(),
            license_path: path("NOMAD_LICENSE_PATH"),
            docker_config: path("DOCKER_CONFIG")
                .or_else(|| home.as_ref().map(|home| home.join(".docker"))),
            aws: AwsEnvironment::read(text, home.as_deref()),
            home,
        }
    }

    /// Returns the first executable file of that name on `$PATH`.
    #[must_use]
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        let path = self.path.as_ref()?;
        std::env::split_paths(path)
            .map(|folder| folder.join(name))
            .find(|candidate| is_executable(candidate))
    }
}

/// Returns whether the path is a file that somebody may execute.
#[must_use]
pub fn is_executable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
