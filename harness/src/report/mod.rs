//! What a run proved, as data, and the forms in which it is shown. Pure: nothing is looked up.
//!
//! Missing: the HTML page.

mod json;
mod junit;
mod markdown;
mod text;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::measure::Measure;
use crate::target::EngineInfo;

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
    /// How many steps the scenario has.
    pub steps_total: usize,
    /// Those that ran.
    pub steps: Vec<StepReport>,
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

#[cfg(test)]
mod tests;
