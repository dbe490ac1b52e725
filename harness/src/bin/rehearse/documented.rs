//! Every command that the documents show is one that this program takes.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;

use super::{Cli, as_clap_has_it};

/// The README and every document, with their texts.
fn documents() -> Vec<(PathBuf, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = vec![top.join("README.md")];
    let mut folders = vec![top.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the documents are there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a document is text");
        (path, text)
    };
    found.into_iter().map(read).collect()
}

/// The lines of fenced blocks, with their numbers from 1.
fn fenced(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push((number + 1, line));
        }
    }
    lines
}

/// The command of a line, if it is one of this program's: also within `$(...)`.
fn command(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("$ ");
    if let Some((_, inner)) = line.split_once("$(rehearse") {
        let end = inner.find(')')?;
        return Some(inner[..end].trim_start());
    }
    line.strip_prefix("rehearse ")
}

/// Splits as a shell does, up to a comment, a pipe or a redirection.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '>' | '<' | ';' | '&') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Why a command is refused, if it is.
fn refused(command: &str) -> Option<String> {
    let words = words(command).into_iter().map(std::ffi::OsString::from);
    let args = std::iter::once("rehearse".into()).chain(words.map(as_clap_has_it));
    let error = Cli::try_parse_from(args).err()?;
    let shows = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
    (!shows.contains(&error.kind())).then(|| error.to_string())
}

#[test]
fn every_command_in_the_documents_is_taken() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in documents() {
        for (number, line) in fenced(&text) {
            let Some(command) = command(line) else {
                continue;
            };
            seen += 1;
            if let Some(why) = refused(command) {
                wrong.push(format!("{}:{number}: {line}\n{why}", path.display()));
            }
        }
    }
    assert!(seen > 40, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_that_is_not_there_is_seen() {
    let text =
        "```sh\neval \"$(rehearse env)\"\nrehearse lounch 'a b'  # no\n```\nrehearse outside\n";
    let found: Vec<_> = fenced(text)
        .into_iter()
        .filter_map(|(_, line)| command(line))
        .collect();
    assert_eq!(found, ["env", "lounch 'a b'  # no"]);
    assert_eq!(words(found[1]), ["lounch", "a b"]);
    assert!(refused(found[0]).is_none());
    assert!(refused(found[1]).is_some());
}
