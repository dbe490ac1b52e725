//! Lists, sets, maps and objects.

use std::collections::BTreeMap;

use super::{Args, Entry, Needs, numbers, texts};
use crate::terraform::number::Number;
use crate::terraform::unify::alike;
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("alltrue", Needs::Everything, |args| {
        Ok(Value::Bool(
            args.elements(0)?
                .iter()
                .all(|element| element.as_bool() == Some(true)),
        ))
    }),
    ("anytrue", Needs::Everything, |args| {
        Ok(Value::Bool(
            args.elements(0)?
                .iter()
                .any(|element| element.as_bool() == Some(true)),
        ))
    }),
    ("chunklist", Needs::Shape, |args| {
        let size = usize::try_from(args.whole(1)?).map_err(|_| "a negative size".to_owned())?;
        let elements = args.elements(0)?;
        let chunks = if size == 0 {
            vec![elements.to_vec()]
        } else {
            elements.chunks(size).map(<[Value]>::to_vec).collect()
        };
        Ok(Value::List(chunks.into_iter().map(Value::List).collect()))
    }),
    ("coalesce", Needs::Shape, |args| {
        let wanted = args
            .values
            .iter()
            .find(|value| !matches!(value, Value::Null) && value.as_str() != Some(""));
        let any_text = args
            .values
            .iter()
            .any(|value| matches!(value, Value::String(_)));
        let value = wanted
            .ok_or("`coalesce` has no argument that is neither null nor empty")?
            .clone();
        Ok(if any_text {
            value.to_text().map_or(value, Value::String)
        } else {
            value
        })
    }),
    ("coalescelist", Needs::Shape, |args| {
        args.values
            .iter()
            .find(|value| value.elements().is_some_and(|list| !list.is_empty()))
            .cloned()
            .ok_or_else(|| "`coalescelist` has no list that is not empty".to_owned())
    }),
    ("compact", Needs::Everything, |args| {
        let kept = args
            .elements(0)?
            .iter()
            .filter(|element| !matches!(element, Value::Null))
            .filter_map(Value::to_text);
        Ok(texts(kept.filter(|text| !text.is_empty())))
    }),
    ("concat", Needs::Shape, concat),
    ("contains", Needs::Everything, |args| {
        let wanted = args.get(1)?;
        Ok(Value::Bool(args.elements(0)?.iter().any(|element| {
            element == wanted
                || (element.to_text().is_some() && element.to_text() == wanted.to_text())
        })))
    }),
    ("distinct", Needs::Everything, |args| {
        let mut seen: Vec<Value> = Vec::new();
        for element in alike(args.elements(0)?.to_vec()) {
            if !seen.contains(&element) {
                seen.push(element);
            }
        }
        Ok(Value::List(seen))
    }),
    ("element", Needs::Shape, |args| {
        let elements = args.elements(0)?;
        let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
        if length == 0 {
            return Err("`element` of an empty list".to_owned());
        }
        if args.whole(1)? < 0 {
            return Err("`element` takes no negative index".to_owned());
        }
        let index = usize::try_from(args.whole(1)?.rem_euclid(length)).unwrap_or(0);
        Ok(elements[index].clone())
    }),
    ("flatten", Needs::Shape, |args| {
        let mut flat = Vec::new();
        if let Some(unknown) = flatten(args.elements(0)?, &mut flat) {
            return Ok(unknown);
        }
        Ok(Value::Tuple(flat))
    }),
    ("index", Needs::Everything, |args| {
        let wanted = args.get(1)?;
        args.elements(0)?
            .iter()
            .position(|element| element == wanted)
            .map(Value::whole)
            .ok_or_else(|| "`index` does not find the value".to_owned())
    }),
    ("keys", Needs::Shape, |args| {
        let value = args.get(0)?;
        let names = value
            .attributes()
            .ok_or_else(|| args.wrong(0, "a map", value))?
            .keys()
            .cloned()
            .map(Value::String)
            .collect::<Vec<_>>();
        Ok(if matches!(value, Value::Map(_)) {
            Value::List(names)
        } else {
            Value::Tuple(names)
        })
    }),
    ("length", Needs::Shape, |args| match args.get(0)? {
        Value::String(text) if !text.is_ascii() => {
            Ok(args.unsupported("counts grapheme clusters, which matters beyond ASCII"))
        }
        Value::String(text) => Ok(Value::whole(text.len())),
        value => value
            .elements()
            .map(<[Value]>::len)
            .or_else(|| value.attributes().map(BTreeMap::len))
            .map(Value::whole)
            .ok_or_else(|| args.wrong(0, "a collection or text", value)),
    }),
    ("lookup", Needs::Shape, |args| {
        let (map, key) = (args.get(0)?, args.text(1)?);
        let attributes = map
            .attributes()
            .ok_or_else(|| args.wrong(0, "a map", map))?;
        attributes
            .get(&key)
            .or(args.values.get(2))
            .cloned()
            .ok_or_else(|| format!("the map has no `{key}`, and `lookup` no default"))
    }),
    ("matchkeys", Needs::Everything, |args| {
        let (values, keys, wanted) = (args.elements(0)?, args.elements(1)?, args.elements(2)?);
        Ok(Value::List(
            values
                .iter()
                .zip(keys)
                .filter(|(_, key)| wanted.contains(key))
                .map(|(value, _)| value.clone())
                .collect(),
        ))
    }),
    ("merge", Needs::Shape, merge),
    ("one", Needs::Shape, |args| match args.elements(0)? {
        [] => Ok(Value::Null),
        [single] => Ok(single.clone()),
        several => Err(format!(
            "`one` takes a list of none or one, this has {}",
            several.len()
        )),
    }),
    ("range", Needs::Everything, range),
    ("reverse", Needs::Shape, |args| {
        same_kind(
            args.get(0)?,
            args.elements(0)?.iter().rev().cloned().collect(),
        )
    }),
    ("setintersection", Needs::Everything, |args| {
        set_operation(args, |one, other| {
            one.into_iter()
                .filter(|element| other.contains(element))
                .collect()
        })
    }),
    ("setproduct", Needs::Everything, setproduct),
    ("setsubtract", Needs::Everything, |args| {
        set_operation(args, |one, other| {
            one.into_iter()
                .filter(|element| !other.contains(element))
                .collect()
        })
    }),
    ("setunion", Needs::Everything, |args| {
        set_operation(args, |mut one, other| {
            one.extend(other.iter().cloned());
            one
        })
    }),
    ("slice", Needs::Shape, |args| {
        let elements = args.elements(0)?;
        let (start, end) = (
            usize::try_from(args.whole(1)?),
            usize::try_from(args.whole(2)?),
        );
        let (Ok(start), Ok(end)) = (start, end) else {
            return Err("a negative index".to_owned());
        };
        let part = elements.get(start..end).ok_or_else(|| {
            format!(
                "a list of {} has no part from {start} to {end}",
                elements.len()
            )
        })?;
        same_kind(args.get(0)?, part.to_vec())
    }),
    ("sort", Needs::Everything, |args| {
        let mut sorted = args.texts(0)?;
        sorted.sort();
        Ok(texts(sorted))
    }),
    ("sum", Needs::Everything, |args| {
        let numbers = args
            .elements(0)?
            .iter()
            .map(|element| element.as_number().ok_or("`sum` takes numbers"))
            .collect::<Result<Vec<_>, _>>()?;
        numbers
            .into_iter()
            .try_fold(Number::from(0_i64), Number::plus)
            .map(Value::Number)
            .ok_or_else(|| "a number beyond 128 bits".to_owned())
    }),
    ("transpose", Needs::Everything, transpose),
    ("values", Needs::Shape, |args| {
        let value = args.get(0)?;
        let values = value
            .attributes()
            .ok_or_else(|| args.wrong(0, "a map", value))?
            .values()
            .cloned()
            .collect();
        Ok(if matches!(value, Value::Map(_)) {
            Value::List(values)
        } else {
            Value::Tuple(values)
        })
    }),
    ("zipmap", Needs::Shape, |args| {
        let keys = args.texts(0)?;
        let values = args.elements(1)?;
        if keys.len() != values.len() {
            return Err(format!(
                "`zipmap` has {} keys and {} values",
                keys.len(),
                values.len()
            ));
        }
        let zipped = keys.into_iter().zip(values.iter().cloned()).collect();
        Ok(if matches!(args.get(1)?, Value::List(_)) {
            Value::Map(zipped)
        } else {
            Value::Object(zipped)
        })
    }),
];

fn same_kind(like: &Value, elements: Vec<Value>) -> Result<Value, String> {
    Ok(if matches!(like, Value::Tuple(_)) {
        Value::Tuple(elements)
    } else {
        Value::List(elements)
    })
}

fn concat(args: &Args<'_>) -> Result<Value, String> {
    let mut all = Vec::new();
    for index in 0..args.values.len() {
        all.extend(args.elements(index)?.to_vec());
    }
    let lists = args
        .values
        .iter()
        .all(|value| matches!(value, Value::List(_)));
    Ok(if lists {
        Value::List(alike(all))
    } else {
        Value::Tuple(all)
    })
}

/// Flattens lists of lists. An unknown element could be a list of any length, and then nothing is known;
/// only attributes that are single values in every resource (`id`, `arn`, addresses) are certain.
fn flatten(elements: &[Value], into: &mut Vec<Value>) -> Option<Value> {
    for element in elements {
        match element {
            Value::Unknown(unknown) if !single(&unknown.expression) => {
                return Some(element.clone());
            }
            element => match element.elements() {
                Some(inner) => {
                    if let Some(unknown) = flatten(inner, into) {
                        return Some(unknown);
                    }
                }
                None => into.push(element.clone()),
            },
        }
    }
    None
}

fn single(expression: &str) -> bool {
    let attribute = expression.rsplit('.').next().unwrap_or_default();
    ["id", "arn", "name", "private_ip", "public_ip"].contains(&attribute)
        || attribute.ends_with("_id")
}

fn merge(args: &Args<'_>) -> Result<Value, String> {
    let mut merged = BTreeMap::new();
    for (index, value) in args.values.iter().enumerate() {
        if matches!(value, Value::Null) {
            continue;
        }
        merged.extend(
            value
                .attributes()
                .ok_or_else(|| args.wrong(index, "a map", value))?
                .clone(),
        );
    }
    let maps = args
        .values
        .iter()
        .all(|value| matches!(value, Value::Map(_) | Value::Null));
    Ok(if maps && !args.values.is_empty() {
        Value::Map(merged)
    } else {
        Value::Object(merged)
    })
}

fn range(args: &Args<'_>) -> Result<Value, String> {
    let zero = Number::from(0_i64);
    let (start, limit) = if args.values.len() == 1 {
        (zero, args.number(0)?)
    } else {
        (args.number(0)?, args.number(1)?)
    };
    let step = match args.values.len() {
        3 => args.number(2)?,
        _ if limit < start => Number::from(-1_i64),
        _ => Number::from(1_i64),
    };
    if step == zero || (limit < start) != (step < zero) && limit != start {
        return Err("`range` never comes to its end".to_owned());
    }
    let mut list = Vec::new();
    let mut at = start;
    // Terraform's own limit.
    while list.len() <= 1024 {
        if (step > zero && at >= limit) || (step < zero && at <= limit) {
            return Ok(numbers(list));
        }
        list.push(at);
        at = at.plus(step).ok_or("a number beyond 128 bits")?;
    }
    Err("`range` gives at most 1024 numbers".to_owned())
}

fn set_operation(
    args: &Args<'_>,
    combine: fn(Vec<Value>, &[Value]) -> Vec<Value>,
) -> Result<Value, String> {
    let mut result = alike(args.elements(0)?.to_vec());
    for index in 1..args.values.len() {
        result = combine(result, &alike(args.elements(index)?.to_vec()));
    }
    Ok(Value::set_of(result))
}

fn setproduct(args: &Args<'_>) -> Result<Value, String> {
    let mut products: Vec<Vec<Value>> = vec![Vec::new()];
    for index in 0..args.values.len() {
        let elements = args.elements(index)?;
        products = products
            .into_iter()
            .flat_map(|product| {
                elements.iter().map(move |element| {
                    let mut longer = product.clone();
                    longer.push(element.clone());
                    longer
                })
            })
            .collect();
    }
    let tuples = products.into_iter().map(Value::Tuple).collect();
    let all_sets = args
        .values
        .iter()
        .all(|value| matches!(value, Value::Set(_)));
    Ok(if all_sets {
        Value::set_of(tuples)
    } else {
        Value::List(tuples)
    })
}

fn transpose(args: &Args<'_>) -> Result<Value, String> {
    let value = args.get(0)?;
    let mut turned: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, list) in value
        .attributes()
        .ok_or_else(|| args.wrong(0, "a map of lists", value))?
    {
        for element in list.elements().ok_or("`transpose` takes a map of lists")? {
            turned
                .entry(element.to_text().ok_or("`transpose` takes texts")?)
                .or_default()
                .push(name.clone());
        }
    }
    Ok(Value::Map(
        turned
            .into_iter()
            .map(|(name, names)| (name, texts(names)))
            .collect(),
    ))
}
