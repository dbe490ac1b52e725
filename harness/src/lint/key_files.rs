//! Who may read the keys that a boot script leaves on its machine.
//!
//! The script is read from top to bottom, not run: `umask`, what is written by `>`, `tee`, `curl`, `wget` and
//! `aws s3 cp`, `cp` and `mv` of what is known, `chmod`, `install`. The last word on a file counts. A mode or a
//! file that only the shell knows is never called wrong.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::terraform::aws::UserData;

/// Names of files that hold a secret.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[-_.])key\.pem$|\.key$|(?:^|[-_.])(?:token|licen[cs]e|gossip)(?:[-_.]|$)")
        .expect("a valid pattern")
});
/// Folders and names of what is for everybody.
static PUBLIC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^/etc/apt/|/keyrings?/|/rpm-gpg/|/doc/|(?:^|[-_./])pub(?:lic)?[-_.]")
        .expect("a valid pattern")
});
static WRITTEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?:>|\btee\s+(?:-a\s+|--append\s+)?)\s*["']?(?<path>[^\s;|&"'<>()-][^\s;|&"'<>()]*)"#,
    )
    .expect("a valid pattern")
});
static UMASK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bumask\s+(?<mask>[0-7]{2,4})\b").expect("a valid pattern"));
static OCTAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[0-7]{3,4}$").expect("a valid pattern"));

/// Bits of a mode by which everybody reads a file, and gets into a folder.
const READ: u32 = 0o004;
const ENTER: u32 = 0o001;

/// Whether others may read a file, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Access {
    /// Written by a part of the user data that is no script: its mode, if it has none, is decided by what follows.
    Untold,
    Owner,
    Everybody(String),
}

/// Returns the secrets that everybody may read: what is said about each.
pub(super) fn readable(user_data: &UserData) -> Vec<String> {
    let mut reading = Reading::default();
    for file in user_data.files.iter().filter(|file| is_secret(&file.path)) {
        let access = match file.mode.as_deref().and_then(octal) {
            Some(mode) => of_mode(mode),
            None => Access::Untold,
        };
        reading.files.insert(file.path.clone(), access);
    }
    let text = user_data.run.as_deref().unwrap_or_default();
    for line in text.replace("\\\n", " ").lines() {
        if !line.trim_start().starts_with('#') {
            reading.line(line);
        }
    }
    let Reading {
        files,
        narrow,
        closed,
    } = reading;
    let open = |path: &String| !closed.iter().any(|folder| path.starts_with(folder));
    let files = files.into_iter().filter(|(path, _)| open(path));
    let said = |(path, access): (String, Access)| match access {
        Access::Everybody(how) => Some(format!("`{path}` is readable by everybody: {how}")),
        Access::Untold if !narrow => Some(format!("`{path}` is written readable by everybody")),
        Access::Untold | Access::Owner => None,
    };
    files.filter_map(said).collect()
}

#[derive(Default)]
struct Reading {
    files: BTreeMap<String, Access>,
    /// Whether `umask` keeps others out of what is written from here on.
    narrow: bool,
    /// Folders, with a slash at their end, that others cannot enter.
    closed: Vec<String>,
}

impl Reading {
    fn line(&mut self, line: &str) {
        let before = self.narrow;
        if let Some(mask) = UMASK.captures(line) {
            self.narrow = octal(&mask["mask"]).is_some_and(|mask| mask & READ != 0);
        }
        for written in WRITTEN.captures_iter(line) {
            self.write(&written["path"]);
        }
        // In parentheses it holds for these commands alone.
        if line.trim_start().starts_with('(') && line.trim_end().ends_with(')') {
            self.narrow = before;
        }
        for command in line.split(['|', ';', '&', '(', ')']) {
            self.command(command);
        }
    }

    fn write(&mut self, path: &str) {
        // What a file was made with, it keeps.
        let kept = matches!(
            self.files.get(path),
            Some(Access::Owner | Access::Everybody(_))
        );
        if is_secret(path) && !kept {
            let access = if self.narrow {
                Access::Owner
            } else {
                Access::Everybody("neither `umask` nor `chmod` keeps others out".to_owned())
            };
            self.files.insert(path.to_owned(), access);
        }
    }

    fn command(&mut self, command: &str) {
        let words: Vec<&str> = command
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '\'']))
            .skip_while(|word| ["sudo", "then", "do", "else", "if", "!", "{"].contains(word))
            .collect();
        if let Some(at) = words.iter().position(|word| *word == "chmod") {
            self.chmod(&words[at + 1..]);
        } else if words.first() == Some(&"install") {
            self.install(&words[1..]);
        } else if words.first() == Some(&"mkdir") {
            self.folders(&words[1..]);
        } else if ["cp", "mv"].contains(words.first().unwrap_or(&"")) {
            self.copy(&words);
        } else if let Some(path) = fetched(&words) {
            self.write(path);
        } else {
            // A function of the script's own, as `place FILE MODE`.
            for pair in words.windows(2).filter(|pair| is_secret(pair[0])) {
                if let Some(mode) = octal(pair[1]) {
                    self.files.insert(pair[0].to_owned(), of_mode(mode));
                }
            }
        }
    }

    fn chmod(&mut self, words: &[&str]) {
        let recursive = words
            .iter()
            .any(|word| ["-R", "--recursive"].contains(word));
        let mut words = words.iter().filter(|word| !is_option(word));
        let Some(mode) = words.next() else { return };
        for target in words {
            // What only the shell knows may be any of them.
            let any = target.starts_with(['$', '{']) && !target.contains('/');
            let access = match (octal(mode), symbolic(mode)) {
                (Some(mode), _) => of_mode(mode),
                (None, Some(true)) => Access::Everybody(format!("`chmod {mode}`")),
                (None, Some(false)) => Access::Owner,
                (None, None) => continue,
            };
            if is_secret(target) && !target.contains('*') && !any {
                self.files.retain(|path, _| !is_same(path, target));
                self.files.insert((*target).to_owned(), access.clone());
            }
            let folder = format!("{}/", target.trim_end_matches('/'));
            for (path, known) in &mut self.files {
                if (recursive && path.starts_with(&folder)) || matches(target, path) {
                    *known = access.clone();
                } else if any && access == Access::Owner {
                    *known = Access::Owner;
                }
            }
            if octal(mode).is_some_and(|mode| mode & ENTER == 0) {
                self.closed.push(folder);
            }
        }
    }

    fn install(&mut self, words: &[&str]) {
        let mode = mode_of(words);
        if words
            .iter()
            .any(|word| ["-d", "--directory"].contains(word))
        {
            return self.folders(words);
        }
        let Some(target) = words.iter().rev().find(|word| !is_option(word)) else {
            return;
        };
        let access = match mode {
            Some(mode) => match octal(mode) {
                Some(mode) => of_mode(mode),
                None => match symbolic(mode) {
                    Some(true) => Access::Everybody(format!("`install -m {mode}`")),
                    Some(false) => Access::Owner,
                    None => return,
                },
            },
            None => Access::Everybody("`install` without `-m` makes it 0755".to_owned()),
        };
        if is_secret(target) {
            self.files.insert((*target).to_owned(), access);
        }
    }

    /// What is copied or moved keeps its mode, a copy but for what `umask` takes away; of what is not known
    /// nothing is said.
    fn copy(&mut self, words: &[&str]) {
        let as_it_is = |word: &&str| ["mv", "-p", "-a", "--preserve"].contains(word);
        let narrowed = self.narrow && !words.iter().any(as_it_is);
        let paths: Vec<&&str> = words[1..].iter().filter(|word| !is_option(word)).collect();
        let [from, to] = paths.as_slice() else { return };
        let name = from.rsplit('/').next().unwrap_or(from);
        let to = match to.strip_suffix('/') {
            Some(folder) => format!("{folder}/{name}"),
            None => (**to).to_owned(),
        };
        if let Some(access) = self.files.get(**from).cloned()
            && is_secret(&to)
        {
            let access = if narrowed { Access::Owner } else { access };
            self.files.insert(to, access);
        }
    }

    /// A folder that others cannot enter keeps them from all that is in it.
    fn folders(&mut self, words: &[&str]) {
        let closed = mode_of(words)
            .and_then(octal)
            .is_some_and(|mode| mode & ENTER == 0);
        if closed {
            for folder in words.iter().filter(|word| word.contains('/')) {
                self.closed
                    .push(format!("{}/", folder.trim_end_matches('/')));
            }
        }
    }
}

fn is_secret(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    SECRET.is_match(name) && !PUBLIC.is_match(path)
}

/// The file into which a command downloads.
fn fetched<'w>(words: &[&'w str]) -> Option<&'w str> {
    let behind = |program: &str, short, long| {
        let at = words.iter().position(|word| *word == program)?;
        option(&words[at + 1..], short, long)
    };
    let from_s3 = || {
        let at = words.iter().position(|word| word.starts_with("s3://"))?;
        let is_copy = words[..at].ends_with(&["s3", "cp"]);
        words.get(at + 1).copied().filter(|_| is_copy)
    };
    behind("curl", "-o", "--output")
        .or_else(|| behind("wget", "-O", "--output-document"))
        .or_else(from_s3)
}

/// What an option is given: `-m 0600`, `--mode 0600`, `--mode=0600`.
fn option<'w>(words: &[&'w str], short: &str, long: &str) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(at, word)| {
        if *word == short || *word == long {
            return words.get(at + 1).copied();
        }
        word.strip_prefix(long)?.strip_prefix('=')
    })
}

fn is_option(word: &str) -> bool {
    word.starts_with('-')
}

/// Whether two paths may name one file: one of them may be relative.
fn is_same(one: &str, other: &str) -> bool {
    let ends = |long: &str, short: &str| {
        let rest = long.strip_suffix(short);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    ends(one, other) || ends(other, one)
}

/// Whether a pattern of the shell names a path; a relative one may stand for any folder.
fn matches(pattern: &str, path: &str) -> bool {
    if !pattern.contains('*') {
        return is_same(pattern, path);
    }
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let (in_folder, of_path) = path.rsplit_once('/').unwrap_or(("", path));
    let (begin, end) = name.split_once('*').unwrap_or((name, ""));
    (folder.is_empty() || folder == in_folder)
        && of_path.starts_with(begin)
        && of_path.ends_with(end.rsplit('*').next().unwrap_or(end))
}

fn octal(text: &str) -> Option<u32> {
    let text = text.trim();
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|_| OCTAL.is_match(text))
}

fn of_mode(mode: u32) -> Access {
    if mode & READ == 0 {
        Access::Owner
    } else {
        Access::Everybody(format!("its mode is {mode:04o}"))
    }
}

/// Whether a symbolic mode lets others read, or keeps them out; `None` if it does neither.
fn symbolic(mode: &str) -> Option<bool> {
    let mut told = None;
    for clause in mode.split(',') {
        let (who, operator, what) = clause
            .find(['+', '-', '='])
            .map(|at| (&clause[..at], &clause[at..=at], &clause[at + 1..]))?;
        let others = who.is_empty() || who.contains(['o', 'a']);
        let reads = what.contains('r');
        match operator {
            "+" if others && reads => told = Some(true),
            "-" if others && reads => told = Some(false),
            "=" if others => told = Some(reads),
            _ => {}
        }
    }
    told
}

/// The mode among a command's words, `-m0600` too.
fn mode_of<'w>(words: &[&'w str]) -> Option<&'w str> {
    let attached = |word: &&'w str| word.strip_prefix("-m").filter(|mode| !mode.is_empty());
    option(words, "-m", "--mode").or_else(|| words.iter().find_map(attached))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::source::Site;

    fn told(script: &str) -> Vec<String> {
        readable(&UserData {
            text: None,
            run: Some(format!("#!/bin/bash\n{script}\n")),
            sha1: None,
            unknown: Vec::new(),
            files: Vec::new(),
            unread: Vec::new(),
            site: Site::start_of(std::path::Path::new("boot.sh")),
        })
    }

    #[test]
    fn a_secret_that_everybody_reads_is_told() {
        for script in [
            "fetch /key > tls/key.pem",
            "fetch /key | tee /etc/nomad.d/agent-key.pem > /dev/null",
            "echo \"$TOKEN\" >> /root/token",
            "fetch > /etc/nomad.d/license.hclic",
            "umask 077\nfetch > /n/key.pem\nchmod 644 /n/key.pem",
            "umask 077\nfetch > /n/key.pem\nchmod a+r /n/*.pem",
            "(umask 077; fetch > /n/cert.pem)\nfetch > /n/key.pem",
            "fetch > /n/key.pem\numask 077",
            "chmod 644 /n/tls/*-key.pem /n/server-key.pem",
            "install -m 0644 key.pem /n/key.pem",
            "install -o nomad /tmp/x /n/agent.key",
            "place /n/key.pem 0644 root < /tmp/x",
            "chmod -R 755 /n && fetch > /n/key.pem",
            "fetch > /n/key.pem; chmod \\\n  0644 /n/key.pem",
            "curl -fsS -o /n/key.pem https://vault/key",
            "sudo curl --output=/n/agent-key.pem https://vault/key",
            "persist wget -q -O \"/n/key.pem\" https://vault/key",
            "aws s3 cp s3://bucket/key.pem /n/key.pem",
            "umask 077\nfetch > /tmp/key.pem\nchmod 0644 /tmp/key.pem\ncp -p /tmp/key.pem /n/; rm /tmp/key.pem; chmod 600 /tmp/key.pem",
        ] {
            assert_eq!(told(script).len(), 1, "{script}: {:?}", told(script));
        }
    }

    #[test]
    fn what_others_cannot_read_and_what_is_for_everybody_is_left_alone() {
        for script in [
            "umask 077\nfetch > tls/key.pem",
            "(umask 077; fetch > tls/key.pem)",
            "umask 0027 && fetch > tls/key.pem",
            "fetch > tls/key.pem\nchmod 0600 /n/tls/key.pem",
            "fetch > /n/key.pem && chown nomad /n/key.pem && sudo chmod 640 /n/key.pem",
            "install -m 0600 /dev/null /n/key.pem\nfetch > /n/key.pem",
            "fetch > /n/tls/key.pem\nchmod go-rwx /n/tls/*",
            "fetch > /n/tls/key.pem\nchmod -R 600 /n/tls",
            "fetch > /n/tls/key.pem\nfor f in /n/tls/*; do chmod 600 \"$f\"; done",
            "fetch > /n/tls/key.pem\nfind /n -name '*key.pem' -exec chmod 600 {} +",
            "install -d -m 0700 /n/tls\nfetch > /n/tls/key.pem",
            "mkdir -p -m 700 /n/tls\nfetch > /n/tls/key.pem",
            "chmod \"$mode\" /n/key.pem",
            "place /n/cert.pem 0644 root < /tmp/x",
            "fetch > /n/cert.pem\ncurl x > /etc/apt/keyrings/docker.key\ncat y > /n/public.key",
            "apt-get install -y gossip.key",
            "# fetch > /n/key.pem",
            "umask 077\ncurl -o /n/key.pem https://vault/key",
            "curl -o /n/key.pem https://vault/key && chmod 0600 /n/key.pem",
            "curl -o /n/cert.pem https://vault/cert; curl https://vault/key.pem",
            "install -m 0600 /dev/null /w/key.pem\ncurl -o /w/key.pem https://vault/key\nmv /w/key.pem /n/key.pem",
            "cp /elsewhere/key.pem /n/key.pem",
        ] {
            assert_eq!(told(script), [""; 0], "{script}");
        }
    }
}
