//! Job files: HCL2 in, a [`Job`] out, with errors that name line and column.
//!
//! Everything that is not known, or that Nomad knows and the simulator does not honour, is an
//! error with its place; all errors of a file are reported at once (but a syntax error hides
//! what follows it). `validate.rs` holds what Nomad's servers refuse later, at registration.
//!
//! Missing: HCL1, and functions listed in `functions.rs`.

mod defaults;
pub mod duration;
mod dynamic;
mod eval;
mod functions;
mod job;
mod launch;
mod policies;
mod reader;
mod services;
mod source;
mod task;
mod unsaid;
mod validate;
mod variables;

use std::collections::BTreeMap;

pub use defaults::canonicalize;
pub use unsaid::Unsaid;
pub use validate::{Refusal, escapes, refusals, validate};

use crate::hcl_text;
use crate::types::Job;
use reader::{BlockReader, Reader};

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
    /// What kind of thing is wrong.
    pub kind: Problem,
}

/// Kinds of problems of a job file, for whoever treats one otherwise than the rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// Anything that has no kind of its own.
    Other,
    /// A name that does not belong where it stands.
    UnknownName {
        /// The block around it; none for the file itself.
        within: Option<String>,
    },
    /// A variable has neither a value nor a default.
    NoValue,
    /// A value was given for a variable that the file does not declare: it has no place in the file.
    Undeclared {
        /// The variable.
        name: String,
    },
    /// Nomad takes it, and only the simulator does not.
    NotSimulated,
}

/// Parses a job file. The job is as written: call [`canonicalize`] for Nomad's defaults.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn parse(source: &str, variables: &BTreeMap<String, String>) -> Result<Job, Vec<JobspecError>> {
    parse_as_written(source, variables).map(|(job, _)| job)
}

/// The same, with what the file leaves out.
///
/// # Errors
/// As [`parse`].
pub fn parse_as_written(
    source: &str,
    variables: &BTreeMap<String, String>,
) -> Result<(Job, Unsaid), Vec<JobspecError>> {
    let source = crate::without_mark(source);
    let body = hcl_text::parse_body(source).map_err(|e| {
        vec![JobspecError {
            line: e.line,
            column: e.column,
            message: e.message,
            kind: Problem::Other,
        }]
    })?;
    match read_body(source, &body, variables) {
        (Some(job), unsaid, errors) if errors.is_empty() => Ok((job, unsaid)),
        (_, _, errors) => Err(errors),
    }
}

/// Reads a job file whose syntax is good: the job as far as it is understood, and everything that
/// is wrong with it. For whoever wants to say more of a file than whether it is good.
#[must_use]
pub fn review(
    source: &str,
    body: &hcl_edit::structure::Body,
    variables: &BTreeMap<String, String>,
) -> (Option<Job>, Vec<JobspecError>) {
    let (job, _, errors) = read_body(source, body, variables);
    (job, errors)
}

fn read_body(
    source: &str,
    body: &hcl_edit::structure::Body,
    variables: &BTreeMap<String, String>,
) -> (Option<Job>, Unsaid, Vec<JobspecError>) {
    let mut reader = Reader::new(source);
    variables::declare(&mut reader, body, variables);
    let unfolded = dynamic::unfold(&mut reader, body);
    let job = read_file(&reader, &unfolded);
    (job, unsaid::of(&unfolded), reader.into_errors())
}

fn read_file(reader: &Reader<'_>, body: &hcl_edit::structure::Body) -> Option<Job> {
    let file = BlockReader::file(reader, body);
    // Read by `variables::declare`.
    file.ask("variable");
    file.ask("locals");
    file.refuse(&["variables"]);
    let job = match file.block("job") {
        Some(block) => Some(job::read(block)),
        None => {
            file.problem("'job' block not found");
            None
        }
    };
    file.finish();
    job
}

#[cfg(test)]
mod tests;
