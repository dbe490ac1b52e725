//! Terraform's functions: one file a family, each with its table. A function that is not in a table,
//! or whose result differs from run to run, gives an unknown value, never an invented one.

mod collections;
mod digests;
mod encoding;
mod files;
mod network;
mod numbers;
mod strings;
mod types;
mod yaml;

use std::collections::BTreeMap;

use super::eval::{EvalError, Scope, fault};
use super::number::Number;
use super::source::Site;
use super::value::{Unknown, Value, Why};

pub(super) use encoding::{from_json, zipped};
pub(super) use files::cleaned;

/// How much of the arguments must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// All, however deep.
    Everything,
    /// Which elements there are, but not the elements themselves.
    Shape,
}

type Implementation = fn(&Args<'_>) -> Result<Value, String>;

/// A function: its name, what it needs, how it is computed.
type Entry = (&'static str, Needs, Implementation);

/// The arguments of one call.
struct Args<'a> {
    name: &'a str,
    values: Vec<Value>,
    scope: &'a Scope<'a>,
    site: &'a Site,
}

impl Args<'_> {
    fn get(&self, index: usize) -> Result<&Value, String> {
        self.values.get(index).ok_or_else(|| {
            format!(
                "`{}` needs {} arguments, it has {}",
                self.name,
                index + 1,
                self.values.len()
            )
        })
    }

    fn text(&self, index: usize) -> Result<String, String> {
        let value = self.get(index)?;
        value
            .to_text()
            .ok_or_else(|| self.wrong(index, "text", value))
    }

    fn number(&self, index: usize) -> Result<Number, String> {
        let value = self.get(index)?;
        value
            .as_number()
            .ok_or_else(|| self.wrong(index, "a number", value))
    }

    fn whole(&self, index: usize) -> Result<i64, String> {
        self.number(index)?.as_i64().ok_or_else(|| {
            format!(
                "argument {} of `{}` must be a whole number",
                index + 1,
                self.name
            )
        })
    }

    fn elements(&self, index: usize) -> Result<&[Value], String> {
        let value = self.get(index)?;
        value
            .elements()
            .ok_or_else(|| self.wrong(index, "a list", value))
    }

    fn texts(&self, index: usize) -> Result<Vec<String>, String> {
        let elements = self.elements(index)?;
        elements
            .iter()
            .map(|element| {
                element
                    .to_text()
                    .ok_or_else(|| self.wrong(index, "a list of texts", element))
            })
            .collect()
    }

    fn wrong(&self, index: usize, expected: &str, value: &Value) -> String {
        format!(
            "argument {} of `{}` must be {expected}, this is a {}",
            index + 1,
            self.name,
            value.type_name()
        )
    }

    /// The result where this reader cannot give Terraform's.
    fn unsupported(&self, what: &str) -> Value {
        Value::Unknown(Unknown::of(
            Why::Function,
            format!("{}: {what}", self.name),
            self.site.clone(),
        ))
    }
}

fn numbers(list: Vec<Number>) -> Value {
    Value::List(list.into_iter().map(Value::Number).collect())
}

fn texts(list: impl IntoIterator<Item = String>) -> Value {
    Value::List(list.into_iter().map(Value::String).collect())
}

/// Functions of Terraform that are not evaluated here: their results change from run to run, depend on
/// the time, or are too rare in such configurations.
const NOT_HERE: &[&str] = &[
    "bcrypt",
    "csvdecode",
    "formatdate",
    "log",
    "plantimestamp",
    "rsadecrypt",
    "textdecodebase64",
    "textencodebase64",
    "timeadd",
    "timecmp",
    "timestamp",
    "type",
    "uuid",
    "uuidv5",
    "yamldecode",
];

/// Functions that make text of text: where parts of it are not known they give the rest with
/// `<expression>` in the places of these, as a template does.
const PARTLY: &[&str] = &[
    "base64encode",
    "base64gzip",
    "chomp",
    "format",
    "indent",
    "join",
    "jsonencode",
    "replace",
    "trimspace",
    "yamlencode",
];

const TABLES: &[&[Entry]] = &[
    collections::TABLE,
    digests::TABLE,
    encoding::TABLE,
    files::TABLE,
    network::TABLE,
    numbers::TABLE,
    strings::TABLE,
    types::TABLE,
    yaml::TABLE,
];

/// Calls a function.
///
/// # Errors
///
/// For functions that Terraform does not have, and arguments that it would refuse.
pub(super) fn call(
    name: &str,
    values: Vec<Value>,
    scope: &Scope<'_>,
    site: &Site,
) -> Result<Value, EvalError> {
    let Some((_, needs, implementation)) = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .find(|(known, ..)| *known == name)
    else {
        if NOT_HERE.contains(&name) {
            return Ok(Value::Unknown(Unknown::of(
                Why::Function,
                format!("{name}(..)"),
                site.clone(),
            )));
        }
        return Err(fault(
            site.clone(),
            format!("there is no function `{name}`"),
        ));
    };
    let computed = |values| {
        implementation(&Args {
            name,
            values,
            scope,
            site,
        })
    };
    let unknowns: Vec<Unknown> = values
        .iter()
        .filter_map(|value| match (needs, value) {
            (Needs::Everything, value) => value.unknown(""),
            (Needs::Shape, Value::Unknown(unknown)) => Some(unknown.clone()),
            (Needs::Shape, _) => None,
        })
        .collect();
    if let Some(first) = unknowns.first() {
        let inner = if first.expression.is_empty() {
            ".."
        } else {
            &first.expression
        };
        let mut unknown = Unknown::joined(format!("{name}({inner})"), &unknowns);
        if PARTLY.contains(&name) && !values.first().is_some_and(is_bare) {
            let values = values.into_iter().map(said_in_part).collect();
            unknown.partial = match computed(values) {
                // JSON has escapes for the brackets.
                Ok(Value::String(json)) if name == "jsonencode" => {
                    Some(json.replace("\\u003c", "<").replace("\\u003e", ">"))
                }
                Ok(Value::String(text)) => Some(text),
                _ => None,
            };
        }
        return Ok(Value::Unknown(unknown));
    }
    computed(values).map_err(|message| fault(site.clone(), message))
}

/// Whether nothing at all is known of it.
fn is_bare(value: &Value) -> bool {
    matches!(value, Value::Unknown(unknown) if unknown.partial.is_none())
}

/// Returns the value with text in the places of what is not known.
fn said_in_part(value: Value) -> Value {
    let all = |elements: Vec<Value>| elements.into_iter().map(said_in_part).collect();
    match value {
        Value::Unknown(unknown) => Value::String(unknown.in_part()),
        Value::Resource(resource) => Value::String(format!("<{}>", resource.address)),
        Value::Tuple(elements) => Value::Tuple(all(elements)),
        Value::List(elements) => Value::List(all(elements)),
        Value::Set(elements) => Value::Set(all(elements)),
        Value::Object(members) => Value::Object(members_in_part(members)),
        Value::Map(members) => Value::Map(members_in_part(members)),
        known => known,
    }
}

fn members_in_part(members: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let said = |(name, value)| (name, said_in_part(value));
    members.into_iter().map(said).collect()
}
