//! How many laws a cluster keeps.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::target::EngineInfo;

/// What became of one law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Kept {
    /// It is kept.
    Yes,
    /// It is not.
    No {
        /// What was expected, and what was seen.
        seen: String,
    },
    /// The cluster said that it does not simulate this.
    NotSimulated {
        /// Its words.
        seen: String,
    },
    /// It does not bind this version of Nomad.
    Exempt {
        /// Which versions it binds.
        why: String,
    },
}

/// One case's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The law.
    pub name: &'static str,
    /// Its section of the facts.
    pub section: &'static str,
    /// What became of it.
    #[serde(flatten)]
    pub kept: Kept,
    /// How long its check took, in milliseconds.
    pub took_ms: u128,
    /// What it made and could not be undone.
    pub left: Vec<String>,
}

/// All outcomes of one cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Which program answered.
    pub engine: EngineInfo,
    /// The version whose laws were asked for.
    pub version: String,
    /// Every case, in the suite's order.
    pub outcomes: Vec<Outcome>,
}

/// Counts of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Laws kept.
    pub kept: usize,
    /// Laws broken.
    pub broken: usize,
    /// Laws about what is not simulated.
    pub not_simulated: usize,
    /// Laws of other versions.
    pub exempt: usize,
}

impl Counts {
    /// Returns how many laws bind this version.
    #[must_use]
    pub fn binding(&self) -> usize {
        self.kept + self.broken + self.not_simulated
    }

    fn add(&mut self, kept: &Kept) {
        match kept {
            Kept::Yes => self.kept += 1,
            Kept::No { .. } => self.broken += 1,
            Kept::NotSimulated { .. } => self.not_simulated += 1,
            Kept::Exempt { .. } => self.exempt += 1,
        }
    }
}

impl Score {
    /// Returns how many laws were kept, broken, not simulated, of other versions.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.outcomes.iter().for_each(|one| counts.add(&one.kept));
        counts
    }

    /// Whether every law that binds this version is kept, and nothing was left behind.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let counts = self.counts();
        counts.kept == counts.binding() && self.outcomes.iter().all(|one| one.left.is_empty())
    }

    /// Returns what is not as Nomad's: a line for each law, then the score of each section.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.outcomes {
            let (word, seen) = match &one.kept {
                Kept::No { seen } => ("broken", seen),
                Kept::NotSimulated { seen } => ("not simulated", seen),
                Kept::Yes | Kept::Exempt { .. } => continue,
            };
            let line = writeln!(text, "{word}: {} ({})\n  {seen}", one.name, one.section);
            line.expect("a string can be written to");
        }
        for one in self.outcomes.iter().filter(|one| !one.left.is_empty()) {
            let line = writeln!(text, "left behind by {}: {}", one.name, one.left.join("; "));
            line.expect("a string can be written to");
        }
        for (section, counts) in self.sections() {
            let line = writeln!(
                text,
                "  {section:<24} {} of {}",
                counts.kept,
                counts.binding()
            );
            line.expect("a string can be written to");
        }
        text.push_str(&self.sentence());
        text
    }

    /// Returns the score in one sentence, with the engine's name in it.
    #[must_use]
    pub fn sentence(&self) -> String {
        let counts = self.counts();
        format!(
            "{}: keeps {} of {} laws of Nomad {}; {} broken, {} not simulated ({} of other versions)",
            self.engine.label(),
            counts.kept,
            counts.binding(),
            self.version,
            counts.broken,
            counts.not_simulated,
            counts.exempt,
        )
    }

    /// Counts by section, in the suite's order.
    fn sections(&self) -> Vec<(&'static str, Counts)> {
        let mut order = Vec::new();
        let mut by_section: BTreeMap<_, Counts> = BTreeMap::new();
        for one in &self.outcomes {
            if !order.contains(&one.section) {
                order.push(one.section);
            }
            by_section.entry(one.section).or_default().add(&one.kept);
        }
        let counts = |section| (section, by_section[section]);
        order.into_iter().map(counts).collect()
    }
}
