//! Which version of Nomad takes what in a job file: the table of `fields.txt`, and the walk through
//! a file with it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hcl_edit::Span as _;
use hcl_edit::structure::{Body, Structure};
use semver::Version;

use super::{About, Notes};
use crate::grammar::nearest;

/// What may stand in a block.
type Fields = BTreeMap<&'static str, Field>;

/// One attribute or block.
#[derive(Debug)]
struct Field {
    is_block: bool,
    first: Option<Version>,
    last: Option<Version>,
}

/// By block name; blocks around it before, where the name alone does not tell.
static TABLE: LazyLock<BTreeMap<&'static str, Fields>> = LazyLock::new(|| {
    let lines = include_str!("fields.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(kind, fields)| (kind, fields.split(' ').map(field).collect()))
        .collect()
});

/// Reads `name{}@1.3.0<1.9.7`.
fn field(text: &'static str) -> (&'static str, Field) {
    let (text, last) = match text.split_once('<') {
        Some((text, last)) => (text, Version::parse(last).ok()),
        None => (text, None),
    };
    let (text, first) = match text.split_once('@') {
        Some((text, first)) => (text, Version::parse(first).ok()),
        None => (text, None),
    };
    let (name, is_block) = match text.strip_suffix("{}") {
        Some(name) => (name, true),
        None => (text, false),
    };
    let field = Field {
        is_block,
        first,
        last,
    };
    (name, field)
}

/// The fields of the innermost block of a path.
fn fields(path: &[String]) -> Option<&'static Fields> {
    (1..=path.len()).find_map(|length| {
        let key = path[path.len() - length..].join(" ");
        TABLE.get(key.as_str())
    })
}

/// Walks through a whole file.
pub(super) fn walk(body: &Body, notes: &mut Notes<'_>) {
    block(&mut vec!["file".to_owned()], body, notes);
}

fn block(path: &mut Vec<String>, body: &Body, notes: &mut Notes<'_>) {
    let Some(fields) = fields(path) else {
        return;
    };
    for structure in body.iter() {
        let (name, span) = match structure {
            Structure::Attribute(a) => (a.key.as_str(), a.key.span()),
            Structure::Block(b) => (b.ident.as_str(), b.ident.span()),
        };
        // What a `dynamic` block makes is not known before it is evaluated.
        if name == "dynamic" {
            continue;
        }
        let start = span.map_or(0, |span| span.start);
        let here = path.last().map_or("", String::as_str);
        let Some(field) = fields.get(name) else {
            let near = nearest(name, fields.keys().copied());
            let hint = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
            notes.error(
                start,
                About::Names,
                format!("unknown `{name}` in `{here}`{hint}"),
            );
            continue;
        };
        let what = format!("`{name}` in `{here}`");
        if let Some(first) = &field.first {
            notes.from(start, &what, first);
        }
        if let Some(last) = &field.last {
            notes.until(start, &what, last);
        }
        if let Structure::Block(inner) = structure
            && field.is_block
        {
            path.push(name.to_owned());
            block(path, &inner.body, notes);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_the_table_has_its_own_line() {
        for (kind, fields) in TABLE.iter() {
            for (name, field) in fields {
                if field.is_block {
                    let mut path: Vec<_> = kind.split(' ').map(str::to_owned).collect();
                    path.push((*name).to_owned());
                    let known = super::fields(&path).is_some();
                    // What holds nothing but free keys is listed as an attribute; these are the
                    // rest whose contents nobody has listed.
                    let unlisted = ["locals", "mesh", "region"].contains(name);
                    assert!(known || unlisted, "`{name}` in `{kind}`");
                }
            }
        }
    }

    #[test]
    fn marks_are_read() {
        let (name, field) = field("node{}@1.3.0<1.9.7");
        assert_eq!(name, "node");
        assert!(field.is_block);
        assert_eq!(field.first, Some(Version::new(1, 3, 0)));
        assert_eq!(field.last, Some(Version::new(1, 9, 7)));
    }
}
