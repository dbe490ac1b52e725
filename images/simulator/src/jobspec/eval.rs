//! Evaluates the expressions of a job file.
//!
//! Only `var.*`, `local.*`, functions and `for` variables are known when a file is parsed.
//! Everything else in `${...}` belongs to the node or the task (`${NOMAD_PORT_http}`,
//! `${attr.kernel.name}`, `${env["HOME"]}`): such references are turned back into their own
//! text before evaluation, as Nomad's parser does, so that the scheduler and the client see
//! them. A bare `node.class` becomes `${node.class}` likewise.

use hcl::eval::{Context, Evaluate};
use hcl_edit::Span;
use hcl_edit::expr::{Expression, ForExpr};
use hcl_edit::template::ForDirective;
use hcl_edit::visit_mut::{VisitMut, visit_expr_mut, visit_for_directive_mut, visit_for_expr_mut};

use super::{Problem, functions};

/// Names that are known at parse time.
const ROOTS: &[&str] = &["var", "local"];

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) kind: Problem,
}

impl Refusal {
    /// It is Nomad's, and simulated agents have it not.
    pub(super) fn not_simulated(what: &str) -> Self {
        Self {
            message: format!("{what} is not simulated"),
            kind: Problem::NotSimulated,
        }
    }
}

impl From<String> for Refusal {
    fn from(message: String) -> Self {
        Self {
            message,
            kind: Problem::Other,
        }
    }
}

/// Evaluates expressions of one job file.
pub(super) struct Evaluator<'a> {
    context: Context<'a>,
    text: &'a str,
    /// Variables of the elements that `dynamic` blocks go through.
    elements: Vec<String>,
    /// Locals without a value as nobody simulates what makes it.
    not_simulated: Vec<String>,
}

impl<'a> Evaluator<'a> {
    /// An evaluator over `text` that knows no variables yet.
    pub(super) fn new(text: &'a str) -> Self {
        let mut context = Context::new();
        functions::declare(&mut context);
        let mut evaluator = Self {
            context,
            text,
            elements: Vec::new(),
            not_simulated: Vec::new(),
        };
        evaluator.declare("var", hcl::Map::new());
        evaluator.declare("local", hcl::Map::new());
        evaluator
    }

    /// Sets the whole of `var` or `local`.
    pub(super) fn declare(&mut self, root: &str, values: hcl::Map<String, hcl::Value>) {
        self.context
            .declare_var(hcl::Identifier::sanitized(root), values);
    }

    /// Remembers that a local has no value here, and has one in Nomad.
    pub(super) fn leave_out(&mut self, local: &str) {
        self.not_simulated.push(local.to_owned());
    }

    /// Makes an element of a `dynamic` block known; returns the name of its variable.
    pub(super) fn declare_element(&mut self, key: hcl::Value, value: hcl::Value) -> String {
        let name = format!("element_{}", self.elements.len());
        let element = [("key".to_owned(), key), ("value".to_owned(), value)];
        self.declare(&name, element.into_iter().collect());
        self.elements.push(name.clone());
        name
    }

    /// The value of an expression that was parsed from this evaluator's text.
    pub(super) fn eval(&self, expression: &Expression) -> Result<hcl::Value, Refusal> {
        let mut own = expression.clone();
        let mut literal = Literal {
            text: self.text,
            elements: &self.elements,
            bound: Vec::new(),
        };
        literal.visit_expr_mut(&mut own);
        let expression: hcl::Expression = own.into();
        expression
            .evaluate(&self.context)
            .map_err(|e| self.explain(&e))
    }

    /// One line without the crate's own decoration.
    fn explain(&self, error: &hcl::eval::Error) -> Refusal {
        use hcl::eval::ErrorKind;
        let message = match error.kind() {
            ErrorKind::UndefinedVar(name) => format!("unknown variable `{name}`"),
            ErrorKind::UndefinedFunc(name) if functions::is_of_nomad(&name.to_string()) => {
                return Refusal::not_simulated(&format!("function `{name}`"));
            }
            ErrorKind::UndefinedFunc(name) => format!("unknown function `{name}`"),
            ErrorKind::NoSuchKey(key) if self.not_simulated.contains(key) => {
                return Refusal::not_simulated(&format!("what makes `local.{key}`"));
            }
            ErrorKind::NoSuchKey(key) => format!("there is no `{key}` here"),
            ErrorKind::FuncCall(name, why) => format!("`{name}`: {why}"),
            other => other.to_string(),
        };
        message.into()
    }
}

/// Turns references that only a node or a task can resolve back into their text.
struct Literal<'a> {
    text: &'a str,
    elements: &'a [String],
    /// Variables of the `for` expressions around.
    bound: Vec<String>,
}

impl Literal<'_> {
    fn is_known(&self, root: &str) -> bool {
        let mut others = self.bound.iter().chain(self.elements);
        ROOTS.contains(&root) || others.any(|name| name == root)
    }

    /// The text of a reference, if it is one that must stay.
    fn runtime_reference(&self, expression: &Expression) -> Option<String> {
        let root = match expression {
            Expression::Variable(name) => name.as_str(),
            Expression::Traversal(traversal) => match &traversal.expr {
                Expression::Variable(name) => name.as_str(),
                _ => return None,
            },
            _ => return None,
        };
        if self.is_known(root) {
            return None;
        }
        let text = self.text.get(expression.span()?)?;
        Some(format!("${{{}}}", text.trim()))
    }
}

impl VisitMut for Literal<'_> {
    fn visit_expr_mut(&mut self, node: &mut Expression) {
        match self.runtime_reference(node) {
            Some(text) => *node = Expression::from(text),
            None => visit_expr_mut(self, node),
        }
    }

    fn visit_for_expr_mut(&mut self, node: &mut ForExpr) {
        let before = self.bound.len();
        self.bound
            .extend(node.intro.key_var.iter().map(|name| name.to_string()));
        self.bound.push(node.intro.value_var.to_string());
        visit_for_expr_mut(self, node);
        self.bound.truncate(before);
    }

    fn visit_for_directive_mut(&mut self, node: &mut ForDirective) {
        let before = self.bound.len();
        self.bound
            .extend(node.for_expr.key_var.iter().map(|name| name.to_string()));
        self.bound.push(node.for_expr.value_var.to_string());
        visit_for_directive_mut(self, node);
        self.bound.truncate(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(expression: &str) -> Result<hcl::Value, Refusal> {
        let text = format!("a = {expression}\n");
        let body = hcl_edit::parser::parse_body(&text).expect("the test's text parses");
        let mut evaluator = Evaluator::new(&text);
        let mut vars = hcl::Map::new();
        vars.insert("who".to_owned(), hcl::Value::from("me"));
        vars.insert("n".to_owned(), hcl::Value::from(2));
        evaluator.declare("var", vars);
        let attribute = body.get_attribute("a").expect("it has `a`");
        evaluator.eval(&attribute.value)
    }

    #[test]
    fn variables_are_resolved_and_runtime_references_stay() {
        for (expression, value) in [
            (r#""hello ${var.who}""#, "hello me"),
            (r#""${NOMAD_PORT_http}""#, "${NOMAD_PORT_http}"),
            (
                r#""${attr.kernel.name}-${var.who}""#,
                "${attr.kernel.name}-me",
            ),
            (r#""${env["HOME"]}/x""#, r#"${env["HOME"]}/x"#),
            ("node.class", "${node.class}"),
            (r#""$${NOMAD_ALLOC_ID}""#, "${NOMAD_ALLOC_ID}"),
            (r#""${upper(var.who)}""#, "ME"),
            (
                r#"join(",", [for x in ["a", "b"] : "${x}${meta.k}"])"#,
                "a${meta.k},b${meta.k}",
            ),
            (
                "<<EOT\nport ${NOMAD_PORT_a}\nEOT\n",
                "port ${NOMAD_PORT_a}\n",
            ),
        ] {
            assert_eq!(
                eval(expression),
                Ok(hcl::Value::from(value)),
                "{expression}"
            );
        }
        assert_eq!(eval("var.n * 2 + 1"), Ok(hcl::Value::from(5)));
    }

    #[test]
    fn what_is_undefined_is_named() {
        assert_eq!(
            eval("var.nobody"),
            Err("there is no `nobody` here".to_owned().into())
        );
        assert_eq!(
            eval("launch()"),
            Err("unknown function `launch`".to_owned().into())
        );
        let of_nomad = eval(r#"sha256("a")"#).unwrap_err();
        assert_eq!(of_nomad.message, "function `sha256` is not simulated");
        assert_eq!(of_nomad.kind, Problem::NotSimulated);
    }
}
