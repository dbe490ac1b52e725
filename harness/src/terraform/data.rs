//! Data sources that ask nobody: their answers are computed from their own arguments.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::eval::Scope;
use super::render::render;
use super::source::{Origin, Site, Source};
use super::template::Style;
use super::value::{Unknown, Value, Why};

/// Adds what the data source answers, if that can be computed here.
pub(super) fn answer(
    kind: &str,
    attributes: &mut BTreeMap<String, Value>,
    dir: &Path,
    site: &Site,
) {
    let computed = match kind {
        "template_file" => Some(("rendered", template_file(attributes, dir, site))),
        "local_file" => attributes
            .get("filename")
            .and_then(Value::to_text)
            .and_then(|path| std::fs::read_to_string(dir.join(path)).ok())
            .map(|text| ("content", Value::String(text))),
        "null_data_source" => attributes
            .get("inputs")
            .cloned()
            .map(|inputs| ("outputs", inputs)),
        _ => None,
    };
    if let Some((name, value)) = computed {
        attributes.entry(name.to_owned()).or_insert(value);
    }
}

/// `data "template_file"`, which older configurations have instead of the function `templatefile`.
fn template_file(attributes: &BTreeMap<String, Value>, dir: &Path, site: &Site) -> Value {
    let text = match attributes.get("template") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Unknown(unknown)) => return Value::Unknown(unknown.clone()),
        _ => {
            return Value::Unknown(Unknown::of(
                Why::Error,
                "a template_file without template",
                site.clone(),
            ));
        }
    };
    let vars = attributes
        .get("vars")
        .and_then(Value::attributes)
        .cloned()
        .unwrap_or_default();
    let length = text.len();
    let source = Arc::new(Source {
        path: site.file.clone(),
        text,
    });
    match render(
        &Origin::whole(source),
        length,
        Style::Plain,
        &Scope::new(None, dir).with(&vars),
    ) {
        Ok(value) => value,
        Err(error) => Value::Unknown(Unknown::of(Why::Error, error.message, site.clone())),
    }
}
