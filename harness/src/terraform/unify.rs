//! Types: the constraints of variables, conversion to them, and the common type of two values.

use std::collections::BTreeMap;

use hcl_edit::expr::{Expression, ObjectKey};

use super::eval::{EvalError, Scope, eval, fault};
use super::source::Origin;
use super::value::Value;

/// A type as `type = ...` writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `any`
    Any,
    /// `string`
    String,
    /// `number`
    Number,
    /// `bool`
    Bool,
    /// `list(..)`
    List(Box<Type>),
    /// `set(..)`
    Set(Box<Type>),
    /// `map(..)`
    Map(Box<Type>),
    /// `tuple([..])`
    Tuple(Vec<Type>),
    /// `object({..})`: type, whether it may be left out, and what it is then.
    Object(BTreeMap<String, Field>),
}

/// An attribute of an object type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its type.
    pub kind: Type,
    /// Whether `optional(..)` stands around it.
    pub optional: bool,
    /// The second argument of `optional`.
    pub default: Option<Value>,
}

impl Type {
    /// Reads a type constraint.
    ///
    /// # Errors
    ///
    /// For anything that is no type.
    pub fn parse(expr: &Expression, origin: &Origin, scope: &Scope<'_>) -> Result<Self, EvalError> {
        let wrong = |message: String| fault(origin.site(hcl_edit::Span::span(expr)), message);
        match expr {
            Expression::Variable(name) => match name.value().as_str() {
                "any" => Ok(Self::Any),
                "string" => Ok(Self::String),
                "number" => Ok(Self::Number),
                "bool" => Ok(Self::Bool),
                "list" => Ok(Self::List(Box::new(Self::Any))),
                "map" => Ok(Self::Map(Box::new(Self::Any))),
                other => Err(wrong(format!("`{other}` is no type"))),
            },
            // `type = "string"`, as it was written for Terraform 0.11.
            Expression::String(name) => match name.value().as_str() {
                "string" => Ok(Self::String),
                "list" => Ok(Self::List(Box::new(Self::Any))),
                "map" => Ok(Self::Map(Box::new(Self::Any))),
                other => Err(wrong(format!("`{other}` is no type"))),
            },
            Expression::Parenthesis(inner) => Self::parse(inner.inner(), origin, scope),
            Expression::FuncCall(call) => {
                let inner = call
                    .args
                    .get(0)
                    .ok_or_else(|| wrong("a type constructor without a type".to_owned()))?;
                match (call.name.name.value().as_str(), inner) {
                    ("list", inner) => Ok(Self::List(Box::new(Self::parse(inner, origin, scope)?))),
                    ("set", inner) => Ok(Self::Set(Box::new(Self::parse(inner, origin, scope)?))),
                    ("map", inner) => Ok(Self::Map(Box::new(Self::parse(inner, origin, scope)?))),
                    ("tuple", Expression::Array(items)) => Ok(Self::Tuple(
                        items
                            .iter()
                            .map(|item| Self::parse(item, origin, scope))
                            .collect::<Result<_, _>>()?,
                    )),
                    ("object", Expression::Object(items)) => {
                        Self::parse_object(items, origin, scope)
                    }
                    (other, _) => Err(wrong(format!("`{other}(..)` is no type"))),
                }
            }
            _ => Err(wrong("this is no type".to_owned())),
        }
    }

    fn parse_object(
        items: &hcl_edit::expr::Object,
        origin: &Origin,
        scope: &Scope<'_>,
    ) -> Result<Self, EvalError> {
        let mut fields = BTreeMap::new();
        for (key, value) in items {
            let name = match key {
                ObjectKey::Ident(name) => name.value().to_string(),
                ObjectKey::Expression(expr) => {
                    eval(expr, origin, scope)?.to_text().unwrap_or_default()
                }
            };
            let field = match value.expr() {
                Expression::FuncCall(call) if call.name.name.value().as_str() == "optional" => {
                    Field {
                        kind: call
                            .args
                            .get(0)
                            .map_or(Ok(Self::Any), |kind| Self::parse(kind, origin, scope))?,
                        optional: true,
                        default: call
                            .args
                            .get(1)
                            .map(|default| eval(default, origin, scope))
                            .transpose()?,
                    }
                }
                kind => Field {
                    kind: Self::parse(kind, origin, scope)?,
                    optional: false,
                    default: None,
                },
            };
            fields.insert(name, field);
        }
        Ok(Self::Object(fields))
    }

    /// Returns the value as a value of this type, as Terraform converts.
    ///
    /// # Errors
    ///
    /// Where it cannot be converted: what was expected and what is there.
    pub fn convert(&self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (_, value @ (Value::Unknown(_) | Value::Resource(_) | Value::Null)) => Ok(value),
            (Self::Any, value) => Ok(value),
            (Self::String, value) => value
                .to_text()
                .map(Value::String)
                .ok_or_else(|| expected("text", &value)),
            (Self::Number, value) => value
                .as_number()
                .map(Value::Number)
                .ok_or_else(|| expected("a number", &value)),
            (Self::Bool, value) => value
                .as_bool()
                .map(Value::Bool)
                .ok_or_else(|| expected("true or false", &value)),
            (Self::List(kind), value) => Ok(Value::List(kind.convert_all("a list", value)?)),
            (Self::Set(kind), value) => Ok(Value::set_of(kind.convert_all("a set", value)?)),
            (Self::Map(kind), value) => {
                let attributes = value
                    .attributes()
                    .ok_or_else(|| expected("a map", &value))?;
                let converted = attributes
                    .iter()
                    .map(|(name, value)| {
                        Ok((
                            name.clone(),
                            kind.convert(value.clone())
                                .map_err(|message| format!("in `{name}`: {message}"))?,
                        ))
                    })
                    .collect::<Result<BTreeMap<_, _>, String>>()?;
                Ok(Value::Map(if **kind == Self::Any {
                    alike_map(converted)
                } else {
                    converted
                }))
            }
            (Self::Tuple(kinds), value) => {
                let elements = value
                    .elements()
                    .filter(|elements| elements.len() == kinds.len());
                let elements = elements
                    .ok_or_else(|| expected(&format!("{} elements", kinds.len()), &value))?;
                kinds
                    .iter()
                    .zip(elements)
                    .map(|(kind, element)| kind.convert(element.clone()))
                    .collect::<Result<_, _>>()
                    .map(Value::Tuple)
            }
            (Self::Object(fields), value) => convert_object(fields, &value),
        }
    }

    fn convert_all(&self, what: &str, value: Value) -> Result<Vec<Value>, String> {
        let elements = value.elements().ok_or_else(|| expected(what, &value))?;
        let converted = elements
            .iter()
            .enumerate()
            .map(|(index, element)| {
                self.convert(element.clone())
                    .map_err(|message| format!("in element {index}: {message}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(if *self == Self::Any {
            alike(converted)
        } else {
            converted
        })
    }
}

fn expected(what: &str, value: &Value) -> String {
    format!("{what} is expected, this is a {}", value.type_name())
}

fn convert_object(fields: &BTreeMap<String, Field>, value: &Value) -> Result<Value, String> {
    let attributes = value
        .attributes()
        .ok_or_else(|| expected("an object", value))?;
    let mut object = BTreeMap::new();
    for (name, field) in fields {
        let given = attributes
            .get(name)
            .filter(|given| !(matches!(given, Value::Null) && field.default.is_some()));
        let converted = match (given, &field.default) {
            (Some(value), _) => field.kind.convert(value.clone()),
            (None, Some(default)) => field.kind.convert(default.clone()),
            (None, None) if field.optional => Ok(Value::Null),
            (None, None) => return Err(format!("the attribute `{name}` is missing")),
        };
        object.insert(
            name.clone(),
            converted.map_err(|message| format!("in `{name}`: {message}"))?,
        );
    }
    Ok(Value::Object(object))
}

/// Returns the elements of a list or set with one type: text if any is text.
#[must_use]
pub fn alike(elements: Vec<Value>) -> Vec<Value> {
    let any_text = elements
        .iter()
        .any(|element| matches!(element, Value::String(_)));
    if !any_text {
        return elements;
    }
    elements.into_iter().map(as_text).collect()
}

fn alike_map(attributes: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let any_text = attributes
        .values()
        .any(|value| matches!(value, Value::String(_)));
    if !any_text {
        return attributes;
    }
    attributes
        .into_iter()
        .map(|(name, value)| (name, as_text(value)))
        .collect()
}

fn as_text(value: Value) -> Value {
    match &value {
        Value::Bool(_) | Value::Number(_) => value.to_text().map_or(value, Value::String),
        _ => value,
    }
}

/// Returns `value` with the type that it shares with `other`: the rule for `condition ? a : b`.
#[must_use]
pub fn unify(value: Value, other: &Value) -> Value {
    match (value, other) {
        (value @ (Value::Bool(_) | Value::Number(_)), Value::String(_)) => as_text(value),
        (Value::Tuple(elements), Value::Tuple(others)) if elements.len() == others.len() => {
            Value::Tuple(
                elements
                    .into_iter()
                    .zip(others)
                    .map(|(element, other)| unify(element, other))
                    .collect(),
            )
        }
        // Tuples of different lengths have but a list in common.
        (Value::Tuple(elements), Value::Tuple(others) | Value::List(others)) => {
            let text = others
                .iter()
                .find(|other| matches!(other, Value::String(_)));
            let elements = elements
                .into_iter()
                .map(|element| text.map_or(element.clone(), |text| unify(element, text)))
                .collect();
            Value::List(alike(elements))
        }
        (Value::Tuple(elements), Value::Set(_)) => Value::set_of(alike(elements)),
        (Value::Object(attributes), Value::Object(others))
            if attributes.keys().eq(others.keys()) =>
        {
            Value::Object(
                attributes
                    .into_iter()
                    .zip(others.values())
                    .map(|((name, value), other)| (name, unify(value, other)))
                    .collect(),
            )
        }
        // Objects with different attributes have but a map in common.
        (Value::Object(attributes), Value::Object(others) | Value::Map(others)) => {
            let text = others
                .values()
                .find(|other| matches!(other, Value::String(_)));
            let attributes = attributes
                .into_iter()
                .map(|(name, value)| (name, text.map_or(value.clone(), |text| unify(value, text))))
                .collect();
            Value::Map(alike_map(attributes))
        }
        (value, _) => value,
    }
}
