//! How fast this program is where it runs now: figures whose ratio to another architecture's,
//! taken in the same minutes on the same machine, says how much longer everything takes there.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{arch_line, on_runtime, processes, tls};

/// How long each figure is measured for, once warm.
const SPAN: Duration = Duration::from_millis(400);

/// A figure's name and how it is taken.
type Figure = (&'static str, fn() -> Result<f64, String>);

const FIGURES: &[Figure] = &[
    ("spawns_per_s", spawns),
    ("tls_handshakes_per_s", handshakes),
    ("json_mb_per_s", json_rate),
    ("sha256_mb_per_s", sha256_rate),
];

/// Prints `measured NAME VALUE` lines; every value is a rate, more is faster.
pub(super) fn run(out: &mut impl Write) -> std::io::Result<bool> {
    writeln!(out, "{}", arch_line())?;
    let mut good = true;
    for (name, figure) in FIGURES {
        match figure() {
            Ok(value) => writeln!(out, "measured {name} {value:.2}")?,
            Err(wrong) => {
                good = false;
                writeln!(out, "FAIL {name} {wrong}")?;
            }
        }
        out.flush()?;
    }
    writeln!(out, "selftest {}", if good { "ok" } else { "FAIL" })?;
    Ok(good)
}

/// Returns how often a second `work` can be done. Once before the measurement: an emulator
/// translates each piece of code when it first runs.
fn rate(mut work: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    work()?;
    let begin = Instant::now();
    let mut times = 0.0;
    while begin.elapsed() < SPAN {
        work()?;
        times += 1.0;
    }
    Ok(times / begin.elapsed().as_secs_f64())
}

fn spawns() -> Result<f64, String> {
    rate(|| processes::spawn_self().map(drop))
}

fn handshakes() -> Result<f64, String> {
    let ends = tls::Ends::new()?;
    on_runtime(async {
        let mut times = 0.0;
        let once = async || {
            ends.echo(b"x")
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        };
        once().await?;
        let begin = Instant::now();
        while begin.elapsed() < SPAN {
            once().await?;
            times += 1.0;
        }
        Ok(times / begin.elapsed().as_secs_f64())
    })
}

fn json_rate() -> Result<f64, String> {
    let node = |i: u32| json!({"ID": format!("node-{i}"), "Status": "ready", "CreateIndex": i, "Attributes": {"arch": "s390x"}});
    let text = Value::Array((0..200).map(node).collect()).to_string();
    let times = rate(|| {
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        black_box(value.to_string());
        Ok(())
    })?;
    Ok(times * megabytes(text.len()))
}

fn sha256_rate() -> Result<f64, String> {
    let bytes = vec![7_u8; 256 * 1024];
    let times = rate(|| {
        black_box(Sha256::digest(&bytes));
        Ok(())
    })?;
    Ok(times * megabytes(bytes.len()))
}

fn megabytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6
}
