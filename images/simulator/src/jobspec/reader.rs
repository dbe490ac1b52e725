//! Reads blocks of a job file with types, collecting every problem with its place.
//!
//! A [`BlockReader`] remembers which names were asked for. What is left at the end is unknown
//! and an error, so that a misspelled or unsupported attribute is never silently dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block, Body, Structure};

use super::duration;
use super::eval::{Evaluator, Refusal};
use super::functions::text_of;
use super::source::Source;
use super::{JobspecError, Problem};
use crate::spelling::nearest;
use crate::types::Nanos;

/// One job file being read.
pub(super) struct Reader<'a> {
    pub(super) source: Source<'a>,
    pub(super) evaluator: Evaluator<'a>,
    /// Where, what, and of which kind.
    problems: RefCell<Vec<(usize, String, Problem)>>,
}

impl<'a> Reader<'a> {
    /// Starts reading `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            source: Source::new(text),
            evaluator: Evaluator::new(text),
            problems: RefCell::default(),
        }
    }

    /// Remembers a problem at a byte offset.
    pub(super) fn problem(&self, offset: usize, message: impl Into<String>) {
        self.problem_of(Problem::Other, offset, message);
    }

    /// The same, of a kind that matters to somebody.
    pub(super) fn problem_of(&self, kind: Problem, offset: usize, message: impl Into<String>) {
        let found = (offset, message.into(), kind);
        self.problems.borrow_mut().push(found);
    }

    /// Remembers why an expression has no value.
    pub(super) fn refusal(&self, expression: &Expression, why: Refusal) {
        self.problem_of(why.kind, start_of(expression), why.message);
    }

    /// Remembers that something is Nomad's, and not simulated.
    fn not_simulated(&self, offset: usize, what: &str) {
        let why = Refusal::not_simulated(what);
        self.problem_of(why.kind, offset, why.message);
    }

    /// Every problem, in the order of the file.
    pub(super) fn into_errors(self) -> Vec<JobspecError> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
            .into_iter()
            .map(|(offset, message, kind)| {
                let (line, column) = self.source.position(offset);
                JobspecError {
                    line,
                    column,
                    message,
                    kind,
                }
            })
            .collect()
    }
}

/// Where a span starts, 0 where the parser gave none.
pub(super) fn start_of(node: &impl Span) -> usize {
    node.span().map_or(0, |span| span.start)
}

/// One block (or the whole file) with what was asked of it so far.
pub(super) struct BlockReader<'r> {
    reader: &'r Reader<'r>,
    /// How messages call it: `job`, `group`, the file.
    what: String,
    /// Its type; none for the file.
    name: Option<String>,
    /// Labels of the block.
    labels: Vec<String>,
    offset: usize,
    body: &'r Body,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'r> BlockReader<'r> {
    /// Reads the whole file.
    pub(super) fn file(reader: &'r Reader<'r>, body: &'r Body) -> Self {
        Self {
            reader,
            what: "a job file".to_owned(),
            name: None,
            labels: Vec::new(),
            offset: 0,
            body,
            asked: RefCell::default(),
        }
    }

    fn nested(&self, block: &'r Block) -> BlockReader<'r> {
        BlockReader {
            reader: self.reader,
            what: format!("`{}`", block.ident.as_str()),
            name: Some(block.ident.as_str().to_owned()),
            labels: block.labels.iter().map(|l| l.as_str().to_owned()).collect(),
            offset: start_of(&block.ident),
            body: &block.body,
            asked: RefCell::default(),
        }
    }

    /// The one label that the block must have; empty (and a problem) if it has not one.
    pub(super) fn label(&self) -> String {
        match self.labels.as_slice() {
            [one] => return one.clone(),
            [] => self.problem(format!("{} needs a name in quotes", self.what)),
            _ => self.problem(format!("{} takes one name", self.what)),
        }
        self.labels.first().cloned().unwrap_or_default()
    }

    /// Says that the block takes no label.
    pub(super) fn no_label(&self) {
        if !self.labels.is_empty() {
            self.problem(format!("{} takes no name", self.what));
        }
    }

    /// A problem with the block as a whole.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.reader.problem(self.offset, message);
    }

    /// A problem with this block, of a kind that matters to somebody.
    pub(super) fn problem_of(&self, kind: Problem, message: impl Into<String>) {
        self.reader.problem_of(kind, self.offset, message);
    }

    /// A problem with one attribute (or the block, where it has not that attribute).
    pub(super) fn problem_at(&self, name: &str, message: impl Into<String>) {
        let offset = self
            .body
            .get_attribute(name)
            .map_or(self.offset, |a| start_of(&a.value));
        self.reader.problem(offset, message);
    }

    /// One attribute asks for something that is Nomad's, and not simulated.
    pub(super) fn not_simulated_at(&self, name: &str, what: &str) {
        let offset = self
            .body
            .get_attribute(name)
            .map_or(self.offset, |a| start_of(&a.value));
        self.reader.not_simulated(offset, what);
    }

    /// Marks a name as known.
    pub(super) fn ask(&self, name: &'static str) {
        self.asked.borrow_mut().insert(name);
    }

    /// Whether an attribute or block of this name is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.body.has_attribute(name) || self.body.has_blocks(name)
    }

    fn attribute(&self, name: &'static str) -> Option<&'r Attribute> {
        self.ask(name);
        self.body.get_attribute(name)
    }

    /// The value of an attribute; null counts as absent, as in Nomad.
    pub(super) fn value(&self, name: &'static str) -> Option<hcl::Value> {
        let attribute = self.attribute(name)?;
        self.eval(&attribute.value).filter(|value| !value.is_null())
    }

    fn eval(&self, expression: &Expression) -> Option<hcl::Value> {
        match self.reader.evaluator.eval(expression) {
            Ok(value) => Some(value),
            Err(why) => {
                self.reader.refusal(expression, why);
                None
            }
        }
    }

    fn typed<T>(
        &self,
        name: &'static str,
        convert: impl FnOnce(&hcl::Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(name)?;
        match convert(&value) {
            Ok(typed) => Some(typed),
            Err(why) => {
                self.problem_at(name, format!("`{name}`: {why}"));
                None
            }
        }
    }

    /// A string; numbers and booleans are converted as HCL does.
    pub(super) fn string(&self, name: &'static str) -> Option<String> {
        self.typed(name, text_of)
    }

    /// A whole number, or a string that holds one.
    pub(super) fn int(&self, name: &'static str) -> Option<i64> {
        self.typed(name, |value| {
            let number = match value {
                hcl::Value::Number(n) => n.as_i64(),
                hcl::Value::String(text) => text.trim().parse().ok(),
                _ => None,
            };
            number.ok_or_else(|| format!("expected a whole number, found `{value}`"))
        })
    }

    /// A boolean, or a string that holds one.
    pub(super) fn bool(&self, name: &'static str) -> Option<bool> {
        self.typed(name, |value| match text_of(value).as_deref() {
            Ok("true") => Ok(true),
            Ok("false") => Ok(false),
            _ => Err(format!("expected `true` or `false`, found `{value}`")),
        })
    }

    /// A Go duration as a string, or nanoseconds as a number.
    pub(super) fn duration(&self, name: &'static str) -> Option<Nanos> {
        self.typed(name, |value| match value {
            hcl::Value::Number(n) => n
                .as_i64()
                .ok_or_else(|| format!("expected whole nanoseconds, found `{value}`")),
            other => duration::parse(&text_of(other)?),
        })
    }

    /// A list of strings.
    pub(super) fn strings(&self, name: &'static str) -> Option<Vec<String>> {
        self.typed(name, |value| {
            let list = value.as_array();
            let list =
                list.ok_or_else(|| format!("expected a list of strings, found `{value}`"))?;
            list.iter().map(text_of).collect()
        })
    }

    /// A map of strings, written as a block or as an attribute (`env { A = 1 }`).
    pub(super) fn string_map(&self, name: &'static str) -> Option<BTreeMap<String, String>> {
        let from_attribute = self.typed(name, |value| {
            let map = value.as_object();
            let map = map.ok_or_else(|| format!("expected a map, found `{value}`"))?;
            map.iter()
                .map(|(key, value)| Ok((key.clone(), text_of(value)?)))
                .collect::<Result<BTreeMap<_, _>, String>>()
        });
        let Some(block) = self.block(name) else {
            return from_attribute;
        };
        let mut map = from_attribute.unwrap_or_default();
        for structure in block.body.iter() {
            match structure {
                Structure::Block(inner) => {
                    let text = format!("`{name}` holds attributes only");
                    self.reader.problem(start_of(&inner.ident), text);
                }
                Structure::Attribute(attribute) => {
                    let Some(value) = self.eval(&attribute.value) else {
                        continue;
                    };
                    match text_of(&value) {
                        Ok(text) => drop(map.insert(attribute.key.to_string(), text)),
                        Err(why) => {
                            let text = format!("`{}`: {why}", attribute.key.as_str());
                            self.reader.problem(start_of(&attribute.value), text);
                        }
                    }
                }
            }
        }
        Some(map)
    }

    /// A driver's own block as JSON: attributes and nested blocks (as lists of objects).
    pub(super) fn json(
        &self,
        name: &'static str,
    ) -> Option<serde_json::Map<String, serde_json::Value>> {
        let block = self.block(name)?;
        Some(block.body_json(block.body))
    }

    fn body_json(&self, body: &Body) -> serde_json::Map<String, serde_json::Value> {
        let mut map = serde_json::Map::new();
        for attribute in body.attributes() {
            let Some(value) = self.eval(&attribute.value) else {
                continue;
            };
            let json = serde_json::to_value(&value).unwrap_or_default();
            map.insert(attribute.key.to_string(), json);
        }
        for block in body.blocks() {
            let inner = serde_json::Value::Object(self.body_json(&block.body));
            let list = map
                .entry(block.ident.to_string())
                .or_insert_with(|| serde_json::Value::Array(Vec::new()));
            if let serde_json::Value::Array(list) = list {
                list.push(inner);
            }
        }
        map
    }

    /// The blocks of a name, in order.
    pub(super) fn blocks(&self, name: &'static str) -> Vec<BlockReader<'r>> {
        self.ask(name);
        self.body
            .get_blocks(name)
            .map(|block| self.nested(block))
            .collect()
    }

    /// The only block of a name; a second one is a problem.
    pub(super) fn block(&self, name: &'static str) -> Option<BlockReader<'r>> {
        let mut found = self.blocks(name).into_iter();
        let first = found.next();
        if let Some(second) = found.next() {
            second.problem(format!(
                "only one `{name}` block is allowed in {}",
                self.what
            ));
        }
        first
    }

    /// Attributes of the block in order, with their place; for `locals` and such.
    pub(super) fn all_attributes(&self) -> impl Iterator<Item = &'r Attribute> + use<'r> {
        self.body.attributes()
    }

    /// Refuses names that Nomad knows and that the simulator does not honour.
    pub(super) fn refuse(&self, names: &[&'static str]) {
        for name in names {
            self.ask(name);
            for structure in self.body.iter() {
                let (found, offset) = name_of(structure);
                if found == *name {
                    let what = format!("`{name}` in {}", self.what);
                    self.reader.not_simulated(offset, &what);
                }
            }
        }
    }

    /// Reports whatever was not asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for structure in self.body.iter() {
            let (name, offset) = name_of(structure);
            if asked.contains(name) {
                continue;
            }
            let kind = match structure {
                Structure::Attribute(_) => "attribute",
                Structure::Block(_) => "block",
            };
            let hint = nearest(name, asked.iter().copied())
                .map(|near| format!(" (did you mean `{near}`?)"))
                .unwrap_or_default();
            self.reader.problem_of(
                Problem::UnknownName {
                    within: self.name.clone(),
                },
                offset,
                format!("unknown {kind} `{name}` in {}{hint}", self.what),
            );
        }
    }
}

fn name_of(structure: &Structure) -> (&str, usize) {
    match structure {
        Structure::Attribute(a) => (a.key.as_str(), start_of(&a.key)),
        Structure::Block(b) => (b.ident.as_str(), start_of(&b.ident)),
    }
}
