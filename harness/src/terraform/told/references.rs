//! What the arguments of a plan's resources refer to: a plan lists that beside, without values. A reference is
//! followed into and out of modules. One by `each.key` or `count.index` means the instance with the resource's
//! own key, where it stands beside nothing else that could make another key of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value as Json;

use super::without_keys;
use crate::terraform::resource::Key;

/// How many modules a reference is followed through.
const DEPTH: usize = 16;

/// The references of a plan's configuration. Modules are called by their paths without keys, each with a dot
/// behind it: `module.a.module.b.`; the root's is empty.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Address without keys, attribute → what it refers to; a block's attribute is `launch_template.id`.
    attributes: BTreeMap<(String, String), Vec<String>>,
    /// Module, variable → what whoever calls it gives it.
    given: BTreeMap<(String, String), Vec<String>>,
    /// Module, output → what it is made of.
    outputs: BTreeMap<(String, String), Vec<String>>,
    /// Addresses without keys of resources whose arguments are told.
    configured: BTreeSet<String>,
}

impl References {
    /// Reads a module of the configuration, and those that it calls.
    pub(super) fn read(&mut self, prefix: &str, module: &Json) {
        for resource in module["resources"].as_array().into_iter().flatten() {
            let address = resource["address"].as_str().unwrap_or_default();
            let address = format!("{prefix}{address}");
            for (name, expression) in members(&resource["expressions"]) {
                let at = (address.clone(), name.clone());
                self.attributes.insert(at, listed(expression));
                for (inner, expression) in members(&expression[0]) {
                    let at = (address.clone(), format!("{name}.{inner}"));
                    self.attributes.insert(at, listed(expression));
                }
            }
            self.configured.insert(address);
        }
        for (name, output) in members(&module["outputs"]) {
            let made = listed(&output["expression"]);
            self.outputs.insert((prefix.to_owned(), name.clone()), made);
        }
        for (name, call) in members(&module["module_calls"]) {
            let inner = format!("{prefix}module.{name}.");
            for (variable, expression) in members(&call["expressions"]) {
                let at = (inner.clone(), variable.clone());
                self.given.insert(at, listed(expression));
            }
            self.read(&inner, &call["module"]);
        }
    }

    /// Whether the arguments of a resource are told.
    pub(super) fn has(&self, address: &str) -> bool {
        self.configured.contains(&without_keys(address))
    }

    /// Whether an attribute of a resource is said.
    pub(super) fn says(&self, address: &str, name: &str) -> bool {
        let at = (without_keys(address), name.to_owned());
        self.attributes.contains_key(&at)
    }

    /// Returns the resources that an attribute names for certain; `known` are all that there are.
    pub(super) fn named(
        &self,
        (address, key): (&str, Option<&Key>),
        name: &str,
        known: &BTreeSet<String>,
    ) -> Vec<String> {
        let at = (without_keys(address), name.to_owned());
        let texts = self.attributes.get(&at).map_or(&[][..], Vec::as_slice);
        let module = module_of(address);
        if let Some(found) = own_key(texts, &module, address, key, known) {
            return vec![found];
        }
        let mut named = Vec::new();
        let whole = self.follow(texts, &module, known, DEPTH, &mut named);
        // What else it may name is not known, so nothing is said of it.
        if whole { named } else { Vec::new() }
    }

    /// Follows references of a module, which is called by its path with keys. Returns whether all of them led
    /// to a resource.
    fn follow(
        &self,
        texts: &[String],
        module: &str,
        known: &BTreeSet<String>,
        depth: usize,
        named: &mut Vec<String>,
    ) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        let mut whole = true;
        for text in texts {
            let address = format!("{module}{text}");
            if known.contains(&address) {
                if !named.contains(&address) {
                    named.push(address);
                }
            } else if let Some((texts, module)) = self.beyond(text, module) {
                whole &= self.follow(texts, &module, known, depth, named);
            } else {
                // `a.b.id` is listed with `a.b`, and `a.b[0]` too.
                let is_named = |other: &String| {
                    is_part(text, other)
                        || (is_part(other, text) && known.contains(&format!("{module}{other}")))
                };
                whole &= texts.iter().any(is_named);
            }
        }
        whole
    }

    /// What a reference to a module's variable or output is made of, and in which module.
    fn beyond(&self, text: &str, module: &str) -> Option<(&[String], String)> {
        if let Some(variable) = text.strip_prefix("var.") {
            let variable = variable.split(['.', '[']).next().unwrap_or_default();
            let given = self
                .given
                .get(&(without_keys(module), variable.to_owned()))?;
            return Some((given, outer(module)));
        }
        let (inner, output) = output(text)?;
        let inner = format!("{module}{inner}");
        let made = self.outputs.get(&(without_keys(&inner), output))?;
        Some((made, inner))
    }
}

/// Whether a reference is a longer one's beginning.
fn is_part(text: &str, longer: &str) -> bool {
    let rest = longer.strip_prefix(text);
    rest.is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn members(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    json.as_object().into_iter().flatten()
}

fn listed(expression: &Json) -> Vec<String> {
    let references = expression["references"].as_array().into_iter().flatten();
    references
        .filter_map(Json::as_str)
        .map(str::to_owned)
        .collect()
}

/// The module of a resource, by its path with keys.
fn module_of(address: &str) -> String {
    let length = steps(address).last().map_or(0, |step| step.end);
    address[..length].to_owned()
}

/// The module that calls a module.
fn outer(module: &str) -> String {
    let length = steps(module).last().map_or(0, |step| step.start);
    module[..length].to_owned()
}

/// Where each `module.NAME.` of a path is.
fn steps(path: &str) -> Vec<Range<usize>> {
    let mut steps = Vec::new();
    let mut start = 0;
    while let Some(inside) = path[start..].strip_prefix("module.") {
        let end = path.len() - inside.len() + segment(inside) + 1;
        if end > path.len() {
            break;
        }
        steps.push(start..end);
        start = end;
    }
    steps
}

/// Bytes up to the first dot that is in no key.
fn segment(text: &str) -> usize {
    let (mut depth, mut quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.saturating_sub(1),
            '.' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// The module and the name of an output: `module.network["a"].group_id`.
fn output(text: &str) -> Option<(String, String)> {
    let inside = text.strip_prefix("module.")?;
    let at = segment(inside);
    let name = inside.get(at + 1..)?;
    let name = &name[..segment(name)];
    let name = name.split('[').next().unwrap_or(name);
    Some((format!("module.{}.", &inside[..at]), name.to_owned()))
}

/// The instance of another resource with the same key: the references are that resource and the key alone.
fn own_key(
    texts: &[String],
    module: &str,
    address: &str,
    key: Option<&Key>,
    known: &BTreeSet<String>,
) -> Option<String> {
    let [one, other] = texts else { return None };
    let (target, by) = match (one.as_str(), other.as_str()) {
        (by @ ("each.key" | "count.index"), target) => (target, by),
        (target, by @ ("each.key" | "count.index")) => (target, by),
        _ => return None,
    };
    let target = format!("{module}{target}");
    let found = match (key?, by) {
        (Key::Name(name), "each.key") => format!("{target}[{}]", Json::from(name.as_str())),
        (Key::Index(index), "count.index") => {
            // With fewer of the others than of its own kind, an expression makes another number of it.
            let own = address.rsplit_once('[').map_or(address, |(own, _)| own);
            let count = |of: &str| {
                let of = format!("{of}[");
                known.iter().filter(|one| one.starts_with(&of)).count()
            };
            if count(&target) < count(own) {
                return None;
            }
            format!("{target}[{index}]")
        }
        _ => return None,
    };
    known.contains(&found).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    fn read(module: &Json) -> References {
        let mut references = References::default();
        references.read("", module);
        references
    }

    #[test]
    fn paths_of_modules_are_split_at_dots_outside_of_keys() {
        let address = "module.a[\"x.y]\"].module.b[0].aws_instance.c[1]";
        assert_eq!(module_of(address), "module.a[\"x.y]\"].module.b[0].");
        assert_eq!(
            outer("module.a[\"x.y]\"].module.b[0]."),
            "module.a[\"x.y]\"]."
        );
        assert_eq!(outer("module.a."), "");
        assert_eq!(module_of("aws_instance.c"), "");
        assert_eq!(
            output("module.a[\"x.y\"].id[0]").unwrap(),
            ("module.a[\"x.y\"].".to_owned(), "id".to_owned())
        );
        assert_eq!(output("module.a"), None);
    }

    #[test]
    fn a_reference_is_followed_into_and_out_of_modules() {
        let references = read(&json!({
            "module_calls": {
                "network": { "module": { "outputs": { "group": { "expression": {
                    "references": ["aws_security_group.all.id", "aws_security_group.all"] } } } } },
                "nomad": {
                    "expressions": { "groups": { "references": ["module.network.group", "module.network"] } },
                    "module": { "resources": [{ "address": "aws_instance.server", "expressions": {
                        "vpc_security_group_ids": { "references": ["var.groups", "aws_security_group.own.id", "aws_security_group.own"] } } }] } },
            },
        }));
        let all = known(&[
            "module.network.aws_security_group.all",
            "module.nomad[\"a\"].aws_security_group.own",
            "module.nomad[\"b\"].aws_security_group.own",
            "aws_security_group.own",
        ]);
        let server = "module.nomad[\"a\"].aws_instance.server[0]";
        let named = references.named(
            (server, Some(&Key::Index(0))),
            "vpc_security_group_ids",
            &all,
        );
        assert_eq!(
            named,
            [
                "module.network.aws_security_group.all",
                "module.nomad[\"a\"].aws_security_group.own"
            ]
        );
    }

    #[test]
    fn nothing_is_said_where_a_part_is_not_known() {
        let by = |references: Json| {
            let told = read(&json!({ "resources": [{ "address": "aws_instance.a",
                "expressions": { "vpc_security_group_ids": { "references": references } } }] }));
            let all = known(&["aws_security_group.g", "aws_security_group.h[0]"]);
            told.named(("aws_instance.a", None), "vpc_security_group_ids", &all)
        };
        let group = ["aws_security_group.g.id", "aws_security_group.g"];
        assert_eq!(by(json!(group)), ["aws_security_group.g"]);
        let indexed = [
            "aws_security_group.h[0].id",
            "aws_security_group.h[0]",
            "aws_security_group.h",
        ];
        assert_eq!(by(json!(indexed)), ["aws_security_group.h[0]"]);
        for more in [
            "var.further",
            "local.further",
            "each.value",
            "data.aws_security_group.d",
        ] {
            assert!(by(json!([group[0], group[1], more])).is_empty(), "{more}");
        }
    }

    #[test]
    fn the_instance_with_the_own_key_is_meant_where_nothing_else_makes_the_key() {
        let by = |references: Json, key: &Key, all: &[&str]| {
            let told = read(&json!({ "resources": [{ "address": "aws_instance.a",
                "expressions": { "subnet_id": { "references": references } } }] }));
            let address = match key {
                Key::Name(name) => format!("aws_instance.a[\"{name}\"]"),
                Key::Index(index) => format!("aws_instance.a[{index}]"),
            };
            told.named((&address, Some(key)), "subnet_id", &known(all))
        };
        let named = Key::Name("x".to_owned());
        let subnets = ["aws_subnet.s[\"x\"]", "aws_subnet.s[\"y\"]"];
        assert_eq!(
            by(json!(["aws_subnet.s", "each.key"]), &named, &subnets),
            ["aws_subnet.s[\"x\"]"]
        );
        // Something else may make another key of it.
        assert!(
            by(
                json!(["aws_subnet.s", "local.map", "each.key"]),
                &named,
                &subnets
            )
            .is_empty()
        );
        assert!(by(json!(["aws_subnet.s", "each.value"]), &named, &subnets).is_empty());
        let both = [
            "aws_subnet.s[0]",
            "aws_subnet.s[1]",
            "aws_instance.a[0]",
            "aws_instance.a[1]",
        ];
        let index = json!(["aws_subnet.s", "count.index"]);
        assert_eq!(
            by(index.clone(), &Key::Index(1), &both),
            ["aws_subnet.s[1]"]
        );
        let fewer = ["aws_subnet.s[0]", "aws_instance.a[0]", "aws_instance.a[1]"];
        assert!(by(index, &Key::Index(0), &fewer).is_empty());
    }
}
