//! A configuration file as a tree of blocks, written in the part of HCL which both of Nomad's
//! parsers (HCL 1 for the agent) and ours (HCL 2) read alike.

use std::fmt::Write as _;

/// Blocks which carry a label: `plugin "raw_exec" { ... }`.
const LABELLED: &[&str] = &["plugin"];
/// Maps: keys of any shape, written as quoted strings in one attribute.
const MAPS: &[&str] = &["client.options", "client.meta", "http_api_response_headers"];

/// A block's content, in the order in which it was set.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: Vec<(String, Entry)>,
}

#[derive(Debug)]
enum Entry {
    /// An expression, as it is written.
    Value(String),
    /// `name { ... }`.
    Block(Tree),
    /// `name "label" { ... }`.
    Labelled(Tree),
    /// `name = { "key" = ... }`.
    Map(Tree),
}

impl Entry {
    fn tree(&mut self) -> Option<&mut Tree> {
        match self {
            Self::Value(_) => None,
            Self::Block(tree) | Self::Labelled(tree) | Self::Map(tree) => Some(tree),
        }
    }
}

impl Tree {
    /// Sets the value at a dotted path; the last one set wins.
    pub(super) fn set(&mut self, path: &str, expression: String) {
        self.set_below("", path, expression);
    }

    fn set_below(&mut self, parents: &str, path: &str, expression: String) {
        let split = if MAPS.contains(&parents) {
            None
        } else {
            path.split_once('.')
        };
        let Some((name, rest)) = split else {
            let slot = self.slot(path, || Entry::Value(String::new()));
            *slot = Entry::Value(expression);
            return;
        };
        let here = if parents.is_empty() {
            name.to_owned()
        } else {
            format!("{parents}.{name}")
        };
        let slot = self.slot(name, || {
            if MAPS.contains(&here.as_str()) {
                Entry::Map(Self::default())
            } else if LABELLED.contains(&here.as_str()) {
                Entry::Labelled(Self::default())
            } else {
                Entry::Block(Self::default())
            }
        });
        if let Entry::Value(_) = slot {
            *slot = Entry::Block(Self::default());
        }
        if let Some(tree) = slot.tree() {
            tree.set_below(&here, rest, expression);
        }
    }

    fn slot(&mut self, name: &str, new: impl FnOnce() -> Entry) -> &mut Entry {
        let index = match self.entries.iter().position(|(known, _)| known == name) {
            Some(index) => index,
            None => {
                self.entries.push((name.to_owned(), new()));
                self.entries.len() - 1
            }
        };
        &mut self.entries[index].1
    }

    /// Returns the text of the file.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        self.write_at(0, &mut out);
        out
    }

    fn write_at(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        for (name, entry) in &self.entries {
            match entry {
                Entry::Value(expression) => line(out, &format!("{indent}{name} = {expression}")),
                Entry::Block(tree) => block(out, &indent, name, |out| {
                    tree.write_at(depth + 1, out);
                }),
                Entry::Labelled(tree) => {
                    for (label, inner) in &tree.entries {
                        block(out, &indent, &format!("{name} {}", quote(label)), |out| {
                            if let Entry::Block(inner) = inner {
                                inner.write_at(depth + 1, out);
                            }
                        });
                    }
                }
                Entry::Map(tree) => block(out, &indent, &format!("{name} ="), |out| {
                    for (key, value) in &tree.entries {
                        if let Entry::Value(value) = value {
                            line(out, &format!("{indent}  {} = {value}", quote(key)));
                        }
                    }
                }),
            }
        }
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes any text");
}

fn block(out: &mut String, indent: &str, head: &str, inside: impl FnOnce(&mut String)) {
    line(out, &format!("{indent}{head} {{"));
    inside(out);
    line(out, &format!("{indent}}}"));
}

/// Returns a string literal.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Returns a list of string literals.
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| quote(&item)).collect();
    format!("[{}]", quoted.join(", "))
}

/// Returns what a user's `KEY=VALUE` means: numbers, booleans, and anything that starts like a
/// string, list or object stand as they are; the rest is text.
pub(super) fn expression(value: &str) -> String {
    let literal = matches!(value, "true" | "false")
        || value.parse::<f64>().is_ok_and(f64::is_finite)
        || value.starts_with(['"', '[', '{']);
    if literal {
        value.to_owned()
    } else {
        quote(value)
    }
}
