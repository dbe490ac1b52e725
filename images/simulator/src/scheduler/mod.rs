//! The scheduler: a pure function from a snapshot and an evaluation to a plan.

use crate::state::{Plan, State};
use crate::types::{Evaluation, Nanos};

/// What the scheduler decided.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What to change; empty where nothing is to do.
    pub plan: Plan,
    /// The evaluation itself with its new status, and blocked or delayed ones it made.
    pub evals: Vec<Evaluation>,
}

/// Processes one evaluation.
#[must_use]
pub fn process(_state: &State, eval: &Evaluation, _now: Nanos) -> Outcome {
    Outcome {
        plan: Plan::default(),
        evals: vec![eval.clone()],
    }
}

/// Why a pattern of a `regexp` constraint does not compile, if it does not.
#[must_use]
pub fn pattern_error(pattern: &str) -> Option<String> {
    regex::Regex::new(pattern).err().map(|e| e.to_string())
}
