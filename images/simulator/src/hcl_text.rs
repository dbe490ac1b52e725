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
}

/// Finds brackets, without understanding more than where texts and comments are.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    frames: Vec<Frame<'a>>,
}

impl<'a> Scan<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            frames: Vec::new(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Returns where the first bracket is that is nested too deeply.
    fn too_deep(mut self) -> Option<usize> {
        let mut outermost = Code {
            brace: true,
            ..Code::default()
        };
        while let Some(next) = self.rest().chars().next() {
            let start = self.at;
            self.at += next.len_utf8();
            let opened = match self.frames.last() {
                Some(Frame::Quoted) => self.in_quotes(next),
                Some(Frame::Heredoc(name)) => self.in_heredoc(name, next),
                Some(Frame::Code(_)) | None => self.in_code(next, &mut outermost),
            };
            if opened {
                let around = self.frames.iter().rev().find_map(|frame| match frame {
                    Frame::Code(code) => Some(*code),
                    _ => None,
                });
                let around = around.unwrap_or(outermost);
                let depth = around.depth + usize::from(around.operators >= 2);
                if depth > DEEPEST {
                    return Some(start);
                }
                self.frames.push(Frame::Code(Code {
                    brace: next == '{',
                    operators: 0,
                    depth,
                }));
            }
        }
        None
    }

    /// Whether this opens a bracket.
    fn in_code(&mut self, next: char, outermost: &mut Code) -> bool {
        let rest = self.rest();
        if let Some((name, skipped)) = heredoc(next, rest) {
            self.at += skipped;
            self.frames.push(Frame::Heredoc(name));
            return false;
        }
        match next {
            '(' | '[' | '{' => return true,
            ')' | ']' | '}' => drop(self.frames.pop()),
            '"' => self.frames.push(Frame::Quoted),
            '#' => self.skip(rest.find('\n')),
            '/' if rest.starts_with('/') => self.skip(rest.find('\n')),
            '/' if rest.starts_with('*') => self.skip(rest.find("*/").map(|at| at + 2)),
            _ => {
                let goes_on = self.goes_on();
                let code = match self.frames.last_mut() {
                    Some(Frame::Code(code)) => code,
                    _ => outermost,
                };
                match next {
                    ',' => code.operators = 0,
                    '\n' if code.brace && !goes_on => code.operators = 0,
                    '=' if !rest.starts_with('=') => {}
                    _ if is_of_operator(next) => code.operators += 1,
                    _ => {}
                }
            }
        }
        false
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

    /// Whether an operator stands right before or behind this line's end.
    fn goes_on(&self) -> bool {
        let before = self.text[..self.at].trim_end().chars().next_back();
        let behind = self.rest().trim_start().chars().next();
        [before, behind].into_iter().flatten().any(is_of_operator)
    }

    fn skip(&mut self, bytes: Option<usize>) {
        self.at += bytes.unwrap_or(self.rest().len());
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
