//! What a run proved, as data, and the forms in which it is shown. Pure: nothing is looked up.

mod configuration;
pub(crate) mod html;
mod json;
mod junit;
pub(crate) mod markdown;
#[cfg(test)]
pub(crate) mod schema;
mod text;
pub mod windows;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::measure::Measure;
use crate::spec::{AgentName, Arch, Role};
use crate::spent::Spent;
use crate::target::{AgentInfo, EngineInfo};

pub use configuration::{Answer, Configuration, Configured, NotRead, ranges};
pub use html::{to_html, to_index};
pub use json::to_json;
pub use junit::to_junit;
pub use markdown::to_markdown;
pub use text::{live_line, summary};

/// The form of `result.json`: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// What was proved. The worst of several wins, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every law held.
    Passed,
    /// It was not run: the target lacks what it needs.
    Skipped,
    /// Nothing is proved: trouble of our own.
    Inconclusive,
    /// A law was broken.
    Failed,
}

impl Verdict {
    /// Returns the word, as `passed`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        }
    }

    /// Returns what several runs come to: the worst, except that a skipped one does not spoil
    /// those that passed. No run at all proves nothing.
    #[must_use]
    pub fn of_all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<_> = verdicts.into_iter().collect();
        let worst = all.iter().copied().max().unwrap_or(Self::Inconclusive);
        if worst == Self::Skipped && all.contains(&Self::Passed) {
            return Self::Passed;
        }
        worst
    }

    /// Returns the program's exit code (README, "Exit codes"). Where everything was skipped,
    /// nothing is proved.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 30,
            Self::Inconclusive | Self::Skipped => 31,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What became of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// From 1.
    pub number: usize,
    /// The step in words.
    pub step: String,
    /// What was proved by it.
    pub verdict: Verdict,
    /// What was seen in the end.
    pub seen: String,
    /// When it began, from the run's begin.
    pub started_ms: f64,
    /// How long it took.
    pub took_ms: f64,
}

/// An agent of the cluster that a run was on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentReport {
    /// `server-1`.
    pub name: AgentName,
    /// Server or client.
    pub role: Role,
    /// The architecture of its program.
    pub arch: Arch,
    /// Whether another architecture's emulator ran it: its times are none of Nomad's.
    pub emulated: bool,
}

impl AgentReport {
    /// Takes over what a report keeps of an agent.
    #[must_use]
    pub fn of(agent: &AgentInfo) -> Self {
        Self {
            name: agent.name.clone(),
            role: agent.role,
            arch: agent.arch,
            emulated: agent.emulated,
        }
    }
}

/// What a run proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub description: String,
    /// What was proved.
    pub verdict: Verdict,
    /// Why, in a sentence, unless it passed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The cluster's name.
    pub cluster: String,
    /// Its agents, servers first.
    #[serde(default)]
    pub agents: Vec<AgentReport>,
    /// What they are configured with, as they said at the run's begin; `None` where no step was to run, and in
    /// reports of earlier programs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub configuration: Option<Configuration>,
    /// The program that its agents run.
    pub engine: EngineInfo,
    /// The same in the words that every output uses.
    pub engine_label: String,
    /// What random choices came from.
    pub seed: u64,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// How long it took, healing included.
    pub took_ms: f64,
    /// In what.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spent: Option<Spent>,
    /// How many steps the scenario has.
    pub steps_total: usize,
    /// Those that ran.
    pub steps: Vec<StepReport>,
    /// How many were left out because the time that was given was over.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub steps_left_out: usize,
    /// The numbers taken.
    pub measures: Vec<Measure>,
    /// What else should be known.
    pub notes: Vec<String>,
    /// Whether the cluster is as healthy as before, so that another scenario may use it.
    pub cluster_fit: bool,
    /// The run folder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Report {
    /// Returns the agents' architecture, as `s390x (emulated)`; empty where it is not known.
    #[must_use]
    pub fn arch_label(&self) -> String {
        let of = |agent: &AgentReport| match agent.emulated {
            true => format!("{} (emulated)", agent.arch),
            false => agent.arch.to_string(),
        };
        let all: BTreeSet<String> = self.agents.iter().map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Whether an emulator ran any of the agents.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.agents.iter().any(|agent| agent.emulated)
    }
}

#[cfg(test)]
mod tests;
