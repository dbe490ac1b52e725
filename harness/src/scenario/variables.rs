//! `variable` blocks: what a script leaves to whoever runs it.

use std::collections::BTreeMap;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Structure};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::duration;
use super::reader::{Place, Reader};
use super::value::kind_of;
use crate::grammar::suggest;

/// A variable of a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// `string`, `number`, `bool` or `duration`.
    #[serde(rename = "type")]
    pub of: String,
    /// What it is for.
    pub description: String,
    /// Its value in this reading: the one given, or the default; `None` where that is wrong.
    pub value: Option<Json>,
}

const TYPES: [&str; 4] = ["string", "number", "bool", "duration"];
const KEYS: [&str; 3] = ["type", "default", "description"];

impl Reader<'_> {
    /// Reads a `variable` block.
    pub(super) fn variable(&mut self, block: &Block, given: &BTreeMap<String, String>) {
        let Some((name, place)) = self.label(block, "the variable's name") else {
            return;
        };
        for structure in &block.body {
            let (key, place) = match structure {
                Structure::Attribute(attribute) => (&attribute.key, attribute.key.span()),
                Structure::Block(block) => (&block.ident, block.ident.span()),
            };
            if !KEYS.contains(&key.as_str()) {
                let hint = suggest(key.as_str(), KEYS);
                self.tell(place, format!("unknown argument `{}`{hint}", key.as_str()));
            }
        }
        let description = block.body.get_attribute("description");
        let description = description.and_then(|attribute| attribute.value.as_str());
        let of = self.type_of(block);
        let default = block.body.get_attribute("default").map(|attribute| {
            let value = self.value(&attribute.value);
            let value = value.filter(|value| self.fits(&name, &of, value, attribute.value.span()));
            value.map(|value| (value, attribute.value.span()))
        });
        let value = match (given.get(&name), default) {
            (Some(text), _) => match typed(&of, text) {
                Ok(value) => Some(value),
                Err(why) => {
                    self.tell(
                        place.clone(),
                        format!("the value given for `{name}`: {why}"),
                    );
                    None
                }
            },
            (None, Some(default)) => default.map(|(value, _)| value),
            (None, None) => {
                self.tell(
                    place.clone(),
                    format!("variable `{name}` has no default: give it a value (-var {name}=...)"),
                );
                None
            }
        };
        let variable = Variable {
            name: name.clone(),
            of,
            description: description.unwrap_or_default().to_owned(),
            value,
        };
        if self.variables.insert(name.clone(), variable).is_some() {
            self.tell(place, format!("variable `{name}` is there twice"));
        }
    }

    fn type_of(&mut self, block: &Block) -> String {
        let fallback = "string".to_owned();
        let Some(attribute) = block.body.get_attribute("type") else {
            self.tell(
                block.ident.span(),
                "`variable` lacks `type` (expected `string`, `number`, `bool` or `duration`)",
            );
            return fallback;
        };
        let word = match &attribute.value {
            Expression::Variable(word) => word.as_str(),
            other => other.as_str().unwrap_or_default(),
        };
        if TYPES.contains(&word) {
            return word.to_owned();
        }
        let hint = suggest(word, TYPES);
        self.tell(
            attribute.value.span(),
            format!("unknown type `{word}`{hint}"),
        );
        fallback
    }

    fn fits(&mut self, name: &str, of: &str, value: &Json, place: Place) -> bool {
        let why = match (of, value) {
            ("string", Json::String(_)) | ("number", Json::Number(_)) | ("bool", Json::Bool(_)) => {
                return true;
            }
            ("duration", Json::String(text)) => match duration::parse(text) {
                Ok(_) => return true,
                Err(why) => why,
            },
            _ => format!("`{name}` is of type `{of}`, and this is {}", kind_of(value)),
        };
        self.tell(place, why);
        false
    }
}

/// Reads a value given on a command line.
fn typed(of: &str, text: &str) -> Result<Json, String> {
    match of {
        "number" => serde_json::from_str::<Json>(text)
            .ok()
            .filter(Json::is_number)
            .ok_or_else(|| format!("`{text}` is no number")),
        "bool" => text
            .parse::<bool>()
            .map(Json::from)
            .map_err(|_| format!("`{text}` is neither `true` nor `false`")),
        "duration" => duration::parse(text).map(|_| Json::from(text)),
        _ => Ok(Json::from(text)),
    }
}
