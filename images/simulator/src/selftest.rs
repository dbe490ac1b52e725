//! `selftest`: whether this build works on this machine, in one run without any cluster.
//!
//! Meant for architectures that a build host only emulates or cannot run at all. Every check
//! fails where bytes are in the wrong order or a piece of assembly does not fit.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, ExitCode};

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use sha2::{Digest, Sha256};

type Check = (&'static str, fn() -> Result<String, String>);

const CHECKS: &[Check] = &[
    ("byte order", byte_order),
    ("sha256", sha256),
    ("aes-gcm", aes_gcm),
    ("tls provider", tls_provider),
    ("storage", storage),
    ("job file", job_file),
    ("process", process),
];

/// Runs every check, says what it found, and ends with `selftest ok` where all passed.
#[must_use]
pub fn run() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut failed = 0;
    let mut lines = vec![format!("arch: {}", std::env::consts::ARCH)];
    for (name, check) in CHECKS {
        lines.push(match check() {
            Ok(found) => format!("{name}: {found}"),
            Err(why) => {
                failed += 1;
                format!("{name}: FAILED: {why}")
            }
        });
    }
    lines.push(match failed {
        0 => "selftest ok".to_owned(),
        n => format!("selftest failed: {n} of {} checks", CHECKS.len()),
    });
    // Nobody reads: nothing can be said about it, but the exit code.
    let _unread = writeln!(out, "{}", lines.join("\n"));
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn expect<T: PartialEq + std::fmt::Debug + ?Sized>(found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("expected {wanted:?}, found {found:?}"))
}

fn byte_order() -> Result<String, String> {
    let bytes = 0x0102_0304_u32.to_ne_bytes();
    let found = if bytes == [1, 2, 3, 4] {
        "big"
    } else {
        "little"
    };
    let built = if cfg!(target_endian = "big") {
        "big"
    } else {
        "little"
    };
    expect(&found, &built)?;
    expect(&0x0102_u16.to_be_bytes(), &[1, 2])?;
    Ok(found.to_owned())
}

/// The example of FIPS 180-2, B.1.
fn sha256() -> Result<String, String> {
    let digest = Sha256::digest(b"abc");
    expect(&digest[..4], &[0xba, 0x78, 0x16, 0xbf][..])?;
    Ok("ok".to_owned())
}

/// Test case 13 of the GCM specification: an empty text under a zero key.
fn aes_gcm() -> Result<String, String> {
    let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&[0; 32]));
    let sealed = cipher
        .encrypt(Nonce::from_slice(&[0; 12]), &b""[..])
        .map_err(|e| e.to_string())?;
    expect(&sealed[..4], &[0x53, 0x0f, 0x8a, 0xfb][..])?;
    Ok("ok".to_owned())
}

fn tls_provider() -> Result<String, String> {
    let provider = rustls::crypto::ring::default_provider();
    let mut bytes = [0; 32];
    provider
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| "no random bytes".to_owned())?;
    if bytes == [0; 32] {
        return Err("random bytes are all zero".to_owned());
    }
    Ok(format!("{} cipher suites", provider.cipher_suites.len()))
}

fn storage() -> Result<String, String> {
    const TABLE: redb::TableDefinition<'_, u64, &str> = redb::TableDefinition::new("t");
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let backend = redb::backends::InMemoryBackend::new();
    let db = redb::Database::builder()
        .create_with_backend(backend)
        .map_err(|e| text(&e))?;
    let write = db.begin_write().map_err(|e| text(&e))?;
    {
        let mut table = write.open_table(TABLE).map_err(|e| text(&e))?;
        for i in [300, 2, 1] {
            table.insert(i, "x").map_err(|e| text(&e))?;
        }
    }
    write.commit().map_err(|e| text(&e))?;
    let read = db.begin_read().map_err(|e| text(&e))?;
    let table = read.open_table(TABLE).map_err(|e| text(&e))?;
    let range = table.range(0..).map_err(|e| text(&e))?;
    let keys: Result<Vec<u64>, _> = range.map(|row| row.map(|(k, _)| k.value())).collect();
    expect(&keys.map_err(|e| text(&e))?, &vec![1, 2, 300])?;
    Ok("ok".to_owned())
}

fn job_file() -> Result<String, String> {
    let text = include_str!("../../../jobs/whoami.nomad.hcl");
    let mut job = crate::jobspec::parse(text, &BTreeMap::new()).map_err(|e| format!("{e:?}"))?;
    crate::jobspec::canonicalize(&mut job);
    expect(&crate::jobspec::validate(&job), &Vec::new())?;
    Ok(format!("`{}` is fine", job.id))
}

/// Starts itself, so that no other program is needed; a missing one must be noticed.
fn process() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(own)
        .args(["workload", "-exit", "7"])
        .current_dir("/")
        .output()
        .map_err(|e| e.to_string())?;
    expect(&output.status.code(), &Some(7))?;
    Ok("ok".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_but_the_one_of_the_program_itself_passes_here() {
        // The test's own executable is not the program.
        for (name, check) in CHECKS.iter().filter(|(name, _)| *name != "process") {
            assert!(check().is_ok(), "{name}: {:?}", check());
        }
    }
}
