//! What commands print on standard output: data, as text or JSON.

use std::io::{ErrorKind, Write as _};
use std::sync::OnceLock;

use clap::ValueEnum;
use serde::Serialize;

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Why something was not printed, the first time.
static UNPRINTED: OnceLock<std::io::Error> = OnceLock::new();

/// Returns why not all was printed, if so: a full disk.
pub fn unprinted() -> Option<&'static std::io::Error> {
    UNPRINTED.get()
}

/// Prints text. Whoever closed the pipe wants no more of it, which is no error.
pub fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let printed = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = printed
        && error.kind() != ErrorKind::BrokenPipe
    {
        // The first is told; the others say the same.
        let _first = UNPRINTED.set(error);
    }
}

/// Prints bytes as they are; false when nobody reads any more.
pub fn bytes(bytes: &[u8]) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) {
    let json = serde_json::to_string_pretty(value).expect("what is printed is plain data");
    text(&json);
}

/// Where GitHub's jobs take a summary for people.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Adds Markdown to the summary of the build that this is a part of, where it is one.
pub fn add_to_build_summary(text: &str) {
    let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        eprintln!("warning: `{STEP_SUMMARY}` was not written: {error}");
    }
}

/// Lays rows out in columns two blanks apart, the head first.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        longest.max(head[column].chars().count())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["server-1".to_owned(), "alive".to_owned()],
            vec!["s".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["Name", "Status"], &rows),
            "Name      Status\nserver-1  alive\ns"
        );
    }
}
