//! The desk where all that is told of a rehearsal comes together: one stream of news, from
//! however many hands, and from it the lines at the terminal, the files for build servers and
//! the page over all runs. The files are written anew after every run, so that a rehearsal which
//! is cut short leaves those of all that was done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nomad_harness::report::{self, Report};
use nomad_harness::runner::{self, PAGE};
use nomad_harness::target::Target;
use nomad_harness::timeline::Listener;

use crate::failure::Failure;
use crate::output::{self, Format};

/// Collects what is told and hands it on.
pub struct Desk {
    folder: PathBuf,
    format: Format,
    /// Whether lines of several runs come mixed, so that each must say whose it is.
    mixed: bool,
    /// By the order in which they were asked for, not that in which they ended.
    told: Mutex<BTreeMap<usize, Report>>,
}

impl Desk {
    pub fn open(folder: &Path, format: Format, mixed: bool) -> Self {
        Self {
            folder: folder.to_owned(),
            format,
            mixed,
            told: Mutex::default(),
        }
    }

    /// Says something of the rehearsal as a whole.
    pub fn say(&self, line: &str) {
        eprintln!("{line}");
    }

    /// Returns who hears of a run's events as they happen.
    pub fn listener(&self, scenario: &str, cluster: &dyn Target) -> Option<Listener> {
        if self.format == Format::Json {
            return None;
        }
        let (engine, agents) = (cluster.engine().clone(), cluster.agents().to_vec());
        let whose = match self.mixed {
            true => format!("{scenario:<20} "),
            false => String::new(),
        };
        Some(Box::new(move |event| {
            if let Some(line) = report::live_line(&engine, &agents, event) {
                eprintln!("{whose}{line}");
            }
        }))
    }

    /// Hears what a run came to.
    pub fn ended(&self, number: usize, report: Report) {
        if report.evidence.is_none() {
            self.say("no folder took this report, so here it is:");
            self.say(&report::to_json(&report));
        }
        self.lock().insert(number, report);
        if let Err(error) = self.write() {
            self.say(&format!(
                "warning: {}",
                nomad_harness::causes::with_causes(&error)
            ));
        }
    }

    /// Ends the rehearsal: what was done is told, however it ended.
    pub fn close_after(self, played: Result<Vec<String>, Failure>) -> Result<ExitCode, Failure> {
        let left = match &played {
            Ok(left) => left.clone(),
            Err(_) => Vec::new(),
        };
        if !left.is_empty() {
            self.say(&format!("not run: {}", left.join(", ")));
        }
        let code = self.close(left.is_empty());
        played.map(|_| code)
    }

    /// Prints what was proved and writes the files a last time; returns the exit code.
    fn close(self, complete: bool) -> ExitCode {
        // Where nothing ran, the files of an earlier time stay as they are.
        let nothing = self.lock().is_empty();
        let written = if nothing { Ok(()) } else { self.write() };
        let reports: Vec<Report> = self.lock().values().cloned().collect();
        match self.format {
            Format::Json => output::json(&reports),
            Format::Text if reports.is_empty() => {}
            Format::Text => output::text(&report::summary(&reports)),
        }
        if let Err(error) = &written {
            let problem = nomad_harness::causes::with_causes(error);
            self.say(&format!(
                "error: {problem}\n  hint: rehearse run --report DIR"
            ));
        } else if !reports.is_empty() {
            self.say(&format!(
                "page: {}",
                self.folder.join("index.html").display()
            ));
        }
        output::add_to_build_summary(&report::to_markdown(&reports));
        let all_there = written.is_ok() && reports.iter().all(|report| report.evidence.is_some());
        super::exit_code(&reports, complete, all_there)
    }

    fn write(&self) -> Result<(), runner::FolderError> {
        let told = self.lock();
        let reports: Vec<Report> = told.values().cloned().collect();
        let runs: Vec<_> = reports.iter().map(|one| (one, self.page_of(one))).collect();
        let files = [
            ("results.json", report::to_json(&reports)),
            ("junit.xml", report::to_junit(&reports)),
            ("summary.md", report::to_markdown(&reports)),
            ("index.html", report::to_index(&runs)),
        ];
        for (name, text) in files {
            runner::write_whole(&self.folder.join(name), &text)?;
        }
        Ok(())
    }

    /// The address of a run's page as seen from ours: only for those beside it.
    fn page_of(&self, report: &Report) -> Option<String> {
        let folder = Path::new(report.evidence.as_ref()?);
        if folder.parent()? != self.folder {
            return None;
        }
        Some(format!("{}/{PAGE}", folder.file_name()?.to_string_lossy()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Report>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
