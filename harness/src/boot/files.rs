//! What a run left in the container's file system.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Files up to this size are looked into.
const TEXT_MAX: u64 = 256 * 1024;
/// Folders whose content says nothing about what the machine is.
const PASSING: &[&str] = &[
    "/rehearse",
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/cache",
    "/var/run",
];

/// A file that user data wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootFile {
    /// Its path.
    pub path: String,
    /// Its mode, as `0640`.
    pub mode: String,
    /// `USER:GROUP`.
    pub owner: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its text; `None` for what is none, or large.
    #[serde(skip)]
    pub text: Option<String>,
    /// Whether it is a stand-in for a program.
    pub program: bool,
}

/// Returns the paths to be fetched: what was added or changed, each folder that is new as a whole, and
/// nothing that was so `before`.
pub(super) fn roots(changed: &[String], before: &BTreeSet<String>) -> Vec<String> {
    let passing = |path: &str| {
        PASSING
            .iter()
            .any(|folder| path == *folder || path.starts_with(&format!("{folder}/")))
    };
    let kept: BTreeSet<&String> = changed
        .iter()
        .filter(|path| !passing(path) && !before.contains(*path))
        .collect();
    // The engine lists the folders on the way, too: only the ends of ways are fetched.
    let leads_on = |path: &str| {
        let below = format!("{path}/");
        kept.iter().any(|other| other.starts_with(&below))
    };
    kept.iter()
        .filter(|path| !leads_on(path))
        .map(|path| (**path).clone())
        .collect()
}

#[cfg(test)]
impl BootFile {
    pub(super) fn empty(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            mode: "0644".to_owned(),
            owner: "root:root".to_owned(),
            bytes: 0,
            sha256: String::new(),
            text: None,
            program: false,
        }
    }
}

/// Users and groups by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: BTreeMap<u64, String>,
    groups: BTreeMap<u64, String>,
}

impl Names {
    pub(super) fn new(passwd: &str, group: &str) -> Self {
        let read = |text: &str| {
            let entry = |line: &str| {
                let mut fields = line.split(':');
                let name = fields.next()?.to_owned();
                Some((fields.nth(1)?.parse().ok()?, name))
            };
            text.lines().filter_map(entry).collect()
        };
        Self {
            users: read(passwd),
            groups: read(group),
        }
    }

    fn owner(&self, user: u64, group: u64) -> String {
        let name = |names: &BTreeMap<u64, String>, number: u64| {
            names
                .get(&number)
                .cloned()
                .unwrap_or_else(|| number.to_string())
        };
        format!("{}:{}", name(&self.users, user), name(&self.groups, group))
    }
}

/// Reads the files of an archive as the engine gives it for `root`: its names begin with the last part
/// of that path.
pub(super) fn unpack(root: &str, tar: &[u8], names: &Names) -> std::io::Result<Vec<BootFile>> {
    let parent = root.rsplit_once('/').map_or("", |(parent, _)| parent);
    let mut files = Vec::new();
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = format!("{parent}/{}", entry.path()?.display());
        let header = entry.header();
        let mode = header.mode()? & 0o7777;
        let owner = names.owner(header.uid()?, header.gid()?);
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let bytes = content.len() as u64;
        let digest = Sha256::digest(&content);
        let text = String::from_utf8(content)
            .ok()
            .filter(|_| bytes <= TEXT_MAX);
        files.push(BootFile {
            path,
            mode: format!("{mode:04o}"),
            owner,
            bytes,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            program: text.as_deref() == Some(super::SHIM),
            text,
        });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ends_of_ways_are_fetched_and_nothing_that_passes() {
        let paths = |list: &[&str]| {
            list.iter()
                .map(|path| (*path).to_owned())
                .collect::<Vec<_>>()
        };
        let changed = paths(&[
            "/etc",
            "/etc/nomad.d",
            "/etc/nomad.d/nomad.hcl",
            "/tmp/x",
            "/usr",
            "/usr/bin",
            "/usr/bin/curl",
            "/opt/nomad",
            "/run",
        ]);
        let before = BTreeSet::from([
            "/usr/bin/curl".to_owned(),
            "/usr/bin".to_owned(),
            "/usr".to_owned(),
        ]);
        assert_eq!(
            roots(&changed, &before),
            ["/etc/nomad.d/nomad.hcl", "/opt/nomad"]
        );
    }

    #[test]
    fn modes_and_owners_come_from_the_archive() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o100_640);
        header.set_uid(7);
        header.set_gid(0);
        tar.append_data(&mut header, "nomad.d/a.hcl", &b"x\n"[..])
            .unwrap();
        let tar = tar.into_inner().unwrap();
        let names = Names::new(
            "root:x:0:0::/:/bin/sh\nnomad:x:7:7::/:/bin/sh\n",
            "root:x:0:\n",
        );
        let files = unpack("/etc/nomad.d", &tar, &names).unwrap();
        assert_eq!(files[0].path, "/etc/nomad.d/a.hcl");
        assert_eq!(
            (files[0].mode.as_str(), files[0].owner.as_str()),
            ("0640", "nomad:root")
        );
        assert_eq!(files[0].text.as_deref(), Some("x\n"));
    }
}
