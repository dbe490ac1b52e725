//! Finds what is wrong with a cluster's configuration before it is made: a table of rules, one file a
//! family. A rule looks at what was read (`terraform::aws`), never at AWS; what it cannot see it does
//! not judge, and `agent-configuration-unseen`, `variable-without-value` and `not-evaluated` say so.
//!
//! A finding is silenced where it stands: `# rehearse:ignore RULE reason`, on its line or the one above.

mod access;
mod change;
mod firewall;
mod format;
mod jobs;
mod joining;
mod key_files;
mod keys;
mod script;
mod secrets;
mod subject;
mod topology;
mod transport;
mod unknown;
mod versions;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use self::subject::Subject;
use crate::terraform::Configuration;
use crate::terraform::aws::AwsCluster;
use crate::terraform::source::Site;

pub use self::format::{sarif, text};
pub use self::jobs::{JobFile, JobFileError};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The cluster is insecure, or will not work.
    Error,
    /// It works until something happens.
    Warning,
    /// Worth knowing; also what could not be checked.
    Note,
}

/// A rule.
pub struct Rule {
    /// Its name, as findings and `rehearse:ignore` have it.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub mend: &'static str,
    check: fn(&Subject<'_>) -> Vec<Hit>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule")
            .field("id", &self.id)
            .field("severity", &self.severity)
            .finish_non_exhaustive()
    }
}

/// One violation, as a rule's check reports it.
struct Hit {
    site: Site,
    message: String,
}

impl Hit {
    fn new(site: &Site, message: impl Into<String>) -> Self {
        Self {
            site: site.clone(),
            message: message.into(),
        }
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub site: Site,
    /// What.
    pub message: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub mend: &'static str,
}

/// All rules, one table a family.
const FAMILIES: &[&[Rule]] = &[
    secrets::RULES,
    transport::RULES,
    access::RULES,
    firewall::RULES,
    joining::RULES,
    topology::RULES,
    change::RULES,
    script::RULES,
    versions::RULES,
    keys::RULES,
    jobs::RULES,
    unknown::RULES,
];

/// Returns every rule.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// Returns Nomad's version as a configuration tells it, and where.
#[must_use]
pub fn nomad_version(
    configuration: &Configuration,
    cluster: &AwsCluster,
) -> Option<(semver::Version, Site)> {
    let said = Subject::new(configuration, cluster, &[]).version?;
    Some((said.version, said.site))
}

/// Checks a configuration, and the jobs that its cluster is to run, with every rule. Findings come in the
/// order of files and lines.
#[must_use]
pub fn check(
    configuration: &Configuration,
    cluster: &AwsCluster,
    jobs: &[JobFile],
) -> Vec<Finding> {
    let subject = Subject::new(configuration, cluster, jobs);
    let mut silencer = Silencer::default();
    let mut findings: Vec<Finding> = Vec::new();
    for rule in rules() {
        for hit in (rule.check)(&subject) {
            if silencer.is_silenced(&hit.site, rule.id) {
                continue;
            }
            let finding = Finding {
                rule: rule.id,
                severity: rule.severity,
                site: hit.site,
                message: hit.message,
                why: rule.why,
                mend: rule.mend,
            };
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    findings.sort_by(|one, other| {
        (&one.site, one.severity, one.rule).cmp(&(&other.site, other.severity, other.rule))
    });
    findings
}

/// Reads `rehearse:ignore` comments.
#[derive(Default)]
struct Silencer {
    files: BTreeMap<std::path::PathBuf, Vec<String>>,
}

impl Silencer {
    fn is_silenced(&mut self, site: &Site, rule: &str) -> bool {
        let lines = self
            .files
            .entry(site.file.clone())
            .or_insert_with(|| lines_of(&site.file));
        let here = site.line.saturating_sub(1);
        [here.checked_sub(1), Some(here)]
            .into_iter()
            .flatten()
            .any(|line| {
                let comment = lines
                    .get(line)
                    .and_then(|line| line.split_once("rehearse:ignore"))
                    .map(|(_, rest)| rest);
                comment.is_some_and(|rest| rest.split_whitespace().next() == Some(rule))
            })
    }
}

fn lines_of(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file)
        .map(|text| text.lines().map(str::to_owned).collect())
        .unwrap_or_default()
}
