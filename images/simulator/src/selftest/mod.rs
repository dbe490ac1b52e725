//! `selftest`: does this program work where it runs now, above all under an emulator?
//!
//! The tiny probe of `images/probe` proves the emulator; this proves the program itself, with the
//! parts that an agent is made of: processes, signals, timers, threads, TLS, JSON, hashes. Each
//! check prints one line, `ok NAME ...` or `FAIL NAME ...`; the last line is `selftest ok` or
//! `selftest FAIL`. A check that hangs is ended by a watchdog and counts as failed.
//!
//! `--thorough` adds a stress of forks among busy threads, which finds emulators that lose a
//! forked child now and then (QEMU 7.2). `--measure` prints `measured NAME VALUE` lines instead;
//! their ratios between architectures scale the harness's deadlines.

mod encodings;
mod measure;
mod processes;
mod timers;
mod tls;

use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a check found: details for its line, or what is wrong.
type Found = Result<String, String>;

/// A check's name and what it does.
type Check = (&'static str, fn() -> Found);

/// Deadline of one check. The slowest takes 2 s emulated; a hang has no end.
const CHECK_MAX: Duration = Duration::from_secs(60);

const CHECKS: &[Check] = &[
    ("spawn_self", processes::spawn_self),
    ("missing_program", processes::missing_program),
    ("signal_ends_child", processes::signal_ends_child),
    ("signal_is_handled", processes::signal_is_handled),
    ("threads", timers::threads),
    ("timers", timers::timers),
    ("hashes", encodings::hashes),
    ("sealing", encodings::sealing),
    ("json", encodings::json),
    ("tls", tls::echo),
];

const THOROUGH: &[Check] = &[("forks_among_threads", processes::forks_among_threads)];

/// Runs the self test, or the part of it that a check starts this program again for.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut out = std::io::stdout();
    let told = match args.as_slice() {
        ["child", role] => return processes::child(role),
        [] => run(&mut out, CHECKS),
        ["--thorough"] => run(&mut out, &[CHECKS, THOROUGH].concat()),
        ["--measure"] => measure::run(&mut out),
        _ => {
            let usage = "error: `selftest` takes `--thorough`, `--measure` or nothing";
            return match writeln!(std::io::stderr(), "{usage}") {
                Ok(()) | Err(_) => ExitCode::from(2),
            };
        }
    };
    match told {
        Ok(true) => ExitCode::SUCCESS,
        // Nobody listens any more: what was not told was not proved.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Names this program's architecture and the byte order it sees: a program of the machine's own
/// architecture runs unnoticed under a foreign image's label.
fn arch_line() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let order = match 1_u16.to_ne_bytes() {
        [1, 0] => "little",
        _ => "big",
    };
    format!("arch {arch} {order}-endian")
}

/// Runs the checks in order and tells what they found; returns whether all is well.
fn run(out: &mut impl Write, checks: &[Check]) -> std::io::Result<bool> {
    writeln!(out, "{}", arch_line())?;
    let mut good = true;
    for (name, check) in checks {
        let begin = Instant::now();
        let found = watched(*check);
        let took = begin.elapsed().as_millis();
        match found {
            Ok(details) => writeln!(out, "ok {name} {details} ({took} ms)")?,
            Err(wrong) => {
                good = false;
                writeln!(out, "FAIL {name} {wrong} ({took} ms)")?;
            }
        }
        out.flush()?;
    }
    writeln!(out, "selftest {}", if good { "ok" } else { "FAIL" })?;
    Ok(good)
}

/// Runs a check on a thread of its own; one that hangs is left behind, and dies with the process.
fn watched(check: fn() -> Found) -> Found {
    let (tell, told) = mpsc::channel();
    let worker = std::thread::spawn(move || tell.send(check()));
    match told.recv_timeout(CHECK_MAX) {
        Ok(found) => found,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("hangs: no end within {CHECK_MAX:?}")),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(match worker.join() {
            Ok(_) => "ended without a word".to_owned(),
            Err(panic) => format!(
                "panicked: {}",
                panic
                    .downcast_ref::<&str>()
                    .map(ToString::to_string)
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default()
            ),
        }),
    }
}

/// Fails with both values where they differ.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, seen: &T) -> Result<(), String> {
    if expected == seen {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, seen {seen:?}"))
    }
}

/// Runs a future on a runtime like the agent's own.
fn on_runtime<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?
        .block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(checks: &[Check]) -> (bool, String) {
        let mut out = Vec::new();
        let good = run(&mut out, checks).expect("a vector takes everything");
        (good, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn only_a_run_without_failures_ends_with_ok() {
        let (good, log) = log_of(&[("fine", || Ok("1".to_owned()))]);
        assert!(good && log.ends_with("\nselftest ok\n"), "{log}");
        let (good, log) = log_of(&[
            ("bad", || Err("broken".to_owned())),
            ("fine", || Ok(String::new())),
        ]);
        assert!(!good && log.ends_with("\nselftest FAIL\n"), "{log}");
        assert!(log.contains("\nFAIL bad broken ("), "{log}");
    }

    #[test]
    fn a_check_that_panics_fails_with_its_words() {
        let (good, log) = log_of(&[("wild", || panic!("lost the thread"))]);
        assert!(
            !good && log.contains("FAIL wild panicked: lost the thread"),
            "{log}"
        );
    }

    #[test]
    fn what_needs_no_second_process_works_on_this_machine() {
        for check in [
            timers::threads,
            timers::timers,
            encodings::hashes,
            encodings::sealing,
        ] {
            check().expect("works natively");
        }
        encodings::json().expect("works natively");
        tls::echo().expect("works natively");
    }
}
