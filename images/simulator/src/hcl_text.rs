//! The one door to HCL's parser.
//!
//! `hcl-edit` reads an operand again where it does not parse after a second operator, and so takes twice as
//! long for each such bracket more around a fault: `x = a * b * (a * b * (a * b * (...`. Texts that nest them
//! deeper than anybody does are refused before they are parsed.

use hcl_edit::expr::Expression;
use hcl_edit::structure::Body;

/// How deep brackets behind two operators may be nested: as many doublings of the time are not felt.
const DEEPEST: usize = 10;

/// A text is no HCL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes before it.
    pub offset: usize,
    /// What is wrong, or what was expected.
    pub message: String,
}

impl From<hcl_edit::parser::Error> for SyntaxError {
    fn from(error: hcl_edit::parser::Error) -> Self {
        Self {
            line: error.location().line(),
            column: error.location().column(),
            offset: error.location().offset(),
            message: error.message().to_owned(),
        }
    }
}

/// Parses a file.
///
/// # Errors
/// With the place of what does not fit.
pub fn parse_body(text: &str) -> Result<Body, SyntaxError> {
    judge_depth(text)?;
    Ok(hcl_edit::parser::parse_body(text)?)
}

/// Parses an expression.
///
/// # Errors
/// With the place of what does not fit.
pub fn parse_expr(text: &str) -> Result<Expression, SyntaxError> {
    judge_depth(text)?;
    Ok(hcl_edit::parser::parse_expr(text)?)
}

fn judge_depth(text: &str) -> Result<(), SyntaxError> {
    let Some(offset) = Scan::of(text).too_deep() else {
        return Ok(());
    };
    let before = &text[..offset];
    let last = before.rsplit('\n').next().unwrap_or_default();
    Err(SyntaxError {
        line: before.matches('\n').count() + 1,
        column: last.chars().count() + 1,
        offset,
        message: format!(
            "brackets behind two operators are nested too deeply (expected at most {DEEPEST}: give a part of \
             it a name of its own)"
        ),
    })
}

/// What the scan is in.
enum Frame<'a> {
    /// A bracket, or the braces of a template.
    Code(Code),
    /// A quoted text.
    Quoted,
    /// A text between `<<NAME` and `NAME`.
    Heredoc(&'a str),
}

#[derive(Clone, Copy, Default)]
struct Code {
    /// Whether it is a brace, in which lines are things of their own.
    brace: bool,
    /// Characters of operators since the last comma, or the last line of a brace.
    operators: usize,
    /// How many brackets behind two operators it is in.
    depth: usize,
    /// The last character that is no blank and of no comment.
    last: char,
    /// Whether a line ended since.
    line_ended: bool,
}

/// Finds brackets, without understanding more than where texts and comments are.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// The first is the text itself.
    frames: Vec<Frame<'a>>,
}

impl<'a> Scan<'a> {
    fn of(text: &'a str) -> Self {
        let whole = Code {
            brace: true,
            ..Code::default()
        };
        Self {
            text,
            at: 0,
            frames: vec![Frame::Code(whole)],
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Returns where the first bracket is that is nested too deeply.
    fn too_deep(mut self) -> Option<usize> {
        while let Some(next) = self.rest().chars().next() {
            let start = self.at;
            self.at += next.len_utf8();
            let opened = match self.frames.last() {
                Some(Frame::Quoted) => self.in_quotes(next),
                Some(Frame::Heredoc(name)) => self.in_heredoc(name, next),
                Some(Frame::Code(_)) | None => self.in_code(next),
            };
            if !opened {
                continue;
            }
            let mut around = self.frames.iter().rev();
            let around = around.find_map(|frame| match frame {
                Frame::Code(code) => Some(code.depth + usize::from(code.operators >= 2)),
                _ => None,
            });
            let depth = around.unwrap_or_default();
            if depth > DEEPEST {
                return Some(start);
            }
            self.frames.push(Frame::Code(Code {
                brace: next == '{',
                depth,
                ..Code::default()
            }));
        }
        None
    }

    /// Whether this opens a bracket.
    fn in_code(&mut self, next: char) -> bool {
        let rest = self.rest();
        match next {
            '#' => self.skip(rest.find('\n')),
            '/' if rest.starts_with('/') => self.skip(rest.find('\n')),
            '/' if rest.starts_with('*') => self.skip(rest.find("*/").map(|at| at + 2)),
            _ => return self.in_expression(next, rest),
        }
        false
    }

    fn in_expression(&mut self, next: char, rest: &'a str) -> bool {
        let Some(Frame::Code(code)) = self.frames.last_mut() else {
            return false;
        };
        code.count(next, rest);
        if let Some((name, skipped)) = heredoc(next, rest) {
            self.at += skipped;
            self.frames.push(Frame::Heredoc(name));
            return false;
        }
        match next {
            '"' => self.frames.push(Frame::Quoted),
            ')' | ']' | '}' if self.frames.len() > 1 => drop(self.frames.pop()),
            _ => {}
        }
        matches!(next, '(' | '[' | '{')
    }

    fn in_quotes(&mut self, next: char) -> bool {
        match next {
            '\\' => self.skip(self.rest().chars().next().map(char::len_utf8)),
            // A quoted text has one line: what is wrong is told by the parser.
            '"' | '\n' => drop(self.frames.pop()),
            '$' | '%' => return self.opens_template(next),
            _ => {}
        }
        false
    }

    fn in_heredoc(&mut self, name: &str, next: char) -> bool {
        match next {
            '\n' => {
                let line = self.rest().lines().next().unwrap_or_default();
                if line.trim() == name {
                    self.at += line.len();
                    self.frames.pop();
                }
            }
            '$' | '%' => return self.opens_template(next),
            _ => {}
        }
        false
    }

    /// Whether `${` or `%{` begins here, and not their escape.
    fn opens_template(&mut self, sign: char) -> bool {
        let rest = self.rest();
        let escaped = rest.starts_with(sign) && rest[1..].starts_with('{');
        if escaped {
            self.at += 2;
        } else if rest.starts_with('{') {
            self.at += 1;
            return true;
        }
        false
    }

    fn skip(&mut self, bytes: Option<usize>) {
        self.at += bytes.unwrap_or(self.rest().len());
    }
}

impl Code {
    /// Counts operators. A line of a brace is a thing of its own, if no operator ends it or begins the next.
    fn count(&mut self, next: char, rest: &str) {
        if next == '\n' {
            self.line_ended = true;
        }
        if next.is_whitespace() {
            return;
        }
        let goes_on = is_of_operator(next) || is_of_operator(self.last);
        if next == ',' || (self.brace && self.line_ended && !goes_on) {
            self.operators = 0;
        }
        // A single `=` gives a value.
        let gives = next == '=' && self.last != '=' && !rest.starts_with('=');
        if is_of_operator(next) && !gives {
            self.operators += 1;
        }
        self.last = next;
        self.line_ended = false;
    }
}

fn is_of_operator(sign: char) -> bool {
    "=!<>+-*/%&|".contains(sign)
}

/// Returns the name of a heredoc, if one begins with this character, and how long the rest of its line is.
fn heredoc(next: char, rest: &str) -> Option<(&str, usize)> {
    let behind = rest.strip_prefix('<').filter(|_| next == '<')?;
    let line = behind.strip_prefix('-').unwrap_or(behind);
    let line = &line[..line.find('\n')?];
    let name = line.trim();
    let is_name = name
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    // The end of the line is read as that of a line of the text.
    let skipped = rest.find('\n')?;
    (is_name && !name.is_empty()).then_some((name, skipped))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// What is put around a fault, as often as `many`.
    const AROUND: [&str; 7] = [
        "a*b/{m=",
        "a*b*(",
        "a==b&&(",
        "a*b/\"${",
        "a%b%{k=",
        "a*b*[(",
        "a\n*b\n*(",
    ];

    #[test]
    fn what_is_wrong_in_many_brackets_is_told_at_once() {
        for around in AROUND {
            for fault in [
                "",
                "c",
                "/*",
                "<<E\nx",
                "\"",
                "\"\n",
                "${",
                "99999999999999999999",
                "a.b.",
                "\"${\"",
            ] {
                for many in [5, 10, 11, 60] {
                    let text = format!("x = (({}{fault}", around.repeat(many));
                    let began = Instant::now();
                    let told = parse_body(&text).expect_err(&text);
                    parse_expr(&text[4..]).expect_err(&text);
                    let took = began.elapsed();
                    assert!(took < Duration::from_secs(5), "{took:?}: {text}");
                    let refused = told.message.contains("nested too deeply");
                    assert_eq!(refused, many > 10, "{text}: {told}");
                }
            }
        }
    }

    #[test]
    fn the_bracket_that_is_too_deep_has_its_place() {
        let text = format!("é = 1\ny = \"é${{{}1", "a*b*(".repeat(12));
        let error = parse_body(&text).unwrap_err();
        assert_eq!((error.line, error.column), (2, 8 + 5 * 11));
        assert_eq!(text[error.offset..].chars().next(), Some('('));
    }

    #[test]
    fn texts_comments_and_what_stands_side_by_side_are_not_deep() {
        let opened = "a-b-(".repeat(50);
        let aside = "x = [(a*b*c), (a*b*c), {\n k = a*b*c\n l = (a*b*c)\n}]\n".repeat(50);
        let lines = (0..50).fold(String::new(), |text, n| format!("{text}a{n} = 1 - 2 - 3\n"));
        let blocks = format!("b {{\n{lines}").repeat(30) + &"}\n".repeat(30);
        for text in [
            format!("x = \"{opened}\"\n"),
            format!("x = \"$${{{opened}\"\n"),
            format!("x = \"\\\"{opened}\"\n"),
            format!("# {opened}\n// {opened}\n/* {opened}\n */\n"),
            format!("x = <<E\n{opened}\n\"{opened}\nE\n"),
            format!("x = <<-E\n  {opened}\n  ${{a}} %%{{ {opened}\n  E\n"),
            aside.replace("x =", "x {\n y =").replace("}]\n", "}]\n}\n"),
            blocks,
        ] {
            let own = hcl_edit::parser::parse_body(&text).map_err(SyntaxError::from);
            assert!(own.is_ok(), "{own:?}");
            assert_eq!(parse_body(&text), own);
        }
    }
}
