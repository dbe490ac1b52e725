//! Tests on a real Docker engine, with simulated agents. Without an engine they say so and prove
//! nothing; with `REHEARSE_REQUIRE_DOCKER=1` that is a failure.
//!
//! Each test has a state folder of its own, and one cluster at a time runs: these tests share
//! one machine.

mod adopted;
mod cli;
mod command;
mod conformance;
#[cfg(feature = "testcontainers")]
mod dev_agent;
mod documents;
mod emulated;
mod faults;
mod first_boot;
mod images;
mod leftovers;
mod library;
mod live;
mod planted;
mod regions;
mod scale;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nomad_harness::docker::{self, Docker, DockerEngine as _, labels};
use nomad_harness::environment::Environment;
use nomad_harness::{Cluster, ClusterBuilder, engine::EngineKind};
use tokio::io::AsyncReadExt as _;

/// One test at a time within this process; between processes nextest's test group sees to it.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Longest that a command of a test takes, on any machine; a test itself may take half as long again (`.config/nextest.toml`).
const COMMAND_MAX: Duration = Duration::from_secs(240);
/// Longest for a list of containers.
const ENGINE_MAX: Duration = Duration::from_secs(10);

/// What a test works with: an engine, and folders of its own.
struct Stage {
    docker: Arc<Docker>,
    environment: Environment,
    folder: tempfile::TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Stage {
    /// Sets the stage; `None` where there is no engine.
    async fn set() -> Option<Self> {
        let turn = ONE_AT_A_TIME.lock().await;
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let own = Environment::of_process();
        let environment = Environment {
            state_root: folder.path().join("rehearse"),
            agent: Some(PathBuf::from(env!("CARGO_BIN_EXE_rehearse"))),
            ..own
        };
        match docker::connect(&environment).await {
            Ok(docker) => Some(Self {
                docker: Arc::new(docker),
                environment,
                folder,
                _turn: turn,
            }),
            Err(error) => {
                let required = std::env::var_os("REHEARSE_REQUIRE_DOCKER").is_some();
                assert!(!required, "REHEARSE_REQUIRE_DOCKER is set, and: {error}");
                eprintln!("\n*** SKIPPED, nothing was tested: {error} ***\n");
                None
            }
        }
    }

    fn builder(&self) -> ClusterBuilder {
        Cluster::builder()
            .engine(EngineKind::Simulator)
            .environment(self.environment.clone())
    }

    /// Returns the command `rehearse`, with this stage's folders.
    fn rehearse(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rehearse"));
        command
            .env("XDG_STATE_HOME", self.folder.path())
            .envs(
                self.environment
                    .agent
                    .iter()
                    .map(|agent| ("REHEARSE_AGENT", agent)),
            )
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end. One that does not end tells what it had said by then, and whether the
    /// engine still answers: a test that is ended from outside says neither.
    async fn output(&self, mut command: tokio::process::Command) -> Output {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let shown = format!("{:?}", command.as_std());
        let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let mut child = command.spawn().expect("it starts");
        let mut stdout = child.stdout.take().expect("it is piped");
        let mut stderr = child.stderr.take().expect("it is piped");
        let ended = async {
            futures::try_join!(
                child.wait(),
                stdout.read_to_end(&mut out),
                stderr.read_to_end(&mut err)
            )
        };
        let ended = tokio::time::timeout(COMMAND_MAX, ended).await;
        let Ok(ended) = ended else {
            let engine = self.docker.containers(&[]);
            let engine = tokio::time::timeout(ENGINE_MAX, engine).await;
            panic!(
                "{shown} did not end within {COMMAND_MAX:?}; the engine's answer: {engine:?}\n{}\n{}",
                String::from_utf8_lossy(&out),
                String::from_utf8_lossy(&err)
            );
        };
        let (status, ..) = ended.expect("it can be waited for");
        Output {
            status,
            stdout: out,
            stderr: err,
        }
    }

    /// Runs `rehearse`, and returns exit code, standard output and standard error.
    async fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = self.rehearse();
        command.args(args);
        let output = self.output(command).await;
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Runs the command, which must succeed, and returns its standard output.
    async fn run_well(&self, args: &[&str]) -> String {
        let (code, out, err) = self.run(args).await;
        assert_eq!(code, 0, "rehearse {args:?}\n{out}\n{err}");
        out
    }

    /// Returns every object on the engine and every folder that belongs to the cluster.
    async fn left_of(&self, cluster: &str) -> Vec<String> {
        let filter = [(labels::CLUSTER, Some(cluster))];
        let containers = self.docker.containers(&filter).await.expect("a list");
        let networks = self.docker.networks().await.expect("a list");
        let volumes = self.docker.volumes(&filter).await.expect("a list");
        let ours = |name: Option<&str>| name == Some(cluster);
        let networks = networks
            .into_iter()
            .filter(|network| ours(labels::get(&network.labels, labels::CLUSTER)));
        let folder = self.environment.state_root.join(cluster);
        containers
            .into_iter()
            .map(|container| container.name)
            .chain(networks.map(|network| format!("network {}", network.name)))
            .chain(
                volumes
                    .into_iter()
                    .map(|volume| format!("volume {}", volume.name)),
            )
            .chain(folder.exists().then(|| folder.display().to_string()))
            .collect()
    }

    /// Checks that nothing of the cluster is left.
    async fn assert_nothing_left(&self, cluster: &str) {
        assert_eq!(self.left_of(cluster).await, Vec::<String>::new());
    }
}

/// Returns the real `nomad` command: `$NOMAD_BINARY`, or what is on the path.
fn a_nomad(environment: &Environment) -> Option<PathBuf> {
    let named = std::env::var_os("NOMAD_BINARY").filter(|named| !named.is_empty());
    named
        .map(PathBuf::from)
        .or_else(|| environment.find_program("nomad"))
}

/// A test that failed leaves no cluster for the next one to meet.
impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let folders = std::fs::read_dir(&self.environment.state_root);
        let folders = folders.into_iter().flatten().flatten();
        let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
        for folder in folders.filter(|folder| !hidden(&folder.file_name())) {
            let mut down = std::process::Command::new(env!("CARGO_BIN_EXE_rehearse"));
            down.env("XDG_STATE_HOME", self.folder.path());
            let ended = down.arg("down").arg(folder.file_name()).status();
            eprintln!("a failed test's `{:?}`: {ended:?}", folder.file_name());
        }
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder of the source tree") {
        let entry = entry.expect("an entry");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("a file");
        }
    }
}
