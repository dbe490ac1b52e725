//! `#cloud-config`: the part of it that makes an agent. Files and commands are understood, and the
//! packages that it installs; every other key is listed, since it may matter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use yaml_rust2::{Yaml, YamlLoader};

use super::script::WrittenFile;

/// What a `#cloud-config` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CloudConfig {
    /// Commands that run early, before files are written.
    pub early: Vec<String>,
    /// Files that it writes.
    pub files: Vec<CloudFile>,
    /// Packages that it installs; a version comes after `=`.
    pub packages: Vec<String>,
    /// Commands that run last, one a line of a script.
    pub commands: Vec<String>,
    /// Keys that are not carried out here.
    pub unread: Vec<String>,
    /// Lists of commands that cloud-init refuses as a whole, and why: none of theirs runs.
    pub refused: Vec<String>,
}

/// A file of `write_files`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloudFile {
    /// Its path.
    pub path: String,
    /// Its text.
    pub content: String,
    /// Its mode, four octal digits.
    pub mode: String,
    /// `USER:GROUP`.
    pub owner: Option<String>,
    /// Whether it is added to what is there.
    pub appends: bool,
    /// Whether it is written after packages and users, and not before them.
    pub deferred: bool,
    /// Line of the user data, from 1, with the text's first line, where it is found.
    pub first_line: usize,
}

/// Keys that say nothing about what an agent is given.
const HARMLESS: &[&str] = &[
    "package_update",
    "package_upgrade",
    "hostname",
    "fqdn",
    "timezone",
    "locale",
    "output",
    "final_message",
];

/// Users and groups of every image.
const ALWAYS: &[&str] = &[
    "root", "daemon", "bin", "sys", "adm", "mail", "nobody", "nogroup",
];

/// Reads a `#cloud-config`.
///
/// # Errors
///
/// With the reason, and the line, where it is no YAML or no map.
pub fn read(text: &str) -> Result<CloudConfig, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| {
        let marker = error.marker();
        format!("line {}: {}", marker.line(), error.info())
    })?;
    let mut config = CloudConfig::default();
    let Some(document) = documents.first().filter(|first| !first.is_null()) else {
        return Ok(config);
    };
    let keys = document.as_hash().ok_or("expected a map of keys")?;
    for (key, value) in keys {
        let key = key.as_str().unwrap_or_default();
        match key {
            "write_files" => {
                for file in value.as_vec().map(Vec::as_slice).unwrap_or_default() {
                    match self::file(file, text) {
                        Some(file) => config.files.push(file),
                        None => config.unread.push("write_files (an entry)".to_owned()),
                    }
                }
            }
            "runcmd" | "bootcmd" => match commands(value) {
                Ok(commands) if key == "runcmd" => config.commands = commands,
                Ok(commands) => config.early = commands,
                Err(why) => config.refused.push(format!("`{key}`: {why}")),
            },
            "packages" => config.packages = packages(value),
            key if HARMLESS.contains(&key) => {}
            key => config.unread.push(key.to_owned()),
        }
    }
    Ok(config)
}

fn file(entry: &Yaml, text: &str) -> Option<CloudFile> {
    let path = entry["path"].as_str()?.to_owned();
    let written = entry["content"].as_str().unwrap_or_default();
    let content = decoded(written, entry["encoding"].as_str().unwrap_or_default())?;
    let mode = match &entry["permissions"] {
        Yaml::String(mode) => format!("{:0>4}", mode.trim_start_matches("0o")),
        // YAML takes an unquoted 0640 for a number, in cloud-init for one of base 8.
        Yaml::Integer(mode) => format!("{mode:0>4}"),
        _ => "0644".to_owned(),
    };
    let lines: Vec<&str> = text.lines().collect();
    let of_path = lines
        .iter()
        .position(|line| line.contains(&path))
        .unwrap_or(0);
    let first = content.lines().next().unwrap_or_default().trim();
    let at = lines
        .iter()
        .skip(of_path + 1)
        .position(|line| line.trim() == first && !first.is_empty());
    Some(CloudFile {
        path,
        content,
        mode,
        owner: entry["owner"].as_str().map(str::to_owned),
        appends: entry["append"].as_bool() == Some(true),
        deferred: entry["defer"].as_bool() == Some(true),
        first_line: at.map_or(of_path + 1, |at| of_path + 1 + at + 1),
    })
}

/// Text in one of the encodings that cloud-init takes; `None` where it is another, or broken.
fn decoded(text: &str, encoding: &str) -> Option<String> {
    let unpacked = || {
        let packed: String = text.split_whitespace().collect();
        STANDARD.decode(packed).ok()
    };
    match encoding {
        "" | "text/plain" => Some(text.to_owned()),
        "b64" | "base64" => String::from_utf8(unpacked()?).ok(),
        "gz+b64" | "gzip+base64" | "gz+base64" | "gzip+b64" => super::unzipped(&unpacked()?),
        _ => None,
    }
}

/// Commands as lines of a script: a text is one already, a list is quoted, and what is empty is passed over.
/// Of anything else cloud-init makes no script at all.
fn commands(value: &Yaml) -> Result<Vec<String>, String> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let entries = value.as_vec().ok_or("expected a list of commands")?;
    let mut commands = Vec::new();
    for entry in entries {
        match entry {
            Yaml::String(line) => commands.push(line.clone()),
            Yaml::Array(words) => {
                let words: Vec<String> = words
                    .iter()
                    .filter_map(word)
                    .map(|word| quoted(&word))
                    .collect();
                commands.push(words.join(" "));
            }
            Yaml::Null => {}
            other => {
                let seen = word(other).map_or_else(
                    || "a map is no command (a text with `: ` in it is one: quote it)".to_owned(),
                    |word| format!("`{word}` is no text: quote it, as in `- \"{word}\"`"),
                );
                return Err(seen);
            }
        }
    }
    Ok(commands)
}

fn packages(value: &Yaml) -> Vec<String> {
    let entries = value.as_vec().map(Vec::as_slice).unwrap_or_default();
    let package = |entry: &Yaml| match entry {
        Yaml::Array(pair) => {
            let words: Vec<String> = pair.iter().filter_map(word).collect();
            Some(words.join("="))
        }
        entry => word(entry),
    };
    entries.iter().filter_map(package).collect()
}

fn word(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Returns a word that a shell takes as it is.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl CloudConfig {
    /// Returns the files as the reader of agents' configurations takes them.
    #[must_use]
    pub fn written(&self) -> Vec<WrittenFile> {
        let written = |file: &CloudFile| WrittenFile {
            path: file.path.clone(),
            content: file.content.clone(),
            first_line: file.first_line,
            expands: false,
            appends: file.appends,
            mode: Some(file.mode.clone()),
            edited: None,
        };
        self.files.iter().map(written).collect()
    }

    /// Returns the script that does what cloud-init does, in its order: early commands, files,
    /// packages, files that wait for them, commands. As there, a command that fails does not keep the next
    /// from running, and the last one decides whether it went well.
    #[must_use]
    pub fn script(&self) -> String {
        let mut script = String::from("#!/bin/sh\n");
        let mut line = |text: String| {
            script.push_str(&text);
            script.push('\n');
        };
        self.early.iter().cloned().for_each(&mut line);
        { self.files.iter() }
            .filter(|file| !file.deferred)
            .flat_map(CloudFile::lines)
            .for_each(&mut line);
        if !self.packages.is_empty() {
            let packages: Vec<String> = self.packages.iter().map(|name| quoted(name)).collect();
            line(format!("apt-get install -y {}", packages.join(" ")));
        }
        { self.files.iter() }
            .filter(|file| file.deferred)
            .flat_map(CloudFile::lines)
            .for_each(&mut line);
        self.commands.iter().cloned().for_each(&mut line);
        for why in &self.refused {
            let told = quoted(&format!("cloud-init runs none of {why}"));
            line(format!("echo {told} >&2; exit 1"));
        }
        script
    }

    /// Returns what is said about files whose owner may not be there yet when they are written.
    #[must_use]
    pub fn owners_too_early(&self) -> Vec<String> {
        let early = self.early.join("\n");
        let mut said = Vec::new();
        for file in self.files.iter().filter(|file| !file.deferred) {
            let owner = file.owner.as_deref().unwrap_or_default();
            let missing = owner.split(':').find(|name| {
                let made = |word: &str| word.trim_matches(['"', '\'', ';']) == *name;
                !name.is_empty() && !ALWAYS.contains(name) && !early.split_whitespace().any(made)
            });
            if let Some(name) = missing {
                said.push(format!(
                    "`write_files` gives `{}` to `{name}` before packages and users are there: unless the image \
                     brings it, cloud-init keeps root as the owner and writes none of the files after it \
                     (`defer: true` writes it later)",
                    file.path
                ));
            }
        }
        said
    }
}

impl CloudFile {
    /// The commands that write it.
    fn lines(&self) -> Vec<String> {
        let path = quoted(&self.path);
        let folder = self.path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let folder = quoted(if folder.is_empty() { "/" } else { folder });
        let arrow = if self.appends { ">>" } else { ">" };
        let packed = STANDARD.encode(&self.content);
        let mut lines = vec![
            format!("mkdir -p {folder}"),
            format!("printf %s {packed} | base64 -d {arrow} {path}"),
            format!("chmod {} {path}", self.mode),
        ];
        if let Some(owner) = &self.owner {
            lines.push(format!("chown {} {path}", quoted(owner)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#cloud-config\npackages:\n  - nomad\n  - [unzip, 6.0]\nwrite_files:\n  - path: /etc/nomad.d/server.hcl\n    permissions: '0640'\n    owner: nomad:nomad\n    content: |\n      server {\n        enabled = true\n      }\n  - path: /etc/key\n    encoding: b64\n    content: c2VjcmV0\n    permissions: 0600\n    append: true\nruncmd:\n  - systemctl enable nomad\n  - [sh, -c, 'echo \"it''s\"']\nusers:\n  - default\n";

    #[test]
    fn files_packages_and_commands_are_read() {
        let config = read(TEXT).unwrap();
        assert_eq!(config.packages, ["nomad", "unzip=6.0"]);
        let file = &config.files[0];
        assert_eq!(file.content, "server {\n  enabled = true\n}\n");
        assert_eq!((file.mode.as_str(), file.first_line), ("0640", 10));
        assert_eq!(config.files[1].content, "secret");
        assert_eq!(config.files[1].mode, "0600");
        assert!(config.files[1].appends);
        assert_eq!(
            config.commands,
            ["systemctl enable nomad", "sh -c 'echo \"it'\\''s\"'"]
        );
        assert_eq!(config.unread, ["users"]);
    }

    #[test]
    fn the_script_has_cloud_inits_order() {
        let script = read(TEXT).unwrap().script();
        let order = [
            "/etc/nomad.d/server.hcl",
            "chmod 0640",
            "chown nomad:nomad",
            ">> /etc/key",
            "install -y nomad",
            "systemctl enable",
        ];
        let places: Vec<_> = order
            .iter()
            .map(|part| script.find(part).expect(part))
            .collect();
        assert!(places.is_sorted(), "{script}");
    }

    #[test]
    fn a_file_that_waits_is_written_after_packages() {
        let owned = |more: &str| {
            let text = format!(
                "#cloud-config\npackages: [nomad]\nbootcmd:\n  - useradd consul\nwrite_files:\n  - path: /etc/a\n    content: x\n{more}"
            );
            read(&text).unwrap()
        };
        let late = owned("    owner: nomad:nomad\n    defer: true\n");
        let script = late.script();
        assert!(script.find("chown") > script.find("install -y"), "{script}");
        assert_eq!(late.owners_too_early(), [""; 0]);
        // The fault: nobody has made the user yet.
        let early = owned("    owner: nomad:nomad\n");
        let script = early.script();
        assert!(script.find("chown") < script.find("install -y"), "{script}");
        let said = early.owners_too_early();
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("`write_files` gives `/etc/a` to `nomad` before"));
        assert!(owned("    owner: root:nomad\n").owners_too_early()[0].contains("to `nomad`"));
        for there in ["", "    owner: root:adm\n", "    owner: consul\n"] {
            assert_eq!(owned(there).owners_too_early(), [""; 0], "{there}");
        }
    }

    #[test]
    fn a_list_of_commands_with_something_else_in_it_is_refused_as_a_whole() {
        for (list, told) in [
            (
                "\n  - ls\n  - false",
                "`runcmd`: `false` is no text: quote it, as in `- \"false\"`",
            ),
            (
                "\n  - 3",
                "`runcmd`: `3` is no text: quote it, as in `- \"3\"`",
            ),
            (
                "\n  - echo a: b",
                "`runcmd`: a map is no command (a text with `: ` in it is one: quote it)",
            ),
            (" ls", "`runcmd`: expected a list of commands"),
        ] {
            let config = read(&format!("#cloud-config\nruncmd:{list}\n")).unwrap();
            assert_eq!(config.refused, [told]);
            assert_eq!(config.commands, [""; 0]);
            let script = config.script();
            assert!(script.ends_with(" >&2; exit 1\n"), "{script}");
        }
        let config = read("#cloud-config\nruncmd:\n  - \"false\"\n  -\nbootcmd:\n").unwrap();
        assert_eq!(config.refused, [""; 0]);
        assert!(
            config.script().ends_with("\nfalse\n"),
            "its end is the script's"
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let error = read("#cloud-config\nruncmd:\n\t- x\n").unwrap_err();
        assert!(error.starts_with("line "), "{error}");
        assert_eq!(
            read("#cloud-config\n- a\n").unwrap_err(),
            "expected a map of keys"
        );
        assert_eq!(read("#cloud-config\n").unwrap(), CloudConfig::default());
    }
}
