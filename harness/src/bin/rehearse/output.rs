//! What commands print on standard output: data, as text or JSON.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
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

/// Columns of the terminal that is printed to; none where it is a file or a pipe, which take lines of
/// any length.
pub fn terminal_columns() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let (columns, _) = ratatui::crossterm::terminal::size().ok()?;
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

/// A sentence, on as many lines as the terminal needs for it.
pub fn sentence(text: &str) -> String {
    match terminal_columns() {
        Some(columns) => wrap(text, columns).join("\n"),
        None => text.to_owned(),
    }
}

/// Breaks text at spaces into lines of at most `columns` characters; a longer word is broken.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= columns {
                line.extend(std::iter::repeat_n(' ', gap).chain(word));
                break;
            }
            if used > 0 {
                lines.push(String::new());
                continue;
            }
            line.extend(word.drain(..columns));
            lines.push(String::new());
        }
    }
    lines
}

/// Lays rows out in columns two blanks apart, the head first. On a terminal, what is too wide for it is
/// wrapped inside its column.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    table_within(terminal_columns(), head, rows)
}

/// Blanks between columns.
const GAP: usize = 2;
/// A column that is wrapped keeps so much: a narrower one is not read.
const COLUMN_MIN: usize = 8;

/// As [`table`], in so many columns of a terminal, where it can be.
pub fn table_within(room: Option<usize>, head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        longest.max(head[column].chars().count())
    };
    let mut widths: Vec<usize> = (0..head.len()).map(width).collect();
    if let Some(room) = room {
        narrow(&mut widths, room);
    }
    let mut lines = laid_out(head.iter().copied(), &widths);
    for row in rows {
        lines.extend(laid_out(row.iter().map(String::as_str), &widths));
    }
    lines.join("\n")
}

/// Takes from the widest column what is too much, as long as there is one to take from.
fn narrow(widths: &mut [usize], room: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    loop {
        let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
        let widest = widths.iter_mut().max().filter(|width| **width > COLUMN_MIN);
        let (1.., Some(widest)) = (over, widest) else {
            return;
        };
        *widest = widest.saturating_sub(over).max(COLUMN_MIN);
    }
}

/// A row's lines.
fn laid_out<'c>(cells: impl Iterator<Item = &'c str>, widths: &[usize]) -> Vec<String> {
    let cells: Vec<Vec<String>> = cells
        .zip(widths)
        .map(|(cell, width)| match cell.chars().count() > *width {
            true => wrap(cell, *width),
            false => vec![cell.to_owned()],
        })
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{:<width$}", cell.get(at).map_or("", String::as_str)))
            .collect();
        padded.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    (0..height).map(line).collect()
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

    #[test]
    fn a_table_is_no_wider_than_the_terminal_and_loses_nothing() {
        let long = "a leader is killed and another one has to be found within fifteen seconds";
        let rows = vec![
            vec!["leader-failover".to_owned(), long.to_owned()],
            vec!["short".to_owned(), "nothing".to_owned()],
        ];
        let head = ["Scenario", "Shows"];
        assert_eq!(
            table_within(Some(60), &head, &rows),
            "Scenario         Shows\n\
             leader-failover  a leader is killed and another one has to\n                 \
             be found within fifteen seconds\n\
             short            nothing"
        );
        assert_eq!(table_within(None, &head, &rows).lines().count(), 3);
        // What cannot be narrower is left as it is.
        assert!(table_within(Some(5), &head, &rows).contains("leader-f"));
    }

    #[test]
    fn wrapping_loses_nothing_and_breaks_what_is_too_long() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 3), [""]);
    }
}
