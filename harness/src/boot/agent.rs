//! The agent's configuration among what a first boot left: the files that the agent is started with.

use super::{Booted, Kind};

/// Where the agent's package looks, and whoever starts the agent without saying where.
const USUAL: &str = "/etc/nomad.d";

/// Returns the files of the agent's configuration, path and text, in the order in which it reads them.
///
/// They are those that its unit, or whoever starts it, names by `-config`; where nobody does, those of
/// `/etc/nomad.d`.
#[must_use]
pub fn agent_files(booted: &Booted) -> Vec<(String, String)> {
    let mut named = named(booted);
    if named.is_empty() {
        named.push(USUAL.to_owned());
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for place in &named {
        let mut files: Vec<_> = { booted.files.iter() }
            .filter(|file| is_read(&file.path, place))
            .filter_map(|file| Some((file.path.clone(), file.text.clone()?)))
            .collect();
        files.sort();
        files.retain(|file| !found.contains(file));
        found.extend(files);
    }
    found
}

/// Whether the agent reads a file where it is started with `-config PLACE`. Folders in it are not looked into.
fn is_read(path: &str, place: &str) -> bool {
    let place = place.trim_end_matches('/');
    if path == place {
        return true;
    }
    let inside = path
        .strip_prefix(place)
        .and_then(|rest| rest.strip_prefix('/'));
    let is_configuration = |name: &str| {
        (name.ends_with(".hcl") || name.ends_with(".json"))
            && !name.contains('/')
            && !name.starts_with(['.', '#'])
    };
    inside.is_some_and(is_configuration)
}

/// The places that whoever starts the agent names.
fn named(booted: &Booted) -> Vec<String> {
    let started = { booted.calls.iter() }
        .filter(|call| call.run == 1 && call.kind == Kind::Start)
        .map(|call| call.words.clone());
    let units = { booted.files.iter() }
        .filter(|file| file.path.contains("/systemd/system/"))
        .filter_map(|file| file.text.as_deref())
        .flat_map(commands);
    let mut places = Vec::new();
    for words in started.chain(units) {
        for place in configs(&words) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// The commands of a unit that start an agent of Nomad's, as words.
fn commands(unit: &str) -> Vec<Vec<String>> {
    let whole = unit.replace("\\\n", " ");
    let words = |line: &str| -> Option<Vec<String>> {
        let command = line.trim().strip_prefix("ExecStart=")?;
        let words: Vec<String> = command
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']).to_owned())
            .collect();
        let program = words.iter().position(|word| word.ends_with("nomad"))?;
        let is_agent = words.get(program + 1).is_some_and(|word| word == "agent");
        is_agent.then_some(words)
    };
    whole.lines().filter_map(words).collect()
}

/// What `-config` is given.
fn configs(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.trim_start_matches('-') {
            "config" if word.starts_with('-') => found.extend(words.next().cloned()),
            flag if word.starts_with('-') => {
                found.extend(flag.strip_prefix("config=").map(str::to_owned));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::{Again, BootFile, Call, End, Run};
    use super::*;

    fn left(files: &[(&str, &str)], started: &[&str]) -> Vec<String> {
        let file = |(path, text): &(&str, &str)| BootFile {
            text: Some((*text).to_owned()),
            ..BootFile::empty(path)
        };
        let start = Call {
            run: 1,
            kind: Kind::Start,
            program: "nomad".to_owned(),
            words: started.iter().map(|word| (*word).to_owned()).collect(),
            times: 1,
        };
        let booted = Booted {
            machine: "server-1".to_owned(),
            first: Run {
                end: End::Exited(0),
                millis: 0,
                line: None,
                said: Vec::new(),
            },
            again: Again::NotTried,
            files: files.iter().map(file).collect(),
            calls: if started.is_empty() {
                Vec::new()
            } else {
                vec![start]
            },
            unread: Vec::new(),
            notes: Vec::new(),
        };
        agent_files(&booted)
            .into_iter()
            .map(|(path, _)| path)
            .collect()
    }

    #[test]
    fn the_folder_of_the_package_is_read_in_the_order_of_its_names() {
        let files = [
            ("/etc/nomad.d/server.hcl", "server {}"),
            ("/etc/nomad.d/base.hcl", "name = \"a\""),
            ("/etc/nomad.d/nomad.env", ""),
            ("/etc/nomad.d/tls/x.hcl", ""),
            ("/etc/nomad.d/.hidden.hcl", ""),
            ("/opt/nomad/jobs/web.nomad.hcl", "job \"web\" {}"),
        ];
        let found = left(&files, &[]);
        assert_eq!(found, ["/etc/nomad.d/base.hcl", "/etc/nomad.d/server.hcl"]);
    }

    #[test]
    fn what_the_agent_is_started_with_is_read_and_nothing_else() {
        let unit = "[Service]\nExecStart=/usr/bin/nomad agent \\\n  -config /opt/n/a.hcl -config=/opt/n/d\n";
        let files = [
            ("/etc/nomad.d/nomad.hcl", "client {}"),
            ("/etc/systemd/system/nomad.service", unit),
            ("/opt/n/a.hcl", ""),
            ("/opt/n/b.hcl", ""),
            ("/opt/n/d/c.json", "{}"),
        ];
        assert_eq!(left(&files, &[]), ["/opt/n/a.hcl", "/opt/n/d/c.json"]);
        let started = ["agent", "-config=/opt/n/b.hcl"];
        assert_eq!(left(&files[2..], &started), ["/opt/n/b.hcl"]);
        let other = [
            ("/etc/nomad.d/nomad.hcl", "client {}"),
            (
                "/etc/systemd/system/consul.service",
                "[Service]\nExecStart=/usr/bin/consul agent -config-dir /etc/consul.d\n",
            ),
        ];
        assert_eq!(left(&other, &[]), ["/etc/nomad.d/nomad.hcl"]);
    }
}
