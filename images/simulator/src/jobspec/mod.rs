//! Job files: HCL2 in, a [`Job`] out, with errors that name line and column.

use std::collections::BTreeMap;

use crate::types::Job;

/// Something wrong in a job file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line},{column}: {message}")]
pub struct JobspecError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Parses a job file.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn parse(
    _source: &str,
    _variables: &BTreeMap<String, String>,
) -> Result<Job, Vec<JobspecError>> {
    Ok(Job::default())
}

/// Fills what the submitter left out with Nomad's defaults.
pub fn canonicalize(_job: &mut Job) {}

/// Returns what Nomad's servers would refuse, a line each.
#[must_use]
pub fn validate(_job: &Job) -> Vec<String> {
    Vec::new()
}
