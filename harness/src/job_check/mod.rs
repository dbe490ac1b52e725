//! Looks at job files without a cluster: syntax, fields, values, which versions of Nomad take them,
//! which drivers they need, and whether a cluster on AWS would let their ports be reached.
//!
//! What Nomad takes comes from a table of its versions (`fields.txt`); types, expressions and what
//! its servers refuse from the reader that the simulated agent has. That reader does not look into
//! blocks which the simulator does not honour: of those the table's part is checked, and what is
//! written out of values (`unread`).

mod fields;
mod file;
mod meaning;
mod reach;
mod refused;
mod unread;

use std::collections::BTreeMap;
use std::fmt;

use agent::hcl_text;
use agent::jobspec::{self, JobspecError, Problem};
use hcl_edit::structure::Body;
use semver::Version;
use serde::Serialize;

use crate::grammar::suggest;
use crate::terraform::aws::AwsCluster;

pub use self::file::{FileError, SIZE_MAX, read};

/// First version that is looked at.
pub const OLDEST: Version = Version::new(1, 1, 0);

/// Drivers that nodes of a rehearsed cluster offer: their agents are no root.
pub const REHEARSED_DRIVERS: &[&str] = &["raw_exec"];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nomad refuses the job, or no node can run it.
    Error,
    /// It is taken, and does not do what it seems to say.
    Warning,
    /// Worth knowing.
    Note,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Syntax, and names that no Nomad knows.
    Names,
    /// Values, as the agent's reader and Nomad's servers judge them.
    Values,
    /// A variable without a value: what it decides was not judged.
    Variable,
    /// What another version of Nomad takes, or honours.
    Version,
    /// A driver that no node offers.
    Driver,
    /// Datacenters in which no node is.
    Datacenter,
    /// A port that nobody reaches, or of which it is not known who does.
    Port,
    /// A port, and who reaches it.
    OpenPort,
    /// What holds for rehearsed clusters alone.
    Rehearsal,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// Something about a job file, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// Where in it; none for what does not come from it.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub message: String,
    /// What it is about.
    #[serde(skip)]
    pub about: About,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let Self {
            file,
            place,
            message,
            ..
        } = self;
        match place {
            Some(Place { line, column }) => {
                write!(f, "{severity}: {file}:{line}:{column}: {message}")
            }
            None => write!(f, "{severity}: {file}: {message}"),
        }
    }
}

/// What a job is checked against.
#[derive(Debug, Default)]
pub struct Ground<'a> {
    /// The version of Nomad that will take it, if that is known.
    pub version: Option<Version>,
    /// Drivers that nodes offer; `None` for those of a rehearsed cluster, where another one is
    /// worth a note only.
    pub drivers: Option<Vec<String>>,
    /// Values of its variables.
    pub variables: BTreeMap<String, String>,
    /// The cluster on AWS that it is for.
    pub aws: Option<&'a AwsCluster>,
}

/// What was found out about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The file, as it was named.
    pub file: String,
    /// The job's ID, where it could be read.
    pub job: Option<String>,
    /// First version of Nomad that takes it.
    pub from: Version,
    /// Last version that takes it, where it is not the newest that is known.
    pub until: Option<Version>,
    /// Drivers of its tasks.
    pub drivers: Vec<String>,
    /// What is wrong, in the order of the file.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Whether Nomad would refuse it, or no node run it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.severity == Severity::Error)
    }
}

/// Collects findings and versions while a file is read.
struct Notes<'a> {
    file: &'a str,
    text: &'a str,
    /// Where each line begins: a file may have many lines, and much wrong with it.
    line_starts: Vec<usize>,
    version: Option<&'a Version>,
    from: Version,
    until: Option<Version>,
    findings: Vec<Finding>,
}

impl Notes<'_> {
    fn tell(
        &mut self,
        offset: usize,
        severity: Severity,
        about: About,
        message: impl Into<String>,
    ) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let line_start = self.line_starts[line - 1];
        let before = self.text.get(line_start..offset).unwrap_or_default();
        self.findings.push(Finding {
            file: self.file.to_owned(),
            place: Some(Place {
                line,
                column: before.chars().count() + 1,
            }),
            severity,
            message: message.into(),
            about,
        });
    }

    fn error(&mut self, offset: usize, about: About, message: impl Into<String>) {
        self.tell(offset, Severity::Error, about, message);
    }

    /// Something that Nomad takes from a version on.
    fn from(&mut self, offset: usize, what: &str, first: &Version) {
        if *first > self.from {
            self.from = first.clone();
        }
        if let Some(version) = self.version.filter(|version| **version < *first) {
            self.error(
                offset,
                About::Version,
                format!("{what} needs Nomad {first} or later, and this is {version}"),
            );
        }
    }

    /// Something that Nomad takes up to a version.
    fn until(&mut self, offset: usize, what: &str, last: &Version) {
        if self.until.as_ref().is_none_or(|until| last < until) {
            self.until = Some(last.clone());
        }
        if let Some(version) = self.version.filter(|version| **version > *last) {
            self.error(
                offset,
                About::Version,
                format!("{what} is refused after Nomad {last}, and this is {version}"),
            );
        }
    }
}

/// Checks one file.
#[must_use]
pub fn check(file: &str, text: &str, ground: &Ground<'_>) -> Checked {
    let text = agent::without_mark(text);
    let line_ends = text.match_indices('\n').map(|(at, _)| at + 1);
    let mut notes = Notes {
        file,
        text,
        line_starts: std::iter::once(0).chain(line_ends).collect(),
        version: ground.version.as_ref(),
        from: OLDEST,
        until: None,
        findings: Vec::new(),
    };
    if let Some(version) = notes.version.filter(|version| **version < OLDEST) {
        let message = format!("what Nomad {version} takes is not known here: {OLDEST} or later");
        notes.error(0, About::Version, message);
    }
    let job = match hcl_text::parse_body(text) {
        Ok(body) => {
            fields::walk(&body, &mut notes);
            let (job, problems) = jobspec::review(text, &body, &ground.variables);
            take_over(&problems, &body, &mut notes);
            if let Some(job) = &job {
                // What a misread job seems to say is not judged.
                if !notes.findings.iter().any(|f| f.severity == Severity::Error) {
                    refused::judge(&body, job, &mut notes);
                }
                unread::judge(&body, &mut notes);
                meaning::judge(&body, job, ground, &mut notes);
                if let Some(aws) = ground.aws {
                    reach::judge(&body, job, aws, &mut notes);
                }
            }
            job
        }
        Err(error) => {
            let (line, column) = (error.line, error.column);
            notes.findings.push(Finding {
                file: file.to_owned(),
                place: Some(Place { line, column }),
                severity: Severity::Error,
                message: error.message,
                about: About::Names,
            });
            None
        }
    };
    let mut findings = notes.findings;
    findings.sort();
    findings.dedup();
    Checked {
        file: file.to_owned(),
        drivers: job.as_ref().map(meaning::drivers).unwrap_or_default(),
        job: job.map(|job| job.id),
        from: notes.from,
        until: notes.until,
        findings,
    }
}

/// What the agent's reader minds. Unknown names the table has told already, and of more versions;
/// but of drivers' own blocks it knows nothing.
fn take_over(problems: &[JobspecError], body: &Body, notes: &mut Notes<'_>) {
    for problem in problems {
        let mut place = Some(Place {
            line: problem.line,
            column: problem.column,
        });
        let mut message = problem.message.clone();
        let (mut severity, mut about) = (Severity::Error, About::Values);
        match &problem.kind {
            Problem::UnknownName { within } if within.as_deref() != Some("config") => continue,
            Problem::NoValue => about = About::Variable,
            Problem::Undeclared { name } => {
                place = None;
                message = undeclared(name, body);
            }
            Problem::NotSimulated => {
                (severity, about) = (Severity::Note, About::Rehearsal);
                message = format!("{message}: Nomad takes it, a simulated agent does not");
            }
            Problem::UnknownName { .. } | Problem::Other => {}
        }
        notes.findings.push(Finding {
            file: notes.file.to_owned(),
            place,
            severity,
            message,
            about,
        });
    }
}

/// Says that a value on the command line is for no variable of a job file.
#[must_use]
pub fn undeclared(name: &str, body: &Body) -> String {
    let variables = body.get_blocks("variable");
    let known: Vec<&str> = variables
        .filter_map(|block| Some(block.labels.first()?.as_str()))
        .collect();
    let hint = suggest(name, known.iter().copied());
    format!("`--var {name}=...` is for a variable that it does not declare{hint}")
}

#[cfg(test)]
mod tests;
