//! The rules of one policy, in HCL as Nomad takes them.

use std::collections::BTreeSet;

use crate::hcl_text;

/// A coarse right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is said.
    #[default]
    None,
    /// Nothing, whatever other policies say.
    Deny,
    /// Reading.
    Read,
    /// Reading and changing.
    Write,
}

/// The rules are not what Nomad takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse ACL policy: {0}")]
pub struct PolicyError(String);

/// What `policy = "read"` of a namespace stands for (`acl/policy.go`).
const READ: &[&str] = &[
    "list-jobs",
    "parse-job",
    "read-job",
    "csi-list-volume",
    "csi-read-volume",
    "list-scaling-policies",
    "read-scaling-policy",
    "read-job-scaling",
];

/// What `policy = "scale"` of a namespace stands for.
const SCALE: &[&str] = &[
    "list-scaling-policies",
    "read-scaling-policy",
    "read-job-scaling",
    "scale-job",
];

/// What `policy = "write"` of a namespace adds to [`READ`].
const WRITE: &[&str] = &[
    "scale-job",
    "submit-job",
    "dispatch-job",
    "read-logs",
    "read-fs",
    "alloc-exec",
    "alloc-lifecycle",
    "csi-write-volume",
    "csi-mount-volume",
    "submit-recommendation",
];

/// Capabilities that no coarse policy gives.
const FINE: &[&str] = &[
    "deny",
    "alloc-node-exec",
    "csi-register-plugin",
    "sentinel-override",
];

/// Blocks that are taken and have no meaning here, as nothing simulated needs them.
const IGNORED: &[&str] = &["quota", "host_volume", "plugin", "node_pool"];

/// The rules of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Name or pattern with `*`, and what is held there.
    namespaces: Vec<Namespace>,
    /// Name or pattern of a namespace, pattern of a path, and what is held there.
    variables: Vec<(String, String, BTreeSet<String>)>,
    /// `node { policy }`.
    pub node: Level,
    /// `agent { policy }`.
    pub agent: Level,
    /// `operator { policy }`.
    pub operator: Level,
}

impl Policy {
    /// Parses the rules of a policy.
    ///
    /// # Errors
    /// Where the text is not HCL, or a block, key or value is none of Nomad's.
    pub fn parse(rules: &str) -> Result<Self, PolicyError> {
        let body: hcl::Body = hcl_text::parse_body(rules)
            .map_err(|error| PolicyError(error.to_string()))?
            .into();
        if let Some(attribute) = body.attributes().next() {
            return Err(PolicyError(format!("unknown key `{}`", attribute.key())));
        }
        let mut policy = Self::default();
        for block in body.blocks() {
            match block.identifier() {
                "namespace" => {
                    let (name, held) = namespace(block)?;
                    for (path, held) in variables(block)? {
                        policy.variables.push((name.clone(), path, held));
                    }
                    policy.namespaces.push((name, held));
                }
                "node" => policy.node = level(block)?,
                "agent" => policy.agent = level(block)?,
                "operator" => policy.operator = level(block)?,
                name if IGNORED.contains(&name) => {}
                name => return Err(PolicyError(format!("unknown block `{name}`"))),
            }
        }
        Ok(policy)
    }

    /// Whether `capability` is held in `namespace`: by the rule of that name, or by the
    /// pattern that leaves the fewest characters to its `*`.
    #[must_use]
    pub fn holds(&self, namespace: &str, capability: &str) -> bool {
        self.closest(namespace)
            .is_some_and(|(_, held)| held.contains(capability))
    }

    /// Whether `capability` is held on the variable at `path`: by the rule for that path, or by
    /// the pattern that leaves the fewest characters to its `*`.
    #[must_use]
    pub fn holds_variable(&self, namespace: &str, path: &str, capability: &str) -> bool {
        let rules = self.variables_of(namespace);
        let fitting = rules.filter(|(_, pattern, _)| glob(pattern, path));
        let closest = fitting.max_by_key(|(_, pattern, _)| (pattern == path, pattern.len()));
        closest.is_some_and(|(_, _, held)| held.contains(capability))
    }

    /// Whether `capability` is held on any variable of a namespace.
    #[must_use]
    pub fn holds_some_variable(&self, namespace: &str, capability: &str) -> bool {
        self.variables_of(namespace)
            .any(|(_, _, held)| held.contains(capability))
    }

    fn variables_of(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = &(String, String, BTreeSet<String>)> {
        let closest = self.closest(namespace).map(|(name, _)| name.clone());
        self.variables
            .iter()
            .filter(move |(name, ..)| Some(name) == closest.as_ref())
    }

    /// Whether a rule speaks of a namespace.
    #[must_use]
    pub fn names(&self, namespace: &str) -> bool {
        self.closest(namespace).is_some()
    }

    fn closest(&self, namespace: &str) -> Option<&Namespace> {
        let exact = self.namespaces.iter().find(|(name, _)| name == namespace);
        let closest = || {
            self.namespaces
                .iter()
                .filter(|(pattern, _)| glob(pattern, namespace))
                .max_by_key(|(pattern, _)| pattern.len())
        };
        exact.or_else(closest)
    }
}

/// Capabilities on variables. Those who may read or write may list, as in Nomad.
const VARIABLE: &[(&str, &[&str])] = &[
    ("list", &["list"]),
    ("read", &["read", "list"]),
    ("write", &["write", "list"]),
    ("destroy", &["destroy", "list"]),
    ("deny", &["deny"]),
];

/// `variables { path "a/*" { capabilities = [...] } }` of a namespace.
fn variables(block: &hcl::Block) -> Result<Vec<(String, BTreeSet<String>)>, PolicyError> {
    let mut found = Vec::new();
    for inner in block.body().blocks() {
        if inner.identifier() != "variables" {
            let name = inner.identifier();
            return Err(PolicyError(format!(
                "unknown block `{name}` in `namespace`"
            )));
        }
        if let Some(key) = inner.body().attributes().next() {
            let key = key.key();
            return Err(PolicyError(format!("unknown key `{key}` in `variables`")));
        }
        for path in inner.body().blocks() {
            let ("path", [label]) = (path.identifier(), path.labels()) else {
                let text = "`variables` takes blocks `path \"a/*\" { ... }` only";
                return Err(PolicyError(text.to_owned()));
            };
            found.push((label.as_str().to_owned(), variable_capabilities(path)?));
        }
    }
    Ok(found)
}

fn variable_capabilities(path: &hcl::Block) -> Result<BTreeSet<String>, PolicyError> {
    let mut held = BTreeSet::new();
    for attribute in path.body().attributes() {
        let key = attribute.key();
        let hcl::Expression::Array(items) = attribute.expr() else {
            return Err(PolicyError(format!("`{key}` of a path must be a list")));
        };
        if key != "capabilities" {
            return Err(PolicyError(format!("unknown key `{key}` in `path`")));
        }
        for item in items {
            let name = text(item)?;
            let known = VARIABLE.iter().find(|(known, _)| *known == name);
            let (_, given) = known.ok_or_else(|| {
                PolicyError(format!("invalid variable capability `{name}` in `path`"))
            })?;
            held.extend(given.iter().map(|name| (*name).to_owned()));
        }
    }
    Ok(held)
}

type Namespace = (String, BTreeSet<String>);

fn namespace(block: &hcl::Block) -> Result<Namespace, PolicyError> {
    let [label] = block.labels() else {
        return Err(PolicyError(
            "a `namespace` block needs a label, the name: `namespace \"default\" { ... }`"
                .to_owned(),
        ));
    };
    let mut held = BTreeSet::new();
    for attribute in block.body().attributes() {
        match attribute.key() {
            "policy" => held.extend(expanded(&text(attribute.expr())?)?),
            "capabilities" => {
                let hcl::Expression::Array(items) = attribute.expr() else {
                    return Err(PolicyError("`capabilities` must be a list".to_owned()));
                };
                for item in items {
                    held.insert(capability(text(item)?)?);
                }
            }
            key => return Err(PolicyError(format!("unknown key `{key}` in `namespace`"))),
        }
    }
    Ok((label.as_str().to_owned(), held))
}

fn expanded(policy: &str) -> Result<Vec<String>, PolicyError> {
    let sets: &[&[&str]] = match policy {
        "read" => &[READ],
        "write" => &[READ, WRITE],
        "scale" => &[SCALE],
        "deny" => &[&["deny"]],
        other => return Err(PolicyError(format!("invalid namespace policy `{other}`"))),
    };
    Ok(sets.concat().into_iter().map(str::to_owned).collect())
}

fn capability(name: String) -> Result<String, PolicyError> {
    let known = [READ, SCALE, WRITE, FINE]
        .iter()
        .any(|set| set.contains(&name.as_str()));
    if known {
        Ok(name)
    } else {
        Err(PolicyError(format!(
            "invalid namespace capability `{name}`"
        )))
    }
}

fn level(block: &hcl::Block) -> Result<Level, PolicyError> {
    let name = block.identifier();
    let mut found = Level::None;
    for attribute in block.body().attributes() {
        if attribute.key() != "policy" {
            let key = attribute.key();
            return Err(PolicyError(format!("unknown key `{key}` in `{name}`")));
        }
        found = match text(attribute.expr())?.as_str() {
            "read" => Level::Read,
            "write" => Level::Write,
            "deny" => Level::Deny,
            other => return Err(PolicyError(format!("invalid {name} policy `{other}`"))),
        };
    }
    Ok(found)
}

fn text(expression: &hcl::Expression) -> Result<String, PolicyError> {
    match expression {
        hcl::Expression::String(text) => Ok(text.clone()),
        other => Err(PolicyError(format!("expected a text, found `{other}`"))),
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|left| {
            let ends = left.char_indices().map(|(at, _)| at).chain([left.len()]);
            ends.into_iter().any(|at| glob(rest, &left[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_reads_and_write_also_submits() {
        let read = Policy::parse("namespace \"default\" { policy = \"read\" }").unwrap();
        assert!(read.holds("default", "read-job"));
        assert!(!read.holds("default", "submit-job"));
        assert!(!read.holds("other", "read-job"));
        let write = Policy::parse("namespace \"default\" { policy = \"write\" }").unwrap();
        assert!(write.holds("default", "submit-job"));
    }

    #[test]
    fn capabilities_add_to_the_policy() {
        let rules = r#"namespace "a" {
            policy = "read"
            capabilities = ["alloc-lifecycle"]
        }"#;
        let policy = Policy::parse(rules).unwrap();
        assert!(policy.holds("a", "alloc-lifecycle"));
        assert!(!policy.holds("a", "alloc-exec"));
    }

    #[test]
    fn the_closest_pattern_wins() {
        let rules = r#"
            namespace "*"      { policy = "write" }
            namespace "prod-*" { policy = "read" }
            namespace "prod-x" { policy = "deny" }
        "#;
        let policy = Policy::parse(rules).unwrap();
        assert!(policy.holds("dev", "submit-job"));
        assert!(!policy.holds("prod-a", "submit-job"));
        assert!(policy.holds("prod-a", "read-job"));
        assert!(policy.holds("prod-x", "deny"));
    }

    #[test]
    fn what_nomad_does_not_know_is_refused_by_name() {
        for (rules, named) in [
            ("nodes { policy = \"read\" }", "`nodes`"),
            ("node { polcy = \"read\" }", "`polcy`"),
            ("node { policy = \"all\" }", "`all`"),
            ("namespace { policy = \"read\" }", "label"),
            ("namespace \"a\" { capabilities = [\"fly\"] }", "`fly`"),
        ] {
            let error = Policy::parse(rules).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn variables_are_allowed_by_path() {
        let rules = r#"
            namespace "default" {
                variables {
                    path "app/*" { capabilities = ["read", "write"] }
                    path "app/secret" { capabilities = ["deny"] }
                    path "list" { capabilities = ["list"] }
                }
            }
        "#;
        let policy = Policy::parse(rules).unwrap();
        assert!(policy.holds_variable("default", "app/a", "read"));
        assert!(policy.holds_variable("default", "app/a", "list"));
        assert!(!policy.holds_variable("default", "app/a", "destroy"));
        assert!(!policy.holds_variable("default", "app/secret", "read"));
        assert!(!policy.holds_variable("default", "other", "read"));
        assert!(!policy.holds_variable("other", "app/a", "read"));
        let wrong = rules.replace("\"list\"]", "\"fly\"]");
        let error = Policy::parse(&wrong).unwrap_err().to_string();
        assert!(error.contains("`fly`"), "{error}");
    }

    #[test]
    fn json_is_not_mistaken_for_rules() {
        Policy::parse("{").unwrap_err();
    }
}
