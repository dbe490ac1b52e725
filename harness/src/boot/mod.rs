//! A machine's first boot: its user data executed in a container without network, where stand-ins take
//! the place of package managers, services, downloads and AWS. What comes out is what the machine would
//! really have: files with modes and owners, and a list of what would have been installed and started.
//!
//! Why execution: what an `if` leaves out, what `$(...)` puts in and which owner a file gets cannot be
//! read off a script. What it does not show: whether a package or an address exists, whether AWS allows
//! the request, how long anything takes. The agent is not run: whoever asks it gets an answer as of one
//! that is well.

mod agent;
mod container;
mod files;
mod log;
mod text;
mod trace;

use std::time::Duration;

use serde::Serialize;

use crate::docker::DockerError;
use crate::engine::EngineError;
use crate::terraform::aws::parts::{Part, parts};

pub use self::agent::agent_files;
pub use self::container::boot;
pub use self::files::BootFile;
pub use self::log::{Call, Kind};
pub use self::text::{ended, render};

/// The program that stands for all others.
const SHIM: &str = include_str!("shim.sh");

/// Programs that a stand-in takes, wherever they are called from.
const TAKEN: &[&str] = &[
    "sudo",
    "doas",
    "nohup",
    "setsid",
    "apt-get",
    "apt",
    "apt-key",
    "apt-mark",
    "apt-cache",
    "add-apt-repository",
    "yum",
    "dnf",
    "microdnf",
    "tdnf",
    "yum-config-manager",
    "zypper",
    "apk",
    "snap",
    "pip",
    "pip3",
    "amazon-linux-extras",
    "dpkg",
    "rpm",
    "systemctl",
    "service",
    "chkconfig",
    "update-rc.d",
    "curl",
    "wget",
    "gpg",
    "gpg2",
    "useradd",
    "adduser",
    "groupadd",
    "addgroup",
    "usermod",
    "groupmod",
    "gpasswd",
    "passwd",
    "chpasswd",
    "lsb_release",
    "aws",
    "git",
    "sysctl",
    "modprobe",
    "mount",
    "umount",
    "swapon",
    "swapoff",
    "mkfs",
    "mkfs.ext4",
    "mkfs.xfs",
    "iptables",
    "ip6tables",
    "nft",
    "ufw",
    "firewall-cmd",
    "hostnamectl",
    "timedatectl",
    "reboot",
    "shutdown",
    "poweroff",
    "setenforce",
    "semanage",
    "restorecon",
    "udevadm",
    "resize2fs",
    "growpart",
    "docker",
    "podman",
    "journalctl",
    "loginctl",
    "cloud-init",
    "nc",
];
/// Programs that a stand-in looks at, and hands on to the image's own if they are harmless.
const SEEN: &[&str] = &[
    "sleep",
    "unzip",
    "python3",
    "python",
    "tar",
    "dpkg-deb",
    "bsdtar",
    "sha256sum",
    "sha512sum",
    "sha1sum",
    "md5sum",
    "shasum",
    "uname",
];

/// How user data is to be run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Image that stands for the machine's.
    pub image: String,
    /// Its platform, as `linux/amd64`.
    pub platform: String,
    /// How long one run may take.
    pub limit: Duration,
    /// What its container is labelled with: [`remove_labelled`](crate::docker::remove_labelled)
    /// with it and [`RUN`](crate::docker::labels::RUN) removes what an interrupted run leaves.
    pub run: String,
    /// Whether it is run a second time, if the first ended well.
    pub again: bool,
}

/// A machine whose user data is to be run.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its user data.
    pub user_data: String,
    /// Its architecture, as Debian has it.
    pub arch: String,
    /// AWS's region.
    pub region: String,
    /// Its zone.
    pub zone: String,
}

/// Why user data could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// There is no image.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Docker refused something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// What the container holds cannot be read.
    #[error("cannot read the files of the container")]
    Archive(#[from] std::io::Error),
}

/// What user data did.
#[derive(Debug, Serialize)]
pub struct Booted {
    /// The machine.
    pub machine: String,
    /// The first run.
    pub first: Run,
    /// What a second run would do.
    pub again: Again,
    /// What the machine has after the first.
    pub files: Vec<BootFile>,
    /// What would have been installed, started, asked, in both runs.
    pub calls: Vec<Call>,
    /// Parts of the user data that were not run.
    pub unread: Vec<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// The line of the user data that was carried out last, from 1, and its text.
    pub line: Option<(usize, String)>,
    /// The last lines that it said.
    pub said: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// By itself.
    Exited(i64),
    /// It did not, within the limit of so many seconds.
    OverTime(u64),
}

/// What a second run does: a machine that is rebooted, or a rebuilt image, may bring one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Again {
    /// It changes nothing and restarts nothing.
    Harmless,
    /// It changes files, or restarts services.
    Changes {
        /// Files that are other than after the first.
        files: Vec<String>,
        /// Services that it restarts.
        restarts: Vec<String>,
    },
    /// It fails.
    Fails(Run),
    /// The first did not end well, or one was all that was wanted.
    NotTried,
}

impl Booted {
    /// Whether a run failed.
    #[must_use]
    pub fn fails(&self) -> bool {
        !self.is_well() || matches!(self.again, Again::Fails(_))
    }

    /// Whether the first run ended well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.first.end == End::Exited(0)
    }
}

/// A part as it is put into the container: what runs it, with which options, and where it begins.
struct Runnable {
    name: String,
    flags: String,
    text: String,
    first_line: usize,
}

/// Why nothing of user data can be run; `None` if something can.
#[must_use]
pub fn nothing_to_run(user_data: &str) -> Option<String> {
    let (ready, unread) = runnables(user_data);
    let why = if unread.is_empty() {
        "it is empty".to_owned()
    } else {
        unread.join(", ")
    };
    ready.is_empty().then_some(why)
}

fn runnables(user_data: &str) -> (Vec<Runnable>, Vec<String>) {
    let mut ready = Vec::new();
    let mut unread = Vec::new();
    for (index, (part, first_line)) in parts(user_data).into_iter().enumerate() {
        let (text, first_line) = match part {
            Part::Script(text) => (text, first_line),
            // Its lines are those of the script that is made of it.
            Part::CloudConfig(config) => {
                unread.extend(
                    config
                        .unread
                        .iter()
                        .map(|key| format!("`{key}` of `#cloud-config`")),
                );
                (config.script(), 0)
            }
            Part::Unread(what) => {
                unread.push(what);
                continue;
            }
        };
        let mut words = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("#!")
            .split_whitespace();
        let mut program = words.next().unwrap_or_default();
        if program.ends_with("/env") {
            program = words.next().unwrap_or_default();
        }
        let kind = match program.rsplit('/').next().unwrap_or_default() {
            "bash" => "bash",
            "sh" | "dash" => "sh",
            _ => "other",
        };
        ready.push(Runnable {
            name: format!("{index:02}.{kind}"),
            flags: words.collect::<Vec<_>>().join(" "),
            text,
            first_line,
        });
    }
    (ready, unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_run_by_what_its_first_line_says() {
        let (ready, _) = runnables("#!/bin/bash -ex\necho\n");
        assert_eq!(
            (ready[0].name.as_str(), ready[0].flags.as_str()),
            ("00.bash", "-ex")
        );
        let (ready, _) = runnables("#!/usr/bin/env bash\n");
        assert_eq!(
            (ready[0].name.as_str(), ready[0].flags.as_str()),
            ("00.bash", "")
        );
        let (ready, unread) = runnables("#cloud-config\nruncmd: [ls]\nusers: []\n");
        assert_eq!(ready[0].name, "00.sh");
        assert_eq!(unread, ["`users` of `#cloud-config`"]);
        assert_eq!(nothing_to_run("#!/bin/sh\n"), None);
        let why = nothing_to_run("echo hi > /etc/hi\n").unwrap();
        assert!(
            why.contains("cloud-init ignores it with a warning"),
            "{why}"
        );
    }

    #[test]
    fn a_second_run_that_fails_is_a_failure() {
        let run = |code| Run {
            end: End::Exited(code),
            millis: 0,
            line: None,
            said: Vec::new(),
        };
        let booted = |first, again| Booted {
            machine: String::new(),
            first: run(first),
            again,
            files: Vec::new(),
            calls: Vec::new(),
            unread: Vec::new(),
        };
        assert!(!booted(0, Again::Harmless).fails());
        assert!(booted(0, Again::Fails(run(1))).fails());
        assert!(booted(1, Again::NotTried).fails());
    }

    #[test]
    fn what_a_stand_in_answers_is_known_by_its_word() {
        for answer in ["stand-in-token", "stand-in for %s", "stand-in for $(after"] {
            assert!(SHIM.contains(answer) && answer.contains(crate::spec::STAND_IN));
        }
        assert!(!SHIM.contains(crate::spec::STAND_IN_INSTANCE), "it is told");
    }

    #[test]
    fn every_name_is_taken_once() {
        let mut names: Vec<&str> = TAKEN.iter().chain(SEEN).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
