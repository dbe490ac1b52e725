//! The fields of an object as texts, and how two sets of them differ.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What became of something. The order is that of a list: what matters most comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Edited,
    Added,
    Deleted,
    #[default]
    None,
}

/// One field, before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct FieldDiff {
    pub name: String,
    pub old: String,
    pub new: String,
    #[serde(rename = "Type")]
    pub kind: Kind,
    /// What the change leads to.
    pub annotations: Option<Vec<&'static str>>,
}

/// Names and texts of fields; absent and empty are the same.
pub(super) type Flat = BTreeMap<String, String>;

impl FieldDiff {
    /// `None` where nothing changed and `context` is not wanted.
    pub(super) fn of(name: &str, old: &str, new: &str, context: bool) -> Option<Self> {
        let kind = match (old, new) {
            (old, new) if old == new => Kind::None,
            ("", _) => Kind::Added,
            (_, "") => Kind::Deleted,
            _ => Kind::Edited,
        };
        (context || kind != Kind::None).then(|| Self {
            name: name.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
            kind,
            annotations: None,
        })
    }
}

/// How two sets of fields differ; with `context` those that are alike are told, too.
pub(super) fn differences(old: &Flat, new: &Flat, context: bool) -> Vec<FieldDiff> {
    let names = old
        .keys()
        .chain(new.keys().filter(|name| !old.contains_key(*name)));
    let text = |of: &Flat, name: &str| of.get(name).cloned().unwrap_or_default();
    let mut found: Vec<_> = names
        .filter_map(|name| FieldDiff::of(name, &text(old, name), &text(new, name), context))
        .collect();
    found.sort();
    found
}

/// The simple fields of an object, without those of `left_out`. What is in a list or in an object
/// of its own is no field of this one, but for the keys of the maps `Env` and `Meta`.
pub(super) fn simple(object: &Value, left_out: &[&str]) -> Flat {
    let mut flat = Flat::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        if left_out.contains(&name.as_str()) {
            continue;
        }
        match value {
            Value::Null | Value::Array(_) => {}
            Value::Object(map) if matches!(name.as_str(), "Env" | "Meta") => {
                for (key, value) in map {
                    flat.insert(format!("{name}[{key}]"), text(value));
                }
            }
            Value::Object(_) => {}
            scalar => drop(flat.insert(name.clone(), text(scalar))),
        }
    }
    flat
}

/// Every value in an object, by its path: `args[0]`, `labels[a]`.
pub(super) fn deep(object: &Value) -> Flat {
    let mut flat = Flat::new();
    descend("", object, &mut flat);
    flat
}

fn descend(path: &str, value: &Value, flat: &mut Flat) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}[{key}]"),
                };
                descend(&path, value, flat);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                descend(&format!("{path}[{at}]"), value, flat);
            }
        }
        scalar => drop(flat.insert(path.to_owned(), text(scalar))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nil".to_owned(),
        other => other.to_string(),
    }
}
