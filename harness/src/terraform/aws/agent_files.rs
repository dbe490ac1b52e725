//! The agent's configuration among the files that a machine's user data writes.

use std::path::PathBuf;

use agent::config::hcl;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::places::Places;
use super::script::WrittenFile;
use crate::spec::Role;
use crate::terraform::functions::from_json;
use crate::terraform::source::{Site, Source, SyntaxError};
use crate::terraform::value::{Unknown, Value, Why};

/// The agent's configuration of one machine: all files together, as Nomad merges them.
#[derive(Debug, Default)]
pub struct AgentFiles {
    files: Vec<Parsed>,
    /// Files that look like the agent's but do not parse.
    pub unreadable: Vec<Unreadable>,
    /// Files of the agent's that a later command makes another text of, so that they are not read off: path,
    /// line of the user data, place of that line.
    pub edited: Vec<(String, usize, Site)>,
    /// Whether they are what a first boot left, and not read off the user data.
    pub executed: bool,
}

/// A file of the agent's that does not parse.
#[derive(Debug)]
pub struct Unreadable {
    /// Its path.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// Where that stands.
    pub site: Site,
    /// Whether the agent gets this very text: no shell fills it in, and nothing else writes to it.
    pub whole: bool,
}

#[derive(Debug)]
struct Parsed {
    path: String,
    first_line: usize,
    /// Key, value, line of the file.
    settings: Vec<(String, Value, usize)>,
    /// Blocks without anything in them: path, line of the file.
    empty: Vec<(String, usize)>,
    sites: Vec<(usize, Site)>,
}

/// One key of the agent's configuration.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its path, as `tls.verify_https_client`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where it comes from.
    pub site: Site,
}

impl AgentFiles {
    /// Reads the agent's files among those that are written. `text` is the user data that writes them.
    pub(super) fn read(
        written: &[WrittenFile],
        text: &str,
        user_data: &Site,
        places: &Places,
    ) -> Self {
        let mut read = Self::default();
        let places = places.locate(text);
        let find = |line: usize| places.get(line.checked_sub(1)?).cloned().flatten();
        for file in written.iter().filter(|file| is_agents(&file.path)) {
            if let Some(line) = file.edited {
                let site = find(line).unwrap_or_else(|| user_data.clone());
                read.edited.push((file.path.clone(), line, site));
                continue;
            }
            let source = Source {
                path: PathBuf::from(&file.path),
                text: file.content.clone(),
            };
            match said(&source) {
                Ok(Said { settings, empty }) => {
                    let lines = file.content.lines().count();
                    let sites = (1..=lines)
                        .filter_map(|line| Some((line, find(file.first_line + line - 1)?)))
                        .collect();
                    read.files.push(Parsed {
                        path: file.path.clone(),
                        first_line: file.first_line,
                        settings,
                        empty,
                        sites,
                    });
                }
                Err(error) => {
                    let line = file.first_line + error.site.line - 1;
                    let site = find(line).unwrap_or_else(|| user_data.clone());
                    let others = written.iter().filter(|other| other.path == file.path);
                    let filled_in = file.expands && file.content.contains(['$', '`']);
                    read.unreadable.push(Unreadable {
                        path: file.path.clone(),
                        reason: error.message,
                        site,
                        whole: !filled_in && others.count() == 1,
                    });
                }
            }
        }
        read
    }

    /// Reads files of an agent's that are at hand as they are: path and text.
    #[must_use]
    pub fn of(files: &[(String, String)]) -> Self {
        let written: Vec<WrittenFile> = files
            .iter()
            .map(|(path, text)| WrittenFile {
                path: path.clone(),
                content: text.clone(),
                first_line: 1,
                expands: false,
                appends: false,
                mode: None,
                edited: None,
            })
            .collect();
        let nowhere = Site::start_of(std::path::Path::new("agent"));
        Self::read(&written, "", &nowhere, &Places::default())
    }

    /// Reads what a first boot left of an agent's files: path and text. What was read off the user data tells
    /// where a value comes from that is still the same.
    #[must_use]
    pub fn left(files: &[(String, String)], read_off: &Self) -> Self {
        let mut left = Self::of(files);
        left.executed = true;
        let known = read_off.settings();
        for file in &mut left.files {
            let place = |(key, value, line): &(String, Value, usize)| {
                let same = |one: &&Setting| one.key == *key && one.value == *value;
                let site = known.iter().find(same).map(|one| one.site.clone());
                let here = || Site {
                    file: PathBuf::from(&file.path),
                    line: *line,
                    column: 1,
                };
                (*line, site.unwrap_or_else(here))
            };
            let mut sites: Vec<(usize, Site)> = file.settings.iter().map(place).collect();
            sites.sort_by_key(|(line, _)| *line);
            file.sites = sites;
        }
        left
    }

    /// Whether any file of the agent's was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns a setting by its path, as `server.server_join.retry_join`; the last file wins.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Setting> {
        let said = |file: &Parsed| {
            let mut settings = file.settings.iter().rev();
            let (_, value, line) = settings.find(|(known, _, _)| known == key)?;
            Some(Setting {
                key: key.to_owned(),
                value: value.clone(),
                site: file.site_of_line(*line),
            })
        };
        self.files.iter().rev().find_map(said)
    }

    /// Returns a truth value, `None` where nothing is said.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)?.value.as_bool()
    }

    /// Returns every key that is set, with its value, blocks resolved to paths.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        self.by_file().flat_map(|(_, settings)| settings).collect()
    }

    /// Returns each file's path with what is set there.
    pub fn by_file(&self) -> impl Iterator<Item = (&str, Vec<Setting>)> {
        self.files.iter().map(|file| {
            let setting = |(key, value, line): &(String, Value, usize)| Setting {
                key: key.clone(),
                value: value.clone(),
                site: file.site_of_line(*line),
            };
            let settings = file.settings.iter().map(setting).collect();
            (file.path.as_str(), settings)
        })
    }

    /// Returns the blocks of a file that have nothing in them, which no setting tells of: path, place.
    #[must_use]
    pub fn empty_blocks(&self, path: &str) -> Vec<(String, Site)> {
        let files = self.files.iter().filter(|file| file.path == path);
        let blocks = files.flat_map(|file| {
            let place = |(key, line): &(String, usize)| (key.clone(), file.site_of_line(*line));
            file.empty.iter().map(place)
        });
        blocks.collect()
    }

    /// Returns what the agent is by its configuration.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        if self.flag("server.enabled") == Some(true) {
            Some(Role::Server)
        } else if self.flag("client.enabled") == Some(true) {
            Some(Role::Client)
        } else {
            None
        }
    }

    /// Returns the addresses and `provider=` strings that it joins, with their places.
    #[must_use]
    pub fn joins(&self) -> Vec<(String, Site)> {
        let keys = [
            "server.server_join.retry_join",
            "client.server_join.retry_join",
            "server.retry_join",
            "client.servers",
            "server.server_join.start_join",
        ];
        keys.iter()
            .filter_map(|key| self.get(key))
            .flat_map(|setting| {
                let texts: Vec<String> = setting
                    .value
                    .elements()
                    .unwrap_or_default()
                    .iter()
                    .filter_map(Value::to_text)
                    .collect();
                texts
                    .into_iter()
                    .map(move |text| (text, setting.site.clone()))
            })
            .collect()
    }

    /// Returns the path of the file that sets a key for good: the last that does.
    #[must_use]
    pub fn file_of(&self, key: &str) -> Option<&str> {
        let sets = |file: &&Parsed| file.settings.iter().any(|(known, _, _)| known == key);
        let file = self.files.iter().rev().find(sets)?;
        Some(&file.path)
    }

    /// Returns the paths of the files, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        // A file that is written piece by piece is there for each piece.
        paths.dedup();
        paths
    }

    /// Returns a place for what is said about the whole: the beginning of the first file.
    #[must_use]
    pub fn site(&self) -> Option<Site> {
        self.files
            .first()
            .and_then(|file| file.sites.first())
            .map(|(_, site)| site.clone())
    }
}

impl Parsed {
    fn site_of_line(&self, line: usize) -> Site {
        self.sites.iter().find(|(at, _)| *at >= line).map_or_else(
            || Site {
                file: PathBuf::from(&self.path),
                line: self.first_line + line - 1,
                column: 1,
            },
            |(_, site)| site.clone(),
        )
    }
}

/// What a file says.
#[derive(Default)]
struct Said {
    settings: Vec<(String, Value, usize)>,
    empty: Vec<(String, usize)>,
}

/// Reads a file as the agent does: HCL 1, in which keys may be quoted and there are no expressions; or JSON,
/// under either name.
fn said(source: &Source) -> Result<Said, SyntaxError> {
    if source.text.trim_start().starts_with('{') {
        return said_in_json(source);
    }
    let block = hcl::parse(&source.text).map_err(|error| SyntaxError {
        site: Site {
            file: source.path.clone(),
            line: error.at.line,
            column: error.at.column,
        },
        message: error.problem,
    })?;
    let mut said = Said::default();
    items(&block, source, "", &mut said);
    Ok(said)
}

/// Every key of a block, those of blocks in it resolved to paths: `plugin.raw_exec.config.enabled`.
fn items(block: &hcl::Block, source: &Source, prefix: &str, said: &mut Said) {
    for item in &block.items {
        let key = format!("{prefix}{}", item.key);
        let line = item.at.line;
        match &item.value {
            hcl::Value::Block(inner) if inner.items.is_empty() => said.empty.push((key, line)),
            hcl::Value::Block(inner) => items(inner, source, &format!("{key}."), said),
            value => {
                let site = Site {
                    file: source.path.clone(),
                    line,
                    column: item.at.column,
                };
                said.settings.push((key, valued(value, &site), line));
            }
        }
    }
}

/// What a key is set to. A text that the boot script's shell fills in is not known.
fn valued(value: &hcl::Value, site: &Site) -> Value {
    match value {
        hcl::Value::Text(text) if text.contains("${") => {
            let what = format!("`{text}` is filled in when the machine boots");
            Value::Unknown(Unknown::of(Why::Error, what, site.clone()))
        }
        hcl::Value::Text(text) => Value::string(text),
        hcl::Value::Bool(value) => Value::Bool(*value),
        hcl::Value::Number(number) => from_json(&Json::from(*number), site),
        hcl::Value::List(values) => {
            Value::Tuple(values.iter().map(|value| valued(value, site)).collect())
        }
        hcl::Value::Block(block) => {
            let items = block.items.iter();
            let members = items.map(|item| (item.key.clone(), valued(&item.value, site)));
            Value::Object(members.collect())
        }
    }
}

fn said_in_json(source: &Source) -> Result<Said, SyntaxError> {
    let at = |line: usize, column: usize| Site {
        file: source.path.clone(),
        line: line.max(1),
        column: column.max(1),
    };
    let json: serde_json::Map<String, Json> =
        serde_json::from_str(&source.text).map_err(|error| SyntaxError {
            site: at(error.line(), error.column()),
            message: error.to_string(),
        })?;
    let mut said = Said::default();
    members(&json, source, ("", 1), &mut said);
    Ok(said)
}

/// Every key of an object, those in it resolved to paths; a list of objects is as many blocks. JSON is read
/// without places: a key's line is the first that holds it, from that of what it is in on.
fn members(
    json: &serde_json::Map<String, Json>,
    source: &Source,
    (prefix, from): (&str, usize),
    said: &mut Said,
) {
    for (name, value) in json {
        let quoted = format!("\"{name}\"");
        let mut lines = source.text.lines().enumerate().skip(from - 1);
        let line = lines.find(|(_, line)| line.contains(&quoted));
        let line = line.map_or(from, |(index, _)| index + 1);
        let key = format!("{prefix}{name}");
        let blocks: Option<Vec<_>> = match value {
            Json::Object(inner) => Some(vec![inner]),
            Json::Array(inner) if !inner.is_empty() => inner.iter().map(Json::as_object).collect(),
            _ => None,
        };
        let Some(blocks) = blocks else {
            let site = Site {
                line,
                ..Site::start_of(&source.path)
            };
            said.settings.push((key, from_json(value, &site), line));
            continue;
        };
        for block in blocks {
            if block.is_empty() {
                said.empty.push((key.clone(), line));
            }
            members(block, source, (&format!("{key}."), line), said);
        }
    }
}

fn is_agents(path: &str) -> bool {
    let configuration = path.ends_with(".hcl") || path.ends_with(".json");
    // Outside Nomad's folders, what is called after Nomad is as often something that is handed to it.
    let handed = ["acl", "policy", "job", "variables", "namespace"];
    let named = |name: &str| {
        name.starts_with("nomad") && !handed.iter().any(|of_others| name.contains(of_others))
    };
    configuration
        && (path.contains("/nomad.d/")
            || path.contains("/nomad/")
            || path.rsplit('/').next().is_some_and(named))
}

impl Serialize for AgentFiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.settings().into_iter().map(|setting| {
            (
                setting.key,
                serde_json::json!({ "value": setting.value.to_json(), "site": setting.site }),
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_to_nomad_is_none_of_the_agents_files() {
        for path in [
            "/etc/nomad.d/acl.hcl",
            "/opt/nomad/config/policy.json",
            "/tmp/nomad.hcl",
            "/root/nomad-server.hcl",
        ] {
            assert!(is_agents(path), "{path}");
        }
        for path in [
            "/tmp//nomad-acl-user.hcl",
            "/root/nomad-job.hcl",
            "/etc/consul.d/consul.hcl",
            "/etc/nomad.d/ca.pem",
        ] {
            assert!(!is_agents(path), "{path}");
        }
    }

    #[test]
    fn the_file_that_sets_a_key_is_named_once() {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let read = AgentFiles::of(&[
            file("/etc/nomad.d/nomad.hcl", "server {\n  enabled = false\n}\n"),
            file("/etc/nomad.d/server.hcl", "server {\n  enabled = true\n}\n"),
            file("/etc/nomad.d/server.hcl", "tls {\n  http = true\n}\n"),
        ]);
        assert_eq!(
            read.file_of("server.enabled"),
            Some("/etc/nomad.d/server.hcl")
        );
        assert_eq!(read.file_of("client.enabled"), None);
        assert_eq!(read.role(), Some(Role::Server));
    }

    #[test]
    fn a_file_that_is_edited_later_says_nothing() {
        let script = "#!/bin/sh\ncat > /etc/nomad.d/s.hcl <<EOF\nserver {\n  enabled = true\n  retry_join = [\"JOIN\"]\n}\nEOF\n";
        let read = |text: &str| {
            let nowhere = Site::start_of(std::path::Path::new("main.tf"));
            let files = crate::terraform::aws::parts::read(text).0;
            AgentFiles::read(&files, text, &nowhere, &Places::default())
        };
        assert_eq!(read(script).joins().len(), 1);
        let edited = read(&format!("{script}sed -i s/JOIN/$IP/ /etc/nomad.d/s.hcl\n"));
        assert!(edited.is_empty() && edited.joins().is_empty());
        let (path, line, _) = &edited.edited[0];
        assert_eq!((path.as_str(), *line), ("/etc/nomad.d/s.hcl", 8));
    }

    #[test]
    fn what_a_first_boot_left_comes_from_where_it_was_read_off_if_it_is_the_same() {
        let script = "#!/bin/sh\ncat > /etc/nomad.d/s.hcl <<EOF\nserver {\n  enabled = true\n  encrypt = \"KEY\"\n}\nEOF\n";
        let nowhere = Site::start_of(std::path::Path::new("main.tf"));
        let written = crate::terraform::aws::parts::read(script).0;
        let read_off = AgentFiles::read(&written, script, &nowhere, &Places::default());
        let text = "server {\n  encrypt = \"secret\"\n  enabled = true\n}\n";
        let left = AgentFiles::left(
            &[("/etc/nomad.d/s.hcl".to_owned(), text.to_owned())],
            &read_off,
        );
        let at = |key: &str| left.get(key).unwrap().site.to_string();
        assert_eq!(at("server.encrypt"), "/etc/nomad.d/s.hcl:2");
        assert_eq!(
            at("server.enabled"),
            read_off.get("server.enabled").unwrap().site.to_string()
        );
        assert!(left.executed && !read_off.executed);
    }

    #[test]
    fn json_says_the_same_as_hcl() {
        let text = r#"{
  "data_dir": "/opt/nomad",
  "server": { "enabled": true, "encrypt": "x" },
  "plugin": [
    { "raw_exec": { "config": { "enabled": true } } }
  ],
  "telemetry": {},
  "ports": [{}]
}
"#;
        let path = "/etc/nomad.d/a.json";
        let files = AgentFiles::of(&[(path.to_owned(), text.to_owned())]);
        assert!(files.unreadable.is_empty(), "{:?}", files.unreadable);
        assert_eq!(files.role(), Some(Role::Server));
        assert_eq!(files.flag("plugin.raw_exec.config.enabled"), Some(true));
        let place = |key: &str| files.get(key).unwrap().site.to_string();
        assert_eq!(place("server.encrypt"), format!("{path}:3"));
        let empty: Vec<(String, usize)> = { files.empty_blocks(path).into_iter() }
            .map(|(key, site)| (key, site.line))
            .collect();
        assert_eq!(
            empty,
            [("ports".to_owned(), 8), ("telemetry".to_owned(), 7)]
        );
        let broken = AgentFiles::of(&[(path.to_owned(), "{\n  \"server\": ,\n}\n".to_owned())]);
        let told = &broken.unreadable[0].reason;
        assert!(told.ends_with("at line 2 column 13"), "{told}");
    }

    #[test]
    fn a_file_is_read_by_nomads_own_rules() {
        let text = "client {\n  options {\n    \"driver.raw_exec.enable\" = \"1\"\n  }\n  meta { rack = \"${RACK}\" }\n}\nports { http = 5646 }\n";
        let files = AgentFiles::of(&[("nomad.hcl".to_owned(), text.to_owned())]);
        assert!(files.unreadable.is_empty(), "{:?}", files.unreadable);
        let option = files.get("client.options.driver.raw_exec.enable").unwrap();
        assert_eq!((option.value.as_str(), option.site.line), (Some("1"), 3));
        let port = files.get("ports.http").unwrap().value;
        assert_eq!(port.to_text().as_deref(), Some("5646"));
        let rack = files.get("client.meta.rack").unwrap().value;
        assert!(matches!(rack, Value::Unknown(_)), "{rack:?}");
        let sums = "server {\n  bootstrap_expect = 1 + 2\n}\n";
        let files = AgentFiles::of(&[("nomad.hcl".to_owned(), sums.to_owned())]);
        assert_eq!(files.unreadable.len(), 1, "{:?}", files.unreadable);
    }

    #[test]
    fn a_key_in_a_block_with_a_label_is_found() {
        let text = "plugin \"raw_exec\" {\n  config {\n    enabled = true\n  }\n}\n\nserver {\n  enabled = false\n}\n";
        let files = AgentFiles::of(&[("nomad.hcl".to_owned(), text.to_owned())]);
        assert_eq!(files.flag("plugin.raw_exec.config.enabled"), Some(true));
        assert_eq!(files.flag("plugin.docker.config.enabled"), None);
        assert_eq!(files.flag("server.enabled"), Some(false));
    }
}
