//! The one way to lay out a script: two blanks a level, `=` of neighbouring arguments in one
//! column, no blanks at line ends, no two empty lines in a row. Works on lines, so that comments
//! stay where they are; what stands inside texts is not touched.

use agent::hcl_text;

use super::problem::{Problem, ScriptError};

/// Lays a script out.
///
/// # Errors
/// [`ScriptError`] when it is no HCL.
pub fn format(file: &str, text: &str) -> Result<String, ScriptError> {
    hcl_text::parse_body(text).map_err(|error| ScriptError {
        problems: vec![Problem::syntax(file, error)],
    })?;
    let mut lines = indented(text);
    align(&mut lines);
    let mut out = String::new();
    for line in &lines {
        let empty = line.text.is_empty();
        if empty && (out.is_empty() || out.ends_with("\n\n")) {
            continue;
        }
        out.push_str(&line.text);
        out.push('\n');
    }
    let out = format!("{}\n", out.trim_end());
    // Whatever this function does not understand stays as it was.
    let plain = |text: &str| -> Option<hcl::Body> { Some(hcl_text::parse_body(text).ok()?.into()) };
    match (plain(text), plain(&out)) {
        (Some(before), Some(after)) if after == before => Ok(out),
        _ => Ok(text.to_owned()),
    }
}

/// A line, and whether it may be changed.
struct Line {
    text: String,
    depth: usize,
    /// Inside a text that goes over several lines.
    fixed: bool,
}

/// Where in the text a line begins.
#[derive(Default)]
struct State {
    depth: usize,
    comment: bool,
    /// The word that ends a heredoc.
    heredoc: Option<String>,
}

fn indented(text: &str) -> Vec<Line> {
    let mut state = State::default();
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(end) = state.heredoc.clone() {
            if line.trim() == end {
                state.heredoc = None;
            }
            lines.push(Line {
                text: line.to_owned(),
                depth: state.depth,
                fixed: true,
            });
            continue;
        }
        if state.comment {
            state.read(line);
            lines.push(Line {
                text: line.trim_end().to_owned(),
                depth: state.depth,
                fixed: true,
            });
            continue;
        }
        let trimmed = line.trim();
        let closing = trimmed
            .chars()
            .take_while(|c| matches!(c, '}' | ']' | ')'))
            .count();
        let depth = state.depth.saturating_sub(closing);
        let indent = if trimmed.is_empty() { 0 } else { depth };
        lines.push(Line {
            text: format!("{}{trimmed}", "  ".repeat(indent)),
            depth,
            fixed: false,
        });
        state.read(trimmed);
    }
    lines
}

impl State {
    /// Reads what a line opens and closes.
    fn read(&mut self, line: &str) {
        let chars: Vec<char> = line.chars().collect();
        let mut at = 0;
        let mut text = false;
        while at < chars.len() {
            let pair = (chars[at], chars.get(at + 1).copied());
            match pair {
                ('*', Some('/')) if self.comment => {
                    self.comment = false;
                    at += 1;
                }
                _ if self.comment => {}
                ('\\', _) if text => at += 1,
                ('"', _) => text = !text,
                _ if text => {}
                ('#', _) | ('/', Some('/')) => return,
                ('/', Some('*')) => {
                    self.comment = true;
                    at += 1;
                }
                ('<', Some('<')) => {
                    let word: String = chars[at + 2..].iter().collect();
                    let word = word.trim_start_matches('-').trim();
                    self.heredoc = Some(word.to_owned());
                    return;
                }
                ('{' | '[' | '(', _) => self.depth += 1,
                ('}' | ']' | ')', _) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
    }
}

/// Brings the `=` of neighbouring arguments into one column.
fn align(lines: &mut [Line]) {
    let mut from = 0;
    while from < lines.len() {
        let Some((_, depth)) = argument(&lines[from]).map(|(key, _)| (key, lines[from].depth))
        else {
            from += 1;
            continue;
        };
        let mut to = from;
        while to < lines.len() && lines[to].depth == depth && argument(&lines[to]).is_some() {
            to += 1;
        }
        let width = lines[from..to]
            .iter()
            .filter_map(|line| argument(line).map(|(key, _)| key.chars().count()))
            .max()
            .unwrap_or(0);
        for line in &mut lines[from..to] {
            let Some((key, value)) = argument(line) else {
                continue;
            };
            let indent = "  ".repeat(line.depth);
            line.text = format!("{indent}{key:<width$} = {value}");
        }
        from = to;
    }
}

/// Returns key and value of a line that is an argument.
fn argument(line: &Line) -> Option<(String, String)> {
    if line.fixed {
        return None;
    }
    let (key, value) = line.text.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let quoted = key.len() > 1 && key.starts_with('"') && key.ends_with('"');
    let plain = !key.is_empty() && (key.chars().all(word) || quoted);
    (plain && !value.starts_with('=')).then(|| (key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROOKED: &str = "\n\nscenario   \"x\" {\n    description=\"a {\"\n  # why\n\n\n\n\
        expect \"leader\" {\nwithin = \"15s\"  # long\n measured_as = \"leader_ms\"\n}\n\
        call {\n path = \"/v1/jobs\"\n check = {\n \"a.b\" = 1\n c = [\n1,\n2\n]\n }\n}\n}\n";

    #[test]
    fn a_crooked_script_is_straightened_and_says_the_same() {
        let straight = format("x", CROOKED).expect("it is HCL");
        assert_eq!(
            straight,
            "scenario   \"x\" {\n  description = \"a {\"\n  # why\n\n  expect \"leader\" {\n    \
             within      = \"15s\"  # long\n    measured_as = \"leader_ms\"\n  }\n  call {\n    \
             path  = \"/v1/jobs\"\n    check = {\n      \"a.b\" = 1\n      c     = [\n        \
             1,\n        2\n      ]\n    }\n  }\n}\n"
        );
    }

    #[test]
    fn what_is_straight_stays_as_it_is() {
        let once = format("x", CROOKED).expect("it is HCL");
        assert_eq!(format("x", &once), Ok(once));
    }

    #[test]
    fn what_is_no_hcl_is_told_with_its_place() {
        let error = format("x.hcl", "scenario {\n").expect_err("it does not end");
        assert!(error.to_string().starts_with("x.hcl:"), "{error}");
    }

    #[test]
    fn texts_over_several_lines_are_not_touched() {
        let text = "a = <<EOT\n   kept  \n  EOT\nb = 1\n/* one\n   two */\n";
        let out = format("x", text).expect("it is HCL");
        assert!(out.contains("\n   kept  \n"), "{out}");
        assert!(out.contains("/* one\n   two */"), "{out}");
    }
}
