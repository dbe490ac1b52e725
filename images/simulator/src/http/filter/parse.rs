//! Reads an expression: `or` binds less than `and`, and that less than `not`.

use regex::Regex;

use super::{Expression, FilterError, Match, Selector, Test};

/// Deepest nesting of brackets and `not`, so that a query cannot exhaust the stack.
const DEEPEST: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A bare word: a keyword, a field's name, or a value.
    Word(String),
    /// In quotation marks or backticks.
    Text(String),
    Equal,
    Differs,
    Open,
    Close,
    /// `["key"]` after a field's name.
    Key(String),
}

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        end: text.len(),
    };
    let expression = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(expression),
        Some((place, _)) => Err(refused(*place, "expected the end, `and` or `or`")),
    }
}

fn refused(place: usize, problem: &str) -> FilterError {
    FilterError(format!("1:{} ({place}): {problem}", place + 1))
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, FilterError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let place = text.len() - rest.len();
        let (token, length) = match first {
            c if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '=' if rest.starts_with("==") => (Token::Equal, 2),
            '!' if rest.starts_with("!=") => (Token::Differs, 2),
            '"' | '`' => quoted(rest, place).map(|(text, length)| (Token::Text(text), length))?,
            '[' => key(rest, place)?,
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            _ => return Err(refused(place, "no match found")),
        };
        found.push((place, token));
        rest = &rest[length..];
    }
    Ok(found)
}

/// Characters of bare words: names, paths, numbers.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':')
}

/// The text of a literal at the start, and how many bytes it takes with its marks.
fn quoted(rest: &str, place: usize) -> Result<(String, usize), FilterError> {
    let mark = if rest.starts_with('`') { '`' } else { '"' };
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == mark => return Ok((text, at + 1)),
            '\\' if mark == '"' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, escaped)) => text.push(escaped),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err(refused(place, "unterminated string literal"))
}

fn key(rest: &str, place: usize) -> Result<(Token, usize), FilterError> {
    let inner = &rest[1..];
    if inner.starts_with('"') || inner.starts_with('`') {
        let (text, length) = quoted(inner, place + 1)?;
        if inner[length..].starts_with(']') {
            return Ok((Token::Key(text), length + 2));
        }
    }
    Err(refused(place, "unclosed index expression"))
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn refuse<T>(&self, problem: &str) -> Result<T, FilterError> {
        let place = self.tokens.get(self.at).map_or(self.end, |(at, _)| *at);
        Err(refused(place, problem))
    }

    /// Takes a keyword, if it is next.
    fn takes(&mut self, word: &str) -> bool {
        let next = self.peek() == Some(&Token::Word(word.to_owned()));
        self.at += usize::from(next);
        next
    }

    fn or(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.and()?;
        while self.takes("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, FilterError> {
        let mut left = self.not()?;
        while self.takes("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, FilterError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.refuse("nested too deeply");
        }
        let inner = if self.takes("not") {
            Expression::Not(Box::new(self.not()?))
        } else if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.or()?;
            if self.peek() != Some(&Token::Close) {
                return self.refuse("unmatched parentheses");
            }
            self.at += 1;
            inner
        } else {
            Expression::Match(self.comparison()?)
        };
        self.depth -= 1;
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Match, FilterError> {
        let start = self.at;
        let first = self.value()?;
        let indexed = matches!(self.peek(), Some(Token::Key(_)));
        let negated = !indexed && self.takes("not");
        if !indexed && self.takes("in") {
            return Ok(Match {
                selector: self.selector()?,
                test: Test::Holds(first),
                negated,
            });
        }
        self.at = start;
        let selector = self.selector()?;
        let (test, negated) = self.test()?;
        Ok(Match {
            selector,
            test,
            negated,
        })
    }

    /// What comes after a field's name.
    fn test(&mut self) -> Result<(Test, bool), FilterError> {
        if let Some(Token::Equal | Token::Differs) = self.peek() {
            let negated = self.peek() == Some(&Token::Differs);
            self.at += 1;
            return Ok((Test::Equal(self.value()?), negated));
        }
        if self.takes("is") {
            let negated = self.takes("not");
            if self.takes("empty") {
                return Ok((Test::Empty, negated));
            }
            return self.refuse("expected `empty`");
        }
        let negated = self.takes("not");
        if self.takes("contains") {
            return Ok((Test::Holds(self.value()?), negated));
        }
        if self.takes("matches") {
            let pattern = self.value()?;
            return match Regex::new(&pattern) {
                Ok(pattern) => Ok((Test::Matches(pattern), negated)),
                Err(_) => self.refuse("invalid regular expression"),
            };
        }
        self.refuse("expected `==`, `!=`, `in`, `contains`, `is` or `matches`")
    }

    fn value(&mut self) -> Result<String, FilterError> {
        match self.peek() {
            Some(Token::Word(text) | Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => self.refuse("expected a value or a field's name"),
        }
    }

    /// `Field`, `Field.key`, `Field["key"]`, or a JSON pointer in quotation marks.
    fn selector(&mut self) -> Result<Selector, FilterError> {
        let mut parts: Vec<String> = match self.peek() {
            Some(Token::Word(name)) => name.split('.').map(str::to_owned).collect(),
            Some(Token::Text(pointer)) if pointer.starts_with('/') => {
                pointer[1..].split('/').map(str::to_owned).collect()
            }
            _ => return self.refuse("expected a field's name"),
        };
        self.at += 1;
        while let Some(Token::Key(key)) = self.peek() {
            parts.push(key.clone());
            self.at += 1;
        }
        if parts.iter().any(String::is_empty) {
            self.at -= 1;
            return self.refuse("a part of the field's name is empty");
        }
        Ok(Selector(parts))
    }
}
