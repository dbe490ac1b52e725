//! Starting programs and ending them, as the task drivers do.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Found, on_runtime, same};

/// Exit code of the child that only ends; no shell or emulator answers it of its own accord.
const CHILD_CODE: u8 = 71;
/// Exit code of the child that took SIGTERM in its handler.
const HANDLED_CODE: u8 = 72;

/// What this program does when a check started it.
pub(super) fn child(role: &str) -> ExitCode {
    match role {
        "end" => ExitCode::from(CHILD_CODE),
        "wait" => {
            if say_ready().is_err() {
                return ExitCode::FAILURE;
            }
            loop {
                std::thread::park();
            }
        }
        "handle" => {
            let code = on_runtime(async {
                use tokio::signal::unix::{SignalKind, signal};
                let mut terminated =
                    signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
                say_ready().map_err(|error| error.to_string())?;
                terminated.recv().await;
                Ok(HANDLED_CODE)
            });
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        _ => ExitCode::from(2),
    }
}

/// Tells the check that this child is where it should be.
fn say_ready() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready")?;
    out.flush()
}

fn start(role: &str) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| format!("no own path: {error}"))?;
    Command::new(&program)
        .args(["selftest", "child", role])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start `{}`: {error}", program.display()))
}

/// This program starts itself and gets its exit code.
pub(super) fn spawn_self() -> Found {
    let status = start("end")?.wait().map_err(|error| error.to_string())?;
    same("exit code", &Some(i32::from(CHILD_CODE)), &status.code())?;
    Ok(format!("exit code {CHILD_CODE}"))
}

/// A missing program is noticed: by an error, or under an emulator by exit code 127, since QEMU
/// makes a fork of the spawn that would carry the error (rust-lang/rust#90825).
pub(super) fn missing_program() -> Found {
    match Command::new("/no/such/program").spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok("refused at once".to_owned()),
        Err(error) => Err(format!("refused for a wrong reason: {error}")),
        Ok(mut child) => {
            let status = child.wait().map_err(|error| error.to_string())?;
            same("exit code", &Some(127), &status.code())?;
            Ok("told late, by exit code 127 (emulated)".to_owned())
        }
    }
}

/// Starts a child, waits until it is ready, and sends it SIGTERM.
fn terminated(role: &str) -> Result<std::process::ExitStatus, String> {
    let mut child = start(role)?;
    let mut line = String::new();
    let output = child.stdout.take().expect("standard output is piped");
    BufReader::new(output)
        .read_line(&mut line)
        .map_err(|error| format!("the child's word: {error}"))?;
    let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    if line == "ready\n" {
        kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|error| format!("kill: {error}"))?;
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    same("the child's word", &"ready\n", &line.as_str())?;
    Ok(status)
}

/// A child without a handler dies of the signal.
pub(super) fn signal_ends_child() -> Found {
    let status = terminated("wait")?;
    same("signal", &Some(15), &status.signal())?;
    Ok("signal 15".to_owned())
}

/// A child with a handler ends as it wants to.
pub(super) fn signal_is_handled() -> Found {
    let status = terminated("handle")?;
    same("exit code", &Some(i32::from(HANDLED_CODE)), &status.code())?;
    Ok(format!("exit code {HANDLED_CODE}"))
}

/// Processes started by each thread of the stress: QEMU 7.2 lost one of 240 to 800.
const SPAWNS_PER_THREAD: u64 = 100;

/// Threads that start processes while others keep busy: no child may be lost before it runs.
pub(super) fn forks_among_threads() -> Found {
    let busy = Arc::new(AtomicBool::new(true));
    let turns = Arc::new(AtomicU64::new(0));
    let noise: Vec<_> = (0..4)
        .map(|_| {
            let (busy, turns) = (Arc::clone(&busy), Arc::clone(&turns));
            std::thread::spawn(move || {
                while busy.load(Ordering::Relaxed) {
                    // Allocation takes the lock that a forked child may find taken.
                    let text = format!("turn {}", turns.fetch_add(1, Ordering::Relaxed));
                    std::hint::black_box(text);
                }
            })
        })
        .collect();
    let spawners: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| (0..SPAWNS_PER_THREAD).try_for_each(|_| spawn_self().map(drop)))
        })
        .collect();
    let outcomes: Vec<_> = spawners
        .into_iter()
        .map(std::thread::JoinHandle::join)
        .collect();
    busy.store(false, Ordering::Relaxed);
    for thread in noise {
        thread.join().map_err(|_| "a busy thread panicked")?;
    }
    for outcome in outcomes {
        outcome.map_err(|_| "a spawning thread panicked")??;
    }
    Ok(format!("{} processes", 4 * SPAWNS_PER_THREAD))
}
