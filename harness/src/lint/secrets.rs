//! Secrets where others can read them.

use std::sync::LazyLock;

use regex::Regex;

use super::subject::{Subject, per_place};
use super::{Hit, Rule, Severity};
use crate::terraform::aws::names_a_secret;
use crate::terraform::resource::Resource;
use crate::terraform::value::Value;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "secret-in-user-data",
        severity: Severity::Error,
        why: "user data can be read by every process of the machine and by everybody who may describe instances, and it stays in Terraform's state",
        mend: "keep it in Parameter Store or Secrets Manager, and let the machine fetch it with its own role at boot",
        check: user_data,
    },
    Rule {
        id: "secret-in-state",
        severity: Severity::Error,
        why: "Terraform's state holds every argument and attribute in clear, for everybody who can read it",
        mend: "make the secret outside Terraform (`rehearse pki create`), and pass it through a write-only argument (`value_wo`, `secret_string_wo`)",
        check: state,
    },
    Rule {
        id: "secret-as-default",
        severity: Severity::Error,
        why: "a default is committed with the configuration, and whoever forgets the variable runs with a secret that everybody knows",
        mend: "remove the default: Terraform then asks for the value",
        check: default,
    },
    Rule {
        id: "secret-not-sensitive",
        severity: Severity::Warning,
        why: "plans and outputs print values of variables that are not marked",
        mend: "add `sensitive = true` (or `ephemeral = true`) to the variable",
        check: unmarked,
    },
    Rule {
        id: "parameter-not-encrypted",
        severity: Severity::Error,
        why: "a parameter of type String is stored in clear, and read without permission to decrypt",
        mend: "use `type = \"SecureString\"`",
        check: plain_parameter,
    },
    Rule {
        id: "credentials-in-provider",
        severity: Severity::Error,
        why: "whoever can read the configuration, or its history, then acts as the account that makes the cluster",
        mend: "leave the keys out: `AWS_PROFILE`, `aws sso login` or the role of the machine that runs Terraform gives them; withdraw those that were written down",
        check: provider_keys,
    },
];

static PRIVATE_KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----").expect("a valid pattern")
});
/// `encrypt = "<base64 of 16, 24 or 32 bytes>"`: a gossip key in clear.
static GOSSIP_KEY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#""?encrypt"?\s*[=:]\s*"[A-Za-z0-9+/]{22,43}={0,2}""#).expect("a valid pattern")
});
/// Keys of AWS, Nomad tokens and the like that are written out.
static CREDENTIAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\bAKIA[0-9A-Z]{16}\b|(?:NOMAD_TOKEN|CONSUL_HTTP_TOKEN|VAULT_TOKEN|NOMAD_LICENSE|AWS_SECRET_ACCESS_KEY)=["']?[A-Za-z0-9+/=_.-]{16,}"#).expect("a valid pattern")
});

fn user_data(subject: &Subject<'_>) -> Vec<Hit> {
    let sensitive: Vec<(&String, String)> = subject
        .configuration
        .variables
        .iter()
        .filter(|(name, variable)| variable.sensitive || names_a_secret(name))
        .filter_map(|(name, variable)| {
            Some((
                name,
                variable.value.to_text().filter(|text| text.len() >= 3)?,
            ))
        })
        .collect();
    per_place(subject.machines().iter().flat_map(|machine| {
        let text = machine.user_data.text.as_deref().unwrap_or_default();
        let mut what = Vec::new();
        if PRIVATE_KEY.is_match(text) {
            what.push("a private key".to_owned());
        }
        if GOSSIP_KEY.is_match(text) {
            what.push("the gossip key".to_owned());
        }
        if CREDENTIAL.is_match(text) {
            what.push("a credential".to_owned());
        }
        what.extend(
            sensitive
                .iter()
                .filter(|(_, secret)| text.contains(secret.as_str()))
                .map(|(name, _)| format!("the value of variable `{name}`")),
        );
        what.extend(unknown_secrets(&machine.user_data.unknown));
        what.into_iter().map(move |what| {
            (
                machine,
                machine.user_data.site.clone(),
                format!("user data holds {what}"),
            )
        })
    }))
}

/// Parts of user data that are not known here, but are secrets by what they are.
fn unknown_secrets(causes: &[crate::terraform::value::Cause]) -> Vec<String> {
    let secret = |what: &str| {
        what.contains("tls_private_key.") && what.contains("private_key")
            || what.contains("random_password.")
            || what.contains("secret_string")
            || (what.contains("random_id.") && what.contains("b64"))
    };
    let named = |what: &str| {
        what.strip_prefix("var.")
            .is_some_and(|rest| names_a_secret(rest.split(',').next().unwrap_or(rest)))
    };
    causes
        .iter()
        .filter(|cause| secret(&cause.what) || named(&cause.what))
        .map(|cause| format!("`{}`", cause.what.split(',').next().unwrap_or(&cause.what)))
        .collect()
}

fn managed<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = &'a Resource> {
    subject
        .configuration
        .resources
        .iter()
        .filter(|resource| !resource.id.data)
}

fn state(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for resource in managed(subject) {
        let known_by_kind = match resource.id.kind.as_str() {
            "tls_private_key" => Some("a private key"),
            "random_password" => Some("a password"),
            _ => None,
        };
        if let Some(what) = known_by_kind {
            hits.push(Hit::new(
                &resource.site,
                format!("`{}` keeps {what} in state", resource.address),
            ));
        }
        for name in [
            "value",
            "secret_string",
            "content",
            "content_base64",
            "sensitive_content",
        ] {
            let Some(Value::String(text)) = resource.field(name) else {
                continue;
            };
            if PRIVATE_KEY.is_match(text) || GOSSIP_KEY.is_match(text) || CREDENTIAL.is_match(text)
            {
                hits.push(Hit::new(
                    &resource.site_of(name),
                    format!("`{}.{name}` keeps a secret in state", resource.address),
                ));
            }
        }
    }
    hits
}

fn default(subject: &Subject<'_>) -> Vec<Hit> {
    let variables = subject.configuration.variables.iter();
    variables
        .filter(|(name, variable)| {
            variable.default
                && names_a_secret(name)
                && variable.value.as_str().is_some_and(|text| !text.is_empty())
        })
        .map(|(name, variable)| {
            Hit::new(
                &variable.site,
                format!("variable `{name}` has a secret as default"),
            )
        })
        .collect()
}

fn unmarked(subject: &Subject<'_>) -> Vec<Hit> {
    let variables = subject.configuration.variables.iter();
    variables
        .filter(|(name, variable)| {
            !variable.sensitive
                && names_a_secret(name)
                && !matches!(variable.value, Value::Bool(_) | Value::Null)
        })
        .map(|(name, variable)| {
            Hit::new(
                &variable.site,
                format!("variable `{name}` is not marked as sensitive"),
            )
        })
        .collect()
}

/// Keys of AWS that are written out in a `provider` block, or in what it refers to; a variable's value is none.
fn provider_keys(subject: &Subject<'_>) -> Vec<Hit> {
    let configuration = subject.configuration;
    let given = |text: &str| {
        let mut variables = configuration.variables.values();
        variables.any(|variable| variable.value.to_text().as_deref() == Some(text))
    };
    let providers = configuration.providers.iter();
    let providers = providers.filter(|provider| provider.name == "aws");
    let keys = providers.flat_map(|provider| {
        let written = ["access_key", "secret_key", "token"].into_iter();
        written.filter_map(|name| {
            let text = provider.attributes.get(name)?.to_text()?;
            let site = provider.sites.get(name).unwrap_or(&provider.site);
            let said = format!("`{name}` of provider `aws` is written out");
            (!text.is_empty() && !given(&text)).then(|| Hit::new(site, said))
        })
    });
    keys.collect()
}

fn plain_parameter(subject: &Subject<'_>) -> Vec<Hit> {
    managed(subject)
        .filter(|resource| {
            resource.id.kind == "aws_ssm_parameter"
                && resource.field("type").and_then(Value::as_str) == Some("String")
        })
        .filter(|resource| {
            let named = resource
                .field("name")
                .and_then(Value::to_text)
                .unwrap_or_default();
            let text = ["value", "value_wo", "insecure_value"]
                .iter()
                .find_map(|name| resource.field(name).and_then(Value::to_text))
                .unwrap_or_default();
            names_a_secret(&named)
                || named.ends_with("key")
                || named.contains("gossip")
                || PRIVATE_KEY.is_match(&text)
        })
        .map(|resource| {
            Hit::new(
                &resource.site_of("type"),
                format!("`{}` holds a secret unencrypted", resource.address),
            )
        })
        .collect()
}
