//! Resources as they will stand: each instance with what is configured, and the place of every field.

use std::collections::BTreeMap;
use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Body, Structure};

use super::definition::ResourceId;
use super::eval::{Scope, eval};
use super::source::{Origin, Site};
use super::value::{ResourceValue, Unknown, Value, Why};

/// One instance of a resource or data source.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Full address, as `module.nomad.aws_instance.server["server-1"]`.
    pub address: String,
    /// Kind and name.
    pub id: ResourceId,
    /// The key of `count` or `for_each`.
    pub key: Option<Key>,
    /// Attributes and nested blocks, as other expressions see them.
    pub value: Arc<ResourceValue>,
    /// Where each field stands: `metadata_options[0].http_tokens` → place.
    pub sites: BTreeMap<String, Site>,
    /// What its `lifecycle` says.
    pub lifecycle: Lifecycle,
    /// Its provisioners: type and place.
    pub provisioners: Vec<(String, Site)>,
    /// Where its block begins.
    pub site: Site,
}

/// Which instance of several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Of `count`.
    Index(usize),
    /// Of `for_each`.
    Name(String),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Name(name) => write!(f, "[{}]", serde_json::Value::from(name.as_str())),
        }
    }
}

/// A resource's `lifecycle` block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lifecycle {
    /// `ignore_changes`; `all` as the single element `all`.
    pub ignore_changes: Vec<String>,
    /// `create_before_destroy`.
    pub create_before_destroy: bool,
    /// `prevent_destroy`.
    pub prevent_destroy: bool,
    /// Preconditions that do not hold: message and place.
    pub failed: Vec<(String, Site)>,
}

impl Resource {
    /// Returns a field by its path, as `metadata_options[0].http_tokens`.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let first = parts.next()?;
        let mut value = step(self.value.attributes.get(first.split('[').next()?)?, first)?;
        for part in parts {
            value = step(value.attribute(part.split('[').next()?)?, part)?;
        }
        Some(value)
    }

    /// Returns the place of a field, of the nearest thing around it that is written, or of the block.
    #[must_use]
    pub fn site_of(&self, path: &str) -> Site {
        let mut path = path;
        loop {
            if let Some(site) = self.sites.get(path) {
                return site.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.site.clone(),
            }
        }
    }
}

fn step<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match part.split_once('[') {
        Some((_, index)) => value
            .elements()?
            .get(index.trim_end_matches(']').parse::<usize>().ok()?),
        None => Some(value),
    }
}

/// Arguments that say something about the block instead of the resource.
const META: &[&str] = &["count", "for_each", "provider", "depends_on"];

/// What a body evaluates to.
#[derive(Debug, Default)]
pub(in crate::terraform) struct Evaluated {
    pub attributes: BTreeMap<String, Value>,
    pub sites: BTreeMap<String, Site>,
    pub lifecycle: Lifecycle,
    pub provisioners: Vec<(String, Site)>,
}

/// Evaluates the body of a resource. What is in error becomes unknown, with the error as its reason, so
/// that one bad argument does not hide the others.
pub(in crate::terraform) fn evaluate(body: &Body, origin: &Origin, scope: &Scope<'_>) -> Evaluated {
    let mut evaluated = Evaluated::default();
    for structure in body {
        match structure {
            Structure::Block(block) if block.has_ident("lifecycle") => {
                evaluated.lifecycle = lifecycle(&block.body, origin, scope);
            }
            Structure::Block(block) if block.has_ident("provisioner") => {
                let kind = block
                    .labels
                    .first()
                    .map(|label| label.as_str().to_owned())
                    .unwrap_or_default();
                evaluated.provisioners.push((
                    kind,
                    origin.site(block.span().or_else(|| block.ident.span())),
                ));
            }
            Structure::Block(block) if block.has_ident("connection") => {}
            Structure::Attribute(attribute) if META.contains(&attribute.key.value().as_str()) => {}
            _ => {}
        }
    }
    fields(
        body,
        origin,
        scope,
        "",
        &mut evaluated.attributes,
        &mut evaluated.sites,
    );
    for name in META
        .iter()
        .chain(&["lifecycle", "provisioner", "connection"])
    {
        evaluated.attributes.remove(*name);
        evaluated.sites.remove(*name);
    }
    evaluated
}

fn fields(
    body: &Body,
    origin: &Origin,
    scope: &Scope<'_>,
    prefix: &str,
    attributes: &mut BTreeMap<String, Value>,
    sites: &mut BTreeMap<String, Site>,
) {
    for attribute in body.attributes() {
        let name = attribute.key.value().as_str();
        let site = origin.site(attribute.key.span().or_else(|| attribute.span()));
        sites.insert(format!("{prefix}{name}"), site);
        attributes.insert(
            name.to_owned(),
            value_or_reason(&attribute.value, origin, scope),
        );
    }
    for block in body.blocks() {
        let site = origin.site(block.span().or_else(|| block.ident.span()));
        match (block.ident.value().as_str(), block.labels.first()) {
            ("lifecycle" | "provisioner" | "connection", _) => {}
            ("dynamic", Some(label)) => dynamic(
                block,
                label.as_str(),
                origin,
                scope,
                prefix,
                attributes,
                sites,
            ),
            (name, _) => add_block(
                name,
                &block.body,
                &site,
                origin,
                scope,
                prefix,
                attributes,
                sites,
            ),
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a recursive walk that fills two maps"
)]
fn add_block(
    name: &str,
    body: &Body,
    site: &Site,
    origin: &Origin,
    scope: &Scope<'_>,
    prefix: &str,
    attributes: &mut BTreeMap<String, Value>,
    sites: &mut BTreeMap<String, Site>,
) {
    let index = attributes
        .get(name)
        .and_then(Value::elements)
        .map_or(0, <[Value]>::len);
    let path = format!("{prefix}{name}[{index}]");
    let mut inner = BTreeMap::new();
    fields(body, origin, scope, &format!("{path}."), &mut inner, sites);
    sites
        .entry(format!("{prefix}{name}"))
        .or_insert_with(|| site.clone());
    sites.insert(path, site.clone());
    let blocks = attributes
        .entry(name.to_owned())
        .or_insert_with(|| Value::Tuple(Vec::new()));
    // Else: an attribute of the same name, or blocks of which not even the number is known.
    if let Value::Tuple(blocks) = blocks {
        blocks.push(Value::Object(inner));
    }
}

/// A `dynamic` block: as many blocks as its collection has elements.
fn dynamic(
    block: &hcl_edit::structure::Block,
    name: &str,
    origin: &Origin,
    scope: &Scope<'_>,
    prefix: &str,
    attributes: &mut BTreeMap<String, Value>,
    sites: &mut BTreeMap<String, Site>,
) {
    let site = origin.site(block.span().or_else(|| block.ident.span()));
    let iterator = match block
        .body
        .get_attribute("iterator")
        .map(|attribute| &attribute.value)
    {
        Some(Expression::Variable(iterator)) => iterator.value().to_string(),
        _ => name.to_owned(),
    };
    let Some(content) = block.body.get_blocks("content").next() else {
        return;
    };
    let collection = block
        .body
        .get_attribute("for_each")
        .map_or(Value::Null, |attribute| {
            value_or_reason(&attribute.value, origin, scope)
        });
    let pairs: Vec<(Value, Value)> = match collection {
        Value::Unknown(unknown) => {
            sites.insert(format!("{prefix}{name}"), site);
            attributes.insert(
                name.to_owned(),
                Value::Unknown(unknown.within(format!("dynamic \"{name}\""))),
            );
            return;
        }
        Value::Tuple(elements) | Value::List(elements) => elements
            .into_iter()
            .enumerate()
            .map(|(index, element)| (Value::whole(index), element))
            .collect(),
        Value::Set(elements) => elements
            .into_iter()
            .map(|element| (element.clone(), element))
            .collect(),
        Value::Object(members) | Value::Map(members) => members
            .into_iter()
            .map(|(name, value)| (Value::String(name), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in pairs {
        let element = Value::Object(BTreeMap::from([
            ("key".to_owned(), key),
            ("value".to_owned(), value),
        ]));
        let bindings = BTreeMap::from([(iterator.clone(), element)]);
        add_block(
            name,
            &content.body,
            &site,
            origin,
            &scope.with(&bindings),
            prefix,
            attributes,
            sites,
        );
    }
}

/// Evaluates an expression; an error becomes an unknown that carries it.
pub(super) fn value_or_reason(expr: &Expression, origin: &Origin, scope: &Scope<'_>) -> Value {
    eval(expr, origin, scope)
        .unwrap_or_else(|error| Value::Unknown(Unknown::of(Why::Error, error.message, error.site)))
}

fn lifecycle(body: &Body, origin: &Origin, scope: &Scope<'_>) -> Lifecycle {
    let flag = |name: &str| {
        body.get_attribute(name)
            .and_then(|attribute| eval(&attribute.value, origin, scope).ok())
            .and_then(|value| value.as_bool())
            .unwrap_or(false)
    };
    // Names of attributes, not values: they are taken as they are written.
    let ignore_changes = match body
        .get_attribute("ignore_changes")
        .map(|attribute| &attribute.value)
    {
        Some(Expression::Array(items)) => items
            .iter()
            .map(|item| item.to_string().trim().trim_matches('"').to_owned())
            .collect(),
        Some(other) => vec![other.to_string().trim().trim_matches('"').to_owned()],
        None => Vec::new(),
    };
    let failed = body
        .get_blocks("precondition")
        .filter_map(|condition| {
            let expr = condition.body.get_attribute("condition")?;
            let holds = eval(&expr.value, origin, scope).ok()?.as_bool()?;
            let message = condition.body.get_attribute("error_message")?;
            let message = value_or_reason(&message.value, origin, scope)
                .to_text()
                .unwrap_or_else(|| "a precondition does not hold".to_owned());
            (!holds).then(|| (message, origin.site(expr.key.span())))
        })
        .collect();
    Lifecycle {
        ignore_changes,
        create_before_destroy: flag("create_before_destroy"),
        prevent_destroy: flag("prevent_destroy"),
        failed,
    }
}
