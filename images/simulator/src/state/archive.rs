//! Operators' snapshots: a gzip'd tar of `meta.json`, `state.bin` and `SHA256SUMS`, as Nomad's.
//!
//! `state.bin` is this simulator's own state in JSON and says so: Nomad's cannot be read here,
//! nor this by Nomad.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::State;

/// First line of `state.bin`.
const FORMAT: &[u8] = b"rehearse-simulator state 1\n";

/// Largest snapshot that is unpacked, so that a small file cannot fill the memory.
const LARGEST: u64 = 1 << 30;

/// The archive is not one that can be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read snapshot file: {0}")]
pub struct ArchiveError(String);

/// What `meta.json` tells of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ArchiveMeta {
    /// Of the format of snapshots, 1.
    pub version: u32,
    /// `<term>-<index>-<milliseconds>`.
    #[serde(rename = "ID")]
    pub id: String,
    /// Index of the last change in it.
    pub index: u64,
    /// Term of the server that made it.
    pub term: u64,
    /// ID and RPC address of each voter.
    pub configuration: Value,
    /// Bytes of `state.bin`.
    pub size: usize,
}

impl ArchiveMeta {
    /// Describes a snapshot that is made at a time, in milliseconds since the epoch.
    #[must_use]
    pub fn new(state: &State, term: u64, millis: i64, servers: &[(String, String)]) -> Self {
        let servers: Vec<_> = servers
            .iter()
            .map(|(id, address)| json!({ "Suffrage": 0, "ID": id, "Address": address }))
            .collect();
        Self {
            version: 1,
            id: format!("{term}-{}-{millis}", state.index),
            index: state.index,
            term,
            configuration: json!({ "Servers": servers }),
            size: 0,
        }
    }
}

/// Packs a snapshot.
///
/// # Errors
/// Those of writing to memory: there are none in practice.
pub fn pack(state: &State, mut meta: ArchiveMeta) -> std::io::Result<Vec<u8>> {
    let mut data = FORMAT.to_vec();
    serde_json::to_writer(&mut data, state)?;
    meta.size = data.len();
    let meta = serde_json::to_vec(&meta)?;
    let sums = [("meta.json", &meta), ("state.bin", &data)]
        .map(|(name, bytes)| format!("{}  {name}\n", hex(bytes)))
        .concat();
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in [
        ("meta.json", meta.as_slice()),
        ("state.bin", &data),
        ("SHA256SUMS", sums.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        tar.append_data(&mut header, name, bytes)?;
    }
    tar.into_inner()?.finish()
}

/// Takes a snapshot apart and checks its sums.
///
/// # Errors
/// Where it is no snapshot, damaged, or not this simulator's.
pub fn unpack(archive: &[u8]) -> Result<State, ArchiveError> {
    let files = files(archive).map_err(|e| ArchiveError(e.to_string()))?;
    let file = |name: &str| {
        let missing = || ArchiveError(format!("`{name}` is missing in it"));
        files.get(name).ok_or_else(missing)
    };
    let sums = String::from_utf8_lossy(file("SHA256SUMS")?).into_owned();
    for name in ["meta.json", "state.bin"] {
        let line = format!("{}  {name}", hex(file(name)?));
        if !sums.lines().any(|listed| listed == line) {
            let text = format!("hash check failed for {name:?}");
            return Err(ArchiveError(text));
        }
    }
    let data = file("state.bin")?.strip_prefix(FORMAT).ok_or_else(|| {
        ArchiveError("`state.bin` was not made by this simulator: expected its own".to_owned())
    })?;
    serde_json::from_slice(data).map_err(|e| ArchiveError(e.to_string()))
}

/// An archive as a log entry carries it.
#[must_use]
pub fn wrap(archive: &[u8]) -> String {
    STANDARD.encode(archive)
}

/// The state in an archive that [`wrap`] made a text of.
///
/// # Errors
/// Where it is no such text, and as [`unpack`].
pub fn unwrap(archive: &str) -> Result<State, ArchiveError> {
    let archive = STANDARD.decode(archive);
    unpack(&archive.map_err(|e| ArchiveError(e.to_string()))?)
}

fn files(archive: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut tar = tar::Archive::new(GzDecoder::new(archive).take(LARGEST));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(name, bytes);
    }
    Ok(files)
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let state = State {
            index: 7,
            acl_bootstrap_index: 3,
            ..State::default()
        };
        let servers = [("id-1".to_owned(), "10.0.0.1:4647".to_owned())];
        let meta = ArchiveMeta::new(&state, 2, 1000, &servers);
        pack(&state, meta).unwrap()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        for state in [unpack(&archive()), unwrap(&wrap(&archive()))] {
            let state = state.unwrap();
            assert_eq!((state.index, state.acl_bootstrap_index), (7, 3));
        }
        let files = files(&archive()).unwrap();
        let meta: ArchiveMeta = serde_json::from_slice(&files["meta.json"]).unwrap();
        assert_eq!((meta.id.as_str(), meta.index), ("2-7-1000", 7));
        assert_eq!(meta.size, files["state.bin"].len());
    }

    #[test]
    fn a_damaged_or_foreign_snapshot_is_refused() {
        let whole = archive();
        assert!(unpack(&whole[..whole.len() / 2]).is_err());
        assert!(unpack(b"{}").is_err());
        assert!(unwrap("no base64").is_err());
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let sums = format!("{}  meta.json\n{}  state.bin\n", hex(b"{}"), hex(b"other"));
        let forge = |tar: &mut tar::Builder<GzEncoder<Vec<u8>>>, name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(bytes.len()).unwrap());
            tar.append_data(&mut header, name, bytes).unwrap();
        };
        forge(&mut tar, "meta.json", b"{}");
        forge(&mut tar, "state.bin", b"nomad's");
        forge(&mut tar, "SHA256SUMS", sums.as_bytes());
        let forged = tar.into_inner().unwrap().finish().unwrap();
        let problem = unpack(&forged).unwrap_err().to_string();
        assert!(
            problem.contains("hash check failed for \"state.bin\""),
            "{problem}"
        );
    }
}
