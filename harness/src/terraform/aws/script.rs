//! Files that a script writes, by reading its here-documents.
//!
//! This is not execution: what an `if` leaves out is taken as written, and `$VARIABLES` of the shell stay
//! as they are, but for those in paths that are assigned once and written out. It is enough to see what an
//! agent's configuration will say.

use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use super::shell::Variables;

/// A file that a script writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Its path, as the script writes it; variables that are assigned once and written out are put in.
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
    /// Line of a later command that makes another text of it.
    pub edited: Option<usize>,
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

/// A here-document whose text goes on: what ends it.
pub(super) struct HereDocument {
    marker: String,
    strips_tabs: bool,
}

impl HereDocument {
    /// Whether a line opens one: `<<<` is a string, and a comment opens nothing.
    pub(super) fn begin(line: &str) -> Option<Self> {
        if line.trim_start().starts_with('#') || line.contains("<<<") {
            return None;
        }
        let opener = HEREDOC.captures(line)?;
        let names = ["single", "double", "bare"];
        let word = names.iter().find_map(|name| opener.name(name))?;
        Some(Self {
            marker: word.as_str().trim_start_matches('\\').to_owned(),
            strips_tabs: &opener["dash"] == "-",
        })
    }

    /// Whether a line of its text is its end.
    pub(super) fn ends_with(&self, line: &str) -> bool {
        self.of_text(line) == self.marker
    }

    /// A line of its text as it is written.
    fn of_text<'a>(&self, line: &'a str) -> &'a str {
        match self.strips_tabs {
            true => line.trim_start_matches('\t'),
            false => line,
        }
    }
}

/// Returns the files that a shell script writes by here-documents.
#[must_use]
pub fn written_files(script: &str) -> Vec<WrittenFile> {
    let lines: Vec<&str> = script.lines().collect();
    let all = commands(script);
    let variables = Variables::of(all.iter().map(|(_, command)| command.as_str()));
    let mut files = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let (Some(document), Some(opener)) = (HereDocument::begin(line), HEREDOC.captures(line))
        else {
            continue;
        };
        let bare = opener.name("bare");
        let expands = bare.is_some_and(|bare| !bare.as_str().starts_with('\\'));
        let first_line = at + 1;
        let mut content = String::new();
        while at < lines.len() {
            let line = lines[at];
            at += 1;
            if document.ends_with(line) {
                break;
            }
            content.push_str(document.of_text(line));
            content.push('\n');
        }
        let command = HEREDOC.replace(line, " ").replace(['"', '\''], "");
        let command = variables.expand(&command);
        if let Some((path, appends, mode)) = target(&command) {
            files.push(WrittenFile {
                path,
                content,
                first_line,
                expands,
                appends,
                mode,
                edited: None,
            });
        }
    }
    files
}

/// Programs that change a file in its place: with an option, or always.
static IN_PLACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:(?:sed|gsed|perl|ruby|yq)\s(?:.*\s)?(?:-[a-zA-Z]*i|--in-?place)|(?:ed|ex|patch|crudini|augtool)\s)")
        .expect("a valid pattern")
});
/// Programs that make another text of what they are given.
static FILTER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\b(?:envsubst|sed|gsed|awk|gawk|perl|ruby|python3?|jq|yq|gomplate|consul-template)\b",
    )
    .expect("a valid pattern")
});
/// Programs whose last word is the file that they make.
static MOVES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:mv|cp|install|rsync)\s").expect("a valid pattern"));

/// Returns the commands of a script with their lines, from 1; what here-documents hold is none.
#[must_use]
pub fn commands(script: &str) -> Vec<(usize, String)> {
    let mut commands: Vec<(usize, String)> = Vec::new();
    let mut within: Option<HereDocument> = None;
    let mut goes_on = false;
    for (index, line) in script.lines().enumerate() {
        if let Some(document) = &within {
            if document.ends_with(line) {
                within = None;
            }
            continue;
        }
        if line.trim_start().starts_with('#') {
            continue;
        }
        within = HereDocument::begin(line);
        if within.is_some() {
            continue;
        }
        let text = line.trim_end_matches('\\');
        match commands.last_mut() {
            Some((_, command)) if goes_on => command.push_str(text),
            _ => commands.push((index + 1, text.to_owned())),
        }
        goes_on = line.ends_with('\\');
    }
    commands
}

/// Whether a command makes another text of a file: in its place, from it into another one, or over it. Where
/// the folder of one of the two is a variable whose value is not known, files of one name are one.
#[must_use]
pub fn edits(command: &str, path: &str) -> bool {
    let between = |c: char| c.is_whitespace() || "`;|&<>()".contains(c);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_it = |word: &str| {
        let glob = word
            .strip_suffix("*.hcl")
            .or_else(|| word.strip_suffix('*'));
        let open = word.contains('$') || path.contains('$');
        word == path
            || word == name
            || (open && word.rsplit('/').next() == Some(name))
            || glob.is_some_and(|glob| {
                glob.trim_end_matches('/') == folder || (open && glob.ends_with('/'))
            })
    };
    for piece in &pieces(command) {
        let words: Vec<&str> = piece
            .split(between)
            .filter(|word| !word.is_empty())
            .collect();
        if !words.iter().any(|word| is_it(word)) {
            continue;
        }
        let target = |found: regex::Captures<'_>| is_it(&found["path"]);
        let into =
            REDIRECT.captures_iter(piece).any(target) || TEE.captures_iter(piece).any(target);
        let writes = REDIRECT.is_match(&piece.replace("2>", "")) || TEE.is_match(piece);
        let moved = MOVES.is_match(piece) && words.last().is_some_and(|word| is_it(word));
        if into || moved || IN_PLACE.is_match(piece) || (FILTER.is_match(piece) && writes) {
            return true;
        }
    }
    false
}

/// One command after the other, without quotes: `mv` of one is not for the file of the next. What is quoted is
/// one word, unless a shell is given it as its script.
fn pieces(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let piece = pieces.last_mut().expect("there is always one");
        let within = quote.is_some() && !piece.contains(" -c ");
        match c {
            '"' | '\'' if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            ';' if !within => pieces.push(String::new()),
            '&' if !within && chars.next_if_eq(&'&').is_some() => pieces.push(String::new()),
            c => piece.push(c),
        }
    }
    pieces
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
    use super::{commands, edits, written_files};

    #[test]
    fn a_command_that_makes_another_text_of_a_file_is_seen() {
        let path = "/etc/nomad.d/server.hcl";
        for command in [
            "sed -i \"s/COUNT/3/g\" /etc/nomad.d/server.hcl",
            "sed -e s/a/b/ --in-place /etc/nomad.d/server.hcl",
            "cd /etc/nomad.d && sed -Ei 's/a/b/' server.hcl",
            "sed -i s/a/b/ /etc/nomad.d/*.hcl",
            "perl -pi -e 's/a/b/' /etc/nomad.d/server.hcl",
            "echo 'x = 1' >> /etc/nomad.d/server.hcl",
            "echo x | sudo tee -a /etc/nomad.d/server.hcl > /dev/null",
            "envsubst < /etc/nomad.d/server.hcl > /etc/nomad.d/real.hcl",
            "sed s/a/b/ /etc/nomad.d/server.hcl > /tmp/x && mv /tmp/x /etc/nomad.d/server.hcl",
            "mv /tmp/other.hcl /etc/nomad.d/server.hcl",
            "sed -i \"s/a/b; s/c/d/\" \"/etc/nomad.d\"/server.hcl",
            "bash -c 'cd /etc/nomad.d; sed -i s/a/b/ server.hcl'",
            "sed -i \"s/HOSTN/$HOSTNAME/\" $DIR/server.hcl",
            "sed -i s/a/b/ \"${DIR}/server.hcl\"",
            "sed -i s/a/b/ $DIR/*.hcl",
        ] {
            assert!(edits(command, path), "{command}");
        }
        for command in [
            "chown nomad /etc/nomad.d/server.hcl",
            "sed -n 1p /etc/nomad.d/server.hcl",
            "cat /etc/nomad.d/server.hcl 2> /dev/null",
            "sed -i s/a/b/ /etc/hosts && chmod 0640 /etc/nomad.d/server.hcl",
            "cp /etc/nomad.d/server.hcl /root/backup",
            "nomad agent -config /etc/nomad.d/server.hcl > /var/log/nomad.log 2>&1 &",
            "echo x > /etc/nomad.d/client.hcl",
            "sed -i s/a/b/ $DIR/client.hcl",
            "sed -i s/a/b/ /etc/other/server.hcl",
        ] {
            assert!(!edits(command, path), "{command}");
        }
    }

    #[test]
    fn commands_are_told_from_what_they_write() {
        let script = "#!/bin/sh\ncat > /etc/a <<EOF\nsed -i x /etc/a\nEOF\nsed -i \\\n  s/a/b/ /etc/a\ntrue\n";
        let lines: Vec<(usize, String)> = commands(script);
        assert_eq!(
            lines,
            [
                (5, "sed -i   s/a/b/ /etc/a".to_owned()),
                (7, "true".to_owned())
            ]
        );
    }

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

    #[test]
    fn a_path_held_by_a_variable_is_known_where_that_is_written_out() {
        let script = "#!/bin/sh\nDIR=/etc/nomad.d\ncat > \"$DIR\"/a.hcl <<EOF\nEOF\ntee ${DIR}/b.hcl <<EOF\nEOF\ncat > $OTHER/c.hcl <<EOF\nEOF\n";
        let files = written_files(script);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            ["/etc/nomad.d/a.hcl", "/etc/nomad.d/b.hcl", "$OTHER/c.hcl"]
        );
    }
}
