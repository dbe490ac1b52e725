//! JSON, base64 and URLs.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Entry, Needs};
use crate::terraform::number::Number;
use crate::terraform::source::Site;
use crate::terraform::value::{Unknown, Value, Why};

pub(super) const TABLE: &[Entry] = &[
    ("base64decode", Needs::Everything, |args| {
        let bytes = STANDARD
            .decode(args.text(0)?)
            .map_err(|error| format!("this is no base64: {error}"))?;
        String::from_utf8(bytes)
            .map(Value::String)
            .map_err(|_| "the decoded bytes are no UTF-8".to_owned())
    }),
    ("base64encode", Needs::Everything, |args| {
        Ok(Value::String(STANDARD.encode(args.text(0)?)))
    }),
    // The same text, not the same bytes as Terraform's: `digests` asks for that.
    ("base64gzip", Needs::Everything, |args| {
        let bytes = zipped(&args.text(0)?).map_err(|error| error.to_string())?;
        Ok(Value::String(STANDARD.encode(bytes)))
    }),
    ("jsondecode", Needs::Everything, |args| {
        let text = args.text(0)?;
        let parsed: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("this is no JSON: {error}"))?;
        Ok(from_json(&parsed, args.site))
    }),
    ("jsonencode", Needs::Everything, |args| {
        Ok(Value::String(json(args.get(0)?)?))
    }),
    ("urlencode", Needs::Everything, |args| {
        let text = args.text(0)?;
        Ok(Value::String(
            text.bytes()
                .map(|byte| match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        char::from(byte).to_string()
                    }
                    b' ' => "+".to_owned(),
                    byte => format!("%{byte:02X}"),
                })
                .collect(),
        ))
    }),
];

/// Returns the text as an archive of gzip: what unpacks it finds what it would find in Terraform's, whose
/// bytes are others.
pub(in crate::terraform) fn zipped(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Whether the text is an archive of gzip in base64.
pub(super) fn is_zipped(text: &str) -> bool {
    // The base64 of its first bytes, 1f 8b 08.
    text.starts_with("H4sI")
}

/// Returns the value as Terraform's `jsonencode` writes it: no spaces, keys in order, and the
/// characters that mean something in HTML escaped.
pub(super) fn json(value: &Value) -> Result<String, String> {
    let list = |elements: &[Value]| -> Result<String, String> {
        Ok(format!(
            "[{}]",
            elements
                .iter()
                .map(json)
                .collect::<Result<Vec<_>, _>>()?
                .join(",")
        ))
    };
    match value {
        Value::Null => Ok("null".to_owned()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => number
            .decimal()
            .ok_or_else(|| "a number without end in decimal".to_owned()),
        Value::String(text) => Ok(json_text(text)),
        Value::Tuple(elements) | Value::List(elements) | Value::Set(elements) => list(elements),
        Value::Object(attributes) | Value::Map(attributes) => {
            let members = attributes
                .iter()
                .map(|(name, value)| Ok(format!("{}:{}", json_text(name), json(value)?)));
            Ok(format!(
                "{{{}}}",
                members.collect::<Result<Vec<_>, String>>()?.join(",")
            ))
        }
        Value::Resource(_) | Value::Unknown(_) => Err("a value that is not known".to_owned()),
    }
}

fn json_text(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                json.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// Returns a JSON value as Terraform takes it: arrays are tuples, objects objects. A number of which the parser
/// kept but the nearest binary fraction is not known, at `site`.
pub(in crate::terraform) fn from_json(json: &serde_json::Value, site: &Site) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => exact(number).map_or_else(
            || {
                let what = format!("about {number}");
                Value::Unknown(Unknown::of(Why::Number, what, site.clone()))
            },
            Value::Number,
        ),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(elements) => {
            let elements = elements.iter().map(|one| from_json(one, site));
            Value::Tuple(elements.collect())
        }
        Json::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), from_json(value, site)))
                .collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// A number that was read from JSON, if it is sure to be what stood there: of decimals the parser keeps the
/// nearest binary fraction, of which the shortest decimal is taken if it has at most 15 digits.
fn exact(number: &serde_json::Number) -> Option<Number> {
    let text = number.to_string();
    if !number.is_f64() {
        return Number::parse(&text);
    }
    let value = number.as_f64()?;
    let mantissa = text.split(['e', 'E']).next()?;
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let kept = digits.trim_matches('0').len() <= 15 && value.abs() < 1e15;
    kept.then(|| Number::parse(&text)).flatten()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_number_of_jsons_is_exact_or_not_known() {
        let site = Site::start_of(Path::new("main.tf"));
        let read = |text: &str| from_json(&serde_json::from_str(text).unwrap(), &site);
        for text in ["7", "-0.25", "0.1", "18446744073709551615", "123456.789"] {
            assert_eq!(read(text).to_text().as_deref(), Some(text));
        }
        for text in ["123456789012345678901234567890", "1.5e300", "1e21"] {
            assert!(matches!(read(text), Value::Unknown(_)), "{text}");
        }
    }
}
