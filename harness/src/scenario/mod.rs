//! A scenario: a name, what it shows, and steps in order. A plain value, so that it can be built
//! in Rust, printed before anything runs, and kept in a report.
//!
//! Scenarios are written as scripts in HCL (`docs/writing-scenarios.md`); here they are read,
//! checked and laid out, and the library that the program carries is kept.

mod agents;
mod arguments;
mod duration;
mod format;
mod job_file;
mod library;
mod problem;
mod reader;
mod reference;
mod script;
mod value;
mod variables;

use std::collections::BTreeSet;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::spec::{DataSize, Role};
use crate::step::Step;
use crate::target::{Capability, Target};
use crate::time_scale::TimeScale;

pub use duration::{parse as duration, parse_or_seconds as duration_or_seconds};
pub use format::format;
pub use library::{LibraryError, Script, built_in, built_in_scripts, chosen, job_names, scripts};
pub use problem::{Problem, ScriptError};
pub use reference::reference;
pub use script::read;
pub use variables::Variable;

/// How the names of scripts' files end.
pub const ENDING: &str = ".scenario.hcl";

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// `leader-failover`.
    pub name: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// The fewest servers that it makes sense on, in each region.
    pub servers: usize,
    /// The fewest clients, in each region.
    pub clients: usize,
    /// The regions that it is about, federated, the authoritative one first; empty where one, of whatever
    /// name, is enough.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub regions: Vec<String>,
    /// Levers that it needs besides those of its faults.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub capabilities: BTreeSet<Capability>,
    /// The versions of Nomad that it makes sense on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nomad: Option<VersionReq>,
    /// The fastest that a simulated cluster's timers may run in it: what a machine itself takes
    /// would be longer than them beyond that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_time_scale: Option<TimeScale>,
    /// What it leaves to whoever runs it, with the values of this reading.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub variables: Vec<Variable>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// Returns a scenario without steps, for three servers and three clients.
    #[must_use]
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            servers: 3,
            clients: 3,
            regions: Vec::new(),
            capabilities: BTreeSet::new(),
            nomad: None,
            max_time_scale: None,
            variables: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Returns the levers that the scenario wants.
    #[must_use]
    pub fn needs(&self) -> BTreeSet<Capability> {
        let of_steps = self.steps.iter().flat_map(Step::needs);
        let further = self.regions.get(1).map(|_| Capability::Federation);
        let own = self.capabilities.iter().copied();
        of_steps.chain(own).chain(further).collect()
    }

    /// Returns how large agents' data are to be where that is nobody's choice: of a fixed size for
    /// scenarios that fill them.
    #[must_use]
    pub fn data_size(&self) -> Option<DataSize> {
        self.needs()
            .contains(&Capability::Fill)
            .then_some(DataSize::USUAL)
    }

    /// Returns why the scenario cannot run on a target, `None` when it can.
    #[must_use]
    pub fn missing_on(&self, target: &dyn Target) -> Option<String> {
        let needs = self.needs();
        let absent: Vec<_> = needs.difference(target.capabilities()).collect();
        if !absent.is_empty() {
            let words: Vec<_> = absent
                .iter()
                .map(|one| format!("`{}`", one.word()))
                .collect();
            let had_by = absent.iter().find_map(|one| one.had_by());
            return Some(format!(
                "scenario `{}` needs {}; cluster `{}` has no such lever{}",
                self.name,
                words.join(", "),
                target.name(),
                had_by.map_or(String::new(), |how| format!(" (it is had by: {how})"))
            ));
        }
        let scale = target.engine().time_scale;
        if let Some(most) = self.max_time_scale
            && scale > most
        {
            return Some(format!(
                "scenario `{}` runs at time scale {most} at most; cluster `{}` runs at {scale}",
                self.name,
                target.name()
            ));
        }
        if let Some(wanted) = &self.nomad
            // A version that cannot be read says nothing.
            && let Ok(version) = Version::parse(&target.engine().version)
            && !wanted.matches(&version)
        {
            return Some(format!(
                "scenario `{}` needs Nomad {wanted}; cluster `{}` runs {version}",
                self.name,
                target.name()
            ));
        }
        let there = target.regions();
        if !self.regions.is_empty() && self.regions != there {
            return Some(format!(
                "scenario `{}` needs the regions `{}`; cluster `{}` has `{}` (hint: rehearse up --region {})",
                self.name,
                self.regions.join("`, `"),
                target.name(),
                there.join("`, `"),
                self.regions.join(",")
            ));
        }
        // Every region has as many as the first.
        let first = || {
            target
                .agents()
                .iter()
                .filter(|agent| agent.region.is_none())
        };
        let count = |role| first().filter(|agent| agent.role == role).count();
        let (servers, clients) = (count(Role::Server), count(Role::Client));
        (servers < self.servers || clients < self.clients).then(|| {
            format!(
                "scenario `{}` needs {} servers and {} clients; cluster `{}` has {servers} and \
                 {clients}",
                self.name,
                self.servers,
                self.clients,
                target.name()
            )
        })
    }
}

#[cfg(test)]
mod tests;
