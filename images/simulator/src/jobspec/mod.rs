//! Job files: HCL2 in, a [`Job`] out, with errors that name line and column.
//!
//! Everything that is not known, or that Nomad knows and the simulator does not honour, is an
//! error with its place; all errors of a file are reported at once (but a syntax error hides
//! what follows it). `validate.rs` holds what Nomad's servers refuse later, at registration.
//!
//! Missing: `dynamic` blocks, HCL1, and functions listed in `functions.rs`.

mod defaults;
pub mod duration;
mod eval;
mod functions;
mod job;
mod launch;
mod policies;
mod reader;
mod source;
mod task;
mod validate;
mod variables;

use std::collections::BTreeMap;

pub use defaults::canonicalize;
pub use validate::validate;

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
}

/// Parses a job file. The job is as written: call [`canonicalize`] for Nomad's defaults.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn parse(source: &str, variables: &BTreeMap<String, String>) -> Result<Job, Vec<JobspecError>> {
    let body = hcl_edit::parser::parse_body(source).map_err(|e| {
        vec![JobspecError {
            line: e.location().line(),
            column: e.location().column(),
            message: e.message().to_owned(),
        }]
    })?;
    let mut reader = Reader::new(source);
    variables::declare(&mut reader, &body, variables);
    let job = read_file(&reader, &body);
    let errors = reader.into_errors();
    match job {
        Some(job) if errors.is_empty() => Ok(job),
        _ => Err(errors),
    }
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
