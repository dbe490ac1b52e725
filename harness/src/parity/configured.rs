//! What the agents of two sides' runs are configured with, key by key, and what their timers predict: as the
//! agents said themselves when the runs began.
//!
//! Sides may be of two versions, or the simulator and Nomad. A key that one side does not tell is compared with
//! Nomad's default, where that is known; what a side does not act on, and what differs by version alone, is listed
//! as not compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::config::{self, Agent, Difference, Setting};
use super::defaults::{is_told_by_absence, may_be_defaults};
use super::runs::Comparison;
use super::side::{Run, Side};
use super::windows::{self, Span};
use super::{Drift, NotCompared};
use crate::report::{Configuration, Report, Verdict, ranges};
use crate::spec::Role;

/// What no report holds of agents' configuration, and why.
const NEVER_IN_REPORTS: &str =
    "`client.meta`, plugins' settings, agents' names, addresses, folders and certificates";
const WHY_NEVER: &str = "reports do not hold what may be secret or each agent's own (the files themselves: \
                         rehearse compare NAME --with DIR)";

/// What the timers predict, on all sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerRow {
    /// What happens, up to the time.
    pub what: String,
    /// Within which time on each side, in time that passes; `None` where its configuration does not say.
    pub spans: Vec<Option<Span>>,
}

/// Something that is to be said of two sides, whatever the scenario.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    Drift {
        area: &'static str,
        of: String,
        values: [String; 2],
    },
    Left {
        of: String,
        why: String,
    },
}

/// What was found on two sides, each with the scenarios in whose runs it is so.
#[derive(Default)]
struct Found {
    findings: BTreeMap<Finding, BTreeSet<String>>,
    /// Keys and timers that were compared.
    compared: BTreeSet<String>,
}

impl Found {
    fn drift(&mut self, scenario: &str, area: &'static str, of: String, values: [String; 2]) {
        self.add(scenario, Finding::Drift { area, of, values });
    }

    fn leave_out(&mut self, scenario: &str, of: impl Into<String>, why: impl Into<String>) {
        let (of, why) = (of.into(), why.into());
        self.add(scenario, Finding::Left { of, why });
    }

    fn add(&mut self, scenario: &str, finding: Finding) {
        let scenarios = self.findings.entry(finding).or_default();
        scenarios.insert(scenario.to_owned());
    }
}

/// The two runs of a scenario that are looked at.
struct Pair<'a> {
    scenario: &'a str,
    /// The sides' numbers, from 0.
    sides: [usize; 2],
    reports: [&'a Report; 2],
}

impl Comparison {
    /// Compares each side's configurations with the first's, scenario by scenario, and says once what is so in all.
    pub(super) fn configurations(&mut self, sides: &[Side]) {
        self.timers = timers(sides);
        let mut compared = BTreeSet::new();
        for other in 1..sides.len() {
            let mut found = Found::default();
            let common = common(&sides[0], &sides[other]);
            for (scenario, here, there) in &common {
                let Some((here, there)) = (here.first()).zip(there.first()) else {
                    continue;
                };
                let pair = Pair {
                    scenario,
                    sides: [0, other],
                    reports: [&here.report, &there.report],
                };
                pair.compare(&mut found);
            }
            compared.append(&mut found.compared);
            self.take(found, other, common.len());
        }
        self.settings = compared.len();
    }

    fn take(&mut self, found: Found, other: usize, scenarios: usize) {
        for (finding, of_scenarios) in found.findings {
            // In which runs, where it is not so in all.
            let within = match of_scenarios.len() == scenarios {
                true => String::new(),
                false => {
                    let names: Vec<String> = of_scenarios.into_iter().collect();
                    format!(" ({})", names.join(", "))
                }
            };
            match finding {
                Finding::Drift { area, of, values } => {
                    let [here, there] = values;
                    self.drifts.push(Drift {
                        area: area.to_owned(),
                        of: of + &within,
                        sides: (0, other),
                        here,
                        there,
                        beyond: None,
                        place: None,
                    });
                }
                Finding::Left { of, why } => self.not_compared.push(NotCompared {
                    of: of + &within,
                    why,
                }),
            }
        }
    }
}

/// The scenarios that ran on both, with the runs that are looked at: those with a configuration, or else the others.
fn common<'a>(one: &'a Side, other: &'a Side) -> Vec<(&'a str, Vec<&'a Run>, Vec<&'a Run>)> {
    fn best(runs: &[Run]) -> Vec<&Run> {
        let mut runs: Vec<&Run> = runs.iter().collect();
        runs.sort_by_key(|run| run.report.configuration.is_none());
        runs
    }
    let both = one.runs.iter().filter_map(|(name, here)| {
        let there = other.runs.get(name)?;
        Some((name.as_str(), best(here), best(there)))
    });
    both.collect()
}

impl Pair<'_> {
    fn compare(&self, found: &mut Found) {
        let [here, there] = self.reports;
        let (Some(one), Some(other)) = (&here.configuration, &there.configuration) else {
            self.lacking(found);
            return;
        };
        found.leave_out(self.scenario, NEVER_IN_REPORTS, WHY_NEVER);
        self.sizes(found);
        for (side, configuration) in self.sides.into_iter().zip([one, other]) {
            for unread in &configuration.not_read {
                let of = format!("configuration of `{}`", unread.agent);
                let why = format!("side {} did not read it: {}", side + 1, unread.why);
                found.leave_out(self.scenario, of, why);
            }
        }
        self.without_effect([one, other], found);
        let groups = || one.agents.iter().chain(&other.agents);
        let is_inert = |key: &str| groups().any(|group| !group.has_effect(key));
        let [one, other] = [one, other].map(|one| agents(one, &is_inert));
        let outcome = config::pairs(&one, &other, &|_, _| None);
        for agent in one.iter().chain(&other) {
            let keys = agent.settings.iter().map(|setting| setting.key.clone());
            found.compared.extend(keys);
        }
        for difference in &outcome.differences {
            self.difference(difference, found);
        }
        self.windows([&one, &other], found);
    }

    /// Another number of agents is another configuration, whoever was read.
    fn sizes(&self, found: &mut Found) {
        let [here, there] = self.reports;
        if here.agents.is_empty() || there.agents.is_empty() {
            return;
        }
        for role in [Role::Server, Role::Client] {
            let of = |report: &Report| report.agents.iter().filter(|one| one.role == role).count();
            found.compared.insert(format!("{role}s"));
            if of(here) != of(there) {
                let values = [of(here), of(there)].map(|count| count.to_string());
                found.drift(self.scenario, "configuration", format!("{role}s"), values);
            }
        }
    }

    fn lacking(&self, found: &mut Found) {
        for (side, report) in self.sides.into_iter().zip(self.reports) {
            if report.configuration.is_some() {
                continue;
            }
            let why = match report.verdict {
                Verdict::Skipped => format!("it was skipped on side {}", side + 1),
                _ => format!(
                    "the report of side {} does not hold them: an earlier rehearse wrote it",
                    side + 1
                ),
            };
            found.leave_out(self.scenario, "configuration and timers", why);
        }
    }

    fn without_effect(&self, told: [&Configuration; 2], found: &mut Found) {
        for (side, told) in self.sides.into_iter().zip(told) {
            let keys = told.agents.iter().flat_map(|group| {
                let keys = group.settings.keys().map(String::as_str);
                keys.filter(|key| !group.has_effect(key))
            });
            let keys: BTreeSet<&str> = keys.collect();
            if !keys.is_empty() {
                let keys: Vec<&str> = keys.into_iter().collect();
                let why = format!(
                    "set, and without effect on the simulator (side {}): {}",
                    side + 1,
                    keys.join(", ")
                );
                found.leave_out(self.scenario, "settings", why);
            }
        }
    }

    fn difference(&self, one: &Difference, found: &mut Found) {
        let names = ranges(one.agents.iter().map(String::as_str));
        let of = format!("{} of {names}", one.key);
        let said = [&one.here, &one.there].map(|said| said.value.as_deref());
        let values = said.map(shown);
        let told = |why: &str| {
            let [here, there] = &values;
            let [first, second] = self.sides.map(|side| side + 1);
            format!("{here} on side {first}, {there} on side {second}: {why}")
        };
        let leave_out = |found: &mut Found, why: &str| {
            found.compared.remove(&one.key);
            found.leave_out(self.scenario, of.clone(), told(why));
        };
        let versions = self.reports.map(|report| &report.engine.version);
        match said {
            [Some(here), Some(there)]
                if versions[0] != versions[1] && may_be_defaults(&one.key, here, there) =>
            {
                let why = "each is a default of one version of Nomad, and the sides are of two";
                leave_out(found, why);
            }
            // What tests need and clusters do not, as the comparison of configurations has it.
            [Some(_), Some(_)] if one.key == "limits.http_max_conns_per_client" => {
                let why = "a cluster made here lets all tests come from one address";
                leave_out(found, why);
            }
            [None, _] | [_, None] if !is_told_by_absence(&one.key) => {
                leave_out(found, "what Nomad takes where it is not set is not known");
            }
            _ => found.drift(self.scenario, "configuration", of, values),
        }
    }

    fn windows(&self, agents: [&[Agent]; 2], found: &mut Found) {
        let scales = self.reports.map(|report| report.engine.time_scale);
        if scales[0] != scales[1] {
            let [here, there] = scales;
            let why =
                format!("the sides' timers ran at different time scales ({here} and {there})");
            found.leave_out(self.scenario, "timers", why);
            return;
        }
        for (what, spans) in windows::of_sides(&agents) {
            let [Some(here), Some(there)] = spans[..] else {
                continue;
            };
            match (here, there) {
                (Some(here), Some(there)) => {
                    found.compared.insert(what.to_owned());
                    if here != there {
                        let scale = |span: Span| span.map(|time| scales[0].exact(time)).to_string();
                        let values = [scale(here), scale(there)];
                        found.drift(self.scenario, "timers", what.to_owned(), values);
                    }
                }
                _ => found.leave_out(self.scenario, what, "a timer of it cannot be read"),
            }
        }
    }
}

/// What each side's timers predict, by its first run that tells; nothing where no side tells.
fn timers(sides: &[Side]) -> Vec<TimerRow> {
    let told = sides.iter().map(|side| {
        let report = side.reports().find(|one| one.configuration.is_some());
        let told = report.and_then(|report| report.configuration.as_ref());
        let agents = told.map(|told| agents(told, &|_| false));
        let scale = report.map(|report| report.engine.time_scale);
        (agents.unwrap_or_default(), scale.unwrap_or_default())
    });
    let told: Vec<_> = told.collect();
    let all: Vec<&[Agent]> = told.iter().map(|(agents, _)| agents.as_slice()).collect();
    let row = |(what, spans): (&str, Vec<Option<Option<Span>>>)| TimerRow {
        what: what.to_owned(),
        spans: spans
            .into_iter()
            .zip(&told)
            .map(|(span, (_, scale))| Some(span.flatten()?.map(|time| scale.exact(time))))
            .collect(),
    };
    windows::of_sides(&all).into_iter().map(row).collect()
}

fn agents(configuration: &Configuration, left_out: &dyn Fn(&str) -> bool) -> Vec<Agent> {
    let groups = configuration.agents.iter();
    let agents = groups.flat_map(|group| group.names.iter().map(move |name| (group, name)));
    let mut agents: Vec<Agent> = agents
        .map(|(group, name)| Agent {
            name: name.to_string(),
            role: group.role,
            settings: group
                .settings
                .iter()
                .filter(|(key, _)| !left_out(key))
                .map(|(key, value)| Setting {
                    key: key.clone(),
                    value: value.clone(),
                    place: None,
                })
                .collect(),
        })
        .collect();
    // Those of one group stand together; twins are found by their order.
    agents.sort_by(|one, other| one.name.cmp(&other.name));
    agents
}

/// A value without the quotes of JSON.
fn shown(value: Option<&str>) -> String {
    let text = value.map(|value| serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()));
    text.filter(|text: &String| !text.is_empty())
        .unwrap_or_else(|| "not set".to_owned())
}

#[cfg(test)]
mod tests;
