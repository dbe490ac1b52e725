//! Files beside the configuration. Relative names count from the folder in which `terraform` is run.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Args, Entry, Needs};
use crate::terraform::eval::Scope;
use crate::terraform::render::render;
use crate::terraform::source::{Origin, Source};
use crate::terraform::template::Style;
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("abspath", Needs::Everything, |args| {
        let absolute = std::path::absolute(args.scope.dir.join(args.text(0)?))
            .map_err(|error| error.to_string())?;
        Ok(Value::string(cleaned(&absolute).to_string_lossy()))
    }),
    ("basename", Needs::Everything, |args| {
        let path = args.text(0)?;
        let name = path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Value::String(if path.is_empty() {
            ".".to_owned()
        } else if name.is_empty() {
            "/".to_owned()
        } else {
            name
        }))
    }),
    ("dirname", Needs::Everything, |args| {
        let path = args.text(0)?;
        let dir = path
            .rsplit_once('/')
            .map_or(".", |(dir, _)| if dir.is_empty() { "/" } else { dir });
        Ok(Value::string(cleaned(Path::new(dir)).to_string_lossy()))
    }),
    ("file", Needs::Everything, |args| {
        let path = args.text(0)?;
        String::from_utf8(read(args, &path)?)
            .map(Value::String)
            .map_err(|_| format!("`{path}` is no UTF-8"))
    }),
    ("filebase64", Needs::Everything, |args| {
        Ok(Value::String(STANDARD.encode(read(args, &args.text(0)?)?)))
    }),
    ("fileexists", Needs::Everything, |args| {
        Ok(Value::Bool(resolve(args, &args.text(0)?).is_file()))
    }),
    ("fileset", Needs::Everything, |args| {
        let root = resolve(args, &args.text(0)?);
        let pattern = args.text(1)?;
        if pattern.contains(['{', '[', '\\']) {
            return Ok(args.unsupported("a pattern with braces, brackets or backslashes"));
        }
        let mut found = Vec::new();
        walk(&root, Path::new(""), &mut |path| {
            if matches(
                &pattern.split('/').collect::<Vec<_>>(),
                &path.split('/').collect::<Vec<_>>(),
            ) {
                found.push(Value::string(path));
            }
        });
        Ok(Value::set_of(found))
    }),
    ("pathexpand", Needs::Everything, |args| {
        let path = args.text(0)?;
        Ok(if path.starts_with('~') {
            args.unsupported("a home folder, which is another one elsewhere")
        } else {
            Value::String(path)
        })
    }),
    ("templatefile", Needs::Shape, templatefile),
    ("templatestring", Needs::Shape, templatestring),
];

/// `templatestring`: a template that a reference names.
fn templatestring(args: &Args<'_>) -> Result<Value, String> {
    let source = Arc::new(Source {
        path: args.site.file.clone(),
        text: args.text(0)?,
    });
    rendered(args, source)
}

fn resolve(args: &Args<'_>, path: &str) -> PathBuf {
    args.scope.dir.join(path)
}

pub(super) fn read(args: &Args<'_>, path: &str) -> Result<Vec<u8>, String> {
    if path.starts_with('~') {
        return Err(format!(
            "`{path}` lies in a home folder, which is another one elsewhere"
        ));
    }
    let resolved = resolve(args, path);
    std::fs::read(&resolved)
        .map_err(|error| format!("cannot read `{}`: {error}", resolved.display()))
}

fn templatefile(args: &Args<'_>) -> Result<Value, String> {
    let path = args.text(0)?;
    let resolved = cleaned(&resolve(args, &path));
    let source = Source::read(&resolved)
        .map_err(|error| format!("cannot read `{}`: {error}", resolved.display()))?;
    rendered(args, source)
}

fn rendered(args: &Args<'_>, source: Arc<Source>) -> Result<Value, String> {
    let variables = args.get(1)?;
    let bindings: BTreeMap<String, Value> = variables
        .attributes()
        .cloned()
        .ok_or_else(|| args.wrong(1, "an object of variables", variables))?;
    let length = source.text.len();
    let scope = Scope::new(None, args.scope.dir);
    render(
        &Origin::whole(source),
        length,
        Style::Plain,
        &scope.with(&bindings),
    )
    .map_err(|error| error.to_string())
}

/// Returns the path without `.` and without `x/..`, by its text alone, as Go cleans paths.
pub(in crate::terraform) fn cleaned(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.last(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    if parts.is_empty() {
        PathBuf::from(".")
    } else {
        parts.iter().collect()
    }
}

fn walk(root: &Path, below: &Path, visit: &mut dyn FnMut(&str)) {
    let Ok(entries) = std::fs::read_dir(root.join(below)) else {
        return;
    };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(root, &path, visit),
            Ok(_) => visit(&path.to_string_lossy()),
            Err(_) => {}
        }
    }
}

/// Whether a path matches a pattern of `*`, `?` within a part, and `**` for any number of parts.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            matches(rest, path)
                || path
                    .split_first()
                    .is_some_and(|(_, tail)| matches(pattern, tail))
        }
        (Some((part, rest)), Some((name, tail))) => {
            part_matches(part.as_bytes(), name.as_bytes()) && matches(rest, tail)
        }
        _ => false,
    }
}

fn part_matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            part_matches(rest, name)
                || name
                    .split_first()
                    .is_some_and(|(_, tail)| part_matches(pattern, tail))
        }
        (Some((b'?', rest)), Some((_, tail))) => part_matches(rest, tail),
        (Some((expected, rest)), Some((byte, tail))) => {
            expected == byte && part_matches(rest, tail)
        }
        _ => false,
    }
}
