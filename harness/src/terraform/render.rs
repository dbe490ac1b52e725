//! Renders templates. Of a text with unknown parts, the known ones are kept.

use super::eval::{EvalError, Evaluated, Scope, eval_code, fault};
use super::loops::{bind, pairs};
use super::source::{Code, Origin, Source};
use super::template::{self, Node, Style};
use super::value::{Unknown, Value, Why};

use hcl_edit::Span;

/// Parses and renders a template.
///
/// # Errors
///
/// As [`eval`].
pub fn render(origin: &Origin, length: usize, style: Style, scope: &Scope<'_>) -> Evaluated {
    let nodes = template::parse(origin, length, style)?;
    // A lone interpolation is the value itself, of whatever type.
    if let [Node::Value(code)] = nodes.as_slice() {
        return eval_code(code, scope);
    }
    let mut rendering = Rendering::default();
    rendering.add_all(&nodes, scope)?;
    Ok(rendering.finish(&origin.source))
}

/// Renders a heredoc, from its `<<` to its closing marker.
pub(super) fn heredoc(origin: &Origin, length: usize, scope: &Scope<'_>) -> Evaluated {
    let text = origin.text(0..length);
    let Some(start) = text.find('\n').map(|newline| newline + 1) else {
        return Ok(Value::string(""));
    };
    // The closing marker is the last line; the line end before it belongs to the text.
    let end = text
        .trim_end()
        .rfind('\n')
        .map_or(start, |newline| newline + 1)
        .max(start);
    let style = if text.starts_with("<<-") {
        Style::Flush
    } else {
        Style::Plain
    };
    render(&origin.inner(start), end - start, style, scope)
}

/// Text in the making: with a mark in the place of each part that is not known.
#[derive(Default)]
struct Rendering {
    text: String,
    unknowns: Vec<Unknown>,
}

impl Rendering {
    fn add_all(&mut self, nodes: &[Node], scope: &Scope<'_>) -> Result<(), EvalError> {
        nodes.iter().try_for_each(|node| self.add(node, scope))
    }

    fn add(&mut self, node: &Node, scope: &Scope<'_>) -> Result<(), EvalError> {
        match node {
            Node::Literal(text) => self.text.push_str(text),
            Node::Value(code) => {
                let value = eval_code(code, scope)?;
                self.add_value(value, code)?;
            }
            Node::If {
                condition,
                then,
                otherwise,
            } => match eval_code(condition, scope)? {
                Value::Unknown(unknown) => self.add_unknown(unknown),
                value => match value.as_bool() {
                    Some(true) => self.add_all(then, scope)?,
                    Some(false) => self.add_all(otherwise, scope)?,
                    None => {
                        return Err(fault(
                            condition.origin.site(condition.expr.span()),
                            format!("`if` takes true or false, this is a {}", value.type_name()),
                        ));
                    }
                },
            },
            Node::For {
                key,
                value,
                collection,
                body,
            } => {
                let site = collection.origin.site(collection.expr.span());
                match pairs(eval_code(collection, scope)?, &site)? {
                    Err(unknown) => self.add_unknown(unknown),
                    Ok(pairs) => {
                        for (each_key, each_value) in pairs {
                            let bindings = bind(key.as_deref(), value, each_key, each_value);
                            self.add_all(body, &scope.with(&bindings))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn add_value(&mut self, value: Value, code: &Code) -> Result<(), EvalError> {
        let site = || code.origin.site(code.expr.span());
        if let Some(unknown) = value.unknown("a part of it") {
            self.add_unknown(unknown);
            return Ok(());
        }
        match (value.to_text(), value) {
            (Some(text), _) => self.text.push_str(&text),
            (None, Value::Null) => return Err(fault(site(), "null cannot stand in a text")),
            (None, Value::Number(_)) => self.add_unknown(Unknown::of(
                Why::Function,
                "a number without end in decimal, which Terraform cuts after 512 bits",
                site(),
            )),
            (None, other) => {
                return Err(fault(
                    site(),
                    format!(
                        "a {} cannot stand in a text; `jsonencode` makes text of it",
                        other.type_name()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn add_unknown(&mut self, unknown: Unknown) {
        self.text.push_str(&unknown.in_part());
        self.unknowns.push(unknown);
    }

    fn finish(self, source: &Source) -> Value {
        if self.unknowns.is_empty() {
            return Value::String(self.text);
        }
        let mut unknown = Unknown::joined(
            format!("a text in {}", source.path.display()),
            &self.unknowns,
        );
        unknown.partial = Some(self.text);
        Value::Unknown(unknown)
    }
}
