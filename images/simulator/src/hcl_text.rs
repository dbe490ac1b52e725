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
    parsed(text, hcl_edit::parser::parse_body)
}

/// Parses an expression.
///
/// # Errors
/// With the place of what does not fit.
pub fn parse_expr(text: &str) -> Result<Expression, SyntaxError> {
    parsed(text, hcl_edit::parser::parse_expr)
}

fn parsed<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, hcl_edit::parser::Error>,
) -> Result<T, SyntaxError> {
    let scan = Scan::of(text).scanned();
    if let Some(offset) = scan.too_deep {
        let told = format!(
            "brackets behind two operators are nested too deeply (expected at most {DEEPEST}: give a part of \
             it a name of its own)"
        );
        return Err(at(text, offset, told));
    }
    parse(text).map_err(|error| {
        let error = SyntaxError::from(error);
        // The parser tells where it gave up; what is not closed begins before.
        match (scan.unclosed_text, scan.unclosed) {
            (Some(begin), _) => {
                let told = "this text is not closed: expected `\"` in the same line";
                at(text, begin, told.to_owned())
            }
            (None, Some((begin, bracket))) if error.offset + 1 >= text.trim_end().len() => {
                let told = format!("this `{bracket}` is not closed: {}", error.message);
                at(text, begin, told)
            }
            _ => error,
        }
    })
}

/// An error at an offset of the text.
fn at(text: &str, offset: usize, message: String) -> SyntaxError {
    let before = &text[..offset];
    let last = before.rsplit('\n').next().unwrap_or_default();
    SyntaxError {
        line: before.matches('\n').count() + 1,
        column: last.chars().count() + 1,
        offset,
        message,
    }
}

/// What the scan is in.
enum Frame<'a> {
    /// A bracket, or the braces of a template.
    Code(Code),
    /// A quoted text: where it begins.
    Quoted(usize),
    /// A text between `<<NAME` and `NAME`.
    Heredoc(&'a str),
}

#[derive(Clone, Copy, Default)]
struct Code {
    /// Where it begins, and by what; the text itself by nothing.
    begin: Option<(usize, char)>,
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
    /// The first bracket that is nested too deeply: nothing behind it is looked at.
    too_deep: Option<usize>,
    /// The first quoted text whose line ends before it does.
    unclosed_text: Option<usize>,
    /// The innermost bracket that is open at the end.
    unclosed: Option<(usize, char)>,
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
            too_deep: None,
            unclosed_text: None,
            unclosed: None,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn scanned(mut self) -> Self {
        while let Some(next) = self.rest().chars().next() {
            let start = self.at;
            self.at += next.len_utf8();
            let opened = match self.frames.last() {
                Some(Frame::Quoted(begin)) => self.in_quotes(next, *begin),
                Some(Frame::Heredoc(name)) => self.in_heredoc(name, next),
                Some(Frame::Code(_)) | None => self.in_code(next),
            };
            if !opened {
                continue;
            }
            let depth =
                { self.around() }.map_or(0, |code| code.depth + usize::from(code.operators >= 2));
            if depth > DEEPEST {
                self.too_deep = Some(start);
                return self;
            }
            self.frames.push(Frame::Code(Code {
                begin: Some((start, if "$%".contains(next) { '{' } else { next })),
                brace: next == '{',
                depth,
                ..Code::default()
            }));
        }
        if let Some(Frame::Quoted(begin)) = self.frames.last() {
            self.unclosed_text.get_or_insert(*begin);
        }
        self.unclosed = self.around().and_then(|code| code.begin);
        self
    }

    /// The innermost bracket.
    fn around(&self) -> Option<&Code> {
        let mut frames = self.frames.iter().rev();
        frames.find_map(|frame| match frame {
            Frame::Code(code) => Some(code),
            _ => None,
        })
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
            '"' => self.frames.push(Frame::Quoted(self.at - 1)),
            ')' | ']' | '}' if self.frames.len() > 1 => drop(self.frames.pop()),
            _ => {}
        }
        matches!(next, '(' | '[' | '{')
    }

    fn in_quotes(&mut self, next: char, begin: usize) -> bool {
        match next {
            '\\' => self.skip(self.rest().chars().next().map(char::len_utf8)),
            '"' => drop(self.frames.pop()),
            '\n' => {
                self.unclosed_text.get_or_insert(begin);
                self.frames.pop();
            }
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
    fn what_is_not_closed_is_told_where_it_begins() {
        for (text, line, column, told) in [
            ("a {\n  b = 1\n\n\n", 1, 3, "this `{` is not closed: "),
            (
                "a {\n  b {\n    c = 1\n}\n",
                1,
                3,
                "this `{` is not closed: ",
            ),
            ("é = 1\nx = [1,\n", 2, 5, "this `[` is not closed: "),
            ("x = f(1\n", 1, 6, "this `(` is not closed: "),
            (
                "a {\n  ami = \"x\n  b = 1\n}\n",
                2,
                9,
                "this text is not closed",
            ),
            ("x = \"abc", 1, 5, "this text is not closed"),
            ("x = \"${a", 1, 6, "this `{` is not closed: "),
        ] {
            let error = parse_body(text).unwrap_err();
            assert!(error.message.starts_with(told), "{text}: {error:?}");
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text}: {error}"
            );
        }
        // What is wrong before is told of that place.
        let error = parse_body("a = = 1\nb {\n").unwrap_err();
        assert_eq!((error.line, error.column), (1, 5), "{error}");
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
