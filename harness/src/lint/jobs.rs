//! The jobs that the cluster is to run: would its Nomad take them, and could anybody reach them?

use std::path::{Path, PathBuf};

use super::subject::{Said, Subject};
use super::{Hit, Rule, Severity};
use crate::job_check::{self, About, FileError, Ground, Place};
use crate::terraform::Configuration;
use crate::terraform::aws::AwsCluster;
use crate::terraform::source::Site;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "job-refused",
        severity: Severity::Error,
        why: "Nomad refuses the job: nothing of it runs",
        mend: "mend the file; `rehearse job check FILE` tells the same, and which versions take it",
        check: |subject| {
            of(
                subject,
                job_check::Severity::Error,
                &[About::Names, About::Values],
            )
        },
    },
    Rule {
        id: "job-of-another-version",
        severity: Severity::Error,
        why: "the version of Nomad that the configuration installs refuses the job",
        mend: "install a version that takes it, or write the job for this one",
        check: |subject| of(subject, job_check::Severity::Error, &[About::Version]),
    },
    Rule {
        id: "job-partly-ignored",
        severity: Severity::Warning,
        why: "the version of Nomad that the configuration installs takes the job, and does not do what this says",
        mend: "write it as this version has it",
        check: |subject| of(subject, job_check::Severity::Warning, &[About::Version]),
    },
    Rule {
        id: "job-driver-off",
        severity: Severity::Error,
        why: "a task whose driver no client offers is never placed: the job stays pending",
        mend: "enable the driver in the clients' configuration (`plugin \"raw_exec\" { config { enabled = true } }`), or use another one",
        check: |subject| of(subject, job_check::Severity::Error, &[About::Driver]),
    },
    Rule {
        id: "job-in-no-datacenter",
        severity: Severity::Error,
        why: "a job is placed in the datacenters that it names alone: where no client is in one, it stays pending",
        mend: "name a datacenter of the clients' (`datacenter` of their configuration; `dc1` where it says nothing), or `*` from Nomad 1.5 on",
        check: |subject| of(subject, job_check::Severity::Error, &[About::Datacenter]),
    },
    Rule {
        id: "job-port-unreachable",
        severity: Severity::Warning,
        why: "the task runs and is well, and nobody outside its machine gets an answer",
        mend: "open the port in the clients' security group to who is to reach it",
        check: |subject| of(subject, job_check::Severity::Warning, &[About::Port]),
    },
    Rule {
        id: "job-not-judged",
        severity: Severity::Note,
        why: "what is not known here was not judged, and may be right or wrong",
        mend: "`rehearse job check FILE --var NAME=VALUE --with DIR` judges it with values",
        check: not_judged,
    },
];

/// A file with a job.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A job's file, or a folder of them, that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// The folder.
    #[error("`{}` cannot be read", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl JobFile {
    /// Reads a job's file, or all in a folder and below it (`*.nomad.hcl`, `*.nomad`), hidden folders left out.
    ///
    /// # Errors
    ///
    /// If the file, the folder, or anything below it cannot be read.
    pub fn find(path: &Path) -> Result<Vec<Self>, JobFileError> {
        let failed = |source| JobFileError::Folder {
            path: path.to_owned(),
            source,
        };
        if !path.is_dir() {
            let text = job_check::read(path)?;
            let path = path.to_owned();
            return Ok(vec![Self { path, text }]);
        }
        let entries = std::fs::read_dir(path).map_err(failed)?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let is_job = name.ends_with(".nomad.hcl") || name.ends_with(".nomad");
            if !name.starts_with('.') && (is_folder || is_job) {
                found.extend(Self::find(&entry.path())?);
            }
        }
        Ok(found)
    }
}

/// Returns what is said of the jobs.
pub(super) fn findings(
    jobs: &[JobFile],
    configuration: &Configuration,
    cluster: &AwsCluster,
    version: Option<&Said>,
) -> Vec<job_check::Finding> {
    let ground = Ground {
        version: version.map(|said| said.version.clone()),
        aws: Some(cluster),
        ..Ground::default()
    };
    let mut findings = Vec::new();
    for job in jobs {
        let file = job.path.display().to_string();
        if is_template(&job.path, configuration) {
            let message = "a template of the configuration's: as it stands it is no job".to_owned();
            findings.push(job_check::Finding {
                file,
                place: Some(Place { line: 1, column: 1 }),
                severity: job_check::Severity::Note,
                message,
                about: About::Values,
            });
            continue;
        }
        let mut found = job_check::check(&file, &job.text, &ground).findings;
        // What a missing value may have brought about is not judged.
        if found.iter().any(|finding| finding.about == About::Variable) {
            found.retain(|finding| finding.about != About::Values);
        }
        findings.extend(found);
    }
    findings
}

/// Whether the configuration fills a file in before it is a job.
fn is_template(path: &Path, configuration: &Configuration) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else {
        return false;
    };
    let names = |line: &str| line.contains("templatefile(") && line.contains(name.as_ref());
    let mut sources = configuration.sources.iter();
    sources.any(|source| source.text.lines().any(names))
}

fn of(subject: &Subject<'_>, severity: job_check::Severity, about: &[About]) -> Vec<Hit> {
    let findings = subject.jobs.iter();
    findings
        .filter(|finding| finding.severity == severity && about.contains(&finding.about))
        .map(hit)
        .collect()
}

fn not_judged(subject: &Subject<'_>) -> Vec<Hit> {
    let mut findings: Vec<&job_check::Finding> = Vec::new();
    for finding in &subject.jobs {
        let note = finding.severity == job_check::Severity::Note;
        let judged = match finding.about {
            About::Variable => false,
            About::Values | About::Port => !note,
            About::Names
            | About::OpenPort
            | About::Version
            | About::Driver
            | About::Datacenter
            | About::Rehearsal => true,
        };
        if !judged {
            findings.push(finding);
        }
    }
    findings.into_iter().map(hit).collect()
}

fn hit(finding: &job_check::Finding) -> Hit {
    let mut site = Site::start_of(Path::new(&finding.file));
    if let Some(place) = finding.place {
        (site.line, site.column) = (place.line, place.column);
    }
    Hit::new(&site, finding.message.clone())
}
