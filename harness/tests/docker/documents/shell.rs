//! The terminal at which a document's commands are typed: one shell's environment and folder go from
//! one command to the next.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

/// No command of a document takes longer.
const LONGEST: Duration = Duration::from_secs(150);

/// Runs a command as a shell would that has run those before it. The first argument is the command,
/// the second where it keeps what goes over to the next.
const ONE_COMMAND: &str = r#"
exec 2>&1
# What was unset stays so.
if [ -e "$2/environment" ]; then unset ${!REHEARSE_@}; . "$2/environment"; cd "$(cat "$2/folder")"; fi
eval "$1"
code=$?
declare -px > "$2/environment"
pwd > "$2/folder"
exit $code
"#;

/// A shell.
pub struct Shell {
    /// Where the commands begin.
    pub work: PathBuf,
    keep: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Shell {
    /// Opens one: `top` is a folder of its own, `source` the source tree, whose files it works on.
    pub fn open(top: &Path, source: &Path, environment: Vec<(&'static str, String)>) -> Self {
        let (work, keep) = (top.join("work"), top.join("shell"));
        for folder in [&work, &keep] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        for name in ["jobs", "scenarios", "terraform", "ci"] {
            crate::copy(&source.join(name), &work.join(name));
        }
        Self {
            work,
            keep,
            environment,
        }
    }

    /// Types a command; returns its exit code and all that it said.
    pub async fn run(&self, command: &str, interrupted: bool) -> (i32, String) {
        let mut shell = tokio::process::Command::new("bash");
        shell
            .args(["-c", ONE_COMMAND, "bash", command])
            .arg(&self.keep)
            .current_dir(&self.work)
            // Which agents there are is the session's to say.
            .env_remove("REHEARSE_NOMAD_BINARY")
            .envs(self.environment.iter().map(|(key, value)| (*key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = shell.spawn().expect("bash is there");
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let group = nix::unistd::Pid::from_raw(group.expect("it has just begun"));
        let mut out = child.stdout.take().expect("piped");
        let mut said = Vec::new();
        let all = async {
            if interrupted {
                let mut some = [0; 4096];
                let read = out.read(&mut some).await.expect("a pipe");
                said.extend_from_slice(&some[..read]);
                let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGINT);
            }
            out.read_to_end(&mut said).await.expect("a pipe");
            child.wait().await.expect("a child")
        };
        let status = tokio::time::timeout(LONGEST, all).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        match status {
            // Ended by the signal, in its own way or without one.
            Ok(status) if interrupted && matches!(status.code(), None | Some(130)) => (0, said),
            Ok(status) => (status.code().unwrap_or(-1), said),
            Err(_) => {
                let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
                (-1, format!("{said}\n(no end within {LONGEST:?})"))
            }
        }
    }
}
