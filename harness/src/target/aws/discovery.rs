//! What is there: whose account, which of the machines that the outputs name, whether they may be
//! touched, and whom Systems Manager reaches. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::attachment::{AttachedAgent, Attachment};
use crate::aws::{Aws, AwsError, Instance, InstanceState};
use crate::spec::AgentName;

/// Tags whose values say what a machine is for.
const PURPOSE_TAGS: &[&str] = &[
    "env",
    "environment",
    "deployment",
    "stage",
    "tier",
    "account",
    "workload",
];
/// Words that mean that people depend on it.
const PRODUCTION: &[&str] = &["prod", "production", "prd", "live"];

/// An agent and its machine as they were seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What the outputs say.
    pub agent: AttachedAgent,
    /// The machine; `None` where AWS has none of that ID.
    pub instance: Option<Instance>,
    /// Why nothing may be done to it.
    pub refusal: Option<String>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The account's number.
    pub account: String,
    /// Who asks.
    pub caller: String,
    /// Every agent.
    pub seen: Vec<Seen>,
    /// The machines that Systems Manager reaches, or why that is not known.
    pub reached: Result<BTreeSet<String>, String>,
}

/// Nothing may be done to these machines.
#[derive(Debug, thiserror::Error)]
#[error("nothing is done to cluster `{name}`: {}", .reasons.join("; "))]
pub struct Refused {
    /// The cluster.
    pub name: String,
    /// Why, for each agent.
    pub reasons: Vec<String>,
}

impl Refused {
    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "terraform plan    # whether the outputs are still true; only machines of the state, with the \
         cluster's tag, not of production, are ever touched"
            .to_owned()
    }
}

/// Looks.
///
/// # Errors
/// AWS's own.
pub async fn discover(attachment: &Attachment, aws: &Aws) -> Result<Discovery, AwsError> {
    let caller = aws.caller().await?;
    let (key, value) = &attachment.tag;
    let tagged = aws.instances_with_tag(key, value).await?;
    let mut found: BTreeMap<String, Instance> = tagged
        .into_iter()
        .map(|one| (one.id.clone(), one))
        .collect();
    for agent in &attachment.agents {
        if found.contains_key(&agent.instance_id) {
            continue;
        }
        // It is without the tag, or not there at all.
        match aws
            .instances(std::slice::from_ref(&agent.instance_id))
            .await
        {
            Ok(one) => found.extend(one.into_iter().map(|one| (one.id.clone(), one))),
            Err(error) if error.is_no_such_instance() => {}
            Err(error) => return Err(error),
        }
    }
    let seen: Vec<Seen> = attachment
        .agents
        .iter()
        .map(|agent| {
            let instance = found.remove(&agent.instance_id);
            let refusal = match &instance {
                None => Some(format!("AWS has no `{}`", agent.instance_id)),
                Some(instance) => refusal(instance, attachment),
            };
            Seen {
                agent: agent.clone(),
                instance,
                refusal,
            }
        })
        .collect();
    let ids: Vec<String> = attachment
        .agents
        .iter()
        .map(|one| one.instance_id.clone())
        .collect();
    let reached = aws
        .reached_by_ssm(&ids)
        .await
        .map_err(|error| error.to_string());
    Ok(Discovery {
        account: caller.account,
        caller: caller.arn,
        seen,
        reached,
    })
}

/// Returns why nothing may be done to a machine.
pub(super) fn refusal(instance: &Instance, attachment: &Attachment) -> Option<String> {
    let (key, value) = &attachment.tag;
    let id = &instance.id;
    let Some(expected) = attachment
        .agents
        .iter()
        .find(|agent| agent.instance_id == *id)
    else {
        return Some(format!("`{id}` is no machine of the outputs"));
    };
    if matches!(
        instance.state,
        InstanceState::ShuttingDown | InstanceState::Terminated
    ) {
        return Some(format!("`{id}` is {}", instance.state));
    }
    match instance.tags.get(key) {
        Some(is) if is == value => {}
        Some(is) => {
            return Some(format!(
                "`{id}` has the tag `{key}={is}`, expected `{value}`"
            ));
        }
        None => return Some(format!("`{id}` does not have the tag `{key}={value}`")),
    }
    // The cluster's own tag holds its name, so it is read as a name is.
    if let Some((key, value)) = instance
        .tags
        .iter()
        .find(|(of, value)| is_production(of, value) || (*of == key && names_production(value)))
    {
        return Some(format!("`{id}` looks like production (`{key}={value}`)"));
    }
    match instance.private_ip {
        Some(is) if is != expected.private_ip => Some(format!(
            "`{id}` has the address {is}, the outputs say {}",
            expected.private_ip
        )),
        _ => None,
    }
}

/// Whether a tag says that people depend on the machine: by its purpose, or by a word in its name.
/// Where it is not clear, it does: to touch too little does no harm.
fn is_production(key: &str, value: &str) -> bool {
    let keys = words(key);
    if PRODUCTION.contains(&keys.join("-").as_str()) {
        // A tag such as `production`, often without any value.
        let no = ["false", "no", "n", "0", "off", "none"];
        return !no.contains(&value.trim().to_lowercase().as_str());
    }
    let telling = keys.iter().any(|word| PURPOSE_TAGS.contains(&&**word)) || keys == ["name"];
    telling && names_production(value)
}

/// Whether a text has a word for production that is not taken back by the word before it.
fn names_production(text: &str) -> bool {
    let words = words(text);
    let taken_back = |index: usize| {
        let before = index.checked_sub(1).map(|before| words[before].as_str());
        before.is_some_and(|word| ["non", "not", "no", "pre"].contains(&word))
    };
    words.iter().enumerate().any(|(index, word)| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        PRODUCTION.contains(&word) && !taken_back(index)
    })
}

/// The words of a text, in small letters.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

impl Discovery {
    /// Returns who may not be touched, and why.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let of = |seen: &Seen| {
            let why = seen.refusal.as_ref()?;
            Some(format!("`{}`: {why}", seen.agent.name))
        };
        self.seen.iter().filter_map(of).collect()
    }

    /// Returns the machine of an agent, if it may be touched.
    #[must_use]
    pub fn instance(&self, agent: &AgentName) -> Option<&Instance> {
        let seen = self.seen.iter().find(|seen| seen.agent.name == *agent)?;
        seen.instance.as_ref().filter(|_| seen.refusal.is_none())
    }

    /// Whether AWS has the machine of an agent no more, or only its remains.
    #[must_use]
    pub fn is_gone(&self, agent: &AgentName) -> bool {
        let seen = self.seen.iter().find(|seen| seen.agent.name == *agent);
        let instance = seen.and_then(|seen| seen.instance.as_ref());
        instance.is_none_or(|one| {
            matches!(
                one.state,
                InstanceState::ShuttingDown | InstanceState::Terminated
            )
        })
    }

    /// Returns why Systems Manager is no lever here; `None` where it reaches every machine.
    #[must_use]
    pub fn without_ssm(&self) -> Option<String> {
        match &self.reached {
            Err(why) => Some(format!(
                "Systems Manager does not say whom it reaches: {why}"
            )),
            Ok(reached) => {
                let missing = self
                    .seen
                    .iter()
                    .filter(|seen| !reached.contains(&seen.agent.instance_id))
                    .map(|seen| format!("`{}`", seen.agent.name));
                let missing: Vec<String> = missing.collect();
                let all = missing.join(", ");
                (!missing.is_empty()).then(|| format!("Systems Manager does not reach {all}"))
            }
        }
    }

    /// Returns it as text for people.
    #[must_use]
    pub fn text(&self, attachment: &Attachment) -> String {
        let mut text = String::new();
        let (key, value) = &attachment.tag;
        let head = format!(
            "cluster  `{}`, Nomad {}, in {}\naccount  {} ({})\ntag      {key}={value}\n",
            attachment.name,
            attachment.nomad_version,
            attachment.aws_region,
            self.account,
            self.caller
        );
        text.push_str(&head);
        for one in self.rows() {
            let line = format!(
                "{:<10} {:<20} {:<13} {:<15} {:<15} {}",
                one.agent, one.instance_id, one.state, one.private_ip, one.public_ip, one.touch
            );
            writeln!(text, "{}", line.trim_end()).expect("writing to memory does not fail");
        }
        let ssm = self.without_ssm();
        let levers = match &ssm {
            None => "stop, start, reboot, terminate (EC2); kill, pause, isolate (Systems Manager)",
            Some(_) => "stop, start, reboot, terminate (EC2)",
        };
        text.push_str(&format!("levers   {levers}\n"));
        if let Some(why) = ssm {
            text.push_str(&format!("absent   kill, pause, isolate: {why}\n"));
        }
        text
    }

    /// Returns it as rows of a table.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |seen: &Seen| {
            let instance = seen.instance.as_ref();
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            Row {
                agent: seen.agent.name.to_string(),
                instance_id: seen.agent.instance_id.clone(),
                state: or_dash(instance.map(|one| one.state.to_string())),
                private_ip: seen.agent.private_ip.to_string(),
                public_ip: or_dash(
                    instance
                        .and_then(|one| one.public_ip)
                        .map(|ip| ip.to_string()),
                ),
                touch: match &seen.refusal {
                    None => "may be touched".to_owned(),
                    Some(why) => format!("refused: {why}"),
                },
            }
        };
        self.seen.iter().map(row).collect()
    }
}

/// An agent's row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The agent.
    pub agent: String,
    /// The machine.
    pub instance_id: String,
    /// What it does.
    pub state: String,
    /// Its address among the agents.
    pub private_ip: String,
    /// Its address in the world.
    pub public_ip: String,
    /// Whether anything may be done to it.
    pub touch: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_production_is_seen_and_what_only_sounds_like_it_is_not() {
        for (key, value) in [
            ("Environment", "production"),
            ("env", "prod-eu"),
            ("Stage", "LIVE"),
            ("Name", "billing-prod-server-1"),
            ("production", "true"),
            ("production", ""),
            ("prod", "yes"),
            ("app:env", "prod2"),
            ("account-type", "production"),
            ("Name", "no-downtime-production-1"),
            ("Name", "prod-pre-1"),
        ] {
            assert!(is_production(key, value), "{key}={value}");
        }
        for (key, value) in [
            ("Environment", "non-prod"),
            ("Environment", "preproduction"),
            ("Name", "product-catalogue-1"),
            ("Name", "delivery"),
            ("Owner", "prod-team"),
            ("production", "false"),
            ("prod", "no"),
            ("Name", "pre-prod-1"),
        ] {
            assert!(!is_production(key, value), "{key}={value}");
        }
    }

    #[test]
    fn only_machines_of_the_outputs_with_the_clusters_tag_may_be_touched() {
        let ids: Vec<String> = (1..=2).map(|number| format!("i-0{number}")).collect();
        let outputs = crate::target::aws::attachment::tests::outputs(&ids).to_string();
        let mut attachment = Attachment::read(&outputs, "cluster.json").unwrap();
        let machine = |id: &str, tags: &[(&str, &str)]| Instance {
            id: id.to_owned(),
            state: InstanceState::Running,
            private_ip: Some([10, 0, 1, 10].into()),
            public_ip: None,
            architecture: "x86_64".to_owned(),
            instance_type: "t3.small".to_owned(),
            zone: "us-east-2a".to_owned(),
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let mine = ("rehearse-cluster", "demo");
        assert_eq!(refusal(&machine("i-01", &[mine]), &attachment), None);
        for (machine, told) in [
            (machine("i-0f", &[mine]), "is no machine of the outputs"),
            (machine("i-01", &[]), "does not have the tag"),
            (
                machine("i-01", &[("rehearse-cluster", "other")]),
                "expected `demo`",
            ),
            (
                machine("i-01", &[mine, ("Name", "prod-1")]),
                "looks like production",
            ),
            (machine("i-02", &[mine]), "the outputs say"),
        ] {
            let why = refusal(&machine, &attachment).unwrap_or_default();
            assert!(why.contains(told), "{why}");
        }
        // A cluster that is itself called so.
        attachment.tag.1 = "prod".to_owned();
        let why = refusal(
            &machine("i-01", &[("rehearse-cluster", "prod")]),
            &attachment,
        );
        assert!(why.unwrap().contains("looks like production"));
    }
}
