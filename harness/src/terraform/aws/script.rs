//! Files that a script writes, by reading its here-documents.
//!
//! This is not execution: what an `if` leaves out is taken as written, and `$VARIABLES` of the shell stay
//! as they are. It is enough to see what an agent's configuration will say.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

/// A file that a script writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Its path, as the script writes it.
    pub path: String,
    /// Its text.
    pub content: String,
    /// Line of the script, from 1, that holds the text's first line.
    pub first_line: usize,
    /// Whether the shell replaces `$NAME` and `$(command)` in it.
    pub expands: bool,
    /// Whether it is added to what is there.
    pub appends: bool,
    /// Its mode, where the command that writes it names one.
    pub mode: Option<String>,
}

static HEREDOC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"<<(?<dash>-?)\s*(?:'(?<single>[^']+)'|"(?<double>[^"]+)"|(?<bare>\\?[A-Za-z_][A-Za-z0-9_]*))"#).expect("a valid pattern")
});
static REDIRECT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?<append>>?)>\s*"?(?<path>[^\s;|&"<>]+)"?"#).expect("a valid pattern")
});
static TEE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\btee\s+(?<append>-a\s+|--append\s+)?"?(?<path>[^\s;|&"<>-][^\s;|&"<>]*)"?"#)
        .expect("a valid pattern")
});
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:^|\s)"?(?<path>/[^\s;|&"<>]+)"?(?:\s+(?<mode>0?[0-7]{3})\b)?"#)
        .expect("a valid pattern")
});

/// Returns the files that a shell script writes by here-documents.
#[must_use]
pub fn written_files(script: &str) -> Vec<WrittenFile> {
    let lines: Vec<&str> = script.lines().collect();
    let mut files = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        // `<<<` is a string, and a comment writes nothing.
        if line.trim_start().starts_with('#') || line.contains("<<<") {
            continue;
        }
        let Some(opener) = HEREDOC.captures(line) else {
            continue;
        };
        let quoted = opener.name("single").or(opener.name("double"));
        let Some(marker) = quoted.or(opener.name("bare")) else {
            continue;
        };
        let strips_tabs = &opener["dash"] == "-";
        let expands = quoted.is_none() && !marker.as_str().starts_with('\\');
        let marker = marker.as_str().trim_start_matches('\\');
        let first_line = at + 1;
        let mut content = String::new();
        while at < lines.len() {
            let body = if strips_tabs {
                lines[at].trim_start_matches('\t')
            } else {
                lines[at]
            };
            at += 1;
            if body == marker {
                break;
            }
            content.push_str(body);
            content.push('\n');
        }
        let command = HEREDOC.replace(line, " ");
        if let Some((path, appends, mode)) = target(&command) {
            files.push(WrittenFile {
                path,
                content,
                first_line,
                expands,
                appends,
                mode,
            });
        }
    }
    files
}

/// The file that a command with a here-document writes: after `>`, as `tee`'s argument, or the first
/// absolute path among a function's arguments.
fn target(command: &str) -> Option<(String, bool, Option<String>)> {
    if let Some(redirect) = REDIRECT
        .captures(command)
        .filter(|redirect| !redirect["path"].starts_with("/dev/null"))
    {
        return Some((
            redirect["path"].to_owned(),
            !redirect["append"].is_empty(),
            None,
        ));
    }
    if let Some(tee) = TEE.captures(command) {
        return Some((tee["path"].to_owned(), tee.name("append").is_some(), None));
    }
    let path = PATH.captures(command)?;
    Some((
        path["path"].to_owned(),
        false,
        path.name("mode").map(|mode| mode.as_str().to_owned()),
    ))
}

#[cfg(test)]
mod tests {
    use super::written_files;

    #[test]
    fn the_usual_ways_to_write_a_file_are_seen() {
        let script = "#!/bin/bash\ncat << EOF > /etc/a\none $X\nEOF\nsudo tee -a /etc/b <<'EOT' > /dev/null\ntwo\nEOT\ncat > /etc/c <<-\"X\"\n\tthree\n\tX\nplace /etc/d 0640 nomad << END\nfour\nEND\nread x <<< \"/etc/e\"\n";
        let files = written_files(script);
        let seen: Vec<_> = files
            .iter()
            .map(|file| {
                (
                    file.path.as_str(),
                    file.content.as_str(),
                    file.expands,
                    file.appends,
                    file.first_line,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("/etc/a", "one $X\n", true, false, 3),
                ("/etc/b", "two\n", false, true, 6),
                ("/etc/c", "three\n", false, false, 9),
                ("/etc/d", "four\n", true, false, 12),
            ]
        );
        assert_eq!(files[3].mode.as_deref(), Some("0640"));
    }
}
