//! Source files, and places in them: every value that is read carries the file and line it is from.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use agent::hcl_text;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Body;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// A place in a file, or an option of the command line, which has no lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    /// The file, as it was reached (`terraform/main.tf`); or the option (`--var size`).
    pub file: PathBuf,
    /// Line, from 1; 0 of an option.
    pub line: usize,
    /// Column, from 1, in characters; 0 of an option.
    pub column: usize,
}

impl Site {
    /// Returns the beginning of a file.
    #[must_use]
    pub fn start_of(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
        }
    }

    /// Returns an option of the command line, or a variable of the environment.
    #[must_use]
    pub fn option(name: &str) -> Self {
        Self {
            file: PathBuf::from(name),
            line: 0,
            column: 0,
        }
    }

    /// The place with its column: for errors, where the character counts.
    #[must_use]
    pub fn exact(&self) -> String {
        match self.line {
            0 => self.to_string(),
            _ => format!("{self}:{}", self.column),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// A text that is not what its kind of file must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}:{}: {message}", site.file.display(), site.line, site.column)]
pub struct SyntaxError {
    /// Where.
    pub site: Site,
    /// What was expected.
    pub message: String,
}

/// A file's text.
#[derive(Debug)]
pub struct Source {
    /// The file, as it was reached.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Reads a file. A byte order mark is no part of the language, and Terraform skips it too.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says, and text that is not UTF-8.
    pub fn read(path: &Path) -> std::io::Result<Arc<Self>> {
        Self::of(path, std::fs::read(path)?)
    }

    /// Returns what was read, under the path by which messages call it.
    ///
    /// # Errors
    ///
    /// Text that is not UTF-8.
    pub fn of(path: &Path, bytes: Vec<u8>) -> std::io::Result<Arc<Self>> {
        let text = String::from_utf8(bytes).map_err(|_| {
            let why = "stream did not contain valid UTF-8";
            std::io::Error::new(std::io::ErrorKind::InvalidData, why)
        })?;
        let text = agent::without_mark(&text).to_owned();
        Ok(Arc::new(Self {
            path: path.to_owned(),
            text,
        }))
    }

    /// Returns the place of a byte of the text.
    #[must_use]
    pub fn site(&self, offset: usize) -> Site {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Site {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// Where the text of an expression begins: expressions inside templates are parsed from pieces of a
/// file, and their spans count from the piece.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file.
    pub source: Arc<Source>,
    /// Offset of the piece in it, in bytes.
    pub base: usize,
}

impl Origin {
    /// Returns the whole of a file.
    #[must_use]
    pub fn whole(source: Arc<Source>) -> Self {
        Self { source, base: 0 }
    }

    /// Returns the place of a span of the piece.
    #[must_use]
    pub fn site(&self, span: Option<Range<usize>>) -> Site {
        self.source
            .site(self.base + span.map_or(0, |span| span.start))
    }

    /// Returns the text of a span of the piece.
    #[must_use]
    pub fn text(&self, span: Range<usize>) -> &str {
        self.source
            .text
            .get(self.base + span.start..self.base + span.end)
            .unwrap_or_default()
    }

    /// Returns the origin of a piece that begins `offset` bytes into this one.
    #[must_use]
    pub fn inner(&self, offset: usize) -> Self {
        Self {
            source: Arc::clone(&self.source),
            base: self.base + offset,
        }
    }
}

/// Parses a file's text as HCL.
///
/// # Errors
///
/// With line and column of the first character that does not fit.
pub fn parse_body(source: &Source) -> Result<Body, SyntaxError> {
    with_large_numbers(&source.text, hcl_text::parse_body).map_err(|error| SyntaxError {
        site: Site {
            file: source.path.clone(),
            line: error.line,
            column: error.column,
        },
        message: error.message,
    })
}

/// A number as it is written.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").expect("a valid pattern")
});

/// Parses a text in which numbers may be larger than the parser's own are: each that it does not take is 1 to
/// it, written in as many characters (`1e000`), so that all else stands where it stands. What it really is,
/// `eval` reads from the source.
fn with_large_numbers<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, hcl_text::SyntaxError>,
) -> Result<T, hcl_text::SyntaxError> {
    let mut masked = None;
    loop {
        match parse(masked.as_deref().unwrap_or(text)) {
            Ok(parsed) => return Ok(parsed),
            Err(error) => {
                let known = masked.as_deref().unwrap_or(text);
                match without_number_at(known, error.offset) {
                    Some(next) => masked = Some(next),
                    None => return Err(error),
                }
            }
        }
    }
}

/// The text with 1 in the place of a number that begins in its line, if that is too large for the parser.
fn without_number_at(text: &str, offset: usize) -> Option<String> {
    let offset = offset.min(text.len());
    let start = text.get(..offset)?.rfind('\n').map_or(0, |at| at + 1);
    let too_large = |number: &str| {
        let whole = number.bytes().all(|byte| byte.is_ascii_digit());
        match whole {
            true => number.parse::<u64>().is_err(),
            false => number.parse::<f64>().is_ok_and(f64::is_infinite),
        }
    };
    let numbers = NUMBER.find_iter(text.get(start..)?);
    let number = numbers
        .take_while(|found| start + found.start() <= offset)
        .find(|found| start + found.end() >= offset && too_large(found.as_str()))?;
    let (begin, end) = (start + number.start(), start + number.end());
    let one = format!("1e{}", "0".repeat(end - begin - 2));
    Some(format!("{}{one}{}", &text[..begin], &text[end..]))
}

/// An expression, and where it stands.
#[derive(Clone, Debug)]
pub struct Code {
    /// The expression.
    pub expr: Expression,
    /// What its spans count from.
    pub origin: Origin,
}

/// Parses the first `length` bytes of a piece of a file as an expression. Newlines are insignificant
/// in it, as they are between a template's braces.
///
/// # Errors
///
/// With line and column of the first character that does not fit.
pub fn parse_expression(origin: &Origin, length: usize) -> Result<Code, SyntaxError> {
    // The parser makes newlines insignificant between parentheses, so it gets a pair; hence spans
    // count from one byte before the piece, which a template's opening brace always has.
    let text = format!("({})", origin.text(0..length));
    match with_large_numbers(&text, hcl_text::parse_expr) {
        Ok(expr) => Ok(Code {
            expr,
            origin: Origin {
                source: Arc::clone(&origin.source),
                base: origin.base.saturating_sub(1),
            },
        }),
        Err(error) => Err(SyntaxError {
            site: origin
                .source
                .site(origin.base + error.offset.saturating_sub(1).min(length)),
            message: error.message,
        }),
    }
}
