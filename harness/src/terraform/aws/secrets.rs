//! Values that are secret, so that none of them is shown: those of sensitive variables and of resources that
//! make secrets, and what user data says to be one.
//!
//! Missing: what a configuration makes of a secret (its base64, its digest) is not known to be one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::terraform::Configuration;
use crate::terraform::value::Value;

/// Values that are longer are found inside of others, too; shorter ones by chance.
const INSIDE_CHARS_MIN: usize = 4;
/// What only the name of its variable makes a secret is one from so many characters on.
const NAMED_CHARS_MIN: usize = 8;
/// What Terraform prints in the place of a secret.
const HIDDEN: &str = "(sensitive value)";

/// Attributes of resources and data sources that are secret by what they are.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("random_password", &["result"]),
    ("random_bytes", &["base64", "hex"]),
    (
        "tls_private_key",
        &[
            "private_key_pem",
            "private_key_openssh",
            "private_key_pem_pkcs8",
        ],
    ),
    ("aws_secretsmanager_secret_version", &["secret_string"]),
    ("aws_iam_access_key", &["secret"]),
];

/// `encrypt = "<base64 of 16, 24 or 32 bytes>"`, and credentials that are written out.
static WRITTEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#""?\bencrypt"?\s*[=:]\s*"(?<key>[A-Za-z0-9+/]{22,43}={0,2})"|(?:TOKEN|LICENSE|SECRET_ACCESS_KEY|PASSWORD)=["']?(?<value>[A-Za-z0-9+/=_.-]{16,})"#).expect("a valid pattern")
});

/// Whether a name is that of a secret: a variable's, a parameter's.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    // A path or an identifier of a secret is none.
    let harmless = [
        "_file", "_path", "_arn", "_id", "_name", "_version", "public", "_length", "_dir",
        "enabled",
    ];
    let words = [
        "secret",
        "token",
        "password",
        "private_key",
        "license",
        "licence",
        "gossip_key",
        "encrypt_key",
        "encryption_key",
    ];
    let has = |one: &&str| name.contains(one);
    !harmless.iter().any(has) && words.iter().any(has)
}

/// The secrets of a configuration. What it prints of itself holds none of them.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The longest first.
    values: Vec<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.values.len())
    }
}

impl Secrets {
    /// Returns those of a configuration: values of its sensitive variables, and of those whose names are a
    /// secret's; what its resources make that is one.
    #[must_use]
    pub fn of(configuration: &Configuration) -> Self {
        let mut found = Vec::new();
        for (name, variable) in &configuration.variables {
            let mut of_this = Vec::new();
            texts(&variable.value, &mut of_this);
            let long = |text: &&str| variable.sensitive || text.len() >= NAMED_CHARS_MIN;
            if variable.sensitive || names_a_secret(name) {
                found.extend(of_this.into_iter().filter(long).map(str::to_owned));
            }
        }
        for resource in &configuration.resources {
            let kind = ATTRIBUTES
                .iter()
                .find(|(kind, _)| *kind == resource.id.kind);
            let names = kind.map_or(&[][..], |(_, names)| names);
            let values = names.iter().filter_map(|name| resource.field(name));
            found.extend(values.filter_map(Value::to_text));
        }
        Self::default().with(found)
    }

    /// Returns them with those that a machine's user data says to be some.
    #[must_use]
    pub fn and_of(&self, user_data: &str) -> Self {
        let written = WRITTEN.captures_iter(user_data);
        let values = written.filter_map(|found| found.name("key").or(found.name("value")));
        self.clone()
            .with(values.map(|value| value.as_str().to_owned()))
    }

    fn with(mut self, more: impl IntoIterator<Item = String>) -> Self {
        for value in more {
            // A key of many lines is shown line by line.
            let lines = value.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("-----"));
            self.values.extend(lines.map(str::to_owned));
        }
        self.values
            .sort_by(|one, other| (other.len(), other).cmp(&(one.len(), one)));
        self.values.dedup();
        self
    }

    /// Whether a text is one of them, or holds one.
    #[must_use]
    pub fn are_in(&self, text: &str) -> bool {
        let mut values = self.values.iter();
        values.any(|value| {
            text == value || (value.len() >= INSIDE_CHARS_MIN && text.contains(value.as_str()))
        })
    }

    /// Returns a text without them: in the place of each stands what Terraform prints there.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        if self.values.iter().any(|value| value == text) {
            return HIDDEN.to_owned();
        }
        let long = { self.values.iter() }.filter(|value| value.len() >= INSIDE_CHARS_MIN);
        long.fold(text.to_owned(), |text, value| text.replace(value, HIDDEN))
    }

    /// Returns tags as they are shown: of one that holds a secret nothing is.
    pub(super) fn shown(&self, tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let show = |text: &String| match self.are_in(text) {
            true => HIDDEN.to_owned(),
            false => text.clone(),
        };
        tags.iter()
            .map(|(name, text)| (name.clone(), show(text)))
            .collect()
    }
}

/// Every text in a value.
fn texts<'v>(value: &'v Value, into: &mut Vec<&'v str>) {
    match value {
        Value::String(text) if !text.is_empty() => into.push(text),
        value => {
            let elements = value.elements().into_iter().flatten();
            let members = value.attributes().into_iter().flat_map(BTreeMap::values);
            elements.chain(members).for_each(|one| texts(one, into));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::{Inputs, read};

    fn secrets(text: &str, assumptions: &[(&str, &str)]) -> Secrets {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("main.tf"), text).unwrap();
        let plain = |(address, value): &(&str, &str)| ((*address).to_owned(), (*value).to_owned());
        let inputs = Inputs {
            assumptions: assumptions.iter().map(plain).collect(),
            ..Inputs::default()
        };
        Secrets::of(&read(scratch.path(), &inputs).unwrap())
    }

    #[test]
    fn what_is_secret_is_hidden_wherever_it_stands() {
        let secrets = secrets(
            r#"
variable "join" {
  default   = { deep = ["s3cr3t", "s3cr3t-and-more", "x"] }
  sensitive = true
}
variable "api_token" { default = "0123456789" }
variable "token_ttl" { default = "1h" }
variable "open" { default = "open sesame" }
resource "random_password" "db" { length = 12 }
resource "tls_private_key" "ssh" { algorithm = "RSA" }
"#,
            &[
                ("random_password.db.result", "hunter2hunter2"),
                (
                    "tls_private_key.ssh.private_key_pem",
                    "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdefgh\n-----END RSA PRIVATE KEY-----\n",
                ),
            ],
        );
        for (text, expected) in [
            ("x", "(sensitive value)"),
            ("ax s3cr3t-and-more", "ax (sensitive value)"),
            (
                "curl -H s3cr3t 0123456789 hunter2hunter2",
                "curl -H (sensitive value) (sensitive value) (sensitive value)",
            ),
            ("MIIEabcdefgh", "(sensitive value)"),
            ("open sesame 1h", "open sesame 1h"),
        ] {
            assert_eq!(secrets.hide(text), expected);
            assert_eq!(secrets.are_in(text), text != expected, "{text}");
        }
        assert!(!format!("{secrets:?}").contains("s3cr3t"));
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let user_data = format!("server {{\n  encrypt = \"{key}\"\n}}\n");
        let more = secrets.and_of(&user_data);
        assert_eq!(more.hide(&format!("use {key}")), "use (sensitive value)");
        assert_eq!(secrets.hide(key), key);
    }
}
