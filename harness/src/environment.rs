//! The process's surroundings, read once and in one place: everything else takes them as a value,
//! so that tests need not change the process's own.

use std::ffi::OsString;
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
    /// `$DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `$DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// Whether `$DOCKER_TLS_VERIFY` is set.
    pub docker_tls: bool,
    /// `$DOCKER_CONFIG`, `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `$GITHUB_ACTIONS`: whether this is a job there.
    pub github_actions: bool,
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
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_tls: text("DOCKER_TLS_VERIFY").is_some(),
            github_actions: text("GITHUB_ACTIONS").is_some(),
            docker_config: path("DOCKER_CONFIG")
                .or_else(|| home.as_ref().map(|home| home.join(".docker"))),
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
