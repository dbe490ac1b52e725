//! `template` blocks: text with `{{ ... }}`, of which those functions are known that need
//! nothing but the task's environment.
//!
//! Missing, and refused by name before anything runs: what asks Consul, Vault or Nomad (`key`,
//! `secret`, `service`, `nomadVar`, ...), and the language's control flow (`if`, `range`, `with`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::types::Template;

/// What a template does that is not simulated, by name; `None` where it can be rendered.
#[must_use]
pub fn not_simulated(template: &Template) -> Option<String> {
    if !template.source_path.is_empty() {
        return Some("`source` in `template`".to_owned());
    }
    if template.change_mode == "script" {
        return Some("change mode `script` of a template".to_owned());
    }
    render(template, &|_| Some(String::new())).err()
}

/// Renders a template with the variables of `lookup`.
///
/// # Errors
/// What is not understood, or not known.
pub fn render(
    template: &Template,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let delimiter = |own: &str, default: &'static str| {
        if own.is_empty() {
            default.to_owned()
        } else {
            own.to_owned()
        }
    };
    let left = delimiter(&template.left_delim, "{{");
    let right = delimiter(&template.right_delim, "}}");
    let mut out = String::new();
    let mut rest = template.embedded_tmpl.as_str();
    let mut trims = false;
    while let Some(at) = rest.find(&left) {
        let (text, after) = (&rest[..at], &rest[at + left.len()..]);
        let text = if trims { text.trim_start() } else { text };
        let Some(end) = after.find(&right) else {
            return Err(format!(
                "unclosed action in template: `{left}` without `{right}`"
            ));
        };
        let inner = &after[..end];
        let (inner, trims_before) = match inner.strip_prefix("- ") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let inner_after = inner.strip_suffix(" -");
        trims = inner_after.is_some();
        out.push_str(if trims_before { text.trim_end() } else { text });
        out.push_str(&action(inner_after.unwrap_or(inner).trim(), lookup)?);
        rest = &after[end + right.len()..];
    }
    out.push_str(if trims { rest.trim_start() } else { rest });
    Ok(out)
}

fn action(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    if text.starts_with("/*") {
        return Ok(String::new());
    }
    let mut tokens = tokens(text)?.into_iter().peekable();
    let value = pipeline(&mut tokens, lookup)?;
    match tokens.next() {
        None => Ok(value),
        Some(extra) => Err(format!("template: unexpected `{extra:?}` in `{text}`")),
    }
}

/// A piece of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Text(String),
    Word(String),
    Pipe,
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '|' => found.push(Token::Pipe),
            '(' => found.push(Token::Open),
            ')' => found.push(Token::Close),
            '"' | '`' => {
                let mut inner = String::new();
                loop {
                    match chars.next() {
                        None => return Err(format!("template: unterminated string in `{text}`")),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => inner.extend(escaped(chars.next())),
                        Some(other) => inner.push(other),
                    }
                }
                found.push(Token::Text(inner));
            }
            c => {
                let mut word = c.to_string();
                while let Some(next) =
                    chars.next_if(|n| !n.is_whitespace() && !"|()\"`".contains(*n))
                {
                    word.push(next);
                }
                found.push(Token::Word(word));
            }
        }
    }
    Ok(found)
}

fn escaped(c: Option<char>) -> Option<char> {
    match c {
        Some('n') => Some('\n'),
        Some('t') => Some('\t'),
        other => other,
    }
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

fn pipeline(
    tokens: &mut Tokens,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut value = command(tokens, None, lookup)?;
    while tokens.next_if_eq(&Token::Pipe).is_some() {
        value = command(tokens, Some(value), lookup)?;
    }
    Ok(value)
}

/// One function with its arguments, of which `last` comes from the left of the pipe.
fn command(
    tokens: &mut Tokens,
    last: Option<String>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let name = match tokens.next() {
        Some(Token::Text(text)) if last.is_none() => return Ok(text),
        Some(Token::Open) if last.is_none() => {
            let value = pipeline(tokens, lookup)?;
            close(tokens)?;
            return Ok(value);
        }
        Some(Token::Word(name)) => name,
        other => return Err(format!("template: expected a function, found `{other:?}`")),
    };
    let mut arguments = Vec::new();
    loop {
        match tokens.peek() {
            Some(Token::Text(_)) => {
                if let Some(Token::Text(text)) = tokens.next() {
                    arguments.push(text);
                }
            }
            Some(Token::Open) => {
                tokens.next();
                arguments.push(pipeline(tokens, lookup)?);
                close(tokens)?;
            }
            Some(Token::Word(word)) => {
                return Err(format!("template argument `{word}` of `{name}`"));
            }
            _ => break,
        }
    }
    arguments.extend(last);
    apply(&name, &arguments, lookup)
}

fn close(tokens: &mut Tokens) -> Result<(), String> {
    match tokens.next() {
        Some(Token::Close) => Ok(()),
        other => Err(format!("template: expected `)`, found `{other:?}`")),
    }
}

fn apply(
    name: &str,
    arguments: &[String],
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let value = match (name, arguments.as_slice()) {
        ("env", [variable]) => lookup(variable).unwrap_or_default(),
        ("mustEnv", [variable]) => lookup(variable)
            .ok_or_else(|| format!("missing required environment variable: {variable}"))?,
        ("envOrDefault", [variable, default]) => {
            let own = lookup(variable).filter(|value| !value.is_empty());
            own.unwrap_or_else(|| (*default).to_owned())
        }
        ("or", [one, other]) => if one.is_empty() { other } else { one }.to_string(),
        ("toUpper", [text]) => text.to_uppercase(),
        ("toLower", [text]) => text.to_lowercase(),
        ("trimSpace", [text]) => text.trim().to_owned(),
        ("replaceAll", [old, new, text]) => text.replace(old, new),
        ("base64Encode", [text]) => STANDARD.encode(text),
        ("base64Decode", [text]) => {
            let decoded = STANDARD
                .decode(text)
                .map_err(|e| format!("base64Decode: {e}"))?;
            String::from_utf8(decoded).map_err(|e| format!("base64Decode: {e}"))?
        }
        ("toJSON", [text]) => serde_json::Value::from(*text).to_string(),
        _ => {
            return Err(format!(
                "template function `{name}` with {} arguments",
                arguments.len()
            ));
        }
    };
    Ok(value)
}

/// Variables of a rendered `env` template: `NAME=value` lines; quotes around a value are taken
/// off, `#` begins a comment line.
///
/// # Errors
/// The line that is none.
pub fn variables(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let (name, value) = line.split_once('=').ok_or_else(|| {
                format!("error parsing env template: expected NAME=value, found `{line}`")
            })?;
            let value = value.trim();
            let unquoted = ['"', '\'']
                .into_iter()
                .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            Ok((name.trim().to_owned(), unquoted.unwrap_or(value).to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Result<String, String> {
        let template = Template {
            embedded_tmpl: text.to_owned(),
            ..Template::default()
        };
        let lookup = |name: &str| (name == "WHO").then(|| "World".to_owned());
        render(&template, &lookup)
    }

    #[test]
    fn what_the_environment_gives_is_put_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("Hello, {{ env \"WHO\" }}!", "Hello, World!"),
            ("{{ env \"WHO\" | toUpper }}", "WORLD"),
            ("[{{ env \"NONE\" }}]", "[]"),
            ("{{ envOrDefault \"NONE\" \"x\" }}", "x"),
            ("{{ or (env \"NONE\") \"y\" }}", "y"),
            ("{{ \"a\\\"b\" | toJSON }}", "\"a\\\"b\""),
            ("a  {{- /* none */ -}}  b", "ab"),
            ("{{ `raw` | base64Encode }}", "cmF3"),
            ("${env} $x }}", "${env} $x }}"),
        ] {
            assert_eq!(rendered(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_simulated_is_named() {
        for (text, name) in [
            ("{{ key \"a/b\" }}", "`key`"),
            ("{{ with nomadVar \"a\" }}", "`with`"),
            ("{{ range service \"web\" }}", "`range`"),
            ("{{ env \"A", "unclosed"),
            ("{{ mustEnv \"NONE\" }}", "NONE"),
        ] {
            let error = rendered(text).expect_err(text);
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn delimiters_may_be_others() {
        let template = Template {
            embedded_tmpl: "{{ kept }} [[ env \"WHO\" ]]".to_owned(),
            left_delim: "[[".to_owned(),
            right_delim: "]]".to_owned(),
            ..Template::default()
        };
        let text = render(&template, &|_| Some("me".to_owned()));
        assert_eq!(text.as_deref(), Ok("{{ kept }} me"));
    }

    #[test]
    fn an_env_template_gives_variables() {
        let found = variables("# note\nA=1\nexport B = \"two words\"\n\nC=x=y").expect("variables");
        let shown: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(shown, [("A", "1"), ("B", "two words"), ("C", "x=y")]);
        assert!(variables("nonsense").is_err());
    }
}
