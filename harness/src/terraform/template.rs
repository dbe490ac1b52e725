//! Templates: quoted strings, heredocs, and the files of `templatefile`.
//!
//! Why not the parser's own: the user data that comes out must be equal to Terraform's byte by byte,
//! and three rules of HCL are finer than it has them. `~` strips the neighbouring *token*, which ends
//! with its line; `<<-` counts the indentation over literals inside directives too; and text between
//! directives of a quoted string has escapes. So the text is cut here, and only the expressions in it
//! go to the parser.

use super::source::{Code, Origin, SyntaxError, parse_expression};

/// What a template is written as: escapes and ends differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Between quotes: backslash escapes.
    Quoted,
    /// `<<EOT`, or a whole file.
    Plain,
    /// `<<-EOT`: the smallest indentation of all lines is removed.
    Flush,
}

/// A piece of a template.
#[derive(Clone, Debug)]
pub enum Node {
    /// Text.
    Literal(String),
    /// `${ expression }`
    Value(Box<Code>),
    /// `%{ if condition }`
    If {
        /// The condition.
        condition: Box<Code>,
        /// What stands if it holds.
        then: Vec<Node>,
        /// What stands otherwise.
        otherwise: Vec<Node>,
    },
    /// `%{ for key, value in collection }`
    For {
        /// Name of the key, if asked for.
        key: Option<String>,
        /// Name of the value.
        value: String,
        /// What is gone through.
        collection: Box<Code>,
        /// What stands once per element.
        body: Vec<Node>,
    },
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Value(Code),
    If(Code),
    Else,
    EndIf,
    For {
        key: Option<String>,
        value: String,
        collection: Code,
    },
    EndFor,
}

/// Parses the first `length` bytes of a piece of a file as a template.
///
/// # Errors
///
/// With the place of the directive that is not closed or of the expression that does not parse.
pub fn parse(origin: &Origin, length: usize, style: Style) -> Result<Vec<Node>, SyntaxError> {
    let mut parts = Cutter {
        origin,
        end: length,
        style,
    }
    .cut()?;
    if style == Style::Flush {
        flush(&mut parts);
    }
    let mut parts = parts.into_iter().peekable();
    let nodes = tree(&mut parts)?;
    match parts.next() {
        None => Ok(nodes),
        Some((_, offset)) => Err(SyntaxError {
            site: origin.site(Some(offset..offset)),
            message: "a directive that closes nothing".to_owned(),
        }),
    }
}

type Placed = (Part, usize);

struct Cutter<'a> {
    origin: &'a Origin,
    end: usize,
    style: Style,
}

impl Cutter<'_> {
    fn cut(&self) -> Result<Vec<Placed>, SyntaxError> {
        let text = self.origin.text(0..self.end);
        let mut parts: Vec<Placed> = Vec::new();
        let mut at = 0;
        let mut strip_next = false;
        while at < text.len() {
            let rest = &text[at..];
            if rest.starts_with("${") || rest.starts_with("%{") {
                let open = at;
                let close = matching_brace(text, at + 2)
                    .ok_or_else(|| self.error(open, "a template sequence that is not closed"))?;
                let inner_start = at + 2 + usize::from(rest[2..].starts_with('~'));
                if inner_start > at + 2 {
                    strip_end(parts.last_mut());
                }
                let tilde = text[..close].ends_with('~') && close > inner_start;
                let inner_end = close - usize::from(tilde);
                let part = if rest.starts_with('$') {
                    Part::Value(self.expression(inner_start, inner_end)?)
                } else {
                    self.directive(inner_start, inner_end)?
                };
                parts.push((part, open));
                strip_next = tilde;
                at = close + 1;
            } else {
                let length = literal_length(rest);
                let mut literal = self.unescape(&rest[..length], at)?;
                if std::mem::take(&mut strip_next) {
                    literal = literal.trim_start().to_owned();
                }
                parts.push((Part::Literal(literal), at));
                at += length;
            }
        }
        Ok(parts)
    }

    fn expression(&self, start: usize, end: usize) -> Result<Code, SyntaxError> {
        parse_expression(&self.origin.inner(start), end - start)
    }

    fn directive(&self, start: usize, end: usize) -> Result<Part, SyntaxError> {
        let text = self.origin.text(start..end);
        let trimmed = text.trim_start();
        let keyword: String = trimmed
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let after = start + (text.len() - trimmed.len()) + keyword.len();
        match keyword.as_str() {
            "if" => Ok(Part::If(self.expression(after, end)?)),
            "else" => Ok(Part::Else),
            "endif" => Ok(Part::EndIf),
            "endfor" => Ok(Part::EndFor),
            "for" => self.for_directive(after, end),
            other => Err(self.error(
                start,
                &format!(
                    "unknown directive `{other}`; there are `if`, `else`, `endif`, `for`, `endfor`"
                ),
            )),
        }
    }

    fn for_directive(&self, start: usize, end: usize) -> Result<Part, SyntaxError> {
        let text = self.origin.text(start..end);
        let (names, _) = text
            .split_once(" in ")
            .or_else(|| text.split_once(" in\n"))
            .ok_or_else(|| self.error(start, "`for` without `in`"))?;
        let collection = self.expression(start + names.len() + " in ".len(), end)?;
        let mut names = names.split(',').map(|name| name.trim().to_owned());
        let (first, second) = (names.next().unwrap_or_default(), names.next());
        Ok(match second {
            Some(value) => Part::For {
                key: Some(first),
                value,
                collection,
            },
            None => Part::For {
                key: None,
                value: first,
                collection,
            },
        })
    }

    fn unescape(&self, raw: &str, at: usize) -> Result<String, SyntaxError> {
        let raw = raw.replace("$${", "${").replace("%%{", "%{");
        if self.style != Style::Quoted || !raw.contains('\\') {
            return Ok(raw);
        }
        let mut text = String::with_capacity(raw.len());
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                text.push(c);
                continue;
            }
            let digits = match chars.next() {
                Some('n') => {
                    text.push('\n');
                    continue;
                }
                Some('r') => {
                    text.push('\r');
                    continue;
                }
                Some('t') => {
                    text.push('\t');
                    continue;
                }
                Some(same @ ('"' | '\\')) => {
                    text.push(same);
                    continue;
                }
                Some('u') => 4,
                Some('U') => 8,
                _ => {
                    return Err(self.error(
                        at,
                        "an escape that is none of \\n \\r \\t \\\" \\\\ \\u \\U",
                    ));
                }
            };
            let code: String = chars.by_ref().take(digits).collect();
            let decoded = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
            text.push(decoded.ok_or_else(|| self.error(at, "an escape that is no character"))?);
        }
        Ok(text)
    }

    fn error(&self, offset: usize, message: &str) -> SyntaxError {
        SyntaxError {
            site: self.origin.site(Some(offset..offset)),
            message: message.to_owned(),
        }
    }
}

/// Length of the literal token at the beginning: to the next sequence, or to the end of the line.
fn literal_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if text[at..].starts_with("$${") || text[at..].starts_with("%%{") {
            at += 3;
        } else if at > 0 && (text[at..].starts_with("${") || text[at..].starts_with("%{")) {
            return at;
        } else if bytes[at] == b'\n' {
            return at + 1;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    bytes.len()
}

fn strip_end(last: Option<&mut Placed>) {
    if let Some((Part::Literal(literal), _)) = last {
        literal.truncate(literal.trim_end().len());
    }
}

/// Offset of the brace that closes the sequence whose inside begins at `start`.
fn matching_brace(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'"' => at = closing_quote(text, at + 1)?,
            b'#' => at += text[at..].find('\n')?,
            b'/' if text[at..].starts_with("//") => at += text[at..].find('\n')?,
            b'/' if text[at..].starts_with("/*") => at += text[at..].find("*/")? + 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Offset of the quote that closes the string whose inside begins at `start`.
fn closing_quote(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Some(at),
            b'\\' => at += 1,
            b'$' | b'%'
                if text[at + 1..].starts_with(&text[at..=at])
                    && text[at + 2..].starts_with('{') =>
            {
                at += 2
            }
            b'$' | b'%' if text[at + 1..].starts_with('{') => at = matching_brace(text, at + 2)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Removes the smallest indentation of all lines. Only literals that begin a line count; a sequence at
/// the beginning of a line is an indentation of none.
fn flush(parts: &mut [Placed]) {
    let mut smallest = usize::MAX;
    let mut line_starts = Vec::new();
    let mut at_line_start = true;
    for (index, (part, _)) in parts.iter().enumerate() {
        let literal = if let Part::Literal(literal) = part {
            Some(literal.as_str())
        } else {
            None
        };
        if at_line_start {
            match literal {
                // Blank lines do not count.
                Some(text) if text.trim_start().is_empty() && text.ends_with('\n') => {}
                Some(text) => {
                    smallest = smallest.min(text.chars().take_while(|c| c.is_whitespace()).count());
                    line_starts.push(index);
                }
                None => smallest = 0,
            }
        }
        at_line_start = literal.is_some_and(|text| text.ends_with('\n'));
    }
    if smallest == usize::MAX {
        return;
    }
    for index in line_starts {
        if let Part::Literal(literal) = &mut parts[index].0 {
            *literal = literal.chars().skip(smallest).collect();
        }
    }
}

type Parts = std::iter::Peekable<std::vec::IntoIter<Placed>>;

fn tree(parts: &mut Parts) -> Result<Vec<Node>, SyntaxError> {
    let mut nodes = Vec::new();
    while let Some((part, _)) = parts.peek() {
        if matches!(part, Part::Else | Part::EndIf | Part::EndFor) {
            break;
        }
        let (part, _) = parts.next().expect("just peeked at");
        nodes.push(match part {
            Part::Literal(text) => Node::Literal(text),
            Part::Value(code) => Node::Value(Box::new(code)),
            Part::If(condition) => if_node(condition, parts)?,
            Part::For {
                key,
                value,
                collection,
            } => {
                let body = tree(parts)?;
                expect(
                    parts,
                    |part| matches!(part, Part::EndFor),
                    &collection,
                    "`for` without `endfor`",
                )?;
                Node::For {
                    key,
                    value,
                    collection: Box::new(collection),
                    body,
                }
            }
            Part::Else | Part::EndIf | Part::EndFor => unreachable!("the loop ends before these"),
        });
    }
    Ok(nodes)
}

fn if_node(condition: Code, parts: &mut Parts) -> Result<Node, SyntaxError> {
    let then = tree(parts)?;
    let otherwise = if matches!(parts.peek(), Some((Part::Else, _))) {
        parts.next();
        tree(parts)?
    } else {
        Vec::new()
    };
    expect(
        parts,
        |part| matches!(part, Part::EndIf),
        &condition,
        "`if` without `endif`",
    )?;
    Ok(Node::If {
        condition: Box::new(condition),
        then,
        otherwise,
    })
}

fn expect(
    parts: &mut Parts,
    wanted: fn(&Part) -> bool,
    opener: &Code,
    message: &str,
) -> Result<(), SyntaxError> {
    match parts.next() {
        Some((part, _)) if wanted(&part) => Ok(()),
        _ => Err(SyntaxError {
            site: opener.origin.site(None),
            message: message.to_owned(),
        }),
    }
}
