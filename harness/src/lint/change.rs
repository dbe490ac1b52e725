//! What a change does to a running cluster.

use super::subject::{Subject, per_place};
use super::{Hit, Rule, Severity};
use crate::spec::Role;
use crate::terraform::Basis;
use crate::terraform::aws::Rollout;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "change-stops-all-servers",
        severity: Severity::Error,
        why: "changed user data stops, changes and starts every server at the same time: the quorum is lost, every public address changes, and the new user data does not even run",
        mend: "set `lifecycle { ignore_changes = [ami, user_data] }`, and replace one server at a time (`terraform apply -replace=...`)",
        check: |subject| {
            rollout(
                subject,
                Role::Server,
                Rollout::InPlace,
                "a change of user data stops all servers at once",
            )
        },
    },
    Rule {
        id: "change-replaces-all-servers",
        severity: Severity::Error,
        why: "`user_data_replace_on_change` replaces all servers in one apply: the cluster's data goes with them",
        mend: "set `lifecycle { ignore_changes = [ami, user_data] }`, and replace one server at a time (`terraform apply -replace=...`)",
        check: |subject| {
            rollout(
                subject,
                Role::Server,
                Rollout::ReplacedAtOnce,
                "a change of user data replaces all servers at once",
            )
        },
    },
    Rule {
        id: "change-stops-all-clients",
        severity: Severity::Warning,
        why: "changed user data stops every client at the same time, and every task with them; the new user data does not even run",
        mend: "set `lifecycle { ignore_changes = [ami, user_data] }`, and replace one client at a time after draining it",
        check: |subject| {
            rollout(
                subject,
                Role::Client,
                Rollout::InPlace,
                "a change of user data stops all clients at once",
            )
        },
    },
    Rule {
        id: "provider-not-pinned",
        severity: Severity::Warning,
        why: "the next `init` may take another major version: what user data means in a plan changed with one",
        mend: "set `required_providers { aws = { source = \"hashicorp/aws\", version = \">= 5.100, < 7.0\" } }`, and commit the lock file",
        check: |subject| {
            // What Terraform printed does not tell what was demanded.
            if subject.configuration.basis != Basis::Files {
                return Vec::new();
            }
            let pinned = subject
                .configuration
                .requirements
                .providers
                .get("aws")
                .is_some_and(|(version, _)| version.is_some());
            let first = subject.machines().first();
            match (
                pinned,
                first,
                subject
                    .configuration
                    .providers
                    .iter()
                    .find(|provider| provider.name == "aws"),
            ) {
                (false, Some(_), Some(provider)) => vec![Hit::new(
                    &provider.site,
                    "no version of the AWS provider is demanded",
                )],
                (false, Some(machine), None) => vec![Hit::new(
                    &machine.site,
                    "no version of the AWS provider is demanded",
                )],
                _ => Vec::new(),
            }
        },
    },
    Rule {
        id: "image-fixed-region-free",
        severity: Severity::Warning,
        why: "an image's id holds in one region: in any other the same configuration fails, or starts something else",
        mend: "look the image up (`data \"aws_ami\"`, or the public SSM parameters of the distribution)",
        check: |subject| {
            // What Terraform printed holds the id that a look-up gave, and does not tell which it was.
            let free = subject.configuration.basis == Basis::Files
                && subject
                    .configuration
                    .variables
                    .iter()
                    .any(|(name, variable)| {
                        name.contains("region")
                            && !name.contains("nomad")
                            && variable.value.to_text().is_some()
                    });
            per_place(
                subject
                    .machines()
                    .iter()
                    .filter(|_| free)
                    .filter_map(|machine| {
                        let image = machine
                            .image
                            .known()
                            .filter(|image| image.starts_with("ami-"))?;
                        let site = machine.image.site()?.clone();
                        Some((
                            machine,
                            site,
                            format!("the image `{image}` is fixed, and the region is a variable"),
                        ))
                    }),
            )
        },
    },
];

fn rollout(subject: &Subject<'_>, role: Role, rollout: Rollout, what: &str) -> Vec<Hit> {
    let several = subject.number_of(role).is_none_or(|number| number > 1);
    let machines = subject.of_role(role).into_iter().filter(|machine| {
        several && machine.rollout == rollout && machine.user_data.text.is_some()
    });
    per_place(machines.map(|machine| (machine, machine.user_data.site.clone(), what.to_owned())))
}
