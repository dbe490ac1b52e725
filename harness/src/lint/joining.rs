//! How agents find their servers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::subject::{Subject, agent_site, per_place};
use super::{Hit, Rule, Severity};
use crate::spec::Role;
use crate::terraform::aws::{Fact, Machine, may_not_describe};
use crate::terraform::source::Site;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "join-tag-on-clients",
        severity: Severity::Error,
        why: "discovery then hands out clients' addresses as servers': joins fail or take minutes, and a task's port may answer in a server's place",
        mend: "give the join tag to servers alone",
        check: |subject| {
            tagged(
                subject,
                |machine, role| machine.role == Some(Role::Client) && role,
                "carries the tag by which servers are found",
            )
        },
    },
    Rule {
        id: "join-tag-missing",
        severity: Severity::Error,
        why: "a server without the tag is found by nobody",
        mend: "give every server the tag of `retry_join`",
        check: |subject| {
            tagged(
                subject,
                |machine, has| machine.role == Some(Role::Server) && !has,
                "lacks the tag by which servers are found",
            )
        },
    },
    Rule {
        id: "join-incomplete",
        severity: Severity::Error,
        why: "`tag_key` and `tag_value` are put into the filter unchecked: with one missing, AWS refuses the look-up",
        mend: "write both: `provider=aws tag_key=KEY tag_value=VALUE`",
        check: incomplete,
    },
    Rule {
        id: "join-without-region",
        severity: Severity::Note,
        why: "without `region=`, the region comes from the metadata service, which containers behind one hop cannot reach",
        mend: "add `region=...` to the `provider=aws` text",
        check: |subject| {
            per_place(
                cloud_joins(subject)
                    .into_iter()
                    .filter(|(_, arguments, _)| !arguments.contains_key("region"))
                    .map(|(machine, _, site)| {
                        (machine, site, "discovery names no region".to_owned())
                    }),
            )
        },
    },
    Rule {
        id: "join-region-differs",
        severity: Severity::Error,
        why: "discovery then asks a region where none of these machines are: nobody finds a server",
        mend: "name the provider's region in `region=...`, by the same variable",
        check: other_region,
    },
    Rule {
        id: "discovery-gives-up",
        severity: Severity::Error,
        why: "up to Nomad 1.9.3 the first error of a look-up ends joining for good: a role that is attached a second too late leaves the agent alone until it is restarted",
        mend: "use Nomad 1.9.4 or later, or start the agent only after a look-up has succeeded",
        check: |subject| {
            let joins = cloud_joins(subject).into_iter();
            per_place(joins.filter_map(|(machine, _, site)| {
                let version = subject.is_before(machine, (1, 9, 4))?;
                let said = format!("Nomad {version} gives up after the first error of discovery");
                Some((machine, site, said))
            }))
        },
    },
    Rule {
        id: "discovery-without-role",
        severity: Severity::Error,
        why: "discovery asks EC2 and needs `ec2:DescribeInstances`: without a role every look-up is refused",
        mend: "attach an instance profile whose role may call `ec2:DescribeInstances`",
        check: |subject| {
            per_place(
                cloud_joins(subject)
                    .into_iter()
                    .filter(|(_, arguments, _)| !arguments.contains_key("access_key_id"))
                    .filter_map(|(machine, _, _)| {
                        let said = if machine.profile == Fact::Absent {
                            "discovery has no role to ask EC2 with".to_owned()
                        } else {
                            let role = may_not_describe(subject.configuration, machine)?;
                            format!(
                                "no policy allows role `{role}` to call `ec2:DescribeInstances`"
                            )
                        };
                        Some((machine, machine.site.clone(), said))
                    }),
            )
        },
    },
    Rule {
        id: "join-absent",
        severity: Severity::Error,
        why: "an agent that is told of no server joins none: servers stay alone, clients never register",
        mend: "set `server_join { retry_join = [...] }` on servers and clients",
        check: |subject| {
            let alone = subject
                .configured()
                .into_iter()
                .filter(|machine| match machine.role {
                    Some(Role::Server) => subject
                        .number_of(Role::Server)
                        .is_some_and(|number| number > 1),
                    role => role.is_some(),
                });
            per_place(
                alone
                    .filter(|machine| machine.agent.joins().is_empty() && !mentions_join(machine))
                    .map(|machine| (machine, agent_site(machine), "joins nobody".to_owned())),
            )
        },
    },
];

fn mentions_join(machine: &Machine) -> bool {
    // By a command, by Consul, or in a key that is filled in at boot; an empty list is not filled in.
    let text = machine.user_data.run.as_deref().unwrap_or_default();
    let text = EMPTY.replace_all(text, "");
    [
        "server join",
        "retry_join",
        "retry-join",
        "start_join",
        "consul",
    ]
    .iter()
    .any(|word| text.contains(word))
}

static EMPTY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\b(?:retry_join|start_join)"?\s*[=:]\s*\[\s*\]"#).expect("a valid pattern")
});

type Join<'a> = (&'a Machine, BTreeMap<String, String>, Site);

/// Every `provider=aws` text: its machine, its arguments, its place.
fn cloud_joins<'a>(subject: &Subject<'a>) -> Vec<Join<'a>> {
    let mut joins = Vec::new();
    for machine in subject.configured() {
        for (text, site) in machine.agent.joins() {
            let arguments: BTreeMap<String, String> = text
                .split_whitespace()
                .filter_map(|argument| argument.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
                .collect();
            if arguments
                .get("provider")
                .is_some_and(|provider| provider == "aws")
            {
                joins.push((machine, arguments, site));
            }
        }
    }
    joins
}

fn other_region(subject: &Subject<'_>) -> Vec<Hit> {
    let configuration = subject.configuration;
    let providers = configuration.providers.iter();
    let Fact::Known { value: region, .. } = &subject.cluster.region else {
        return Vec::new();
    };
    // Of several providers it is not told here which one's the machines are.
    if providers.filter(|provider| provider.name == "aws").count() > 1 {
        return Vec::new();
    }
    let has_its_own = |machine: &Machine| {
        let mut resources = configuration.resources.iter();
        resources.any(|one| one.address == machine.address && one.field("region").is_some())
    };
    per_place(
        cloud_joins(subject)
            .into_iter()
            .filter_map(|(machine, arguments, site)| {
                let asked = arguments.get("region")?;
                let known = !asked.contains(['<', '$']);
                (known && asked != region && !has_its_own(machine)).then(|| {
                    let said = format!("discovery asks `{asked}`, the machines are in `{region}`");
                    (machine, site, said)
                })
            }),
    )
}

fn incomplete(subject: &Subject<'_>) -> Vec<Hit> {
    per_place(
        cloud_joins(subject)
            .into_iter()
            .filter_map(|(machine, arguments, site)| {
                let missing = ["tag_key", "tag_value"]
                    .into_iter()
                    .find(|name| !arguments.contains_key(*name))?;
                // ECS is found by other arguments.
                (!arguments.contains_key("service"))
                    .then(|| (machine, site, format!("`provider=aws` without `{missing}`")))
            }),
    )
}

fn tagged(subject: &Subject<'_>, wrong: impl Fn(&Machine, bool) -> bool, what: &str) -> Vec<Hit> {
    let joins = cloud_joins(subject);
    let tags: Vec<(&String, &String)> = joins
        .iter()
        .filter_map(|(_, arguments, _)| {
            Some((arguments.get("tag_key")?, arguments.get("tag_value")?))
        })
        .collect();
    let Some((key, value)) = tags.first() else {
        return Vec::new();
    };
    if value.contains('<') || value.contains('$') {
        return Vec::new();
    }
    per_place(subject.machines().iter().filter_map(|machine| {
        let tag = machine.tags.get(*key);
        if tag.is_none() && !machine.tags_whole {
            return None;
        }
        // A value that is not known here may be the right one.
        let has = tag.is_some_and(|tag| tag == *value || tag.contains('<'));
        wrong(machine, has).then(|| {
            (
                machine,
                machine.tags_site.clone(),
                format!("{what} (`{key}` = `{value}`)"),
            )
        })
    }))
}
