//! `raw_exec`: a process of the agent's own user, without isolation, in a process group of its
//! own so that a signal reaches what it started, too.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::logs::RotatedFile;
pub use super::logs::Rotation;
use crate::client::usage::Stat;
use crate::clock;

/// How long the output of an ended task is still read, where something it started holds the
/// pipe open.
const DRAIN: Duration = Duration::from_millis(500);

/// How often a process that is not a child is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What to start; everything is interpolated already.
#[derive(Clone, Debug)]
pub struct TaskConfig {
    /// Task's name, which names its log files.
    pub name: String,
    /// Program: a path, or a name that is looked up.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory: the task's.
    pub dir: PathBuf,
    /// Where its output goes.
    pub log_dir: PathBuf,
    /// How its output is kept.
    pub rotation: Rotation,
}

/// The task could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No such program.
    #[error(
        "failed to launch command with executor: rpc error: code = Unknown desc = binary {command:?} could not be found"
    )]
    NotFound {
        /// As the job says.
        command: String,
    },
    /// There is such a file, but it may not be run.
    #[error("failed to start task: {path:?}: permission denied, or not an executable file")]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// What is to be written for it cannot be.
    #[error("{0}")]
    Template(
        /// Why.
        String,
    ),
    /// Its log files cannot be opened.
    #[error("failed to open log files in {dir:?}: {source}")]
    Logs {
        /// Their directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("failed to start task: {path:?}: {source}")]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How a task ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 + signal where a signal ended it, as Nomad's executor says.
    pub code: i32,
    /// Signal that ended it, or 0.
    pub signal: i32,
}

impl Exit {
    /// Whether it ended as it should.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.code == 0 && self.signal == 0
    }
}

/// How a task's process is found again after the agent restarted: process IDs are given again,
/// so the time of its start (in ticks since the machine's) goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Process ID, which is its group's too.
    pub pid: i32,
    /// When it started.
    pub started: u64,
}

impl Found {
    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        let stat = Stat::of(self.pid);
        stat.is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }
}

/// A running task.
pub struct Process {
    /// The child; `None` where another run of the agent started it.
    child: Option<Child>,
    found: Found,
    logs: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Process {
    /// The next run of the agent reads on where this one ends.
    fn drop(&mut self) {
        for log in &self.logs {
            log.abort();
        }
    }
}

impl Process {
    /// Starts a task.
    ///
    /// # Errors
    /// Where the program is missing or cannot be run, or its logs cannot be written.
    pub fn start(config: &TaskConfig) -> Result<Self, StartError> {
        // Looked up here and not by the kernel: under user-mode emulation a spawn of a missing
        // program may look successful.
        let path = look_up(&config.command, &config.dir)?;
        let (out, mut logs) = (output(config, "stdout")?, Vec::new());
        let err = output(config, "stderr")?;
        let child = Command::new(&path)
            .args(&config.args)
            .env_clear()
            .envs(&config.env)
            .current_dir(&config.dir)
            .stdin(Stdio::null())
            .stdout(out.end)
            .stderr(err.end)
            .process_group(0)
            .spawn()
            .map_err(|source| StartError::Spawn { path, source })?;
        let id = child
            .id()
            .expect("a child that was not waited for has an ID");
        let pid = i32::try_from(id).expect("process IDs are positive i32");
        logs.push(tokio::spawn(out.file.copy(out.stream)));
        logs.push(tokio::spawn(err.file.copy(err.stream)));
        let found = Found {
            pid,
            // Gone already, if it cannot be seen.
            started: Stat::of(pid).map_or(0, |stat| stat.started),
        };
        Ok(Self {
            child: Some(child),
            found,
            logs,
        })
    }

    /// Takes up a process that an earlier run of the agent started, and its output; `None`
    /// where it has ended. How it ends will not be known: only its parent is told that.
    #[must_use]
    pub fn attach(config: &TaskConfig, found: Found) -> Option<Self> {
        if !found.is_alive() {
            return None;
        }
        let streams = ["stdout", "stderr"].map(|stream| output(config, stream).ok());
        let logs = streams.into_iter().flatten();
        Some(Self {
            child: None,
            found,
            logs: logs.map(|o| tokio::spawn(o.file.copy(o.stream))).collect(),
        })
    }

    /// How it can be found again.
    #[must_use]
    pub fn found(&self) -> Found {
        self.found
    }

    /// Waits for its end, and for its output. May be cancelled and called again.
    pub async fn wait(&mut self) -> Exit {
        let Some(child) = &mut self.child else {
            while self.found.is_alive() {
                clock::sleep(LOOK_AGAIN).await;
            }
            self.drain().await;
            return Exit { code: 1, signal: 0 };
        };
        let exit = match child.wait().await {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit { code, signal: 0 },
                (None, Some(signal)) => Exit {
                    code: 128 + signal,
                    signal,
                },
                (None, None) => Exit { code: 1, signal: 0 },
            },
            // Somebody else waited for it (a reaper); how it ended is lost.
            Err(_) => Exit { code: 1, signal: 0 },
        };
        self.drain().await;
        exit
    }

    /// Reads what is left of its output.
    async fn drain(&mut self) {
        for mut log in self.logs.drain(..) {
            if tokio::time::timeout(DRAIN, &mut log).await.is_err() {
                log.abort();
            }
        }
    }

    /// Sends a signal to the whole group; one that has ended already is none.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = killpg(Pid::from_raw(self.found.pid), signal) {
            tracing::debug!(target: "client.driver_mgr", %error, %signal, "signal not delivered");
        }
    }
}

/// One of a task's output streams: a named pipe, so that another run of the agent can go on
/// reading it. The task's own end is open for both directions: while no agent reads, it is its
/// own reader, and is not told off for writing.
struct Output {
    end: std::fs::File,
    stream: pipe::Receiver,
    file: RotatedFile,
}

fn output(config: &TaskConfig, stream: &str) -> Result<Output, StartError> {
    let failed = |source| StartError::Logs {
        dir: config.log_dir.clone(),
        source,
    };
    let prefix = format!("{}.{stream}", config.name);
    let path = config.log_dir.join(format!(".{prefix}.fifo"));
    match mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(errno) => return Err(failed(errno.into())),
    }
    let end = OpenOptions::new().read(true).write(true).open(&path);
    let end = end.map_err(failed)?;
    let stream = pipe::OpenOptions::new().open_receiver(&path);
    let file = RotatedFile::open(&config.log_dir, &prefix, config.rotation.clone());
    Ok(Output {
        end,
        stream: stream.map_err(failed)?,
        file: file.map_err(failed)?,
    })
}

/// Finds a program as Nomad's executor does: in the task's `local` directory, in the task's
/// directory, then in the agent's PATH.
fn look_up(command: &str, dir: &Path) -> Result<PathBuf, StartError> {
    let mut candidates = Vec::new();
    if Path::new(command).is_absolute() {
        candidates.push(PathBuf::from(command));
    } else {
        candidates.push(dir.join("local").join(command));
        candidates.push(dir.join(command));
        if !command.contains('/') {
            let path = std::env::var_os("PATH").unwrap_or_default();
            candidates.extend(std::env::split_paths(&path).map(|p| p.join(command)));
        }
    }
    let mut refused = None;
    for path in candidates {
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => {
                return Ok(path);
            }
            Ok(_) => refused = refused.or(Some(path)),
            Err(_) => {}
        }
    }
    match refused {
        Some(path) => Err(StartError::NotExecutable { path }),
        None => Err(StartError::NotFound {
            command: command.to_owned(),
        }),
    }
}

/// Options of the driver's `config` block that Nomad knows and the simulator does not honour.
pub const NOT_SIMULATED: &[&str] = &[
    "cgroup_v1_override",
    "cgroup_v2_override",
    "denied_envvars",
    "oom_score_adj",
    "work_dir",
];

/// What is wrong with a task's `config` block, in the words of Nomad's `Failed Validation`.
#[must_use]
pub fn config_problem(
    config: Option<&serde_json::Map<String, serde_json::Value>>,
) -> Option<String> {
    let keys = || config.into_iter().flat_map(serde_json::Map::keys);
    let given = config.and_then(|c| c.get("command"));
    let problem = if let Some(key) = keys().find(|k| NOT_SIMULATED.contains(&k.as_str())) {
        format!("Not simulated: The argument {key:?} of driver raw_exec.")
    } else if let Some(key) = keys().find(|k| !["command", "args"].contains(&k.as_str())) {
        format!("Invalid label: No argument or block type is named {key:?}.")
    } else if given.is_none_or(serde_json::Value::is_null) {
        "Missing required argument: The argument \"command\" is required, but no definition was found."
            .to_owned()
    } else {
        return None;
    };
    let errors = ["failed to parse config: ".to_owned(), problem];
    Some(crate::state::multierror(&errors))
}

/// A signal by its name, with or without `SIG`; `None` where there is none of that name.
#[must_use]
pub fn signal_named(name: &str) -> Option<Signal> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    full.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path, script: &str) -> TaskConfig {
        std::fs::create_dir_all(dir.join("logs")).expect("a directory for logs");
        TaskConfig {
            name: "t".to_owned(),
            command: "sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
            dir: dir.to_owned(),
            log_dir: dir.join("logs"),
            rotation: Rotation {
                max_files: 2,
                max_bytes: 1024,
            },
        }
    }

    #[tokio::test]
    async fn a_task_sees_its_environment_and_its_output_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path(), "echo $GREETING; pwd; echo oops >&2; exit 3");
        let mut process = Process::start(&config).expect("it starts");
        assert_eq!(process.wait().await, Exit { code: 3, signal: 0 });
        let read = |name: &str| {
            std::fs::read_to_string(dir.path().join("logs").join(name)).expect("a log")
        };
        let here = dir.path().canonicalize().expect("it exists");
        assert_eq!(read("t.stdout.0"), format!("hello\n{}\n", here.display()));
        assert_eq!(read("t.stderr.0"), "oops\n");
    }

    #[tokio::test]
    async fn a_signal_reaches_what_the_task_started() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path(), "sleep 1000 & echo $!; wait");
        let mut process = Process::start(&config).expect("it starts");
        let log = dir.path().join("logs/t.stdout.0");
        let child = loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Ok(pid) = text.trim().parse::<i32>() {
                break Pid::from_raw(pid);
            }
            crate::clock::sleep(Duration::from_millis(5)).await;
        };
        process.signal(Signal::SIGKILL);
        let exit = process.wait().await;
        assert_eq!(
            exit,
            Exit {
                code: 137,
                signal: 9
            }
        );
        // The grandchild is gone, or a zombie that nobody waits for.
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        for _ in 0..200 {
            if gone() {
                return;
            }
            crate::clock::sleep(Duration::from_millis(10)).await;
        }
        panic!("the grandchild {child} still runs");
    }

    #[tokio::test]
    async fn a_missing_program_is_an_error_at_start() {
        let dir = tempfile::tempdir().expect("a directory");
        for (command, text) in [
            (
                "no-such-program",
                "binary \"no-such-program\" could not be found",
            ),
            (
                "/no/such/program",
                "binary \"/no/such/program\" could not be found",
            ),
            ("/etc/passwd", "not an executable file"),
        ] {
            let mut config = config(dir.path(), "");
            config.command = command.to_owned();
            let error = Process::start(&config).err().expect("it cannot start");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn signals_are_known_by_name() {
        assert_eq!(signal_named("SIGTERM"), Some(Signal::SIGTERM));
        assert_eq!(signal_named("int"), Some(Signal::SIGINT));
        assert_eq!(signal_named("SIGNOPE"), None);
    }
}
