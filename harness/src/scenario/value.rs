//! Expressions of a script: literals, `var.NAME`, templates, arithmetic. Everything comes out as
//! JSON, whose types are those of HCL.

use hcl_edit::Span as _;
use hcl_edit::expr::{
    BinaryOperator, Expression, Object, ObjectKey, Traversal, TraversalOperator, UnaryOperator,
};
use hcl_edit::template::{Element, StringTemplate};
use serde_json::{Map, Number, Value as Json, json};

use super::reader::Reader;
use crate::grammar::suggest;

impl Reader<'_> {
    /// Returns an expression's value; `None` when there is something wrong with it, which is told.
    pub(super) fn value(&mut self, expr: &Expression) -> Option<Json> {
        match expr {
            Expression::Null(_) => Some(Json::Null),
            Expression::Bool(flag) => Some(json!(**flag)),
            Expression::Number(number) => Some(json_number(number.value())),
            Expression::String(text) => Some(json!(text.as_str())),
            Expression::Parenthesis(inner) => self.value(inner.inner()),
            Expression::StringTemplate(template) => self.template(template),
            Expression::Traversal(traversal) => self.traversal(traversal),
            Expression::Array(items) => {
                let values: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                values
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(Json::from)
            }
            Expression::Object(entries) => self.object_value(entries),
            Expression::UnaryOp(operation) => {
                let value = self.value(&operation.expr)?;
                let negative = match (*operation.operator, value.as_f64(), value.as_bool()) {
                    (UnaryOperator::Neg, Some(number), _) => Some(plain(-number)),
                    (UnaryOperator::Not, _, Some(flag)) => Some(json!(!flag)),
                    _ => None,
                };
                self.or_tell(negative, expr, "this cannot be negated")
            }
            Expression::BinaryOp(operation) => {
                let left = self.value(&operation.lhs_expr);
                let right = self.value(&operation.rhs_expr);
                let computed = calculate(*operation.operator, &left?, &right?);
                self.or_tell(
                    computed,
                    expr,
                    "only `+`, `-`, `*`, `/` and `%` between numbers are known here",
                )
            }
            Expression::Variable(word) => {
                let word = word.as_str();
                self.tell(
                    expr.span(),
                    format!("unknown word `{word}` (a text stands in quotes: `\"{word}\"`)"),
                );
                None
            }
            Expression::FuncCall(call) => {
                let name = call.name.name.as_str();
                self.tell(
                    expr.span(),
                    format!("unknown function `{name}`: only picks of agents are written so"),
                );
                None
            }
            _ => {
                self.tell(
                    expr.span(),
                    "this kind of expression is not known here (expected a literal, `var.NAME`, \
                     a template or arithmetic)",
                );
                None
            }
        }
    }

    fn object_value(&mut self, entries: &Object) -> Option<Json> {
        let mut object = Some(Map::new());
        for (key, value) in entries {
            let key = self.key(key);
            let value = self.value(value.expr());
            match (object.as_mut(), key, value) {
                (Some(map), Some(key), Some(value)) => {
                    map.insert(key, value);
                }
                _ => object = None,
            }
        }
        object.map(Json::from)
    }

    fn or_tell(&mut self, value: Option<Json>, expr: &Expression, message: &str) -> Option<Json> {
        if value.is_none() {
            self.tell(expr.span(), message);
        }
        value
    }

    fn key(&mut self, key: &ObjectKey) -> Option<String> {
        match key {
            ObjectKey::Ident(word) => Some(word.as_str().to_owned()),
            ObjectKey::Expression(expr) => match self.value(expr)? {
                Json::String(text) => Some(text),
                other => Some(other.to_string()),
            },
        }
    }

    fn template(&mut self, template: &StringTemplate) -> Option<Json> {
        let mut text = Some(String::new());
        for element in template {
            let part = match element {
                Element::Literal(literal) => Some(literal.as_str().to_owned()),
                Element::Interpolation(inner) => self.value(&inner.expr).map(|value| match value {
                    Json::String(text) => text,
                    other => other.to_string(),
                }),
                Element::Directive(directive) => {
                    self.tell(
                        directive.span(),
                        "`%{ }` is not known here (expected `${ }`)",
                    );
                    None
                }
            };
            match (text.as_mut(), part) {
                (Some(text), Some(part)) => text.push_str(&part),
                _ => text = None,
            }
        }
        text.map(Json::from)
    }

    fn traversal(&mut self, traversal: &Traversal) -> Option<Json> {
        let place = traversal.span();
        let Some((root, name)) = root_and_name(traversal) else {
            self.tell(place, "unknown reference (expected `var.NAME`)");
            return None;
        };
        if root != "var" {
            let hint = suggest(root, ["var"]);
            self.tell(place, format!("unknown reference `{root}.{name}`{hint}"));
            return None;
        }
        let known = self.variables.get(name).map(|known| known.value.clone());
        match known {
            Some(value) => value,
            None => {
                let names: Vec<_> = self.variables.keys().map(String::as_str).collect();
                let hint = suggest(name, names.iter().copied());
                self.tell(place, format!("unknown variable `{name}`{hint}"));
                None
            }
        }
    }
}

/// Returns the two words of `root.name`.
pub(super) fn root_and_name(traversal: &Traversal) -> Option<(&str, &str)> {
    let Expression::Variable(root) = &traversal.expr else {
        return None;
    };
    let [operator] = traversal.operators.as_slice() else {
        return None;
    };
    match operator.value() {
        TraversalOperator::GetAttr(name) => Some((root.as_str(), name.as_str())),
        _ => None,
    }
}

/// Returns what a value is, for messages.
pub(super) fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "`null`",
        Json::Bool(_) => "a flag",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn json_number(number: &hcl_edit::Number) -> Json {
    match number.as_i64() {
        Some(whole) => json!(whole),
        None => plain(number.as_f64().unwrap_or_default()),
    }
}

/// A number that is whole is written without a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "only numbers that survive the way there and back are taken so"
)]
fn plain(number: f64) -> Json {
    let whole = number as i64;
    if (whole as f64).to_bits() == number.to_bits() {
        json!(whole)
    } else {
        Number::from_f64(number).map_or(Json::Null, Json::from)
    }
}

fn calculate(operator: BinaryOperator, left: &Json, right: &Json) -> Option<Json> {
    let (left, right) = (left.as_f64()?, right.as_f64()?);
    let number = match operator {
        BinaryOperator::Plus => left + right,
        BinaryOperator::Minus => left - right,
        BinaryOperator::Mul => left * right,
        BinaryOperator::Div => left / right,
        BinaryOperator::Mod => left % right,
        _ => return None,
    };
    number.is_finite().then(|| plain(number))
}
