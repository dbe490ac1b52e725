//! User data as cloud-init takes it: a script, a `#cloud-config`, or several of them in one MIME message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::cloud_config::{self, CloudConfig};
use super::script::{WrittenFile, commands, edits, written_files};
use super::shell::Variables;

/// One part of user data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Run at the first boot.
    Script(String),
    /// Carried out at the first boot.
    CloudConfig(CloudConfig),
    /// Something that is not looked into: what, and why.
    Unread(String),
}

/// Splits user data into its parts, with the line of it (from 0) at which each begins.
#[must_use]
pub fn parts(text: &str) -> Vec<(Part, usize)> {
    let head = text.trim_start();
    if head.is_empty() {
        return Vec::new();
    }
    let lower = head.get(..60).unwrap_or(head).to_lowercase();
    if lower.starts_with("content-type: multipart") || lower.starts_with("mime-version:") {
        return multipart(text);
    }
    // What begins with a part that is not known may have a head.
    let unheaded = !head.starts_with(['#', '<']);
    match part(text) {
        Part::Unread(what) if unheaded => {
            let why = "cloud-init ignores it with a warning, as it begins with neither `#!` nor `#cloud-config`";
            vec![(Part::Unread(format!("{what} ({why})")), 0)]
        }
        part => vec![(part, 0)],
    }
}

fn part(text: &str) -> Part {
    let first = text.lines().next().unwrap_or_default().trim_end();
    if first.starts_with("#!") {
        return Part::Script(text.to_owned());
    }
    if first == "#cloud-config" {
        return configured(text);
    }
    let shown: String = first.chars().take(40).collect();
    Part::Unread(format!("user data that begins with `{shown}`"))
}

fn configured(text: &str) -> Part {
    match cloud_config::read(text) {
        Ok(config) => Part::CloudConfig(config),
        Err(reason) => Part::Unread(format!("a `#cloud-config` that does not parse: {reason}")),
    }
}

/// The parts of a MIME message. Its own headers end at the first empty line; so do a part's.
fn multipart(text: &str) -> Vec<(Part, usize)> {
    let Some(boundary) = boundary(text) else {
        return vec![(
            Part::Unread("a MIME message without a boundary".to_owned()),
            0,
        )];
    };
    let delimiter = format!("--{boundary}");
    let mut found = Vec::new();
    let mut begin = None;
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with(&delimiter) {
            if let Some(begin) = begin {
                found.extend(one(&lines[begin..at], begin));
            }
            begin = Some(at + 1);
        }
    }
    found
}

fn boundary(text: &str) -> Option<String> {
    let head = text.lines().take_while(|line| !line.trim().is_empty());
    let head: Vec<&str> = head.collect();
    let head = head.join(" ");
    let rest = head.split_once("boundary=")?.1;
    let rest = rest.trim_start_matches('"');
    let end = rest.find(['"', ';', ' ']).unwrap_or(rest.len());
    Some(rest[..end].to_owned()).filter(|boundary| !boundary.is_empty())
}

fn one(lines: &[&str], first_line: usize) -> Option<(Part, usize)> {
    let empty = lines.iter().position(|line| line.trim().is_empty())?;
    let head = lines[..empty].join("\n").to_lowercase();
    let body = lines[empty + 1..].join("\n");
    let body = if head.contains("content-transfer-encoding: base64") {
        let packed: String = body.split_whitespace().collect();
        String::from_utf8(STANDARD.decode(packed).ok()?).ok()?
    } else {
        format!("{}\n", body.trim_end_matches(['\r', '\n']))
    };
    if body.trim().is_empty() {
        return None;
    }
    // The header counts: such a part needs no first line of its own.
    let part = match head.contains("content-type: text/cloud-config") {
        true => configured(&body),
        false => part(&body),
    };
    Some((part, first_line + empty + 1))
}

/// Returns the files that the parts write, as far as that can be read off, and what is not looked into.
pub(super) fn read(text: &str) -> (Vec<WrittenFile>, Vec<String>) {
    let mut files: Vec<WrittenFile> = Vec::new();
    let mut unread = Vec::new();
    let mut run: Vec<(usize, String)> = Vec::new();
    for (part, first) in parts(text) {
        let written = match part {
            Part::Script(script) => {
                let commands = commands(&script);
                let all = commands.iter().map(|(_, command)| command.as_str());
                let variables = Variables::of(all);
                let expanded =
                    |(line, command): (usize, String)| (line + first, variables.expand(&command));
                run.extend(commands.into_iter().map(expanded));
                written_files(&script)
            }
            Part::CloudConfig(config) => {
                let (own, commands) = configured_files(&config, text, first);
                run.extend({ commands.into_iter() }.map(|(line, command)| (line + first, command)));
                unread.extend(
                    config
                        .unread
                        .iter()
                        .map(|key| format!("`{key}` of `#cloud-config`")),
                );
                own
            }
            Part::Unread(what) => {
                unread.push(what);
                continue;
            }
        };
        files.extend(written.into_iter().map(|mut file| {
            file.first_line += first;
            file.edited = file.edited.map(|line| line + first);
            file
        }));
    }
    for file in files.iter_mut().filter(|file| file.edited.is_none()) {
        let later = |(line, command): &&(usize, String)| {
            *line > file.first_line && edits(command, &file.path)
        };
        file.edited = run.iter().find(later).map(|(line, _)| *line);
    }
    (files, unread)
}

/// Returns the files of a `#cloud-config`: those it lists, and those that its commands write. Lines are counted
/// from the part's own first one, `first` in the whole.
fn configured_files(
    config: &CloudConfig,
    text: &str,
    first: usize,
) -> (Vec<WrittenFile>, Vec<(usize, String)>) {
    // cloud-init makes one script of the commands; its lines are found again in the text, in their order.
    let script = config.commands.join("\n");
    let text: Vec<&str> = text.lines().skip(first).collect();
    let begin = text.iter().position(|line| line.starts_with("runcmd:"));
    let mut at = begin.unwrap_or_default();
    let mut lines = Vec::new();
    for line in script.lines() {
        let line = line.trim();
        let mut here = text.iter().skip(at);
        let found = here.position(|of| !line.is_empty() && of.contains(line));
        at += found.unwrap_or_default();
        lines.push((at + 1).min(text.len()));
        // What is written there in another form, as a list, is somewhere behind the one before.
        at += usize::from(found.is_some());
    }
    let place = |line: usize| lines.get(line - 1).copied().unwrap_or(1);
    let commands = commands(&script);
    let variables = Variables::of(commands.iter().map(|(_, command)| command.as_str()));
    let commands: Vec<(usize, String)> = { commands.iter() }
        .map(|(line, command)| (place(*line), variables.expand(command)))
        .collect();
    // The listed ones are there when the commands run, wherever they stand.
    let edited = |file: &WrittenFile| {
        let edits = commands
            .iter()
            .find(|(_, command)| edits(command, &file.path));
        edits.map(|(line, _)| *line)
    };
    let listed = config.written().into_iter().map(|file| WrittenFile {
        edited: edited(&file),
        ..file
    });
    let by_commands = written_files(&script).into_iter().map(|file| WrittenFile {
        first_line: place(file.first_line),
        ..file
    });
    (listed.chain(by_commands).collect(), commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIME: &str = "Content-Type: multipart/mixed; boundary=\"==B==\"\nMIME-Version: 1.0\n\n--==B==\nContent-Type: text/cloud-config; charset=\"us-ascii\"\n\n#cloud-config\nwrite_files:\n  - path: /etc/nomad.d/a.hcl\n    content: |\n      region = \"eu\"\n--==B==\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\nIyEvYmluL3NoCmVjaG8K\n--==B==--\n";

    #[test]
    fn the_parts_of_a_message_are_found_with_their_lines() {
        let parts = parts(MIME);
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert_eq!(parts[1].0, Part::Script("#!/bin/sh\necho\n".to_owned()));
        let (files, unread) = read(MIME);
        assert_eq!(files[0].path, "/etc/nomad.d/a.hcl");
        let line = MIME.lines().nth(files[0].first_line - 1).unwrap();
        assert_eq!(line.trim(), "region = \"eu\"");
        assert!(unread.is_empty(), "{unread:?}");
        let (files, unread) = read(&MIME.replace("#cloud-config\n", ""));
        assert_eq!(
            (files.len(), unread.len()),
            (1, 0),
            "its header says what it is"
        );
    }

    #[test]
    fn what_the_commands_of_a_cloud_config_write_is_read() {
        let config = "#cloud-config\nwrite_files:\n  - path: /etc/x\n    content: |\n      set -e\nruncmd:\n  - set -e\n  - |\n    mkdir -p /etc/nomad.d\n    cat <<EOF >/etc/nomad.d/a.hcl\n    server {\n      enabled = true\n    }\n    EOF\n  - [chmod, '0600', /etc/nomad.d/a.hcl]\n";
        let (files, unread) = read(config);
        assert!(unread.is_empty(), "{unread:?}");
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["/etc/x", "/etc/nomad.d/a.hcl"]);
        let file = &files[1];
        assert_eq!(file.content, "server {\n  enabled = true\n}\n");
        assert_eq!((file.first_line, file.edited), (11, None));
        let later = config.replace("[chmod, '0600',", "[sed, -i, s/a/b/,");
        assert_eq!(read(&later).0[1].edited, Some(15));
    }

    #[test]
    fn what_cloud_init_would_take_otherwise_is_named() {
        let told = |text: &str| read(text).1;
        assert_eq!(
            told("#include\nhttps://example.invalid/x\n"),
            ["user data that begins with `#include`"]
        );
        assert!(told("#cloud-config\na: [\n")[0].contains("does not parse"));
        assert_eq!(
            told("#cloud-config\nswap: {filename: /swap}\nruncmd: []\n"),
            ["`swap` of `#cloud-config`"]
        );
        assert!(told("").is_empty());
        assert!(told("echo hi > /etc/hi\n")[0].contains("ignores it with a warning"));
    }

    #[test]
    fn a_file_that_a_later_command_edits_names_its_line() {
        let edited = |text: &str| {
            read(text)
                .0
                .iter()
                .map(|file| file.edited)
                .collect::<Vec<_>>()
        };
        let script = "#!/bin/sh\nsed -i s/1/2/ /etc/a\ncat > /etc/a <<EOF\nCOUNT\nEOF\n";
        assert_eq!(edited(script), [None]);
        assert_eq!(
            edited(&format!("{script}sed -i s/1/2/ /etc/a\n")),
            [Some(6)]
        );
        let config = "#cloud-config\nruncmd:\n  - sed -i s/1/2/ /etc/a\nwrite_files:\n  - path: /etc/a\n    content: x\n";
        assert_eq!(edited(config), [Some(3)]);
        // A path that a shell variable holds.
        let demo = "#!/bin/sh\nCONFIGDIR=/etc/nomad.d\ncat > /etc/nomad.d/nomad.hcl <<EOF\nname = \"HOSTN\"\nEOF\n";
        for path in [
            "$CONFIGDIR/nomad.hcl",
            "\"${CONFIGDIR}/nomad.hcl\"",
            "\"$CONFIGDIR\"/nomad.hcl",
            "$ELSEWHERE/nomad.hcl",
        ] {
            let command = format!("{demo}sed -i \"s/HOSTN/$HOSTNAME/\" {path}\n");
            assert_eq!(edited(&command), [Some(6)], "{path}");
        }
        assert_eq!(
            edited(&format!("{demo}sed -i s/a/b/ $CONFIGDIR/other.hcl\n")),
            [None]
        );
        let config = "#cloud-config\nruncmd:\n  - D=/etc\n  - sed -i s/1/2/ $D/a\nwrite_files:\n  - path: /etc/a\n    content: x\n";
        assert_eq!(edited(config), [Some(4)]);
        let later = MIME.replace(
            "IyEvYmluL3NoCmVjaG8K",
            &STANDARD.encode("#!/bin/sh\necho >> /etc/nomad.d/a.hcl\n"),
        );
        assert!(edited(&later)[0] > Some(12), "{:?}", edited(&later));
    }
}
