//! A scenario: a name, what it shows, and steps in order. A plain value, so that it can be built
//! in Rust, printed before anything runs, and kept in a report.
//!
//! Missing: scripts in HCL; they will build the same values.

mod job_rollout;
mod leader_failover;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::spec::Role;
use crate::step::Step;
use crate::target::{Capability, Target};

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// `leader-failover`.
    pub name: String,
    /// What it shows, in a sentence.
    pub description: String,
    /// The fewest servers that it makes sense on.
    pub servers: usize,
    /// The fewest clients.
    pub clients: usize,
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
            steps: Vec::new(),
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Returns the levers that the steps want.
    #[must_use]
    pub fn needs(&self) -> BTreeSet<Capability> {
        self.steps.iter().filter_map(Step::needs).collect()
    }

    /// Returns why the scenario cannot run on a target, `None` when it can.
    #[must_use]
    pub fn missing_on(&self, target: &dyn Target) -> Option<String> {
        let absent: Vec<_> = self
            .needs()
            .difference(target.capabilities())
            .map(|capability| {
                let word = serde_json::to_value(capability).unwrap_or_default();
                format!("`{}`", word.as_str().unwrap_or_default())
            })
            .collect();
        if !absent.is_empty() {
            return Some(format!(
                "scenario `{}` needs {}; cluster `{}` has no such lever",
                self.name,
                absent.join(", "),
                target.name()
            ));
        }
        let count = |role| target.agents().iter().filter(|a| a.role == role).count();
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

/// Returns the scenarios that come with the program, by name.
#[must_use]
pub fn built_in() -> Vec<Scenario> {
    vec![leader_failover::scenario(), job_rollout::scenario()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_scenario_does_something() {
        let scenarios = built_in();
        let names: BTreeSet<_> = scenarios.iter().map(|one| one.name.clone()).collect();
        assert_eq!(names.len(), scenarios.len());
        assert!(scenarios.iter().all(|one| !one.steps.is_empty()));
    }

    #[test]
    fn workloads_that_are_started_are_stopped_and_faults_healed() {
        for scenario in built_in() {
            let place = |wanted: fn(&Step) -> bool| scenario.steps.iter().rposition(wanted);
            let started = place(|step| matches!(step, Step::Start { .. }));
            let stopped = place(|step| matches!(step, Step::StopAll));
            assert!(started < stopped, "{}", scenario.name);
            let injected = place(|step| matches!(step, Step::Inject { .. }));
            let healed = place(|step| matches!(step, Step::Heal { .. }));
            assert!(injected.is_none() || injected < healed, "{}", scenario.name);
        }
    }
}
