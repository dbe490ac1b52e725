//! `cloud`: what answers the agents of an adopted cluster in AWS's place, so that real Nomad's `provider=aws ...`
//! joins as it does there: the instance metadata service (`imds`) and EC2's `DescribeInstances` (`ec2`), over
//! the machines of one configuration. And `join`, which asks them as go-discover does: the simulated agent's.
//!
//! `cloud serve FOLDER` listens on port 80 of the metadata service's address and on port 443; `cloud can
//! PROGRAM` says whether an agent program has go-discover's `aws`.
//!
//! Unlike AWS: every machine is `running` as long as the cluster is there, pages are not divided, and clocks are
//! not compared.

mod ec2;
mod imds;
mod join;
mod serve;
pub mod sign;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

pub use join::{ArgumentsError, Discovery, JoinError, arguments};
pub use serve::{Answer, Asked, Responder};

/// Where every EC2 machine finds its metadata service (AWS, "Access instance metadata").
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The responder's files in its folder: what it answers from, and its certificate for EC2's names.
pub const MACHINES_FILE: &str = "machines.json";
/// See [`MACHINES_FILE`].
pub const CERTIFICATE_FILE: &str = "ec2.pem";
/// See [`MACHINES_FILE`].
pub const KEY_FILE: &str = "ec2-key.pem";
/// The certificate's authority.
pub const AUTHORITY_FILE: &str = "ca.pem";

/// What go-discover's `aws` logs with in every version, and so is in every program that has it.
const MARK: &str = "discover-aws: ";

/// The account that is told: none of anybody's.
const ACCOUNT: &str = "000000000000";

/// What is answered from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cloud {
    /// The machines' region; every other one is empty.
    pub region: String,
    /// The machines.
    pub machines: Vec<Machine>,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its agent's name.
    pub name: String,
    /// Its address in the network.
    pub address: Ipv4Addr,
    /// Its address towards the metadata service, by which it is told from others there.
    pub link_local: Ipv4Addr,
    /// `t3.small`.
    pub instance_type: String,
    /// `ami-...`.
    pub image: String,
    /// `us-east-2a`.
    pub zone: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether its metadata service answers at all (`http_endpoint`).
    pub metadata: bool,
    /// Whether that wants a token, version 2 (`http_tokens`).
    pub tokens: bool,
    /// The role of its instance profile.
    pub role: Option<String>,
    /// Whether the role may call `ec2:DescribeInstances`.
    pub may_describe: bool,
}

impl Machine {
    /// Its ID, made of its name: one form, and another one for each machine of a cluster.
    #[must_use]
    pub fn id(&self) -> String {
        made("i", &self.name)
    }
}

/// An ID as AWS makes them: a word and 17 hexadecimal digits.
fn made(word: &str, of: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(format!("{word} {of}"));
    format!("{word}-{}", &sign::hex(&digest)[..17])
}

/// What the command cannot do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    #[error("expected `cloud serve FOLDER` or `cloud can PROGRAM`, not `cloud {0}`")]
    Usage(String),
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{}` is no list of machines: {source}", .path.display())]
    Machines {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("there is no program `{0}` on the path")]
    NoProgram(String),
    #[error(transparent)]
    Tls(#[from] crate::rpc::TlsError),
    #[error("{problem}: {source}")]
    Listen {
        problem: crate::rpc::ListenerError,
        source: std::io::Error,
    },
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
}

/// Runs the part; `args` come after the word `cloud`.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve", folder] => serve::serve(Path::new(folder)),
        ["can", program] => can(program, std::env::var_os("PATH").as_deref()),
        _ => Err(CloudError::Usage(args.join(" "))),
    };
    crate::tools::report(outcome)
}

/// Says `yes` where the program's text has what go-discover's `aws` logs with.
fn can(program: &str, path: Option<&std::ffi::OsStr>) -> Result<String, CloudError> {
    let found = if program.contains('/') {
        Some(PathBuf::from(program))
    } else {
        let folders = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>());
        let mut files = folders
            .unwrap_or_default()
            .into_iter()
            .map(|folder| folder.join(program));
        files.find(|file| file.is_file())
    };
    let file = found.ok_or_else(|| CloudError::NoProgram(program.to_owned()))?;
    let has = holds(&file, MARK.as_bytes()).map_err(|source| CloudError::Read {
        path: file.clone(),
        source,
    })?;
    Ok(if has { "yes\n" } else { "no\n" }.to_owned())
}

/// Whether a file has a text in it. Programs have a hundred megabytes: they are read piece by piece.
fn holds(file: &Path, text: &[u8]) -> std::io::Result<bool> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        let length = kept + read;
        let first = text[0];
        let mut rest = &buffer[..length];
        while let Some(at) = rest.iter().position(|byte| *byte == first) {
            if rest[at..].starts_with(text) {
                return Ok(true);
            }
            rest = &rest[at + 1..];
        }
        // It may lie across two pieces.
        kept = length.min(text.len() - 1);
        buffer.copy_within(length - kept..length, 0);
    }
}

#[cfg(test)]
mod tests;
