//! `after [-filtered] -unless PATH -tcp ADDRESS,... -- COMMAND`: becomes COMMAND once every address takes
//! connections. A new cluster's containers start side by side; a client of real Nomad whose first
//! registration is refused waits 15 to 30 s with the next.
//!
//! Where PATH exists there is nothing to wait for: the agent has been here before, and starts as
//! it would anywhere. An address that never answers only delays the command.
//!
//! With `-filtered` it waits first, and as long as it takes, until the ports that are closed for good are
//! closed (`net filter`): who starts the container closes them from outside, and no connection must come
//! before.
//!
//! An agent that was here before has left process IDs, too. A client of real Nomad that starts again
//! looks for its tasks' helpers by them, and kills whoever has such an ID where none answers (so
//! does `go-plugin`, which it uses). On a machine that may be nobody; in a container, whose IDs
//! begin at 1 again, it is easily a thread of the client itself, which then dies by SIGKILL. So
//! each start uses up IDs until it is far from those of the start before.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;

use super::net::NetError;
use crate::clock;

/// How long it waits at most: a server listens within a second of its start, five under QEMU.
const WITHIN: Duration = Duration::from_secs(15);
/// Time between two tries, and how long one may take.
const AGAIN: Duration = Duration::from_millis(10);
const TRY_MAX: Duration = Duration::from_millis(500);
/// After how long it says that it waits for a filter.
const FILTER_LATE: Duration = Duration::from_secs(5);

/// How far apart the process IDs of two starts are: a client with its tasks' helpers has hundreds.
const APART: u32 = 1000;
/// After how many starts they come round again.
const ROUNDS: u32 = 8;

/// The command cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum AfterError {
    /// The arguments make no sense.
    #[error("{0} (expected `after [-filtered] -unless PATH -tcp ADDRESS,... -- COMMAND`)")]
    Usage(String),
    /// The kernel does not tell its rules.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The system refuses something.
    #[error("cannot run `{command}`: {source}")]
    Run {
        /// What was to be run.
        command: String,
        /// Why it is not.
        source: std::io::Error,
    },
}

#[derive(Debug, Default, PartialEq)]
struct Wish {
    filtered: bool,
    unless: Option<PathBuf>,
    tcp: Vec<SocketAddr>,
    command: Vec<String>,
}

/// Waits, and becomes the command; returns only when that fails.
pub(super) fn run(args: &[String]) -> Result<Infallible, AfterError> {
    let wish = read(args)?;
    let (program, rest) = wish.command.split_first().expect("it was read with one");
    let failed = |source| AfterError::Run {
        command: program.clone(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    if wish.filtered {
        runtime.block_on(filtered())?;
    }
    let known = wish.unless.as_ref().is_some_and(|path| path.exists());
    if known {
        if let Some(path) = &wish.unless {
            let past = next_start(path);
            // Threads have IDs as processes do, and cost less.
            while std::thread::spawn(nix::unistd::gettid)
                .join()
                .is_ok_and(|id| id.as_raw().unsigned_abs() < past)
            {}
        }
    } else {
        // Nobody listens in the end: the command finds out itself, and says so better.
        let _late = runtime.block_on(async { tokio::time::timeout(WITHIN, all(&wish.tcp)).await });
    }
    Err(failed(Command::new(program).args(rest).exec()))
}

/// Waits until the closed ports are closed. Says so when that takes long: whoever starts the container by
/// hand finds out from its log what is missing.
async fn filtered() -> Result<(), NetError> {
    if let Ok(outcome) = tokio::time::timeout(FILTER_LATE, until_filtered()).await {
        return outcome;
    }
    // Nobody is left to tell when standard error is closed, too.
    drop(writeln!(
        std::io::stderr(),
        "waiting for the packet filter of this agent's security groups; `rehearse start` puts it in"
    ));
    until_filtered().await
}

async fn until_filtered() -> Result<(), NetError> {
    while !super::net::is_filtered()? {
        clock::sleep(AGAIN).await;
    }
    Ok(())
}

/// Returns the process ID from which this start goes on, and notes it beside `known` for the next.
fn next_start(known: &Path) -> u32 {
    let note = known.with_file_name(".starts");
    let before = std::fs::read_to_string(&note).ok();
    let before: u32 = before.and_then(|text| text.parse().ok()).unwrap_or(0);
    let number = (before + 1) % ROUNDS;
    // Where it cannot be noted, the next start takes the same place: no worse than none.
    drop(std::fs::write(&note, number.to_string()));
    number * APART
}

fn read(args: &[String]) -> Result<Wish, AfterError> {
    let usage = |problem: &str| AfterError::Usage(problem.to_owned());
    let mut wish = Wish::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| usage("a value is missing"));
        match arg.as_str() {
            "-filtered" => wish.filtered = true,
            "-unless" => wish.unless = Some(PathBuf::from(value()?)),
            "-tcp" => {
                let parsed: Result<_, _> = value()?.split(',').map(str::parse).collect();
                wish.tcp = parsed.map_err(|_| usage("`-tcp` wants IP:PORT,..."))?;
            }
            "--" => {
                wish.command = args.cloned().collect();
                break;
            }
            other => return Err(usage(&format!("unknown argument `{other}`"))),
        }
    }
    if wish.command.is_empty() {
        return Err(usage("no command"));
    }
    Ok(wish)
}

/// Returns when each address has taken a connection.
async fn all(addresses: &[SocketAddr]) {
    for address in addresses {
        loop {
            let connecting = TcpStream::connect(address);
            if let Ok(Ok(_)) = tokio::time::timeout(TRY_MAX, connecting).await {
                break;
            }
            clock::sleep(AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_comes_after_the_dashes_is_the_command_as_it_stands() {
        let wish = read(&words(
            "-unless /d -tcp 10.0.0.1:4647,10.0.0.2:4647 -- nomad agent -tcp x",
        ));
        let wish = wish.unwrap();
        assert!(!wish.filtered);
        assert!(read(&words("-filtered -- x")).unwrap().filtered);
        assert_eq!(wish.unless, Some(PathBuf::from("/d")));
        assert_eq!(wish.tcp.len(), 2);
        assert_eq!(wish.command, words("nomad agent -tcp x"));
        for wrong in ["-tcp here -- x", "-unless", "--", "nomad agent"] {
            assert!(read(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_start_is_far_from_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let known = folder.path().join("client");
        let starts: Vec<u32> = (0..=ROUNDS).map(|_| next_start(&known)).collect();
        assert_eq!(starts[..2], [APART, 2 * APART]);
        for pair in starts.windows(2) {
            assert!(pair[0].abs_diff(pair[1]) >= APART, "{starts:?}");
        }
    }

    #[tokio::test]
    async fn it_waits_for_the_last_address_and_not_for_ever() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let soon = Duration::from_millis(60);
        assert!(tokio::time::timeout(soon, all(&[address])).await.is_err());
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let late = Duration::from_secs(5);
        tokio::time::timeout(late, all(&[address])).await.unwrap();
        drop(listener);
    }
}
