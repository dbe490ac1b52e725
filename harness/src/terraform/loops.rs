//! `for`, in expressions and in templates.

use std::collections::BTreeMap;

use hcl_edit::Span;
use hcl_edit::expr::ForExpr;

use super::eval::{EvalError, Evaluated, Scope, eval, fault};
use super::source::{Origin, Site};
use super::value::{Unknown, Value};

/// The pairs that a `for` goes through; `Err` with the unknown if that is not known.
pub(super) fn pairs(
    collection: Value,
    site: &Site,
) -> Result<Result<Vec<(Value, Value)>, Unknown>, EvalError> {
    Ok(Ok(match collection {
        Value::Unknown(unknown) => return Ok(Err(unknown)),
        Value::Tuple(elements) | Value::List(elements) => elements
            .into_iter()
            .enumerate()
            .map(|(index, element)| (Value::whole(index), element))
            .collect(),
        Value::Set(elements) => elements
            .into_iter()
            .map(|element| (element.clone(), element))
            .collect(),
        Value::Object(attributes) | Value::Map(attributes) => attributes
            .into_iter()
            .map(|(name, value)| (Value::String(name), value))
            .collect(),
        other => {
            return Err(fault(
                site.clone(),
                format!(
                    "`for` goes through a collection, this is a {}",
                    other.type_name()
                ),
            ));
        }
    }))
}

/// The names of one round of a `for`.
pub(super) fn bind(
    key_name: Option<&str>,
    value_name: &str,
    key: Value,
    value: Value,
) -> BTreeMap<String, Value> {
    let mut bindings = BTreeMap::from([(value_name.to_owned(), value)]);
    if let Some(name) = key_name {
        bindings.insert(name.to_owned(), key);
    }
    bindings
}

/// Evaluates `[for ..]` and `{for ..}`.
pub(super) fn for_value(
    for_expr: &ForExpr,
    origin: &Origin,
    scope: &Scope<'_>,
    site: &Site,
) -> Evaluated {
    let intro = &for_expr.intro;
    let collection = eval(&intro.collection_expr, origin, scope)?;
    let pairs = match pairs(collection, site)? {
        Ok(pairs) => pairs,
        Err(unknown) => {
            return Ok(Value::Unknown(
                unknown.within(format!("for .. in {}", unknown.expression)),
            ));
        }
    };
    let key_name = intro.key_var.as_ref().map(|name| name.value().as_str());
    let mut tuple = Vec::new();
    let mut object: BTreeMap<String, Value> = BTreeMap::new();
    for (key, value) in pairs {
        let bindings = bind(key_name, intro.value_var.value().as_str(), key, value);
        let scope = scope.with(&bindings);
        if let Some(condition) = &for_expr.cond {
            match eval(&condition.expr, origin, &scope)? {
                Value::Unknown(unknown) => return Ok(Value::Unknown(unknown)),
                value if value.as_bool() == Some(false) => continue,
                value if value.as_bool() == Some(true) => {}
                value => {
                    return Err(fault(
                        origin.site(condition.expr.span()),
                        format!("`if` takes true or false, this is a {}", value.type_name()),
                    ));
                }
            }
        }
        let value = eval(&for_expr.value_expr, origin, &scope)?;
        let Some(key_expr) = &for_expr.key_expr else {
            tuple.push(value);
            continue;
        };
        let key = match eval(key_expr, origin, &scope)? {
            Value::Unknown(unknown) => return Ok(Value::Unknown(unknown)),
            key => key.to_text().ok_or_else(|| {
                fault(
                    origin.site(key_expr.span()),
                    format!("a key must be text, this is a {}", key.type_name()),
                )
            })?,
        };
        if for_expr.grouping {
            match object
                .entry(key)
                .or_insert_with(|| Value::Tuple(Vec::new()))
            {
                Value::Tuple(group) => group.push(value),
                _ => unreachable!("groups are tuples"),
            }
        } else if object.insert(key.clone(), value).is_some() {
            return Err(fault(
                origin.site(key_expr.span()),
                format!("two elements have the key `{key}`"),
            ));
        }
    }
    Ok(if for_expr.key_expr.is_some() {
        Value::Object(object)
    } else {
        Value::Tuple(tuple)
    })
}
