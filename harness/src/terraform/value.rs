//! Values as Terraform has them, and one more: what is not known, with the reason.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::number::Number;
use super::source::Site;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// `[...]` as written: elements of any types.
    Tuple(Vec<Value>),
    /// A list: elements of one type.
    List(Vec<Value>),
    /// A set, in Terraform's order, each element once.
    Set(Vec<Value>),
    /// `{...}` as written: attributes of any types.
    Object(BTreeMap<String, Value>),
    /// A map: elements of one type.
    Map(BTreeMap<String, Value>),
    /// A resource or data source: what is configured is there, the rest is known to AWS alone.
    Resource(Arc<ResourceValue>),
    /// Not known here.
    Unknown(Unknown),
}

/// A resource as other expressions see it.
#[derive(Debug, PartialEq)]
pub struct ResourceValue {
    /// Address with key, as `aws_instance.server["server-1"]`.
    pub address: String,
    /// Whether it is a data source.
    pub data: bool,
    /// What is configured.
    pub attributes: BTreeMap<String, Value>,
    /// Where its block begins.
    pub site: Site,
}

/// Something that cannot be known without AWS, or that this reader cannot compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// How the configuration writes it, as `aws_instance.server[0].public_ip`.
    pub expression: String,
    /// Why, without repetitions.
    pub causes: Vec<Cause>,
    /// For text of which only parts are unknown: the text with `<expression>` in their places.
    pub partial: Option<String>,
}

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// The kind of reason.
    pub why: Why,
    /// What it is about, as `data.aws_ami.ubuntu.id`.
    pub what: String,
    /// Where the configuration says it.
    pub site: Site,
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// An attribute that AWS chooses: known after the resource is made.
    AfterApply,
    /// A data source: AWS, or somebody else, is asked when planning.
    DataSource,
    /// A function that this reader lacks, or whose result differs from run to run.
    Function,
    /// A resource that makes machines in a way that this reader does not follow.
    Kind,
    /// A module that is not in a local folder.
    RemoteModule,
    /// A variable that has neither a value nor a default.
    NoValue,
    /// A provider's, backend's or other state's value.
    Elsewhere,
    /// A number of more digits than are kept here.
    Number,
    /// The expression is in error, or beyond this reader.
    Error,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterApply => "known after apply",
            Self::DataSource => "a data source, which is asked when planning",
            Self::Function => "a function that is not evaluated here",
            Self::Kind => "a kind of machines that is not read here",
            Self::RemoteModule => "a module that is not in a local folder",
            Self::NoValue => "a variable without a value",
            Self::Elsewhere => "known elsewhere only",
            Self::Number => "a number of more digits than are kept here",
            Self::Error => "in error",
        })
    }
}

impl Unknown {
    /// Returns an unknown of a single cause, named by the cause itself.
    #[must_use]
    pub fn of(why: Why, what: impl Into<String>, site: Site) -> Self {
        let what = what.into();
        Self {
            expression: what.clone(),
            causes: vec![Cause { why, what, site }],
            partial: None,
        }
    }

    /// Returns what is known of its text, with `<expression>` for the rest.
    #[must_use]
    pub fn in_part(&self) -> String {
        let partial = self.partial.clone();
        partial.unwrap_or_else(|| format!("<{}>", self.expression))
    }

    /// Returns what comes of it: another expression, for the same causes.
    #[must_use]
    pub fn within(&self, expression: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            causes: self.causes.clone(),
            partial: None,
        }
    }

    /// Returns one unknown for the causes of several.
    #[must_use]
    pub fn joined(expression: impl Into<String>, unknowns: &[Unknown]) -> Self {
        let mut causes: Vec<Cause> = unknowns
            .iter()
            .flat_map(|unknown| unknown.causes.clone())
            .collect();
        causes.sort();
        causes.dedup();
        Self {
            expression: expression.into(),
            causes,
            partial: None,
        }
    }
}

impl Value {
    /// Returns text.
    #[must_use]
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// Returns a whole number.
    #[must_use]
    pub fn whole(number: usize) -> Self {
        Self::Number(Number::from(number))
    }

    /// Returns how messages call its type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Tuple(_) => "tuple",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Object(_) => "object",
            Self::Map(_) => "map",
            Self::Resource(_) => "resource",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the elements of a list, tuple or set.
    #[must_use]
    pub fn elements(&self) -> Option<&[Value]> {
        match self {
            Self::Tuple(elements) | Self::List(elements) | Self::Set(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns the attributes of an object, map or resource.
    #[must_use]
    pub fn attributes(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Self::Object(attributes) | Self::Map(attributes) => Some(attributes),
            Self::Resource(resource) => Some(&resource.attributes),
            _ => None,
        }
    }

    /// Returns an attribute of an object, map or resource.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes()?.get(name)
    }

    /// Returns text as it stands.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// Returns a truth value, also one written as text, as Terraform takes it.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::String(text) if text == "true" => Some(true),
            Self::String(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// Returns a number, also one written as text, as Terraform takes it.
    #[must_use]
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            Self::String(text) => Number::parse(text),
            _ => None,
        }
    }

    /// Returns a primitive value as text; `None` for others and for numbers without end in decimal.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Number(number) => number.decimal(),
            Self::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// Collects every unknown in the value, however deep.
    pub fn unknowns(&self, into: &mut Vec<Unknown>) {
        match self {
            Self::Unknown(unknown) => into.push(unknown.clone()),
            Self::Tuple(elements) | Self::List(elements) | Self::Set(elements) => {
                elements.iter().for_each(|element| element.unknowns(into));
            }
            Self::Object(attributes) | Self::Map(attributes) => {
                attributes.values().for_each(|value| value.unknowns(into));
            }
            // A resource as a whole is never wholly known.
            Self::Resource(resource) => into.push(Unknown::of(
                if resource.data {
                    Why::DataSource
                } else {
                    Why::AfterApply
                },
                resource.address.clone(),
                resource.site.clone(),
            )),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => {}
        }
    }

    /// Returns what is unknown in it, as one; `None` if all is known.
    #[must_use]
    pub fn unknown(&self, expression: &str) -> Option<Unknown> {
        if let Self::Unknown(unknown) = self {
            return Some(unknown.clone());
        }
        let mut unknowns = Vec::new();
        self.unknowns(&mut unknowns);
        (!unknowns.is_empty()).then(|| Unknown::joined(expression, &unknowns))
    }

    /// Returns it as JSON, as `terraform output -json` would, with `<expression>` for the unknown.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            // One that JSON's own numbers do not hold here is a text, digit by digit.
            Self::Number(number) => number
                .decimal()
                .and_then(|text| serde_json::from_str::<serde_json::Number>(&text).ok())
                .filter(|json| Number::parse(&json.to_string()).as_ref() == Some(number))
                .map_or_else(|| Json::String(number.to_string()), Json::Number),
            Self::String(text) => Json::String(text.clone()),
            Self::Tuple(elements) | Self::List(elements) | Self::Set(elements) => {
                elements.iter().map(Value::to_json).collect()
            }
            Self::Object(attributes) | Self::Map(attributes) => attributes
                .iter()
                .map(|(name, value)| (name.clone(), value.to_json()))
                .collect(),
            Self::Resource(resource) => Json::String(format!("<{}>", resource.address)),
            Self::Unknown(unknown) => Json::String(unknown.in_part()),
        }
    }

    /// Returns a set of the elements: each once, in Terraform's order.
    #[must_use]
    pub fn set_of(mut elements: Vec<Value>) -> Self {
        elements.sort_by(Value::set_order);
        elements.dedup();
        Self::Set(elements)
    }

    /// The order in which Terraform goes through a set: numbers by size, text by bytes.
    fn set_order(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            // Others are ordered by a hash there; any fixed order serves, as none may depend on it.
            (left, right) => left.to_json().to_string().cmp(&right.to_json().to_string()),
        }
    }
}
