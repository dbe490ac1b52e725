//! HCL 1, the language of Nomad's agent configuration, into a tree of values.
//!
//! Not the HCL 2 of job files: here keys may be quoted (`options { "driver.allowlist" = "x" }`)
//! and there are no expressions, and crates for HCL 2 refuse the former. `a "b" { }` means
//! `a = { b = { } }`, as in HashiCorp's own decoder.

use std::iter::Peekable;
use std::str::CharIndices;

/// How deep blocks and lists may be nested: Nomad's own are nested five deep.
const DEEPEST: usize = 64;

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1; 0 in JSON.
    pub line: usize,
    /// Column in characters, from 1; 0 in JSON.
    pub column: usize,
}

/// What a key is set to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Quoted, or between `<<MARK` and `MARK`.
    Text(String),
    /// Of either kind.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `[...]`.
    List(Vec<Value>),
    /// `{...}`, with or without `=` before it.
    Block(Block),
}

/// Keys and values in the order of the file; a key stands in it once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// What is in it.
    pub items: Vec<Item>,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The key, without quotes.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where the key stands that gives the value.
    pub at: Position,
}

impl Block {
    /// Adds an item: blocks are merged, lists are joined, anything else is replaced.
    pub(super) fn put(&mut self, item: Item) {
        let Some(old) = self.items.iter_mut().find(|old| old.key == item.key) else {
            self.items.push(item);
            return;
        };
        match (&mut old.value, item.value) {
            (Value::Block(old), Value::Block(new)) => old.merge(new),
            (Value::List(old), Value::List(new)) => {
                for value in new {
                    if !old.contains(&value) {
                        old.push(value);
                    }
                }
            }
            (value, new) => {
                *value = new;
                old.at = item.at;
            }
        }
    }

    /// Adds every item of `other`: its values win.
    pub(super) fn merge(&mut self, other: Self) {
        for item in other.items {
            self.put(item);
        }
    }
}

/// Where and why the text is not HCL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The place.
    pub at: Position,
    /// What is wrong there.
    pub problem: String,
}

/// Parses a file.
///
/// # Errors
/// Where the text is not HCL 1.
pub fn parse(text: &str) -> Result<Block, SyntaxError> {
    let mut parser = Parser {
        text,
        chars: text.char_indices().peekable(),
        at: Position { line: 1, column: 1 },
        depth: 0,
    };
    parser.items(None)
}

struct Parser<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    at: Position,
    /// How many blocks and lists it is in.
    depth: usize,
}

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.chars.next()?;
        if c == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    /// Byte offset of the next character.
    fn offset(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn rest(&mut self) -> &str {
        let from = self.offset();
        &self.text[from..]
    }

    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError {
            at: self.at,
            problem: problem.into(),
        })
    }

    fn unexpected<T>(&mut self, wanted: &str) -> Result<T, SyntaxError> {
        let found = self
            .peek()
            .map_or_else(|| "the end of the file".to_owned(), |c| format!("`{c}`"));
        self.fail(format!("expected {wanted}, found {found}"))
    }

    /// Skips white space and comments, and commas where `commas`.
    fn skip(&mut self, commas: bool) -> Result<(), SyntaxError> {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() || (commas && c == ',') => {
                    self.next();
                }
                Some('#') => self.skip_line(),
                Some('/') if self.rest().starts_with("//") => self.skip_line(),
                Some('/') if self.rest().starts_with("/*") => {
                    let Some(length) = self.rest().find("*/") else {
                        return self.fail("comment is not closed");
                    };
                    let end = self.offset() + length + 2;
                    while self.offset() < end {
                        self.next();
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.next();
        }
    }

    /// Takes the bracket that opens and reads what is in it.
    fn within<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth == DEEPEST {
            return self.fail(format!("nested deeper than {DEEPEST} brackets"));
        }
        self.next();
        self.depth += 1;
        let inner = read(self)?;
        self.depth -= 1;
        Ok(inner)
    }

    /// Items up to `close` (or the end of the file), which is taken too.
    fn items(&mut self, close: Option<char>) -> Result<Block, SyntaxError> {
        let mut block = Block::default();
        loop {
            self.skip(close.is_some())?;
            match (self.peek(), close) {
                (None, None) => return Ok(block),
                (Some(c), Some(close)) if c == close => {
                    self.next();
                    return Ok(block);
                }
                _ => {
                    let item = self.item()?;
                    block.put(item);
                }
            }
        }
    }

    fn item(&mut self) -> Result<Item, SyntaxError> {
        let at = self.at;
        let mut keys = vec![self.key()?];
        loop {
            self.skip(false)?;
            match self.peek() {
                Some('=' | ':') => {
                    self.next();
                    self.skip(false)?;
                    let value = self.value()?;
                    return Ok(nest(keys, value, at));
                }
                Some('{') => {
                    let block = self.within(|parser| parser.items(Some('}')))?;
                    return Ok(nest(keys, Value::Block(block), at));
                }
                Some(c) if c == '"' || is_key(c) => {
                    if keys.len() == DEEPEST {
                        return self.fail(format!("a block with more than {DEEPEST} labels"));
                    }
                    keys.push(self.key()?);
                }
                _ => return self.unexpected("`=` or `{`"),
            }
        }
    }

    fn key(&mut self) -> Result<String, SyntaxError> {
        match self.peek() {
            Some('"') => self.quoted(),
            Some(c) if is_key(c) => Ok(self.word()),
            _ => self.unexpected("a key"),
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| is_key(*c)) {
            word.push(c);
            self.next();
        }
        word
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        match self.peek() {
            Some('"') => Ok(Value::Text(self.quoted()?)),
            Some('<') => Ok(Value::Text(self.heredoc()?)),
            Some('[') => self.within(Self::list),
            Some('{') => Ok(Value::Block(self.within(|parser| parser.items(Some('}')))?)),
            Some(c) if is_key(c) || c == '+' => self.literal(),
            _ => self.unexpected("a value"),
        }
    }

    fn list(&mut self) -> Result<Value, SyntaxError> {
        let mut values = Vec::new();
        loop {
            self.skip(true)?;
            if self.peek() == Some(']') {
                self.next();
                return Ok(Value::List(values));
            }
            values.push(self.value()?);
        }
    }

    fn literal(&mut self) -> Result<Value, SyntaxError> {
        let at = self.at;
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| is_key(*c) || *c == '+') {
            word.push(c);
            self.next();
        }
        match word.as_str() {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let number = match word.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok().map(|n| n as f64),
            None => word.parse().ok().filter(|n: &f64| n.is_finite()),
        };
        number.map(Value::Number).ok_or_else(|| SyntaxError {
            at,
            problem: format!("expected a value, found `{word}` (texts are quoted)"),
        })
    }

    fn quoted(&mut self) -> Result<String, SyntaxError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return self.fail("text is not closed by `\"`"),
                Some('"') => return Ok(text),
                Some('\\') => {
                    let escaped = self.next();
                    text.push(self.escape(escaped)?);
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, escaped: Option<char>) -> Result<char, SyntaxError> {
        let digits = match escaped {
            Some('n') => return Ok('\n'),
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some(c @ ('"' | '\\')) => return Ok(c),
            Some('u') => 4,
            Some('U') => 8,
            Some('x') => 2,
            _ => return self.fail("unknown escape in a text"),
        };
        let code: String = (0..digits).filter_map(|_| self.next()).collect();
        u32::from_str_radix(&code, 16)
            .ok()
            .and_then(char::from_u32)
            .map_or_else(|| self.fail("unknown escape in a text"), Ok)
    }

    fn heredoc(&mut self) -> Result<String, SyntaxError> {
        if !self.rest().starts_with("<<") {
            return self.unexpected("a value");
        }
        self.next();
        self.next();
        let indented = self.peek() == Some('-');
        if indented {
            self.next();
        }
        let mark = self.word();
        if mark.is_empty() || self.next() != Some('\n') {
            return self.fail("expected a word and a new line after `<<`");
        }
        let mut lines = Vec::new();
        loop {
            if self.peek().is_none() {
                return self.fail(format!("text is not closed by `{mark}`"));
            }
            let line = self.line();
            if line.trim() == mark {
                break;
            }
            lines.push(line);
        }
        if indented {
            let margin = |line: &String| line.len() - line.trim_start().len();
            let least = lines.iter().map(margin).min().unwrap_or(0);
            for line in &mut lines {
                *line = line.split_off(least);
            }
        }
        Ok(lines.iter().map(|line| format!("{line}\n")).collect())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        while let Some(c) = self.next() {
            if c == '\n' {
                break;
            }
            line.push(c);
        }
        line
    }
}

/// `a "b" { }` is `a = { b = { } }`.
fn nest(keys: Vec<String>, value: Value, at: Position) -> Item {
    let mut keys = keys.into_iter().rev();
    let innermost = keys.next().expect("an item has at least one key");
    let first = Item {
        key: innermost,
        value,
        at,
    };
    keys.fold(first, |item, key| Item {
        key,
        value: Value::Block(Block { items: vec![item] }),
        at,
    })
}

fn is_key(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The same tree from JSON, which Nomad reads too.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Text(String::new()),
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        // A list of objects is how JSON writes a repeated block.
        serde_json::Value::Array(list)
            if !list.is_empty() && list.iter().all(serde_json::Value::is_object) =>
        {
            let mut block = Block::default();
            for object in list {
                if let Value::Block(more) = from_json(object) {
                    block.merge(more);
                }
            }
            Value::Block(block)
        }
        serde_json::Value::Array(list) => Value::List(list.iter().map(from_json).collect()),
        serde_json::Value::Object(object) => {
            let mut block = Block::default();
            for (key, value) in object {
                block.put(Item {
                    key: key.clone(),
                    value: from_json(value),
                    at: Position::default(),
                });
            }
            Value::Block(block)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(block: &Block, path: &[&str]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        let item = block.items.iter().find(|item| item.key == *first)?;
        match (&item.value, rest) {
            (value, []) => Some(value.clone()),
            (Value::Block(inner), rest) => text(inner, rest),
            _ => None,
        }
    }

    #[test]
    fn blocks_labels_quoted_keys_and_comments_are_read() {
        let block = parse(
            "# a\nregion = \"eu\" // b\n/* c\n d */ client { options { \"driver.allowlist\" = \"raw_exec\" }\n\
             servers = [\"10.0.0.1\", \"10.0.0.2:4647\",] }\nplugin \"raw_exec\" { config { enabled = true } }\n\
             ports { http = 4646 }\ntext = <<-EOF\n  a\n   b\n  EOF\n",
        )
        .unwrap();
        assert_eq!(text(&block, &["region"]), Some(Value::Text("eu".into())));
        assert_eq!(
            text(&block, &["client", "options", "driver.allowlist"]),
            Some(Value::Text("raw_exec".into()))
        );
        assert_eq!(
            text(&block, &["plugin", "raw_exec", "config", "enabled"]),
            Some(Value::Bool(true))
        );
        assert_eq!(
            text(&block, &["ports", "http"]),
            Some(Value::Number(4646.0))
        );
        assert_eq!(text(&block, &["text"]), Some(Value::Text("a\n b\n".into())));
        let Some(Value::List(servers)) = text(&block, &["client", "servers"]) else {
            panic!("servers is a list");
        };
        assert_eq!(servers.len(), 2);
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let error = parse("a = 1\nserver {\n  enabled tru\n}").unwrap_err();
        assert_eq!(error.at.line, 4, "{error:?}");
        let error = parse("a = tru").unwrap_err();
        assert_eq!((error.at.line, error.at.column), (1, 5), "{error:?}");
        assert!(parse("a { b = 1").is_err());
        assert!(parse("a = \"b").is_err());
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        for (open, close) in [("a {\n", "}\n"), ("a = [", "]"), ("a ", "= 1")] {
            let text = open.repeat(200) + &close.repeat(200);
            let error = parse(&text.replace("[a = ", "[")).unwrap_err();
            assert!(error.problem.contains("64"), "{error:?}");
        }
        assert!(parse(&("a {\n".repeat(64) + &"}\n".repeat(64))).is_ok());
    }

    #[test]
    fn a_value_stands_where_it_was_set_last() {
        let block = parse("a = 1\nb = 2\na = 3\n").unwrap();
        let places: Vec<_> = { block.items.iter() }
            .map(|item| (item.key.as_str(), item.at.line))
            .collect();
        assert_eq!(places, [("a", 3), ("b", 2)]);
    }

    #[test]
    fn later_values_win_and_blocks_are_merged() {
        let mut block = parse("a = 1\nb { c = 1 d = [\"x\"] }").unwrap();
        block.merge(parse("a = 2\nb { e = 3 d = [\"x\", \"y\"] }").unwrap());
        assert_eq!(text(&block, &["a"]), Some(Value::Number(2.0)));
        assert_eq!(text(&block, &["b", "c"]), Some(Value::Number(1.0)));
        let xy = vec![Value::Text("x".into()), Value::Text("y".into())];
        assert_eq!(text(&block, &["b", "d"]), Some(Value::List(xy)));
    }
}
