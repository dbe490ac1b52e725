//! Names and what is reached through them: `aws_instance.server[0].id`, `list[*].x`.

use hcl_edit::Span;
use hcl_edit::expr::{Expression, Traversal, TraversalOperator};

use super::eval::{EvalError, Evaluated, Scope, eval, fault, text_of};
use super::number::Number;
use super::source::{Origin, Site};
use super::value::{Unknown, Value, Why};

/// Returns what a name stands for, and how many of the two names after it were taken.
pub(super) fn root(
    name: &str,
    first: Option<&str>,
    second: Option<&str>,
    scope: &Scope<'_>,
    site: &Site,
) -> Result<(Value, usize), EvalError> {
    if let Some(value) = scope.binding(name) {
        return Ok((value.clone(), 0));
    }
    match scope.names {
        Some(names) => names.resolve(name, first, second, site),
        None => Err(fault(
            site.clone(),
            format!("the template has no variable `{name}`"),
        )),
    }
}

/// Evaluates a name with attributes, indices and splats.
pub(super) fn traverse(traversal: &Traversal, origin: &Origin, scope: &Scope<'_>) -> Evaluated {
    let site = origin.site(traversal.span());
    let operators: Vec<&TraversalOperator> = traversal
        .operators
        .iter()
        .map(|operator| operator.value())
        .collect();
    let attribute = |index: usize| match operators.get(index) {
        Some(TraversalOperator::GetAttr(name)) => Some(name.value().as_str()),
        _ => None,
    };
    let (value, taken, written) = match &traversal.expr {
        Expression::Variable(name) => {
            let name = name.value().as_str();
            let (value, taken) = root(name, attribute(0), attribute(1), scope, &site)?;
            let written = (0..taken)
                .filter_map(attribute)
                .fold(name.to_owned(), |path, part| format!("{path}.{part}"));
            (value, taken, written)
        }
        other => (eval(other, origin, scope)?, 0, text_of(other, origin)),
    };
    follow(value, &operators[taken..], &written, origin, scope, &site)
}

/// Applies traversal operators. `written` is how the configuration writes the value.
fn follow(
    value: Value,
    operators: &[&TraversalOperator],
    written: &str,
    origin: &Origin,
    scope: &Scope<'_>,
    site: &Site,
) -> Evaluated {
    let Some((operator, rest)) = operators.split_first() else {
        return Ok(value);
    };
    match operator {
        TraversalOperator::AttrSplat(_) => {
            // `.*` takes the attributes that follow per element, and the rest of the whole.
            let attributes = rest
                .iter()
                .take_while(|next| matches!(next, TraversalOperator::GetAttr(_)))
                .count();
            let splat = splat(value, &rest[..attributes], written, origin, scope, site)?;
            follow(
                splat,
                &rest[attributes..],
                &format!("{written}.*"),
                origin,
                scope,
                site,
            )
        }
        TraversalOperator::FullSplat(_) => splat(value, rest, written, origin, scope, site),
        TraversalOperator::GetAttr(name) => {
            let name = name.value().as_str();
            let next = get_attribute(&value, name, written, site)?;
            follow(
                next,
                rest,
                &format!("{written}.{name}"),
                origin,
                scope,
                site,
            )
        }
        TraversalOperator::Index(expr) => {
            let key = eval(expr, origin, scope)?;
            let next = get_index(&value, &key, written, site)?;
            follow(
                next,
                rest,
                &format!("{written}[{}]", key.to_json()),
                origin,
                scope,
                site,
            )
        }
        TraversalOperator::LegacyIndex(index) => {
            let index = usize::try_from(*index.value()).unwrap_or(usize::MAX);
            let next = get_index(&value, &Value::whole(index), written, site)?;
            follow(
                next,
                rest,
                &format!("{written}[{index}]"),
                origin,
                scope,
                site,
            )
        }
    }
}

fn splat(
    value: Value,
    rest: &[&TraversalOperator],
    written: &str,
    origin: &Origin,
    scope: &Scope<'_>,
    site: &Site,
) -> Evaluated {
    let elements = match value {
        Value::Unknown(unknown) => {
            return Ok(Value::Unknown(unknown.within(format!("{written}[*]"))));
        }
        Value::Null => Vec::new(),
        Value::Tuple(elements) | Value::List(elements) | Value::Set(elements) => elements,
        single => vec![single],
    };
    elements
        .into_iter()
        .enumerate()
        .map(|(index, element)| {
            follow(
                element,
                rest,
                &format!("{written}[{index}]"),
                origin,
                scope,
                site,
            )
        })
        .collect::<Result<_, _>>()
        .map(Value::Tuple)
}

fn get_attribute(value: &Value, name: &str, written: &str, site: &Site) -> Evaluated {
    match value {
        Value::Unknown(unknown) => Ok(Value::Unknown(
            unknown.within(format!("{}.{name}", unknown.expression)),
        )),
        Value::Resource(resource) => {
            Ok(resource.attributes.get(name).cloned().unwrap_or_else(|| {
                let why = if resource.data {
                    Why::DataSource
                } else {
                    Why::AfterApply
                };
                Value::Unknown(Unknown::of(
                    why,
                    format!("{}.{name}", resource.address),
                    site.clone(),
                ))
            }))
        }
        Value::Object(attributes) | Value::Map(attributes) => {
            attributes.get(name).cloned().ok_or_else(|| {
                let there: Vec<_> = attributes.keys().map(|key| format!("`{key}`")).collect();
                fault(
                    site.clone(),
                    format!(
                        "`{written}` has no `{name}`; it has {}",
                        if there.is_empty() {
                            "nothing".to_owned()
                        } else {
                            there.join(", ")
                        }
                    ),
                )
            })
        }
        Value::Null => Err(fault(
            site.clone(),
            format!("`{written}` is null and has no `{name}`"),
        )),
        other => Err(fault(
            site.clone(),
            format!("`{written}` is a {} and has no `{name}`", other.type_name()),
        )),
    }
}

fn get_index(value: &Value, key: &Value, written: &str, site: &Site) -> Evaluated {
    if let Value::Unknown(unknown) = key {
        return Ok(Value::Unknown(
            unknown.within(format!("{written}[{}]", unknown.expression)),
        ));
    }
    match value {
        Value::Unknown(unknown) => Ok(Value::Unknown(unknown.within(format!(
            "{}[{}]",
            unknown.expression,
            key.to_json()
        )))),
        Value::Tuple(elements) | Value::List(elements) => {
            let index = key.as_number().and_then(Number::as_usize);
            index
                .and_then(|index| elements.get(index))
                .cloned()
                .ok_or_else(|| {
                    fault(
                        site.clone(),
                        format!(
                            "`{written}` has {} elements, not one at {}",
                            elements.len(),
                            key.to_json()
                        ),
                    )
                })
        }
        Value::Object(_) | Value::Map(_) | Value::Resource(_) => {
            let name = key
                .to_text()
                .ok_or_else(|| fault(site.clone(), format!("`{written}` takes text as key")))?;
            get_attribute(value, &name, written, site)
        }
        other => Err(fault(
            site.clone(),
            format!("`{written}` is a {} and has no elements", other.type_name()),
        )),
    }
}
