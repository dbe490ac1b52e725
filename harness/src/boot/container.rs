//! The container in which user data runs, twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::time::Instant;

use futures::TryStreamExt as _;

use super::files::{self, BootFile, Names};
use super::log::{self, Kind};
use super::{
    Again, BootError, Booted, End, Run, Runnable, SEEN, SHIM, Subject, TAKEN, Terms, runnables,
    trace,
};
use crate::docker::archive::{self, Member};
use crate::docker::{ContainerPlan, DockerEngine, DockerError, Trouble, labels};
use crate::spec::{STAND_IN_ADDRESS, STAND_IN_INSTANCE};

/// Where the stand-ins come before everything else on the path.
const PATH: &str =
    "PATH=/rehearse/shims:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Lines of its output that are kept.
const SAID_LINES: usize = 12;

/// Runs a machine's user data, and where the terms say so a second time if the first ended well.
///
/// # Errors
///
/// [`BootError`]; whatever the user data does is no error. The container is removed in any case.
pub async fn boot(
    docker: &dyn DockerEngine,
    subject: &Subject,
    terms: &Terms,
) -> Result<Booted, BootError> {
    let (parts, unread) = runnables(&subject.user_data);
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let command = ["/bin/sh", "/rehearse/boot.sh"].map(str::to_owned).to_vec();
    let host = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let plan = ContainerPlan {
        env: vec![PATH.to_owned()],
        user: "0".to_owned(),
        hostname: subject.name.chars().filter(|c| host(*c)).take(60).collect(),
        labels: labels::of_tool(&terms.run),
        ..ContainerPlan::alone(
            format!("rehearse-boot-{}", &unique[..12]),
            terms.image.clone(),
            terms.platform.clone(),
            command,
        )
    };
    let id = docker.create_container(&plan).await?;
    let container = Container {
        docker,
        id: &id,
        parts: &parts,
        terms,
    };
    let outcome = container.twice(subject).await;
    docker.remove_container(&id).await?;
    let mut booted = outcome?;
    booted.unread = unread;
    booted.notes = super::notes(&subject.user_data);
    booted.note_missing();
    booted.hide(&subject.secrets.and_of(&subject.user_data));
    Ok(booted)
}

struct Container<'a> {
    docker: &'a dyn DockerEngine,
    id: &'a str,
    parts: &'a [Runnable],
    terms: &'a Terms,
}

type Files = BTreeMap<String, BootFile>;

impl Container<'_> {
    async fn twice(&self, subject: &Subject) -> Result<Booted, BootError> {
        self.docker
            .upload(self.id, archive::bundle(&self.members(subject)))
            .await?;
        let before: BTreeSet<String> = self.docker.changes(self.id).await?.into_iter().collect();
        let first = self.run().await?;
        let files = self.files(&before).await?;
        let again = if self.terms.again && first.end == End::Exited(0) {
            let second = self.run().await?;
            if second.end == End::Exited(0) {
                let after = self.files(&before).await?;
                difference(&files, &after, &self.calls().await?)
            } else {
                Again::Fails(second)
            }
        } else {
            Again::NotTried
        };
        Ok(Booted {
            machine: subject.label.clone(),
            calls: self.calls().await?,
            first,
            again,
            files: files.into_values().collect(),
            unread: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn members(&self, subject: &Subject) -> Vec<Member> {
        let text = |path: &str, mode: u32, text: &str| {
            Member::file(format!("/rehearse/{path}"), mode, text)
        };
        let mut members = vec![
            text("boot.sh", 0o755, include_str!("boot.sh")),
            text("trace.sh", 0o644, include_str!("trace.sh")),
            text("shim", 0o755, SHIM),
            text("run", 0o644, "0\n"),
            text("log", 0o666, ""),
            text("trace", 0o666, ""),
            text("steps", 0o666, ""),
            text("part", 0o644, ""),
            text("arch", 0o644, &subject.arch),
            text("region", 0o644, &subject.region),
            text("zone", 0o644, &subject.zone),
            text("address", 0o644, STAND_IN_ADDRESS),
            text("instance", 0o644, STAND_IN_INSTANCE),
            text("services/.keep", 0o644, ""),
        ];
        for part in self.parts {
            members.push(text(&format!("parts/{}", part.name), 0o755, &part.text));
            members.push(text(&format!("flags/{}", part.name), 0o644, &part.flags));
        }
        let link = |at: String| Member::link(at, "/rehearse/shim");
        members.extend(
            TAKEN
                .iter()
                .chain(SEEN)
                .map(|name| link(format!("/rehearse/shims/{name}"))),
        );
        // Scripts that name the program by its path, or set a path of their own.
        members.extend(TAKEN.iter().map(|name| link(format!("/usr/bin/{name}"))));
        members
    }

    async fn run(&self) -> Result<Run, DockerError> {
        let began = Instant::now();
        self.docker.start_container(self.id).await?;
        let end = match tokio::time::timeout(self.terms.limit, self.docker.wait_container(self.id))
            .await
        {
            Ok(code) => End::Exited(code?),
            Err(_) => {
                self.docker.kill_container(self.id).await?;
                self.docker.wait_container(self.id).await?;
                End::OverTime(self.terms.limit.as_secs())
            }
        };
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut said = Vec::new();
        let mut log = self.docker.logs(self.id, Some(SAID_LINES), false);
        while let Some(piece) = log.try_next().await? {
            said.extend_from_slice(piece.bytes());
        }
        let mut said = String::from_utf8_lossy(&said).into_owned();
        if let End::OverTime(_) = end {
            // What plain `sh` said is shown when it ends, which it did not.
            said += &self.own("said").await?;
        }
        let said: Vec<&str> = said
            .lines()
            .filter(|line| !trace::is_of_trace(line))
            .collect();
        let said = said[said.len().saturating_sub(SAID_LINES)..]
            .iter()
            .map(|line| (*line).to_owned())
            .collect();
        let line = if end == End::Exited(0) {
            None
        } else {
            self.line().await?
        };
        Ok(Run {
            end,
            millis,
            line,
            said,
        })
    }

    /// The line that was carried out last, as line of the user data.
    async fn line(&self) -> Result<Option<(usize, String)>, DockerError> {
        let part = self.own("part").await?;
        let name = part
            .trim()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        // A script of plain `sh` that did not end has its trace among what it said.
        let trace = self.own("trace").await? + &self.own("said").await?;
        let Some(part) = self.parts.iter().find(|part| part.name == name) else {
            return Ok(None);
        };
        Ok(trace::last_line(&trace, &name, &part.text).map(|line| {
            let text = part.text.lines().nth(line - 1).unwrap_or_default().trim();
            (part.first_line + line, text.to_owned())
        }))
    }

    /// A file of ours in the container; nothing where there is none.
    async fn own(&self, name: &str) -> Result<String, DockerError> {
        self.text(&format!("/rehearse/{name}")).await
    }

    async fn text(&self, path: &str) -> Result<String, DockerError> {
        let tar = match self.docker.download(self.id, path).await {
            Ok(tar) => tar,
            Err(error) if error.trouble == Trouble::NotFound => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let mut archive = tar::Archive::new(tar.as_ref());
        for entry in archive.entries().into_iter().flatten().flatten() {
            let mut entry = entry;
            // An archive that is cut short gives what it has.
            drop(entry.read_to_end(&mut bytes));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn calls(&self) -> Result<Vec<log::Call>, DockerError> {
        Ok(log::read(&self.own("log").await?))
    }

    async fn files(&self, before: &BTreeSet<String>) -> Result<Files, BootError> {
        let changed = self.docker.changes(self.id).await?;
        let names = Names::new(
            &self.text("/etc/passwd").await?,
            &self.text("/etc/group").await?,
        );
        let mut found = Files::new();
        for root in files::roots(&changed, before) {
            let tar = match self.docker.download(self.id, &root).await {
                Ok(tar) => tar,
                // Links that lead nowhere, and sockets, cannot be fetched.
                Err(error) if error.trouble == Trouble::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            for file in files::unpack(&root, &tar, &names)? {
                let own = [
                    "/etc/passwd",
                    "/etc/group",
                    "/etc/hosts",
                    "/etc/hostname",
                    "/etc/resolv.conf",
                ];
                if !own.contains(&file.path.as_str()) {
                    found.insert(file.path.clone(), file);
                }
            }
        }
        Ok(found)
    }
}

fn difference(first: &Files, second: &Files, calls: &[log::Call]) -> Again {
    let same = |file: &BootFile, other: &BootFile| {
        (&file.mode, &file.owner, &file.sha256) == (&other.mode, &other.owner, &other.sha256)
    };
    let paths: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let files: Vec<String> = paths
        .into_iter()
        .filter(|path| match (first.get(*path), second.get(*path)) {
            (Some(one), Some(other)) => !same(one, other),
            _ => true,
        })
        .cloned()
        .collect();
    let restarts: Vec<String> = calls
        .iter()
        .filter(|call| {
            let mut words = call.words.iter();
            let restarts = words.any(|word| word == "restart" || word == "stop");
            call.run == 2 && (call.kind == Kind::Start || (call.kind == Kind::Service && restarts))
        })
        .map(log::Call::line)
        .collect();
    if files.is_empty() && restarts.is_empty() {
        Again::Harmless
    } else {
        Again::Changes { files, restarts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_harmless_only_if_nothing_is_other() {
        let file = |mode: &str, sum: &str| BootFile {
            path: "/etc/a".to_owned(),
            mode: mode.to_owned(),
            owner: "root:root".to_owned(),
            bytes: 1,
            sha256: sum.to_owned(),
            text: None,
            program: false,
        };
        let map = |file: BootFile| Files::from([(file.path.clone(), file)]);
        let first = map(file("0600", "a"));
        assert_eq!(difference(&first, &first, &[]), Again::Harmless);
        for other in [map(file("0600", "b")), map(file("0644", "a")), Files::new()] {
            assert!(
                matches!(difference(&first, &other, &[]), Again::Changes { files, .. } if files == ["/etc/a"])
            );
        }
        let restart = log::read(
            "1\u{1f}service\u{1f}systemctl\u{1f}restart\u{1f}nomad\u{1e}2\u{1f}service\u{1f}systemctl\u{1f}restart\u{1f}nomad\u{1e}",
        );
        assert!(
            matches!(difference(&first, &first, &restart), Again::Changes { restarts, .. } if restarts.len() == 1)
        );
        assert_eq!(difference(&first, &first, &restart[..1]), Again::Harmless);
        let second_agent = log::read("2\u{1f}start\u{1f}nomad\u{1f}agent\u{1e}");
        assert!(
            matches!(difference(&first, &first, &second_agent), Again::Changes { restarts, .. } if restarts == ["nomad agent"])
        );
    }
}
