//! YAML, byte by byte as Terraform's `yamlencode` writes it: keys and texts in double quotes, texts of several
//! lines as blocks.

use super::{Entry, Needs};
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[("yamlencode", Needs::Everything, |args| {
    let value = args.get(0)?;
    let mut writer = Writer::default();
    let inner = match value {
        Value::String(_) => writer.value(value, 0),
        Value::Object(_) | Value::Map(_) => writer.mapping(value, 0),
        value if value.elements().is_some() => writer.sequence(value, 0),
        _ => None,
    };
    Ok(match inner {
        Some(()) => Value::String(writer.text),
        None => args.unsupported("a form of YAML that is not written here"),
    })
})];

/// Columns after which a text in quotes goes on in the next line.
const WIDTH: usize = 80;
/// Longer keys are written in another way.
const LONGEST_KEY: usize = 100;

#[derive(Default)]
struct Writer {
    text: String,
}

/// `None` is a form that is not written here.
type Written = Option<()>;

impl Writer {
    fn column(&self) -> usize {
        let line = self.text.rfind('\n').map_or(0, |end| end + 1);
        self.text[line..].chars().count()
    }

    fn indent(&mut self, depth: usize) {
        self.text.push_str(&" ".repeat(depth));
    }

    /// Elements of a list; the first begins where the writer stands.
    fn sequence(&mut self, value: &Value, depth: usize) -> Written {
        let elements = value.elements()?;
        if elements.is_empty() {
            self.text.push_str("[]\n");
        }
        for (at, element) in elements.iter().enumerate() {
            if at > 0 {
                self.indent(depth);
            }
            self.text.push_str("- ");
            match element {
                Value::Object(_) | Value::Map(_) => self.mapping(element, depth + 2)?,
                element if element.elements().is_some() => self.sequence(element, depth + 2)?,
                element => self.value(element, depth + 2)?,
            }
        }
        Some(())
    }

    /// Members of an object; the first begins where the writer stands.
    fn mapping(&mut self, value: &Value, depth: usize) -> Written {
        let members = value.attributes()?;
        if members.is_empty() {
            self.text.push_str("{}\n");
        }
        for (at, (name, member)) in members.iter().enumerate() {
            if name.len() > LONGEST_KEY || name.contains('\n') {
                return None;
            }
            if at > 0 {
                self.indent(depth);
            }
            self.quoted(name, None);
            self.text.push(':');
            let nested = member.attributes().map(|inner| inner.is_empty());
            let listed = member.elements().map(<[Value]>::is_empty);
            match (nested, listed) {
                (Some(false), _) => {
                    self.text.push('\n');
                    self.indent(depth + 2);
                    self.mapping(member, depth + 2)?;
                }
                (_, Some(false)) => {
                    self.text.push('\n');
                    self.indent(depth);
                    self.sequence(member, depth)?;
                }
                (Some(true), _) => self.text.push_str(" {}\n"),
                (_, Some(true)) => self.text.push_str(" []\n"),
                (None, None) => {
                    self.text.push(' ');
                    self.value(member, depth + 2)?;
                }
            }
        }
        Some(())
    }

    /// A value of one part, and the end of its line. What goes on in further lines is indented to `depth`.
    fn value(&mut self, value: &Value, depth: usize) -> Written {
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(value) => self.text.push_str(&value.to_string()),
            Value::Number(number) => self.text.push_str(&number.decimal()?),
            Value::String(text) if is_block(text) => return self.block(text, depth.max(2)),
            Value::String(text) => self.quoted(text, Some(depth.max(2))),
            _ => return None,
        }
        self.text.push('\n');
        Some(())
    }

    fn block(&mut self, text: &str, depth: usize) -> Written {
        // Neither at the end of a document nor with line ends of its own is this written as elsewhere.
        if text.ends_with("\n\n") || text == "\n" || text.contains(['\u{2028}', '\u{2029}']) {
            return None;
        }
        self.text.push('|');
        if text.starts_with([' ', '\n']) {
            self.text.push('2');
        }
        if !text.ends_with('\n') {
            self.text.push('-');
        }
        self.text.push('\n');
        for line in text.lines() {
            if !line.is_empty() {
                self.indent(depth);
                self.text.push_str(line);
            }
            self.text.push('\n');
        }
        Some(())
    }

    /// A text in quotes, broken at spaces where it gets long and may be.
    fn quoted(&mut self, text: &str, depth: Option<usize>) {
        self.text.push('"');
        let mut spaces = false;
        let chars: Vec<char> = text.chars().collect();
        for (at, c) in chars.iter().copied().enumerate() {
            let inside = at > 0 && at + 1 < chars.len();
            match depth {
                Some(depth) if c == ' ' && !spaces && inside && self.column() > WIDTH => {
                    self.text.push('\n');
                    self.indent(depth);
                    if chars[at + 1] == ' ' {
                        self.text.push('\\');
                    }
                }
                _ => self.char(c),
            }
            spaces = c == ' ';
        }
        self.text.push('"');
    }

    fn char(&mut self, c: char) {
        let short = match c {
            '"' | '\\' => Some(c),
            '\0' => Some('0'),
            '\u{7}' => Some('a'),
            '\u{8}' => Some('b'),
            '\t' => Some('t'),
            '\n' => Some('n'),
            '\u{b}' => Some('v'),
            '\u{c}' => Some('f'),
            '\r' => Some('r'),
            '\u{1b}' => Some('e'),
            '\u{85}' => Some('N'),
            '\u{2028}' => Some('L'),
            '\u{2029}' => Some('P'),
            _ => None,
        };
        match (short, u32::from(c)) {
            (Some(short), _) => self.text.extend(['\\', short]),
            (None, _) if is_printable(c) => self.text.push(c),
            (None, code @ ..=0xff) => self.text.push_str(&format!("\\x{code:02X}")),
            (None, code @ ..=0xffff) => self.text.push_str(&format!("\\u{code:04X}")),
            (None, code) => self.text.push_str(&format!("\\U{code:08X}")),
        }
    }
}

/// Whether a text is written as a block of lines.
fn is_block(text: &str) -> bool {
    let printable = |c: char| c == '\n' || is_printable(c);
    text.contains('\n')
        && !text.contains(" \n")
        && !text.ends_with(' ')
        && text.chars().all(printable)
}

fn is_printable(c: char) -> bool {
    let ranges = [' '..='~', '\u{a0}'..='\u{d7ff}', '\u{e000}'..='\u{fffd}'];
    c != '\u{feff}' && ranges.iter().any(|range| range.contains(&c))
}
