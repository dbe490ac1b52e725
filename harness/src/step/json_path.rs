//! Looking into a JSON reply: `Servers[0].Healthy`, `[*].Status`, `Meta["a.b"]`.

use serde_json::Value;

/// One step into a value.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
    Every,
}

/// Checks that a path can be read.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &str) -> Result<(), String> {
    parts(path).map(drop)
}

fn parts(path: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (word, after) = inside
                .split_once(']')
                .ok_or_else(|| format!("path `{path}` has a `[` without its `]`"))?;
            let quoted = word
                .strip_prefix('"')
                .and_then(|word| word.strip_suffix('"'));
            parts.push(match (word, quoted) {
                ("*", _) => Part::Every,
                (_, Some(key)) => Part::Key(key.to_owned()),
                (number, None) => Part::Index(number.parse().map_err(|_| {
                    format!("`[{number}]` in path `{path}` is no number, `*` or key in quotes")
                })?),
            });
            rest = after;
            continue;
        }
        let word = rest.strip_prefix('.').unwrap_or(rest);
        let end = word.find(['.', '[']).unwrap_or(word.len());
        if end == 0 {
            return Err(format!("path `{path}` has a `.` with no key after it"));
        }
        parts.push(Part::Key(word[..end].to_owned()));
        rest = &word[end..];
    }
    Ok(parts)
}

/// Checks that everything a path leads to equals a value. `[*]` leads to every element, and there
/// must be one.
pub(super) fn compare(reply: &Value, path: &str, wanted: &Value) -> Result<(), String> {
    let mut found = vec![reply];
    for part in parts(path)? {
        let mut next = Vec::new();
        for value in found {
            match &part {
                Part::Key(key) => next.push(value.get(key).unwrap_or(&Value::Null)),
                Part::Index(index) => next.push(value.get(index).unwrap_or(&Value::Null)),
                Part::Every => next.extend(value.as_array().into_iter().flatten()),
            }
        }
        found = next;
    }
    if found.is_empty() {
        return Err(format!("`{path}` leads to no element"));
    }
    match found.iter().find(|value| !same(value, wanted)) {
        None => Ok(()),
        Some(other) => Err(format!("`{path}` is {other}, expected {wanted}")),
    }
}

/// Numbers are the same whether written with a fraction or not.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() < f64::EPSILON,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_keys_numbers_and_every_element() {
        let reply = json!({ "Servers": [{ "Voter": true }, { "Voter": true }], "a.b": 1.0 });
        assert_eq!(compare(&reply, "Servers[1].Voter", &json!(true)), Ok(()));
        assert_eq!(compare(&reply, "$.Servers[*].Voter", &json!(true)), Ok(()));
        assert_eq!(compare(&reply, "[\"a.b\"]", &json!(1)), Ok(()));
        assert_eq!(compare(&json!("x"), "", &json!("x")), Ok(()));
    }

    #[test]
    fn what_is_otherwise_or_not_there_is_told() {
        let reply = json!({ "Servers": [{ "Voter": true }, { "Voter": false }] });
        let told = compare(&reply, "Servers[*].Voter", &json!(true)).unwrap_err();
        assert_eq!(told, "`Servers[*].Voter` is false, expected true");
        assert!(compare(&reply, "Servers[7].Voter", &json!(true)).is_err());
        assert!(compare(&json!([]), "[*].Voter", &json!(true)).is_err());
    }

    #[test]
    fn a_path_that_cannot_be_read_is_refused() {
        for path in ["a[", "a[x]", "a..b", "."] {
            assert!(check_path(path).is_err(), "{path}");
        }
        assert_eq!(check_path("a.b[0][*]"), Ok(()));
    }
}
