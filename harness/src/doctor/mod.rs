//! What this machine can do, what is missing, what that costs, and what mends it.
//!
//! Looking and judging are apart: `look.rs` tries things and writes down what happened
//! ([`Evidence`]), `judge.rs` turns that into [`Finding`]s and asks nobody. So every judgement
//! can be tested on a machine that has none of the troubles, and nothing is guessed: what was
//! not tried is said to be not tried.
//!
//! The experiments run in the image that a simulated cluster would run in, which stays for the
//! next `up`; their containers carry labels and are removed, whatever happens.

mod evidence;
mod judge;
mod look;

use serde::Serialize;

pub use evidence::{
    Containers, Emulation, EngineEvidence, Evidence, HostEvidence, NoEngine, NomadEvidence,
    Registration, Trial,
};
pub use judge::judge;
pub use look::{LABEL, look};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know; it costs something special only.
    Note,
    /// It will cost most users something.
    Warn,
    /// No cluster can start.
    Fail,
}

impl Level {
    /// Returns the word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: a short name that stays the same, as `netem`.
    pub subject: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What it costs the user; `None` where it costs nothing.
    pub cost: Option<String>,
    /// The command that mends it; `None` where nothing has to be or can be done.
    pub mend: Option<String>,
}

impl Finding {
    fn new(subject: &str, level: Level, found: impl Into<String>) -> Self {
        Self {
            subject: subject.to_owned(),
            level,
            found: found.into(),
            cost: None,
            mend: None,
        }
    }

    fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self::new(subject, Level::Ok, found)
    }

    fn cost(mut self, cost: impl Into<String>) -> Self {
        self.cost = Some(cost.into());
        self
    }

    fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }
}

/// Returns whether a cluster can start here, as far as was tried.
#[must_use]
pub fn can_start(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Fail)
}
