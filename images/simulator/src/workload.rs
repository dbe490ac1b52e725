//! `workload`: the small web server that sample jobs run, on the simulator and on real Nomad.
//!
//! It says who answers (version, job, allocation, node), so that a probe can tell what a rollout
//! or a failure did to the service; it ends as a good service does, after what it has begun;
//! and it fails on demand.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock;
use crate::jobspec::duration;

/// Longest answer time that `/wait` grants.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const USAGE: &str =
    "usage: workload [-version V] [-port N] [-start-delay 2s] [-fail-after 2s] [-exit CODE]

A web server on 0.0.0.0, port -port or $NOMAD_PORT_http:
  /             who answers, as JSON
  /health       200
  /wait/500ms   answers after that time
SIGTERM or SIGINT: finishes the requests that it has begun, and exits with 0.
  -start-delay  waits before it listens
  -fail-after   exits by itself after that time, with -exit (1)
  -exit         without -fail-after: exits at once with that code, serving nothing";

/// What `/` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    /// `-version`.
    pub version: String,
    /// Job ID.
    pub job: String,
    /// Allocation ID.
    pub alloc: String,
    /// Index in the allocation's name.
    pub alloc_index: String,
    /// `$NODE`, which the sample jobs set to the node's name, or else the host's name.
    pub node: String,
    /// RFC 3339.
    pub time: String,
}

/// The command line, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    version: String,
    port: Option<u16>,
    start_delay: Duration,
    fail_after: Option<Duration>,
    exit: Option<u8>,
}

/// Runs the workload; `args` come after the word `workload`.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let options = match parse(args) {
        Ok(options) => options,
        Err(problem) => {
            say(&format!("error: {problem}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(options)),
        Err(error) => {
            say(&format!("error: no runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to the task's log; a reader that went away is no reason to fail.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _unread = writeln!(out, "{line}");
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        version: "0".to_owned(),
        ..Options::default()
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let flag = arg.trim_start_matches('-');
        let (flag, inline) = match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (flag, None),
        };
        let known = ["version", "port", "start-delay", "fail-after", "exit"].contains(&flag);
        if !arg.starts_with('-') || !known {
            return Err(format!("unknown argument `{arg}`"));
        }
        let value = inline
            .or_else(|| args.next().cloned())
            .ok_or_else(|| format!("`-{flag}` needs a value"))?;
        let time = || duration::parse(&value).map(nanos);
        match flag {
            "version" => options.version = value,
            "port" => options.port = Some(number(flag, &value)?),
            "start-delay" => options.start_delay = time()?,
            "fail-after" => options.fail_after = Some(time()?),
            _ => options.exit = Some(number(flag, &value)?),
        }
    }
    if options.port.is_none() {
        let from_nomad = std::env::var("NOMAD_PORT_http").ok();
        options.port = from_nomad.map(|p| number("port", &p)).transpose()?;
    }
    Ok(options)
}

fn nanos(n: crate::types::Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(0))
}

fn number<T: std::str::FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("`-{flag}`: `{value}` is not a number that fits"))
}

struct Served {
    whoami: Whoami,
    requests: AtomicU64,
}

fn whoami(version: &str) -> Whoami {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let host = || {
        let name = nix::unistd::gethostname().ok();
        name.and_then(|n| n.into_string().ok()).unwrap_or_default()
    };
    Whoami {
        version: version.to_owned(),
        job: var("NOMAD_JOB_NAME"),
        alloc: var("NOMAD_ALLOC_ID"),
        alloc_index: var("NOMAD_ALLOC_INDEX"),
        node: std::env::var("NODE").unwrap_or_else(|_| host()),
        time: String::new(),
    }
}

async fn serve(options: Options) -> ExitCode {
    let whoami = whoami(&options.version);
    let name = format!(
        "workload version {} allocation {}",
        whoami.version, whoami.alloc
    );
    // Before the delay, so that a signal ends it too.
    let (mut term, mut int) = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(term), Ok(int)) => (term, int),
        (Err(error), _) | (_, Err(error)) => {
            say(&format!("error: cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    tokio::select! {
        () = clock::sleep(options.start_delay) => {}
        which = asked_to_end(&mut term, &mut int) => {
            say(&format!("{name} stopped by {which} before it listened"));
            return ExitCode::SUCCESS;
        }
    }
    if let (Some(code), None) = (options.exit, options.fail_after) {
        say(&format!("{name} exits with {code}, as told"));
        return ExitCode::from(code);
    }
    let Some(port) = options.port else {
        say(&format!(
            "error: no port: expected -port or NOMAD_PORT_http\n{USAGE}"
        ));
        return ExitCode::from(2);
    };
    let Some(listener) = listen(port).await else {
        return ExitCode::FAILURE;
    };
    say(&format!("{name} started, listening on port {port}"));
    let served = Arc::new(Served {
        whoami,
        requests: AtomicU64::new(0),
    });
    let (ended, mut reason) = tokio::sync::watch::channel("");
    let end = async move {
        let which = asked_to_end(&mut term, &mut int).await;
        ended.send_replace(which);
    };
    let server = axum::serve(listener, router(Arc::clone(&served))).with_graceful_shutdown(end);
    let fail = async {
        match options.fail_after {
            Some(after) => clock::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = server => {
            let requests = served.requests.load(Ordering::Relaxed);
            let which = *reason.borrow_and_update();
            say(&format!("{name} stopped by {which} after {requests} requests"));
            result.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        () = fail => {
            let code = options.exit.unwrap_or(1);
            say(&format!("{name} fails with {code}, as told"));
            ExitCode::from(code)
        }
    }
}

pub(crate) async fn listen(port: u16) -> Option<TcpListener> {
    match TcpListener::bind(("0.0.0.0", port)).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            say(&format!("error: cannot listen on port {port}: {error}"));
            None
        }
    }
}

pub(crate) async fn asked_to_end(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/", get(answer))
        .route("/health", get(async || StatusCode::OK))
        .route("/wait/{time}", get(wait))
        .with_state(served)
}

async fn answer(State(served): State<Arc<Served>>) -> Json<Whoami> {
    served.requests.fetch_add(1, Ordering::Relaxed);
    Json(Whoami {
        time: clock::rfc3339(clock::now()),
        ..served.whoami.clone()
    })
}

async fn wait(state: State<Arc<Served>>, Path(time): Path<String>) -> axum::response::Response {
    match duration::parse(&time).map(nanos) {
        Ok(time) if time <= LONGEST_WAIT => {
            clock::sleep(time).await;
            answer(state).await.into_response()
        }
        Ok(_) => (StatusCode::BAD_REQUEST, "at most 60s\n").into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_understood_with_one_dash_or_two() {
        let expected = Options {
            version: "2".to_owned(),
            port: Some(80),
            start_delay: Duration::ZERO,
            fail_after: Some(Duration::from_secs(2)),
            exit: Some(3),
        };
        let text = "-version 2 -port 80 -fail-after 2s -exit 3";
        assert_eq!(parse(&args(text)), Ok(expected.clone()));
        let text = "--version=2 --port=80 --fail-after=2s --exit=3";
        assert_eq!(parse(&args(text)), Ok(expected));
    }

    #[test]
    fn a_wrong_flag_is_named() {
        for (text, named) in [
            ("-verzion 1", "`-verzion`"),
            ("-port", "`-port` needs a value"),
            ("-exit 300", "`300`"),
            ("-fail-after soon", "`soon` is not a duration"),
            ("stray", "`stray`"),
        ] {
            let problem = parse(&args(text)).expect_err(text);
            assert!(problem.contains(named), "{problem}");
        }
    }
}
