//! Whether a machine's role may call an action, as far as the configuration says: instance profile, role,
//! policies on it, their statements. Allowed is what a statement allows on every resource and none denies;
//! what is not in the configuration (conditions, policies of others, boundaries) is not known, never guessed.

use super::{Fact, Machine, addresses};
use crate::terraform::Configuration;
use crate::terraform::resource::Resource;
use crate::terraform::value::Value;

/// AWS's own policies that agents' roles often have, and whether they allow `ec2:DescribeInstances`.
const MANAGED: &[(&str, bool)] = &[
    ("AdministratorAccess", true),
    ("AmazonEC2FullAccess", true),
    ("AmazonEC2ReadOnlyAccess", true),
    ("PowerUserAccess", true),
    ("ReadOnlyAccess", true),
    ("ViewOnlyAccess", true),
    ("AmazonEC2ContainerRegistryReadOnly", false),
    ("AmazonS3ReadOnlyAccess", false),
    ("AmazonSSMManagedInstanceCore", false),
    ("CloudWatchAgentServerPolicy", false),
];

/// What is known of a role and an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// A policy allows it.
    Allowed,
    /// None does, or one forbids it.
    Refused,
    /// That is not told here, and why.
    Unknown(String),
}

/// The role of a machine's instance profile, and whether it may describe instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// The role's name, as far as it is known.
    pub(super) role: String,
    pub(super) may_describe: Permission,
}

/// Returns what a machine may by its instance profile; nothing where it has none.
pub(super) fn granted(configuration: &Configuration, machine: &Machine) -> Option<Granted> {
    let profile = match &machine.profile {
        Fact::Absent => return None,
        Fact::Known { value, .. } => value.clone(),
        Fact::Unknown { expression, .. } => stripped(expression),
    };
    let all = Policies { configuration };
    let unknown = |role: &str, why: String| Granted {
        role: role.to_owned(),
        may_describe: Permission::Unknown(why),
    };
    // Its ARN ends with its name.
    let name = profile
        .rsplit(":instance-profile/")
        .next()
        .unwrap_or(&profile)
        .to_owned();
    let Some(found) = all.named("aws_iam_instance_profile", &[profile, name.clone()]) else {
        let why = format!("instance profile `{name}` is none of this configuration");
        return Some(unknown(&name, why));
    };
    let role = found.field("role");
    Some(match all.named("aws_iam_role", &addresses(role)) {
        Some(role) => Granted {
            role: { role.field("name").and_then(Value::to_text) }
                .unwrap_or_else(|| role.id.name.clone()),
            may_describe: all.of_role(role),
        },
        None => {
            let name = role.and_then(Value::to_text).unwrap_or(name);
            unknown(
                &name,
                format!("role `{name}` is none of this configuration"),
            )
        }
    })
}

/// Returns the role of a machine's instance profile if it is known that it may not call
/// `ec2:DescribeInstances`: all that is put on it is seen, and none of it allows that.
#[must_use]
pub fn may_not_describe(configuration: &Configuration, machine: &Machine) -> Option<String> {
    let granted = granted(configuration, machine)?;
    let all = Policies { configuration };
    // On whose role a policy is put may not be known, and this kind has a list of them.
    let is_seen = |one: &Resource| {
        let role = one.field("role");
        all.named("aws_iam_role", &addresses(role)).is_some()
            || role.is_some_and(|role| role.to_text().is_some())
    };
    let kinds = ["aws_iam_role_policy", "aws_iam_role_policy_attachment"];
    let seen = { kinds.into_iter() }.all(|kind| all.of_kind(kind).all(is_seen))
        && all.of_kind("aws_iam_policy_attachment").next().is_none();
    (seen && granted.may_describe == Permission::Refused).then_some(granted.role)
}

/// A resource's address out of an expression of one of its attributes.
fn stripped(expression: &str) -> String {
    let ends = [".id", ".name", ".arn", ".json"];
    let found = ends
        .into_iter()
        .find_map(|end| expression.strip_suffix(end));
    found.unwrap_or(expression).to_owned()
}

struct Policies<'a> {
    configuration: &'a Configuration,
}

impl<'a> Policies<'a> {
    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &'a Resource> + use<'a> {
        let all = self.configuration.resources.iter();
        all.filter(move |one| !one.id.data && one.id.kind == kind)
    }

    /// The resource that is meant, by its address or by its name.
    fn named(&self, kind: &'static str, meant: &[String]) -> Option<&'a Resource> {
        self.of_kind(kind).find(|one| {
            let name = one.field("name").and_then(Value::to_text);
            meant
                .iter()
                .any(|said| *said == one.address || Some(said) == name.as_ref())
        })
    }

    /// Puts together what each policy of a role says: a refusal is for good, one that allows is enough.
    fn of_role(&self, role: &Resource) -> Permission {
        let mut all: Vec<Permission> = Vec::new();
        let inline = role.field("inline_policy").and_then(Value::elements);
        let inline = inline.into_iter().flatten();
        all.extend(inline.map(|block| self.document(block.attribute("policy"))));
        let managed = role.field("managed_policy_arns").and_then(Value::elements);
        all.extend(
            managed
                .into_iter()
                .flatten()
                .map(|arn| self.managed(Some(arn))),
        );
        let is_on = |policy: &&Resource| {
            let on = self.named("aws_iam_role", &addresses(policy.field("role")));
            on.is_some_and(|on| on.address == role.address)
        };
        let own = self.of_kind("aws_iam_role_policy").filter(is_on);
        all.extend(own.map(|policy| self.document(policy.field("policy"))));
        let attached = self.of_kind("aws_iam_role_policy_attachment").filter(is_on);
        all.extend(attached.map(|one| self.managed(one.field("policy_arn"))));
        together(all)
    }

    /// A policy by its ARN.
    fn managed(&self, arn: Option<&Value>) -> Permission {
        let text = arn.map(|arn| match arn.to_text() {
            Some(text) => text,
            // Its beginning may be a partition that is not known.
            None => arn.to_json().as_str().unwrap_or_default().to_owned(),
        });
        let text = text.unwrap_or_default();
        if let Some((_, name)) = text.rsplit_once(":iam::aws:policy/") {
            let name = name.rsplit('/').next().unwrap_or(name);
            let known = MANAGED.iter().find(|(known, _)| *known == name);
            return match known {
                Some((_, true)) => Permission::Allowed,
                // Policies only add up: one that does not allow it says nothing else.
                Some((_, false)) => Permission::Refused,
                None => Permission::Unknown(format!("AWS's policy `{name}` is not known here")),
            };
        }
        match self.named("aws_iam_policy", &addresses(arn)) {
            Some(policy) => self.document(policy.field("policy")),
            None => Permission::Unknown(format!("policy `{text}` is none of this configuration")),
        }
    }

    /// A policy document: JSON, or a data source's.
    fn document(&self, value: Option<&Value>) -> Permission {
        let unknown =
            |what: &str| Permission::Unknown(format!("{what} is not known before it is applied"));
        match value {
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(document) => of_json(&document),
                Err(error) => Permission::Unknown(format!("a policy is no JSON: {error}")),
            },
            Some(Value::Unknown(reference)) => {
                let address = stripped(&reference.expression);
                let mut all = self.configuration.resources.iter();
                match all.find(|one| one.id.data && one.address == address) {
                    Some(data) => of_data(data),
                    None => unknown(&format!("`{address}`")),
                }
            }
            _ => unknown("a policy"),
        }
    }
}

/// Policies and statements add up.
fn together(all: Vec<Permission>) -> Permission {
    if all.contains(&Permission::Allowed) {
        return Permission::Allowed;
    }
    let mut unknown = all.into_iter().filter(|one| *one != Permission::Refused);
    unknown.next().unwrap_or(Permission::Refused)
}

/// One statement, however it is written.
struct Statement {
    denies: bool,
    actions: Vec<String>,
    resources: Vec<String>,
    /// What is not reckoned with.
    other: Option<&'static str>,
}

/// `None` where the statement is not about it.
fn judge(statement: &Statement) -> Option<Permission> {
    let unknown = |what: &str| Some(Permission::Unknown(format!("a statement has {what}")));
    let about = statement.actions.iter().any(|action| means(action));
    if let Some(other) = statement.other {
        let may_be = about || statement.actions.is_empty();
        return if may_be { unknown(other) } else { None };
    }
    if !about {
        return None;
    }
    // The action knows no single machines: a statement for some resources does not reach it.
    match statement.resources.iter().any(|one| one == "*") {
        true if statement.denies => Some(Permission::Refused),
        true => Some(Permission::Allowed),
        false => None,
    }
}

fn decide(statements: &[Statement]) -> Permission {
    let judged = |denies: bool| {
        let all = statements.iter().filter(move |one| one.denies == denies);
        all.filter_map(judge).collect::<Vec<_>>()
    };
    // What is denied is denied, whoever allows it.
    let denied = judged(true);
    if denied.contains(&Permission::Refused) {
        return Permission::Refused;
    }
    denied
        .into_iter()
        .next()
        .unwrap_or_else(|| together(judged(false)))
}

/// Whether an action of a statement, with wildcards, means `ec2:DescribeInstances`; case does not count.
fn means(action: &str) -> bool {
    let pattern = regex::escape(action)
        .replace("\\*", ".*")
        .replace("\\?", ".");
    let pattern = format!("(?i)^{pattern}$");
    regex::Regex::new(&pattern).is_ok_and(|pattern| pattern.is_match("ec2:DescribeInstances"))
}

fn of_json(document: &serde_json::Value) -> Permission {
    let one_or_more = |value: &serde_json::Value| match value {
        serde_json::Value::Array(all) => all.clone(),
        serde_json::Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let texts = |value: &serde_json::Value| -> Vec<String> {
        let all = one_or_more(value);
        all.iter()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect()
    };
    let statements: Vec<Statement> = one_or_more(&document["Statement"])
        .iter()
        .map(|statement| Statement {
            denies: statement["Effect"] == "Deny",
            actions: texts(&statement["Action"]),
            resources: texts(&statement["Resource"]),
            other: ["Condition", "NotAction", "NotResource"]
                .into_iter()
                .find(|key| !statement[*key].is_null()),
        })
        .collect();
    decide(&statements)
}

fn of_data(data: &Resource) -> Permission {
    let statements = data.field("statement").and_then(Value::elements);
    let text = |block: &Value, name: &str| block.attribute(name).and_then(Value::to_text);
    let texts = |block: &Value, name: &str| -> Vec<String> {
        let all = block.attribute(name).and_then(Value::elements);
        all.unwrap_or_default()
            .iter()
            .filter_map(Value::to_text)
            .collect()
    };
    let has = |block: &Value, name: &str| {
        block
            .attribute(name)
            .is_some_and(|value| *value != Value::Null)
    };
    let statements: Vec<Statement> = statements
        .unwrap_or_default()
        .iter()
        .map(|block| Statement {
            denies: text(block, "effect").as_deref() == Some("Deny"),
            actions: texts(block, "actions"),
            resources: texts(block, "resources"),
            other: ["condition", "not_actions", "not_resources"]
                .into_iter()
                .find(|name| has(block, name)),
        })
        .collect();
    let others = [
        "source_policy_documents",
        "override_policy_documents",
        "source_json",
        "override_json",
    ];
    match (
        decide(&statements),
        others.into_iter().find(|name| data.field(name).is_some()),
    ) {
        (Permission::Refused, Some(other)) => {
            Permission::Unknown(format!("`{}` takes in others by `{other}`", data.address))
        }
        (decided, _) => decided,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::terraform::aws::AwsCluster;
    use crate::terraform::{Inputs, read};

    /// A configuration of one machine, whose role has these blocks.
    fn configured(policies: &str) -> (Configuration, AwsCluster) {
        let scratch = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
provider "aws" {{ region = "us-east-2" }}
resource "aws_instance" "server" {{
  ami = "ami-1"
  instance_type = "t3.small"
  iam_instance_profile = aws_iam_instance_profile.nomad.name
  tags = {{ Name = "server-1" }}
}}
resource "aws_iam_instance_profile" "nomad" {{
  role = aws_iam_role.nomad.name
}}
resource "aws_iam_role" "nomad" {{
  name = "nomad"
  assume_role_policy = "{{}}"
}}
{policies}
"#
        );
        std::fs::write(scratch.path().join("main.tf"), text).unwrap();
        let configuration = read(scratch.path(), &Inputs::default()).unwrap();
        let cluster = AwsCluster::of(&configuration, Path::new("."));
        (configuration, cluster)
    }

    /// What the one machine of such a configuration may.
    fn granted_by(policies: &str) -> Option<Granted> {
        let (configuration, cluster) = configured(policies);
        granted(&configuration, &cluster.machines[0])
    }

    fn policy(statements: &str) -> String {
        format!(
            r#"
resource "aws_iam_role_policy" "find" {{
  role   = aws_iam_role.nomad.id
  policy = jsonencode({{ Version = "2012-10-17", Statement = [{statements}] }})
}}"#
        )
    }

    const ALLOW: &str = r#"{ Effect = "Allow", Action = "ec2:Describe*", Resource = "*" }"#;

    #[track_caller]
    fn assert_may(policies: &str, wanted: &Permission) {
        let granted = granted_by(policies).unwrap();
        assert_eq!(granted.role, "nomad");
        assert_eq!(granted.may_describe, *wanted, "{policies}");
    }

    #[test]
    fn a_role_may_what_a_statement_allows_on_every_resource() {
        assert_may(&policy(ALLOW), &Permission::Allowed);
        assert_may("", &Permission::Refused);
        for statement in [
            r#"{ Effect = "Allow", Action = ["ec2:DescribeInstances"], Resource = ["arn:aws:ec2:*:*:instance/*"] }"#,
            r#"{ Effect = "Allow", Action = ["ec2:DescribeTags", "ssm:*"], Resource = "*" }"#,
        ] {
            assert_may(&policy(statement), &Permission::Refused);
        }
        let deny = r#"{ Effect = "Deny", Action = "EC2:*Instances", Resource = "*" }"#;
        assert_may(&policy(&format!("{ALLOW}, {deny}")), &Permission::Refused);
    }

    #[test]
    fn a_role_is_blamed_only_where_all_that_is_put_on_it_is_seen() {
        let blamed = |policies: &str| {
            let (configuration, cluster) = configured(policies);
            may_not_describe(&configuration, &cluster.machines[0])
        };
        assert_eq!(blamed(""), Some("nomad".to_owned()));
        let other = r#"{ Effect = "Allow", Action = "ssm:*", Resource = "*" }"#;
        assert_eq!(blamed(&policy(other)), Some("nomad".to_owned()));
        assert_eq!(blamed(&policy(ALLOW)), None);
        let elsewhere = policy(ALLOW).replace("aws_iam_role.nomad.id", "aws_lb.some.name");
        assert_eq!(
            blamed(&format!("resource \"aws_lb\" \"some\" {{}}\n{elsewhere}")),
            None
        );
        let listed = "resource \"aws_iam_policy_attachment\" \"a\" {\n  roles = [\"nomad\"]\n}";
        assert_eq!(blamed(listed), None);
    }

    #[test]
    fn policies_are_found_wherever_they_are_put_on_the_role() {
        let data = r#"
data "aws_iam_policy_document" "find" {
  statement {
    actions   = ["ec2:DescribeInstances"]
    resources = ["*"]
  }
}
resource "aws_iam_policy" "find" { policy = data.aws_iam_policy_document.find.json }
resource "aws_iam_role_policy_attachment" "find" {
  role       = aws_iam_role.nomad.name
  policy_arn = aws_iam_policy.find.arn
}"#;
        assert_may(data, &Permission::Allowed);
        let managed = |name: &str| {
            format!(
                r#"
resource "aws_iam_role_policy_attachment" "aws" {{
  role       = "nomad"
  policy_arn = "arn:aws:iam::aws:policy/{name}"
}}"#
            )
        };
        assert_may(&managed("AmazonEC2ReadOnlyAccess"), &Permission::Allowed);
        assert_may(
            &managed("AmazonSSMManagedInstanceCore"),
            &Permission::Refused,
        );
        let unknown =
            Permission::Unknown("AWS's policy `SecurityAudit` is not known here".to_owned());
        assert_may(&managed("SecurityAudit"), &unknown);
        // Another role's policy says nothing.
        let other = policy(ALLOW).replace("aws_iam_role.nomad.id", "\"other\"");
        assert_may(&other, &Permission::Refused);
    }

    #[test]
    fn what_is_not_reckoned_with_is_not_known() {
        let condition =
            r#"{ Effect = "Allow", Action = "ec2:*", Resource = "*", Condition = { Bool = {} } }"#;
        let unknown = Permission::Unknown("a statement has Condition".to_owned());
        assert_may(&policy(condition), &unknown);
    }
}
