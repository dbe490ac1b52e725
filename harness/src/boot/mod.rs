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

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use serde::Serialize;

use crate::docker::DockerError;
use crate::engine::EngineError;
use crate::terraform::aws::Secrets;
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
    "ec2-metadata",
    "ec2metadata",
    "nc",
    // A script that was "downloaded", run by a shell.
    "stand-in",
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
    "jq",
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
    /// How it is called in what is shown: its name, or more where others have the same.
    pub label: String,
    /// Its user data.
    pub user_data: String,
    /// What of it is not to be shown.
    pub secrets: Secrets,
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
    /// What may go otherwise on the machine.
    pub notes: Vec<String>,
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

impl Run {
    fn hide(&mut self, secrets: &Secrets) {
        if let Some((_, text)) = &mut self.line {
            *text = secrets.hide(text);
        }
        for line in &mut self.said {
            *line = secrets.hide(line);
        }
    }
}

impl Booted {
    /// Takes secrets out of all that is told.
    fn hide(&mut self, secrets: &Secrets) {
        self.first.hide(secrets);
        match &mut self.again {
            Again::Fails(run) => run.hide(secrets),
            Again::Changes { files, restarts } => {
                for text in files.iter_mut().chain(restarts) {
                    *text = secrets.hide(text);
                }
            }
            Again::Harmless | Again::NotTried => {}
        }
        for word in self.calls.iter_mut().flat_map(|call| &mut call.words) {
            *word = secrets.hide(word);
        }
    }

    /// Says of programs that were not found that it is the image which lacks them: the script may be right.
    fn note_missing(&mut self) {
        let again = match &self.again {
            Again::Fails(run) => run.said.as_slice(),
            _ => &[],
        };
        let said = self.first.said.iter().chain(again);
        let missing: BTreeSet<String> = said.filter_map(|line| missing(line)).collect();
        self.notes.extend(missing.into_iter().map(|name| {
            format!(
                "`{name}` is not in the image that stands for the machine's own, which may have it: \
                 `--base-image REFERENCE` names another one"
            )
        }));
    }
}

/// How bash, and plain `sh`, say that there is no such program.
static MISSING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|: )(?<bash>[\w./+-]+): command not found|^\S+: (?:line )?\d+: (?<sh>[\w./+-]+): not found$")
        .expect("a valid pattern")
});

/// The program that a shell did not find, by what it says of it.
fn missing(line: &str) -> Option<String> {
    let found = MISSING.captures(line)?;
    let name = found.name("bash").or(found.name("sh"))?;
    Some(name.as_str().to_owned())
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

/// What the container cannot show of user data, since it has what the machine may not have yet.
fn notes(user_data: &str) -> Vec<String> {
    let of_part = |(part, _)| match part {
        Part::CloudConfig(config) => config.owners_too_early(),
        Part::Script(_) | Part::Unread(_) => Vec::new(),
    };
    parts(user_data).into_iter().flat_map(of_part).collect()
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
    fn a_file_of_somebody_who_is_not_there_yet_is_noted() {
        let config = "#cloud-config\nwrite_files:\n  - path: /etc/a\n    owner: nomad:nomad\n";
        assert_eq!(notes(config).len(), 1);
        assert_eq!(notes("#!/bin/sh\nchown nomad:nomad /etc/a\n"), [""; 0]);
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
            notes: Vec::new(),
        };
        assert!(!booted(0, Again::Harmless).fails());
        assert!(booted(0, Again::Fails(run(1))).fails());
        assert!(booted(1, Again::NotTried).fails());
    }

    #[test]
    fn secrets_are_told_nowhere_and_the_image_is_blamed_for_what_it_lacks() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let run = |line: &str| Run {
            end: End::Exited(127),
            millis: 0,
            line: Some((3, line.to_owned())),
            said: vec![
                line.to_owned(),
                "/rehearse/parts/00.bash: line 3: frob: command not found".to_owned(),
                "/rehearse/parts/00.sh: 5: /opt/x/grok: not found".to_owned(),
                "jq: command not found (it is not in the image)".to_owned(),
                "curl: (6) host not found".to_owned(),
            ],
        };
        let line = format!("nomad operator gossip keyring install {key}");
        let mut booted = Booted {
            machine: String::new(),
            first: run(&line),
            again: Again::Fails(run(&line)),
            files: Vec::new(),
            calls: log::read(&format!(
                "1\u{1f}agent\u{1f}nomad\u{1f}install\u{1f}{key}\u{1e}"
            )),
            unread: Vec::new(),
            notes: Vec::new(),
        };
        booted.hide(&Secrets::default().and_of(&format!("encrypt = \"{key}\"\n")));
        booted.note_missing();
        let json = serde_json::to_string(&booted).unwrap();
        assert!(!json.contains(key), "{json}");
        assert!(render(&booted).contains("install (sensitive value)"));
        let named: Vec<&str> = { booted.notes.iter() }
            .filter_map(|note| note.split('`').nth(1))
            .collect();
        assert_eq!(named, ["/opt/x/grok", "frob", "jq"]);
    }

    /// What a script prints that runs with the stand-ins before everything else, outside of a container.
    fn with_stand_ins(script: &str) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().display().to_string();
        let shim = SHIM.replace("dir=/rehearse", &format!("dir={root}/rehearse"));
        std::fs::write(scratch.path().join("source"), shim).unwrap();
        // Made by the shell: a program that this process has just written may be busy.
        let names = [
            "curl",
            "wget",
            "unzip",
            "tar",
            "aws",
            "sleep",
            "sudo",
            "stand-in",
            "ec2-metadata",
            "ec2metadata",
        ]
        .join(" ");
        let whole = format!(
            "set -e\ncd {root}\nmkdir rehearse shims work\ncp source rehearse/shim\nchmod 0755 rehearse/shim\n\
             for name in {names}; do ln -s {root}/rehearse/shim shims/$name; done\n\
             echo 1 > rehearse/run\n: > rehearse/steps\necho i-1 > rehearse/instance\n\
             echo 10.0.0.7 > rehearse/address\necho eu-central-1 > rehearse/region\n\
             echo eu-central-1b > rehearse/zone\ncd work\nPATH={root}/shims:/usr/bin:/bin\n{script}\n"
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &whole])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn an_archive_holds_what_its_address_names_under_whatever_name_it_lies() {
        const URL: &str =
            "https://releases.hashicorp.com/nomad/1.11.3/nomad_1.11.3_linux_amd64.zip";
        for (script, version) in [
            ("curl -fsSLo n.zip URL; unzip -o n.zip -d bin", "1.11.3"),
            (
                "curl -fsSL URL -o nomad.zip; unzip nomad.zip; mkdir bin; mv nomad bin/",
                "1.11.3",
            ),
            (
                "curl -O URL; unzip -q nomad_1.11.3_linux_amd64.zip -d bin",
                "1.11.3",
            ),
            (
                "curl -fsSLO --retry-max-time 9 URL -O URL.sig; cat *.sig > /dev/null; unzip *.zip -d bin",
                "1.11.3",
            ),
            ("curl --remote-name URL; unzip *.zip -d bin", "1.11.3"),
            ("curl URL > x; mv x y.zip; unzip y.zip -d bin", "1.11.3"),
            ("wget -O n.zip URL; unzip n.zip -d bin", "1.11.3"),
            ("wget -qO n.zip URL; unzip n.zip -d bin", "1.11.3"),
            ("wget -qO- URL > n.zip; unzip n.zip -d bin", "1.11.3"),
            ("wget -q -P got URL; unzip got/*.zip -d bin", "1.11.3"),
            (
                "curl -o n.zip URL; mkdir bin; unzip -p n.zip nomad > bin/nomad; chmod +x bin/nomad",
                "0.0.0",
            ),
            (
                "aws s3 cp s3://b/nomad.zip n.zip --region us-west-2; unzip n.zip -d bin",
                "0.0.0",
            ),
            (
                "aws s3 cp s3://b/nomad_1.11.3.zip .; unzip nomad_1.11.3.zip -d bin",
                "1.11.3",
            ),
            (
                "aws s3 cp --quiet s3://b/nomad-1.11.3.tgz got/; mkdir bin; tar -xzf got/*.tgz -C bin",
                "1.11.3",
            ),
            (
                "mkdir bin; curl -fsSL https://x.invalid/nomad_1.11.3.tar.gz | tar xz -C bin",
                "1.11.3",
            ),
            // Where it comes from says nothing: by its own name.
            (
                "curl -o nomad_1.11.3.zip https://x.invalid/latest; unzip nomad_1.11.3.zip -d bin",
                "1.11.3",
            ),
        ] {
            let script = script.replace("URL", URL);
            let said = with_stand_ins(&format!("{script}\nbin/nomad version"));
            assert_eq!(said, format!("Nomad v{version}\n"), "{script}");
        }
    }

    #[test]
    fn what_a_stand_in_is_not_asked_for_it_leaves_alone() {
        // Real archives are unpacked as they are, through a pipe, too.
        let tar = "echo a > a; /usr/bin/tar -cf a.tar a || /bin/tar -cf a.tar a; rm a; ";
        for with in [
            "tar -xf a.tar",
            "cat a.tar | tar -x",
            "cat a.tar | tar -xf -",
        ] {
            assert_eq!(with_stand_ins(&format!("{tar}{with}; cat a")), "a\n");
        }
        // What is put into a bucket stays as it is.
        let upload = "echo a > a; aws s3 cp a s3://b/a > /dev/null; cat a";
        assert_eq!(with_stand_ins(upload), "a\n");
        let installer = "curl -so awscliv2.zip https://awscli.amazonaws.com/awscli-exe-linux-x86_64.zip\n\
                         unzip -q awscliv2.zip; ./aws/install --update";
        assert_eq!(with_stand_ins(installer), "");
        let checked = "curl -fsSLO https://x.invalid/nomad_1.11.3_SHA256SUMS; head -c 8 *SUMS > /dev/null\n\
                       curl -fsSLo nomad_1.11.3_linux_amd64.zip https://x.invalid/nomad_1.11.3_linux_amd64.zip\n\
                       grep linux_amd64 *SUMS | sha256sum -c > /dev/null";
        assert_eq!(with_stand_ins(checked), "");
    }

    #[test]
    fn an_installer_that_is_run_does_nothing_and_is_told() {
        for how in [
            "curl -fsSL https://get.docker.com | sh",
            "curl -fsSL https://get.docker.com/ | sudo sh -s -- --version 24",
            "curl -fsSL https://get.docker.com -o get-docker.sh; sudo sh get-docker.sh",
            "wget -qO- https://get.docker.com | sh",
        ] {
            let said = with_stand_ins(&format!("{how}; cat ../rehearse/log"));
            let calls = log::read(&said);
            let last = calls.last().unwrap();
            assert_eq!(
                (last.kind, last.line().as_str()),
                (Kind::Install, "get.docker.com docker"),
                "{how}: {said}"
            );
        }
        let said = with_stand_ins("curl https://x.invalid/setup.sh | sh; cat ../rehearse/log");
        let calls = log::read(&said);
        assert_eq!(
            calls.last().unwrap().line(),
            "stand-in for setup.sh",
            "{said}"
        );
    }

    #[test]
    fn the_metadata_programs_answer_as_the_service_does() {
        for (script, expected) in [
            ("ec2-metadata -i", "instance-id: i-1\n"),
            ("ec2-metadata --local-ipv4 -q", "10.0.0.7\n"),
            ("ec2-metadata -o | cut -d' ' -f2", "10.0.0.7\n"),
            ("ec2-metadata -z", "placement: eu-central-1b\n"),
            ("ec2-metadata -R", "region: eu-central-1\n"),
            ("ec2metadata --availability-zone", "eu-central-1b\n"),
            ("ec2metadata --instance-id", "i-1\n"),
        ] {
            assert_eq!(with_stand_ins(script), expected, "{script}");
        }
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
