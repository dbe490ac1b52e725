//! What the parts of the reader share: the text, the problems found so far, and what earlier steps
//! of the script leave for later ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use hcl_edit::Span as _;
use hcl_edit::structure::Block;

use super::Variable;
use super::job_file::JobFacts;
use super::problem::Problem;
use crate::fault::Fault;

/// A place in the text.
pub(super) type Place = Option<Range<usize>>;

/// A script that is being read.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// Where job files are looked for; `None` for a script that is built in.
    pub(super) folder: Option<&'a Path>,
    pub(super) problems: Vec<Problem>,
    pub(super) variables: BTreeMap<String, Variable>,
    /// How many servers and clients the script says that it needs.
    pub(super) servers: usize,
    pub(super) clients: usize,
    /// The regions that the script says that it needs.
    pub(super) regions: Vec<String>,
    /// The region whose steps are read.
    pub(super) region: Option<String>,
    /// The jobs submitted so far.
    pub(super) jobs: BTreeMap<String, JobFacts>,
    /// Whether a job's file could not be read: then nothing is said of jobs that seem missing.
    pub(super) jobs_unknown: bool,
    /// Whether a workload's name is wrong: then nothing is said of what it would leave.
    pub(super) workload_unknown: bool,
    /// The numbers taken so far.
    pub(super) measures: BTreeSet<String>,
    /// The workloads that run, and the numbers that they leave at their stop.
    pub(super) running: Vec<Started>,
    /// The faults injected so far.
    pub(super) injected: Vec<Fault>,
    /// Whether a snapshot was taken so far.
    pub(super) snapshot: bool,
    /// Whether a step picked agents so far.
    pub(super) picked: bool,
    /// How many `for_each` stand around.
    pub(super) turns: usize,
}

/// A workload that runs.
pub(super) struct Started {
    pub(super) place: Place,
    pub(super) takes: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, text: &'a str, folder: Option<&'a Path>) -> Self {
        Self {
            file,
            text,
            folder,
            problems: Vec::new(),
            variables: BTreeMap::new(),
            servers: 3,
            clients: 3,
            regions: Vec::new(),
            region: None,
            jobs: BTreeMap::new(),
            jobs_unknown: false,
            workload_unknown: false,
            measures: BTreeSet::new(),
            running: Vec::new(),
            injected: Vec::new(),
            snapshot: false,
            picked: false,
            turns: 0,
        }
    }

    /// Notes a problem.
    pub(super) fn tell(&mut self, place: Place, message: impl Into<String>) {
        let problem = Problem::at(self.file, self.text, place, message);
        self.problems.push(problem);
    }

    /// Returns the one label that a block must have.
    pub(super) fn label(&mut self, block: &Block, what: &str) -> Option<(String, Place)> {
        let name = block.ident.as_str();
        match block.labels.as_slice() {
            [label] => Some((label.as_str().to_owned(), label.span())),
            [] => {
                self.tell(
                    block.ident.span(),
                    format!("`{name}` lacks its label, {what}: `{name} \"...\" {{ }}`"),
                );
                None
            }
            [_, second, ..] => {
                let place = second.span();
                self.tell(place, format!("`{name}` takes one label only, {what}"));
                None
            }
        }
    }

    /// Refuses labels on a block that takes none.
    pub(super) fn no_label(&mut self, block: &Block) {
        if let Some(label) = block.labels.first() {
            let name = block.ident.as_str();
            self.tell(
                label.span(),
                format!(
                    "`{name}` takes no label: `{name} {{ }}`, without `\"{}\"`",
                    label.as_str()
                ),
            );
        }
    }
}
