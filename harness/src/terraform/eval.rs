//! Evaluates expressions. What is not known spreads: a value that depends on it is unknown as well,
//! for the same reason, and is listed; nothing is guessed.

use std::collections::BTreeMap;
use std::path::Path;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, FuncCall, ObjectKey};

use super::functions;
use super::loops::for_value;
use super::number::Number;
use super::operators;
use super::render::{heredoc, render};
use super::source::{Code, Origin, Site, SyntaxError};
use super::template::Style;
use super::traversal::{root, traverse};
use super::unify::unify;
use super::value::{Unknown, Value, Why};

/// An expression that Terraform would refuse as well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", site.exact())]
pub struct EvalError {
    /// Where.
    pub site: Site,
    /// What is wrong.
    pub message: String,
}

impl From<SyntaxError> for EvalError {
    fn from(error: SyntaxError) -> Self {
        Self {
            site: error.site,
            message: error.message,
        }
    }
}

/// What names of a module stand for: `var.x`, `local.y`, resources, ...
pub trait Names {
    /// Returns the value of `root.first.second`, and how many of `first` and `second` it took.
    ///
    /// # Errors
    ///
    /// For names that the module does not declare, and for values in error.
    fn resolve(
        &self,
        root: &str,
        first: Option<&str>,
        second: Option<&str>,
        site: &Site,
    ) -> Result<(Value, usize), EvalError>;
}

/// What an expression can see.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The module's names; none inside a template file.
    pub names: Option<&'a dyn Names>,
    /// The folder that relative file names count from: where `terraform` would be run.
    pub dir: &'a Path,
    bindings: Option<&'a BTreeMap<String, Value>>,
    parent: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// Returns the outermost scope of a module.
    #[must_use]
    pub fn new(names: Option<&'a dyn Names>, dir: &'a Path) -> Self {
        Self {
            names,
            dir,
            bindings: None,
            parent: None,
        }
    }

    /// Returns a scope with more names: `each`, `count`, or the variables of a `for`.
    #[must_use]
    pub fn with(&'a self, bindings: &'a BTreeMap<String, Value>) -> Scope<'a> {
        Scope {
            names: self.names,
            dir: self.dir,
            bindings: Some(bindings),
            parent: Some(self),
        }
    }

    pub(super) fn binding(&self, name: &str) -> Option<&Value> {
        self.bindings
            .and_then(|bindings| bindings.get(name))
            .or_else(|| self.parent.and_then(|parent| parent.binding(name)))
    }
}

/// An evaluated expression, or why Terraform would refuse it.
pub type Evaluated = Result<Value, EvalError>;

/// Evaluates an expression.
///
/// # Errors
///
/// What Terraform would refuse as well: names that nobody declares, types that do not fit.
pub fn eval(expr: &Expression, origin: &Origin, scope: &Scope<'_>) -> Evaluated {
    let site = || origin.site(expr.span());
    match expr {
        Expression::Null(_) => Ok(Value::Null),
        Expression::Bool(value) => Ok(Value::Bool(*value.value())),
        Expression::Number(number) => {
            // The text, not the parsed number: that one is a binary fraction.
            let mut text = number
                .as_repr()
                .map_or_else(|| number.value().to_string(), |repr| repr.to_string());
            // What stands for one that the parser does not take, and, which is as well, what really is so.
            let stands_for_another = text
                .strip_prefix("1e")
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte == b'0'));
            if let Some(span) = expr.span().filter(|_| stands_for_another) {
                origin.text(span).clone_into(&mut text);
            }
            Number::parse(&text)
                .map(Value::Number)
                .ok_or_else(|| fault(site(), "a number beyond this reader's 128 bits"))
        }
        Expression::String(text) => Ok(Value::String(text.value().clone())),
        Expression::StringTemplate(_) => {
            let span = expr
                .span()
                .ok_or_else(|| fault(site(), "a template without a place"))?;
            let inner = origin.inner(span.start + 1);
            render(&inner, span.len().saturating_sub(2), Style::Quoted, scope)
        }
        Expression::HeredocTemplate(_) => {
            let span = expr
                .span()
                .ok_or_else(|| fault(site(), "a template without a place"))?;
            heredoc(&origin.inner(span.start), span.len(), scope)
        }
        Expression::Array(items) => Ok(Value::Tuple(
            items
                .iter()
                .map(|item| eval(item, origin, scope))
                .collect::<Result<_, _>>()?,
        )),
        Expression::Object(items) => object(items, origin, scope),
        Expression::Parenthesis(inner) => eval(inner.inner(), origin, scope),
        Expression::Variable(name) => {
            let (value, _) = root(name.value().as_str(), None, None, scope, &site())?;
            Ok(value)
        }
        Expression::Conditional(conditional) => conditional_value(conditional, origin, scope),
        Expression::FuncCall(call) => function(call, origin, scope, &site()),
        Expression::Traversal(traversal) => traverse(traversal, origin, scope),
        Expression::UnaryOp(op) => {
            let value = eval(&op.expr, origin, scope)?;
            operators::unary(*op.operator.value(), value, &text_of(expr, origin))
                .map_err(|message| fault(site(), message))
        }
        Expression::BinaryOp(op) => {
            let operator = *op.operator.value();
            let left = eval(&op.lhs_expr, origin, scope)?;
            if let Some(decided) = operators::decided_by(&left, operator) {
                return Ok(decided);
            }
            let right = eval(&op.rhs_expr, origin, scope)?;
            operators::binary(left, operator, right, &text_of(expr, origin))
                .map_err(|message| fault(site(), message))
        }
        Expression::ForExpr(for_expr) => for_value(for_expr, origin, scope, &site()),
    }
}

/// Evaluates a piece of a file that was parsed on its own.
///
/// # Errors
///
/// As [`eval`].
pub fn eval_code(code: &Code, scope: &Scope<'_>) -> Evaluated {
    eval(&code.expr, &code.origin, scope)
}

pub(super) fn fault(site: Site, message: impl Into<String>) -> EvalError {
    EvalError {
        site,
        message: message.into(),
    }
}

pub(super) fn text_of(expr: &Expression, origin: &Origin) -> String {
    let text = expr
        .span()
        .map_or_else(String::new, |span| origin.text(span).to_owned());
    if text.contains('\n') {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        text
    }
}

fn object(items: &hcl_edit::expr::Object, origin: &Origin, scope: &Scope<'_>) -> Evaluated {
    let mut attributes = BTreeMap::new();
    for (key, value) in items {
        let name = match key {
            ObjectKey::Ident(ident) => ident.value().to_string(),
            ObjectKey::Expression(expr) => match eval(expr, origin, scope)? {
                // With an unknown key, no attribute of the object is certain.
                Value::Unknown(unknown) => return Ok(Value::Unknown(unknown)),
                value => value.to_text().ok_or_else(|| {
                    fault(
                        origin.site(expr.span()),
                        format!(
                            "an object's key must be text, this is a {}",
                            value.type_name()
                        ),
                    )
                })?,
            },
        };
        attributes.insert(name, eval(value.expr(), origin, scope)?);
    }
    Ok(Value::Object(attributes))
}

fn conditional_value(
    conditional: &hcl_edit::expr::Conditional,
    origin: &Origin,
    scope: &Scope<'_>,
) -> Evaluated {
    let condition = eval(&conditional.cond_expr, origin, scope)?;
    if let Some(unknown) = condition.unknown("") {
        return Ok(Value::Unknown(
            unknown.within(text_of(&conditional.cond_expr, origin) + " ? .."),
        ));
    }
    let Some(condition) = condition.as_bool() else {
        let site = origin.site(conditional.cond_expr.span());
        return Err(fault(
            site,
            format!(
                "a condition must be true or false, this is a {}",
                condition.type_name()
            ),
        ));
    };
    let (taken, other) = if condition {
        (&conditional.true_expr, &conditional.false_expr)
    } else {
        (&conditional.false_expr, &conditional.true_expr)
    };
    let value = eval(taken, origin, scope)?;
    // The result has a type that holds both: `x ? "a" : 1` is text either way.
    Ok(match eval(other, origin, scope) {
        Ok(other) => unify(value, &other),
        Err(_) => value,
    })
}

fn function(call: &FuncCall, origin: &Origin, scope: &Scope<'_>, site: &Site) -> Evaluated {
    let name = call.name.name.value().as_str();
    if call.name.is_namespaced() {
        let spaces: Vec<_> = call
            .name
            .namespace
            .iter()
            .map(|part| part.value().to_string())
            .collect();
        // `core::` is Terraform's own; all others are a provider's.
        if spaces != ["core"] {
            let what = format!("{}::{name}", spaces.join("::"));
            return Ok(Value::Unknown(Unknown::of(
                Why::Function,
                what,
                site.clone(),
            )));
        }
    }
    let args: Vec<_> = call.args.iter().collect();
    match name {
        "try" => return first_without_error(&args, origin, scope, site),
        "can" => {
            let value = args.first().map(|arg| eval(arg, origin, scope));
            return Ok(match value {
                Some(Ok(Value::Unknown(unknown))) => Value::Unknown(unknown.within("can(..)")),
                Some(Ok(_)) => Value::Bool(true),
                _ => Value::Bool(false),
            });
        }
        _ => {}
    }
    let mut values = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        let value = eval(arg, origin, scope)?;
        if call.args.expand_final() && index + 1 == args.len() {
            match value {
                Value::Unknown(unknown) => {
                    return Ok(Value::Unknown(unknown.within(format!("{name}(..)"))));
                }
                value => values.extend(
                    value
                        .elements()
                        .ok_or_else(|| {
                            fault(
                                origin.site(arg.span()),
                                format!("`...` spreads a list, this is a {}", value.type_name()),
                            )
                        })?
                        .to_vec(),
                ),
            }
        } else {
            values.push(value);
        }
    }
    functions::call(name, values, scope, site)
}

fn first_without_error(
    args: &[&Expression],
    origin: &Origin,
    scope: &Scope<'_>,
    site: &Site,
) -> Evaluated {
    let mut last = fault(site.clone(), "`try` without arguments");
    for arg in args {
        match eval(arg, origin, scope) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}
