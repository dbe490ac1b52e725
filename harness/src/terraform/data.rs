//! Data sources that ask nobody: their answers are computed from their own arguments.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::eval::Scope;
use super::functions::zipped;
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
        "cloudinit_config" | "template_cloudinit_config" => {
            Some(("rendered", cloudinit_config(attributes, site)))
        }
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

/// `data "cloudinit_config"`: its parts as one MIME message, zipped and in base64 unless it says otherwise.
/// Zipped text is the same text, not the same bytes as the provider's.
fn cloudinit_config(attributes: &BTreeMap<String, Value>, site: &Site) -> Value {
    let open = |name: &str| match attributes.get(name) {
        Some(Value::Unknown(unknown)) => Some(unknown.clone()),
        _ => None,
    };
    let settings = ["part", "gzip", "base64_encode", "boundary"];
    if let Some(unknown) = settings.iter().find_map(|name| open(name)) {
        return Value::Unknown(unknown);
    }
    let flag = |name: &str| attributes.get(name).and_then(Value::as_bool) != Some(false);
    let boundary = attributes.get("boundary").and_then(Value::to_text);
    let boundary = boundary.unwrap_or_else(|| "MIMEBOUNDARY".to_owned());
    let mut text = format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\r\n\r\n"
    );
    let mut unknowns = Vec::new();
    let parts = attributes.get("part").and_then(Value::elements);
    for (index, part) in parts.unwrap_or_default().iter().enumerate() {
        let mut said = |name: &str| match part.attribute(name) {
            Some(Value::Unknown(unknown)) => {
                unknowns.push(unknown.clone());
                Some(unknown.in_part())
            }
            value => value
                .and_then(Value::to_text)
                .filter(|text| !text.is_empty()),
        };
        let before = if index == 0 { "" } else { "\r\n" };
        text.push_str(&format!("{before}--{boundary}\r\n"));
        if let Some(name) = said("filename") {
            text.push_str(&format!(
                "Content-Disposition: attachment; filename=\"{name}\"\r\n"
            ));
        }
        let kind = said("content_type").unwrap_or_else(|| "text/plain".to_owned());
        text.push_str(&format!(
            "Content-Transfer-Encoding: 7bit\r\nContent-Type: {kind}\r\nMime-Version: 1.0\r\n"
        ));
        if let Some(merge) = said("merge_type") {
            text.push_str(&format!("X-Merge-Type: {merge}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&said("content").unwrap_or_default());
    }
    text.push_str(&format!("\r\n--{boundary}--\r\n"));
    if !unknowns.is_empty() {
        let mut unknown = Unknown::joined("a cloudinit_config", &unknowns);
        unknown.partial = Some(text);
        return Value::Unknown(unknown);
    }
    match (flag("gzip"), flag("base64_encode")) {
        (true, true) => match zipped(&text) {
            Ok(bytes) => Value::String(STANDARD.encode(bytes)),
            Err(error) => Value::Unknown(Unknown::of(Why::Error, error.to_string(), site.clone())),
        },
        (false, true) => Value::String(STANDARD.encode(text)),
        (false, false) => Value::String(text),
        (true, false) => {
            let what = "a cloudinit_config with gzip and without base64_encode";
            Value::Unknown(Unknown::of(Why::Error, what, site.clone()))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, Value)], contents: &[Value]) -> Value {
        let part = |content: &Value| {
            let kind = Value::string("text/x-shellscript");
            let members = [("content_type", kind), ("content", content.clone())];
            Value::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
        };
        let parts = Value::Tuple(contents.iter().map(part).collect());
        let own = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
        let mut attributes: BTreeMap<String, Value> = settings.iter().map(own).collect();
        attributes.insert("part".to_owned(), parts);
        let site = Site::start_of(Path::new("main.tf"));
        answer("cloudinit_config", &mut attributes, Path::new("."), &site);
        attributes.remove("rendered").unwrap()
    }

    #[test]
    fn a_cloudinit_config_is_the_message_that_the_provider_makes() {
        let plain = [
            ("gzip", Value::Bool(false)),
            ("base64_encode", Value::Bool(false)),
        ];
        let script = Value::string("#!/bin/sh\n");
        let text = "Content-Type: multipart/mixed; boundary=\"MIMEBOUNDARY\"\nMIME-Version: 1.0\r\n\r\n--MIMEBOUNDARY\r\nContent-Transfer-Encoding: 7bit\r\nContent-Type: text/x-shellscript\r\nMime-Version: 1.0\r\n\r\n#!/bin/sh\n\r\n--MIMEBOUNDARY--\r\n";
        assert_eq!(
            config(&plain, std::slice::from_ref(&script)),
            Value::string(text)
        );
        assert_eq!(
            config(&plain[..1], std::slice::from_ref(&script)),
            Value::string(STANDARD.encode(text))
        );
        let zipped = config(&[], std::slice::from_ref(&script));
        let bytes = STANDARD.decode(zipped.as_str().unwrap()).unwrap();
        assert_eq!(super::super::aws::unzipped(&bytes).as_deref(), Some(text));
        let site = Site::start_of(Path::new("main.tf"));
        let open = Value::Unknown(Unknown::of(Why::AfterApply, "aws_eip.a.id", site));
        let Value::Unknown(unknown) = config(&[], &[script, open]) else {
            panic!("a part is not known");
        };
        assert_eq!(unknown.causes[0].what, "aws_eip.a.id");
        assert!(unknown.partial.unwrap().contains("#!/bin/sh"));
    }
}
