//! `variable` and `locals` blocks.

use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Body};

use super::Problem;
use super::reader::{BlockReader, Reader};

/// Reads `variable` and `locals` blocks and makes `var.*` and `local.*` known to the reader.
///
/// `given` are the submitter's values, in HCL or as bare text.
pub(super) fn declare(reader: &mut Reader<'_>, body: &Body, given: &BTreeMap<String, String>) {
    let values = variables(reader, body, given);
    reader.evaluator.declare("var", values);
    locals(reader, body);
}

fn variables(
    reader: &Reader<'_>,
    body: &Body,
    given: &BTreeMap<String, String>,
) -> hcl::Map<String, hcl::Value> {
    let file = BlockReader::file(reader, body);
    let mut values = hcl::Map::new();
    let mut seen = BTreeSet::new();
    for block in file.blocks("variable") {
        let name = block.label();
        if !seen.insert(name.clone()) {
            block.problem(format!("variable `{name}` is declared twice"));
        }
        let kind = variable_type(&block);
        block.ask("description");
        block.refuse(&["validation"]);
        let default = block.value("default");
        let value = match given.get(&name) {
            Some(text) => Some(from_text(text, kind.as_deref())),
            None => default.or_else(|| block.has("default").then_some(hcl::Value::Null)),
        };
        match value {
            Some(value) => match converted(value, kind.as_deref()) {
                Ok(value) => drop(values.insert(name, value)),
                Err(why) => block.problem(format!("variable `{name}`: {why}")),
            },
            None => block.problem_of(
                Problem::NoValue,
                format!("missing value for variable `{name}`: it has no default"),
            ),
        }
        block.finish();
    }
    for name in given.keys().filter(|name| !values.contains_key(*name)) {
        let declared = file.blocks("variable").iter().any(|b| b.label() == **name);
        if !declared {
            let message = format!("undefined variable `{name}` was given a value");
            let name = name.clone();
            reader.problem_of(Problem::Undeclared { name }, 0, message);
        }
    }
    values
}

/// The text of `type = ...`, which is a type expression and no value.
fn variable_type(block: &BlockReader<'_>) -> Option<String> {
    let attribute = block.all_attributes().find(|a| a.has_key("type"))?;
    // Asked for, so that it is not reported as unknown; its value is not evaluated.
    block.ask("type");
    if let Some(why) = type_problem(&attribute.value) {
        block.problem_at("type", why);
    }
    Some(attribute.value.to_string().trim().to_owned())
}

/// What is wrong with a type: Nomad takes exact ones alone, without `any`.
fn type_problem(expression: &Expression) -> Option<String> {
    const WANTED: &str = "expected string, number, bool, list(...), set(...), map(...), \
                          object({...}) or tuple([...])";
    let refused = || {
        let text = expression.to_string();
        Some(format!(
            "`{}` is no type of a variable, {WANTED}",
            text.trim()
        ))
    };
    let call = match expression {
        Expression::Variable(name) => {
            let is_known = matches!(name.as_str(), "string" | "number" | "bool");
            return if is_known { None } else { refused() };
        }
        Expression::FuncCall(call) => call,
        _ => return refused(),
    };
    let mut arguments = call.args.iter();
    let (Some(of), None) = (arguments.next(), arguments.next()) else {
        return refused();
    };
    match (call.name.name.as_str(), of) {
        ("list" | "set" | "map", of) => type_problem(of),
        ("object", Expression::Object(of)) => {
            of.iter().find_map(|(_, value)| type_problem(value.expr()))
        }
        ("tuple", Expression::Array(of)) => of.iter().find_map(type_problem),
        _ => refused(),
    }
}

/// A value from the submitter: a bare string for string variables, HCL for others.
fn from_text(text: &str, kind: Option<&str>) -> hcl::Value {
    let parsed = || {
        let expression = crate::hcl_text::parse_expr(text.trim()).ok()?;
        use hcl::eval::Evaluate as _;
        let expression: hcl::Expression = expression.into();
        expression.evaluate(&hcl::eval::Context::new()).ok()
    };
    let quoted = text.trim().starts_with('"');
    if kind == Some("string") && !quoted {
        return hcl::Value::from(text);
    }
    parsed().unwrap_or_else(|| hcl::Value::from(text))
}

fn converted(value: hcl::Value, kind: Option<&str>) -> Result<hcl::Value, String> {
    if value.is_null() {
        return Ok(value);
    }
    match kind {
        Some("string") => super::functions::text_of(&value).map(hcl::Value::from),
        Some("number") => match &value {
            hcl::Value::Number(_) => Ok(value),
            other => {
                let text = super::functions::text_of(other)?;
                let number: Result<hcl::Number, _> = serde_json::from_str(text.trim());
                number
                    .map(hcl::Value::Number)
                    .map_err(|_| format!("a number is required, found `{text}`"))
            }
        },
        Some("bool") => match super::functions::text_of(&value)?.as_str() {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            other => Err(format!("a bool is required, found `{other}`")),
        },
        Some(kind) if kind.starts_with("list") || kind.starts_with("set") => match value {
            hcl::Value::Array(_) => Ok(value),
            other => Err(format!("a {kind} is required, found `{other}`")),
        },
        Some(kind) if kind.starts_with("map") || kind.starts_with("object") => match value {
            hcl::Value::Object(_) => Ok(value),
            other => Err(format!("a {kind} is required, found `{other}`")),
        },
        _ => Ok(value),
    }
}

/// Locals may use each other in any order: evaluated round by round until nothing moves.
fn locals(reader: &mut Reader<'_>, body: &Body) {
    let mut waiting: Vec<&Attribute> = body
        .get_blocks("locals")
        .flat_map(|block| block.body.attributes())
        .collect();
    let mut known = hcl::Map::new();
    loop {
        let mut failed = Vec::new();
        for attribute in &waiting {
            match reader.evaluator.eval(&attribute.value) {
                Ok(value) => drop(known.insert(attribute.key.to_string(), value)),
                Err(why) => failed.push((*attribute, why)),
            }
        }
        reader.evaluator.declare("local", known.clone());
        if failed.is_empty() || failed.len() == waiting.len() {
            for (attribute, why) in failed {
                if why.kind == Problem::NotSimulated {
                    reader.evaluator.leave_out(attribute.key.as_str());
                }
                reader.refusal(&attribute.value, why);
            }
            return;
        }
        waiting = failed.into_iter().map(|(attribute, _)| attribute).collect();
    }
}
