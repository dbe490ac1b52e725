//! `?filter=`: the expressions of Nomad's lists, over an object's fields as the API names them.
//!
//! The language is go-bexpr's: `Status == "ready" and Meta.rack != "r1"`, with `in`, `contains`,
//! `is empty`, `matches` and their negations, `and`, `or`, `not` and brackets. Missing: its
//! quantifiers (`any`, `all`), which are refused.

mod parse;

use std::fmt;

use regex::Regex;
use serde_json::Value;

/// The expression is not one, or does not fit the objects of the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

/// A parsed expression.
#[derive(Debug)]
pub struct Filter(Expression);

#[derive(Debug)]
enum Expression {
    Or(Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Match(Match),
}

/// One comparison; `negated` turns `==` into `!=`, `in` into `not in`, and so on.
#[derive(Debug)]
struct Match {
    selector: Selector,
    test: Test,
    negated: bool,
}

#[derive(Debug)]
enum Test {
    Equal(String),
    /// The value is in the field, or the field contains the value: the same.
    Holds(String),
    Empty,
    Matches(Regex),
}

/// Parts of a field's name: `Meta.rack` has two.
#[derive(Debug)]
struct Selector(Vec<String>);

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.join("/"))
    }
}

impl Filter {
    /// Parses an expression.
    ///
    /// # Errors
    /// Where it is none; the text names line and column as go-bexpr's does.
    pub fn new(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(Self)
    }

    /// Whether an object is one of those that are wanted.
    ///
    /// # Errors
    /// Where the expression names a field that such objects do not have, or compares a number
    /// or truth value with something else.
    pub fn accepts(&self, object: &Value) -> Result<bool, FilterError> {
        accepts(&self.0, object)
    }
}

fn accepts(expression: &Expression, object: &Value) -> Result<bool, FilterError> {
    match expression {
        Expression::Or(a, b) => Ok(accepts(a, object)? || accepts(b, object)?),
        Expression::And(a, b) => Ok(accepts(a, object)? && accepts(b, object)?),
        Expression::Not(inner) => Ok(!accepts(inner, object)?),
        Expression::Match(wanted) => {
            let holds = match find(object, &wanted.selector)? {
                Some(value) => test(value, &wanted.test)?,
                // A key that a map does not have equals nothing, and is empty.
                None => matches!(wanted.test, Test::Empty),
            };
            Ok(holds != wanted.negated)
        }
    }
}

/// The field's value; `None` where the object has the field but not the key inside it.
fn find<'a>(object: &'a Value, selector: &Selector) -> Result<Option<&'a Value>, FilterError> {
    let mut value = object;
    for (depth, part) in selector.0.iter().enumerate() {
        let inner = match value {
            Value::Object(fields) => fields.get(part),
            Value::Array(items) => part.parse::<usize>().ok().and_then(|n| items.get(n)),
            _ => None,
        };
        match inner {
            Some(inner) => value = inner,
            None if depth == 0 => {
                return Err(FilterError(format!(
                    "error finding value in datum: {selector} at part 0: couldn't find struct field with name {part:?}"
                )));
            }
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

fn test(value: &Value, test: &Test) -> Result<bool, FilterError> {
    match test {
        Test::Equal(wanted) => equal(value, wanted),
        Test::Empty => Ok(match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }),
        Test::Holds(wanted) => match value {
            Value::Null => Ok(false),
            Value::String(text) => Ok(text.contains(wanted.as_str())),
            Value::Object(fields) => Ok(fields.contains_key(wanted)),
            Value::Array(items) => {
                for item in items {
                    if equal(item, wanted)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Bool(_) | Value::Number(_) => Err(unfit(value, "in")),
        },
        Test::Matches(pattern) => match value {
            Value::String(text) => Ok(pattern.is_match(text)),
            Value::Null => Ok(false),
            other => Err(unfit(other, "matches")),
        },
    }
}

fn equal(value: &Value, wanted: &str) -> Result<bool, FilterError> {
    match value {
        Value::Null => Ok(false),
        Value::String(text) => Ok(text == wanted),
        Value::Bool(truth) => match wanted {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(*truth),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(!*truth),
            other => Err(FilterError(format!(
                "error coercing {other:?} into a truth value"
            ))),
        },
        Value::Number(number) => {
            let given: serde_json::Number = wanted
                .parse()
                .map_err(|_| FilterError(format!("error coercing {wanted:?} into a number")))?;
            Ok(number.as_f64() == given.as_f64())
        }
        other => Err(unfit(other, "==")),
    }
}

fn unfit(value: &Value, operator: &str) -> FilterError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    };
    FilterError(format!(
        "unable to compare a value of kind {kind} with `{operator}`"
    ))
}

#[cfg(test)]
mod tests;
